"""The absolute value of a centred Gaussian."""

from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray, positive
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.gaussian import Gaussian
from qerror.densities.piece import Piece


@dataclass(frozen=True)
class HalfGaussian(Density):
    """The density of |X| for X normal with mean 0; `std` is that of X.

    Raises
    ------
    InvalidValue
        If `std` is not positive and finite.
    """

    std: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "std", positive("std", self.std))

    def pieces(self) -> tuple[Piece, ...]:
        return (Piece(Gaussian().law, 2.0, spread=self.std, low=0.0),)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.std * np.abs(rng.standard_normal(size))


DENSITIES.register(
    "half-gaussian",
    Family(HalfGaussian, HalfGaussian(), "|X| of a Gaussian with mean 0"),
    "half-normal",
)
