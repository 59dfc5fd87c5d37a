"""A density clipped to an interval: what lies outside moves to the limits."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities._cut import affine_limits, atoms_within, ordered_limits, pieces_within
from qerror.densities.atoms import Atoms
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.gaussian import Gaussian
from qerror.densities.piece import Piece


@final
@dataclass(frozen=True)
class Clipped(Density):
    """The density of min(max(X, low), high): point masses at the limits.

    This is how the FP8 papers bound their data (Kuzmin et al. 2022, appendix A).

    Raises
    ------
    InvalidValue
        If low >= high or a limit is nan.
    """

    density: Density
    """What is clipped."""
    low: float = -math.inf
    """Values below become this one."""
    high: float = math.inf
    """Values above become this one."""

    def __post_init__(self) -> None:
        ordered_limits(self, self.density, self.low, self.high)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        return tuple(pieces_within(self.density, self.low, self.high))

    def atoms(self) -> Atoms:
        return self._atoms

    @cached_property
    def _atoms(self) -> Atoms:
        below = float(self.density.mass(-math.inf, self.low)) if self.low > -math.inf else 0.0
        above = float(self.density.mass(self.high, math.inf)) if self.high < math.inf else 0.0
        x, probability = atoms_within(self.density, self.low, self.high)
        strictly = (x > self.low) & (x < self.high)
        x = np.concatenate([[self.low], x[strictly], [self.high]])
        probability = np.concatenate([[below], probability[strictly], [above]])
        return Atoms(x[probability > 0], probability[probability > 0])

    def _pdf(self, x: FloatArray) -> FloatArray:
        inside = (x >= self.low) & (x <= self.high)
        return np.where(inside, self.density.pdf(x), 0.0)

    def _second_moment(self) -> float:
        return self._power

    @cached_property
    def _power(self) -> float:
        return self._moment_about(0.0)

    def _affine(self, scale: float, shift: float) -> Density:
        limits = affine_limits(self.low, self.high, scale, shift)
        return Clipped(self.density.affine(scale, shift), *limits)

    def _ppf(self, p: FloatArray) -> FloatArray:
        return np.clip(self.density.ppf(p), self.low, self.high)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return np.clip(self.density.sample(size, rng), self.low, self.high)


DENSITIES.register(
    "clipped",
    Family(Clipped, Clipped(Gaussian(), -2.5, 3.0), "a density with its tails moved to low, high"),
)
