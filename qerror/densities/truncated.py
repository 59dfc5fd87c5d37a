"""A density cut to an interval and renormalised."""

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities._cut import affine_limits, atoms_within, ordered_limits, pieces_within
from qerror.densities.atoms import Atoms
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.piece import Piece
from qerror.densities.student_t import StudentT
from qerror.exceptions import InvalidValue

_REJECTION_FROM = 0.05  # below this share of accepted draws the quantile function is faster


@final
@dataclass(frozen=True)
class Truncated(Density):
    """`density` given that X lies in [low, high]: renormalised, no point masses added.

    Raises
    ------
    InvalidValue
        If low >= high, a limit is nan, or the interval holds no probability: below 2.2e-308
        float64 loses its digits.
    """

    density: Density
    """What is cut."""
    low: float = -math.inf
    """Nothing lies below."""
    high: float = math.inf
    """Nothing lies above."""

    def __post_init__(self) -> None:
        ordered_limits(self, self.density, self.low, self.high)
        if not self.kept >= sys.float_info.min:
            raise InvalidValue(
                f"there is no probability in [{self.low:g}, {self.high:g}] to truncate to; "
                "choose limits that the density reaches"
            )

    @cached_property
    def kept(self) -> float:
        """The probability that the untruncated density has in the interval."""
        return float(self.density.mass(self.low, self.high))

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        inside = pieces_within(self.density, self.low, self.high)
        return tuple(piece.weighted(1 / self.kept) for piece in inside)

    def atoms(self) -> Atoms:
        return self._atoms

    @cached_property
    def _atoms(self) -> Atoms:
        x, probability = atoms_within(self.density, self.low, self.high)
        return Atoms(x, probability / self.kept)

    def _pdf(self, x: FloatArray) -> FloatArray:
        inside = (x >= self.low) & (x <= self.high)
        return np.where(inside, self.density.pdf(x) / self.kept, 0.0)

    def _second_moment(self) -> float:
        return self._power

    @cached_property
    def _power(self) -> float:
        return self._moment_about(0.0)

    def _affine(self, scale: float, shift: float) -> Density:
        limits = affine_limits(self.low, self.high, scale, shift)
        return Truncated(self.density.affine(scale, shift), *limits)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        if self.kept < _REJECTION_FROM:
            return super()._sample(size, rng)
        drawn = np.empty(0)
        while drawn.size < size:
            wanted = int((size - drawn.size) / self.kept * 1.1) + 16
            fresh = self.density.sample(wanted, rng)
            drawn = np.append(drawn, fresh[(fresh >= self.low) & (fresh <= self.high)])
        return drawn[:size]


DENSITIES.register(
    "truncated",
    Family(
        Truncated, Truncated(StudentT(2.0), -20.0, 30.0), "a density cut to [low, high], rescaled"
    ),
)
