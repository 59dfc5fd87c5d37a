"""The logistic density."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from qerror._arrays import FloatArray, positive, real
from qerror.densities._base import DENSITIES, Family, LocationScale
from qerror.densities._panels import SmoothLaw


class StandardLogistic(SmoothLaw):
    """e^-z / (1 + e^-z)^2."""

    def pdf(self, z: FloatArray) -> FloatArray:
        e = np.exp(-np.abs(z))
        return e / (1 + e) ** 2

    def cdf(self, z: FloatArray) -> FloatArray:
        return special.expit(z)

    def ppf(self, probability: FloatArray) -> FloatArray:
        return special.logit(probability)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.logistic(size=size)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        e = np.exp(-r)
        return -u - 2 * np.log1p(e * np.expm1(-u) / (1 + e))

    def panel_width(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 2.5)

    def reach(self, x: FloatArray) -> FloatArray:
        return x + 55.0

    @property
    def horizon(self) -> float:
        return 745.2


_LAW = StandardLogistic()


@dataclass(frozen=True)
class Logistic(LocationScale):
    """The logistic density, with variance (pi scale)^2 / 3.

    Raises
    ------
    InvalidValue
        If a parameter is not finite or `scale` is not positive.
    """

    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "loc", real("loc", self.loc))
        object.__setattr__(self, "scale", positive("scale", self.scale))

    @property
    def law(self) -> StandardLogistic:
        return _LAW

    @property
    def location(self) -> float:
        return self.loc

    @property
    def spread(self) -> float:
        return self.scale

    @property
    def standard_variance(self) -> float:
        return math.pi**2 / 3


DENSITIES.register("logistic", Family(Logistic, Logistic(), "sech((x - loc) / (2 scale))^2"))
