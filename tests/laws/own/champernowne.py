"""A density of one's own, as CONTRIBUTING describes it: a law, a family, a registration.

Champernowne 1952, The graduation of income distributions, Econometrica 20, eq. 1.2, without
skewness: between the logistic density (angle 0) and the secant one (pi / 2), and flatter beyond.
"""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import DENSITIES, Family
from qerror.densities.location_scale import LocScale
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import InvalidValue


@final
@dataclass(frozen=True)
class StandardChampernowne(SmoothLaw):
    """sin a / (2 a (cosh z + cos a)), whose poles are at +-i (pi - a)."""

    angle: float

    horizon = 745.0
    spent = 64.0
    panels_shrink = True

    @property
    def _nearness(self) -> float:
        """How far the poles are, where those of the logistic law are at 1."""
        return (math.pi - self.angle) / math.pi

    def pdf(self, z: FloatArray) -> FloatArray:
        e: FloatArray = np.exp(-np.abs(z))
        level = math.sin(self.angle) / self.angle
        return level * e / (1 + 2 * math.cos(self.angle) * e + e * e)

    def cdf(self, z: FloatArray) -> FloatArray:
        # The argument of 1 + e^(z + ia); of e^-z + e^ia where e^z would overflow.
        e: FloatArray = np.exp(-np.abs(z))
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        low, high = np.arctan2(sin * e, 1 + cos * e), np.arctan2(sin, e + cos)
        share: FloatArray = np.where(z < 0, low, high) / self.angle
        return share

    def ppf(self, probability: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            up = np.log(np.sin(self.angle * probability))
            down = np.log(np.sin(self.angle * (1 - probability)))
        quantile: FloatArray = up - down
        return quantile

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.ppf(rng.uniform(size=size))

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        # cosh(r + u) - cosh r = 2 sinh(u / 2) sinh(r + u / 2), both sides times e^-r
        e = np.exp(-r)
        rise = np.sinh(0.5 * u) * (np.exp(0.5 * u) - e * e * np.exp(-0.5 * u))
        change: FloatArray = -np.log1p(2 * rise / (1 + 2 * math.cos(self.angle) * e + e * e))
        return change

    def panel_width(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 2.5 * self._nearness)

    def reach(self, x: FloatArray) -> FloatArray:
        return x + 55.0

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 0.25 * self._nearness)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        # The Taylor series of 1 / (cosh z + cos a) at x, term by term from that of cosh.
        e = np.exp(-x)
        base = 1 + 2 * math.cos(self.angle) * e + e * e
        signs = [1 + e * e, 1 - e * e]
        below = [step**k / math.factorial(k) * signs[k % 2] / base for k in range(order + 1)]
        terms = [self.pdf(x)]
        for k in range(1, order + 1):
            terms.append(-sum((below[j] * terms[k - j] for j in range(1, k + 1)), np.zeros(1)))
        return [math.factorial(k) * term for k, term in enumerate(terms)]


@final
@dataclass(frozen=True)
class Champernowne(LocScale):
    """Champernowne's density without skewness, with variance scale^2 (pi^2 - angle^2) / 3.

    Parameters
    ----------
    angle : float
        Between 0 and pi.
    loc, scale : float
        The mean, and what the standard law is stretched by.
    """

    angle: float
    loc: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.angle < math.pi:
            raise InvalidValue(f"angle must lie between 0 and pi, got {self.angle!r}")

    @property
    def law(self) -> StandardChampernowne:
        return StandardChampernowne(self.angle)

    @property
    def standard_variance(self) -> float:
        return (math.pi**2 - self.angle**2) / 3


EXAMPLE = Champernowne(1.0)
DENSITIES.register("champernowne", Family(Champernowne, EXAMPLE, "1 / (cosh z + cos angle)"))
