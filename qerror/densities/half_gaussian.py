"""The absolute value of a centred Gaussian."""

from dataclasses import dataclass
from typing import final

import numpy as np

from qerror._arrays import FloatArray, positive
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.gaussian import Gaussian
from qerror.densities.piece import Piece
from qerror.densities.truncated import Truncated


@final
@dataclass(frozen=True)
class HalfGaussian(Density):
    """The density of |X| for X normal with mean 0; `std` is that of X.

    Raises
    ------
    InvalidValue
        If `std` is not positive and finite.
    """

    std: float = 1.0
    """Of the Gaussian whose magnitude this is; positive."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "std", positive("std", self.std))

    def pieces(self) -> tuple[Piece, ...]:
        return (Piece(Gaussian().law, 2.0, spread=self.std, low=0.0),)

    def _affine(self, scale: float, shift: float) -> Density:
        if shift == 0 and scale > 0:
            return HalfGaussian(scale * self.std)
        whole = Gaussian(shift, abs(scale) * self.std)
        return Truncated(whole, low=shift) if scale > 0 else Truncated(whole, high=shift)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.std * np.abs(rng.standard_normal(size))


DENSITIES.register(
    "half-gaussian",
    Family(HalfGaussian, HalfGaussian(), "|X| of a Gaussian with mean 0"),
    "half-normal",
)
