"""A density after a ReLU."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities._cut import inner_density
from qerror.densities.atoms import Atoms
from qerror.densities.clipped import Clipped
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.gaussian import Gaussian
from qerror.densities.piece import Piece


@final
@dataclass(frozen=True)
class Rectified(Density):
    """The density of max(X, 0): a point mass at 0 and the positive half of `density`."""

    density: Density
    """What passes through the ReLU."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "density", inner_density(self.density, self))

    @cached_property
    def _clipped(self) -> Clipped:
        return Clipped(self.density, 0.0, math.inf)

    def pieces(self) -> tuple[Piece, ...]:
        return self._clipped.pieces()

    def atoms(self) -> Atoms:
        return self._clipped.atoms()

    def _pdf(self, x: FloatArray) -> FloatArray:
        return self._clipped.pdf(x)

    def _second_moment(self) -> float:
        return self._clipped.second_moment

    def _affine(self, scale: float, shift: float) -> Density:
        inner = self.density.affine(scale, shift)
        if shift == 0 and scale > 0:
            return Rectified(inner)
        return Clipped(inner, low=shift) if scale > 0 else Clipped(inner, high=shift)

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self._clipped.ppf(p)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return np.maximum(self.density.sample(size, rng), 0.0)


DENSITIES.register(
    "rectified",
    Family(Rectified, Rectified(Gaussian()), "max(X, 0): a ReLU's output"),
    "relu",
)
