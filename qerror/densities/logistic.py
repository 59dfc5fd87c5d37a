"""The logistic density."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np
from scipy import special

from qerror._arrays import FloatArray, frozen
from qerror.densities.density import DENSITIES, Family
from qerror.densities.law import LocalIntegrals
from qerror.densities.location_scale import LocScale
from qerror.densities.smooth_law import SmoothLaw, one_panel_outer

_OUTER_NODES = 56  # the poles at +-i pi limit how fast one panel converges


@final
@dataclass(frozen=True)
class StandardLogistic(SmoothLaw):
    """e^-z / (1 + e^-z)^2."""

    horizon = 745.2
    spent = 64.0
    panels_shrink = True

    @property
    def differential_entropy(self) -> float:
        return 2.0

    @property
    def cube_root_integral(self) -> float:
        return float(special.beta(1 / 3, 1 / 3))

    def tail_exponent(self, side: float) -> float:
        del side
        return math.inf

    def characteristic(self, t: FloatArray) -> FloatArray:
        u = np.clip(math.pi * t, 1e-9, 700.0)
        return u / np.sinh(u)

    def pdf(self, z: FloatArray) -> FloatArray:
        e: FloatArray = np.exp(-np.abs(z))
        return e / np.square(1 + e)

    def cdf(self, z: FloatArray) -> FloatArray:
        return np.asarray(special.expit(z), dtype=np.float64)

    def ppf(self, probability: FloatArray) -> FloatArray:
        return np.asarray(special.logit(probability), dtype=np.float64)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.logistic(size=size)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        e: FloatArray = np.exp(-r)
        return -u - 2.0 * np.log1p(e * np.expm1(-u) / (1 + e))

    def outer(self, a: FloatArray) -> LocalIntegrals:
        return one_panel_outer(self, np.minimum(a, 800.0), _OUTER_NODES)

    def panel_width(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 2.5)

    def reach(self, x: FloatArray) -> FloatArray:
        return x + 55.0

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 0.25)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        # With t = tanh(z / 2): p = (1 - t^2) / 4 and t' = (1 - t^2) / 2, so that every
        # derivative is p times a polynomial in t.
        p, t = self.pdf(x), np.tanh(0.5 * x)
        factors = _derivative_factors(order)
        return [p * step**k * factor(t) for k, factor in enumerate(factors)]


@lru_cache(maxsize=32)
def _derivative_factors(order: int) -> tuple[np.polynomial.Polynomial, ...]:
    """Return the polynomials R_k with p^(k) = p R_k(t): R_k+1 = R_k' (1 - t^2)/2 - t R_k."""
    t = np.polynomial.Polynomial([0.0, 1.0])
    found = [np.polynomial.Polynomial([1.0])]
    for _ in range(order):
        found.append(found[-1].deriv() * (1 - t * t) * 0.5 - t * found[-1])
    for factor in found:
        frozen(factor.coef)
    return tuple(found)


_LAW = StandardLogistic()


@final
@dataclass(frozen=True)
class Logistic(LocScale):
    """The logistic density, with variance (pi scale)^2 / 3.

    Raises
    ------
    InvalidValue
        If a parameter is not finite or `scale` is not positive.
    """

    loc: float = 0.0
    """The centre."""
    scale: float = 1.0
    """Positive; the variance is pi^2 / 3 times its square."""

    @property
    def law(self) -> StandardLogistic:
        return _LAW

    @property
    def standard_variance(self) -> float:
        return math.pi**2 / 3


DENSITIES.register("logistic", Family(Logistic, Logistic(), "sech((x - loc) / (2 scale))^2"))
