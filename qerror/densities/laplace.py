"""The double-exponential density."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import DENSITIES, Family
from qerror.densities.law import LocalIntegrals
from qerror.densities.location_scale import LocScale
from qerror.densities.smooth_law import SmoothLaw


@final
@dataclass(frozen=True)
class StandardLaplace(SmoothLaw):
    """exp(-|z|) / 2."""

    kink_at_zero = True
    horizon = 745.2
    spent = 64.0
    panels_shrink = True

    @property
    def differential_entropy(self) -> float:
        return 1 + math.log(2)

    @property
    def cube_root_integral(self) -> float:
        return 6 * math.cbrt(0.5)

    def tail_exponent(self, side: float) -> float:
        del side
        return math.inf

    def characteristic(self, t: FloatArray) -> FloatArray:
        return 1 / (1 + t * t)

    def pdf(self, z: FloatArray) -> FloatArray:
        return 0.5 * np.exp(-np.abs(z))

    def cdf(self, z: FloatArray) -> FloatArray:
        small = 0.5 * np.exp(-np.abs(z))
        return np.where(z < 0, small, 1 - small)

    def ppf(self, probability: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            lower = np.log(2 * probability)
            upper = -np.log(2 * (1 - probability))
        return np.where(probability < 0.5, lower, upper)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.laplace(size=size)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        return np.broadcast_to(-u, np.broadcast_shapes(r.shape, u.shape))

    def outer(self, a: FloatArray) -> LocalIntegrals:
        p = self.pdf(a)
        return LocalIntegrals(p, p, 2 * p)

    def panel_width(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 6.0)

    def reach(self, x: FloatArray) -> FloatArray:
        return x + 55.0

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 0.5)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        p = self.pdf(x)
        return [(-step) ** k * p for k in range(order + 1)]


_LAW = StandardLaplace()


@final
@dataclass(frozen=True)
class Laplace(LocScale):
    """exp(-|x - loc| / scale) / (2 scale), with variance 2 scale^2.

    Raises
    ------
    InvalidValue
        If a parameter is not finite or `scale` is not positive.
    """

    loc: float = 0.0
    """The centre."""
    scale: float = 1.0
    """Positive; the variance is twice its square."""

    @property
    def law(self) -> StandardLaplace:
        return _LAW

    @property
    def standard_variance(self) -> float:
        return 2.0


DENSITIES.register("laplace", Family(Laplace, Laplace(), "exp(-|x - loc| / scale)"))
