"""The generalized Gaussian density: Laplace at beta = 1, normal at 2, flatter above."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import numpy as np
from scipy import special

from qerror._arrays import BoolArray, FloatArray, positive
from qerror.densities.density import DENSITIES, Family
from qerror.densities.law import LocalIntegrals
from qerror.densities.location_scale import LocScale
from qerror.densities.smooth_law import SmoothLaw, geometric_breaks
from qerror.exceptions import InvalidValue

_GROWTH = 1.45  # ratio of neighbouring breaks below the origin's interval
_BRANCH_SHARE = 0.08  # steps of this share of x: the 14th Euler-Maclaurin term is below 1e-15
_TERMS = 22  # of the series in |x|^beta <= 1/2: the first one left out is below 1e-27


@final
@dataclass(frozen=True)
class StandardGeneralizedGaussian(SmoothLaw):
    """beta exp(-|z|^beta) / (2 Gamma(1 / beta))."""

    beta: float

    kink_at_zero = True
    branch_at_zero = True

    @cached_property
    def peak(self) -> float:
        """The density at 0: Gamma(1 + 1/beta) is never near a pole, so no digits go."""
        return 0.5 / float(special.gamma(1 + 1 / self.beta))

    @cached_property
    def folds(self) -> float:
        """E-folds to where x^2 p is spent: x^2 dx is y^(3/beta - 1) dy in y = x^beta."""
        return max(60.0, float(special.gammainccinv(3 / self.beta, 1e-20)))

    @cached_property
    def horizon(self) -> float:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride] - frozen: read-only too
        return float(745.2 ** (1 / self.beta))

    @cached_property
    def inner(self) -> float:
        """Where |z|^beta is 1/2: up to there the series serves."""
        return float(0.5 ** (1 / self.beta))

    @property
    def differential_entropy(self) -> float:
        return 1 / self.beta - math.log(self.peak)

    @property
    def cube_root_integral(self) -> float:
        # int exp(-z^beta / 3) = 3^(1 / beta) 2 Gamma(1 + 1 / beta) = 3^(1 / beta) / peak
        return math.pow(3, 1 / self.beta) / math.cbrt(self.peak) ** 2

    def tail_exponent(self, side: float) -> float:
        del side
        return math.inf

    def pdf(self, z: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return self.peak * np.exp(-(np.abs(z) ** self.beta))

    def cdf(self, z: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            outer = np.asarray(special.gammaincc(1 / self.beta, np.abs(z) ** self.beta))
        upper = 0.5 * outer
        return np.where(z < 0, upper, 1 - upper)

    def ppf(self, probability: FloatArray) -> FloatArray:
        small = np.minimum(probability, 1 - probability)
        size = np.power(special.gammainccinv(1 / self.beta, 2 * small), 1 / self.beta)
        return np.where(probability < 0.5, -size, size)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        magnitude = np.power(rng.standard_gamma(1 / self.beta, size), 1 / self.beta)
        return np.where(rng.uniform(size=size) < 0.5, -magnitude, magnitude)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        return -(r**self.beta) * np.expm1(self.beta * np.log1p(u / r))

    def panel_width(self, x: FloatArray) -> FloatArray:
        # exp(-y ((1 + s)^beta - 1)), y = x^beta, is smooth while neither exponent grows by much
        with np.errstate(over="ignore", divide="ignore"):
            steep = np.log1p(4 / x**self.beta) / self.beta
        return x * np.minimum(steep, min(0.45, 3 / self.beta))

    def fold_reach(self, q: FloatArray, width: FloatArray) -> FloatArray:
        return np.minimum(0.3 * q, 0.5 * width)

    def fits_one_panel(
        self, q: FloatArray, inward: FloatArray, outward: FloatArray, width: FloatArray
    ) -> BoolArray:
        return (q > 0) & (np.maximum(inward, outward) <= self.fold_reach(q, width))

    def reach(self, x: FloatArray) -> FloatArray:
        return np.power(x**self.beta + self.folds, 1 / self.beta)

    def smooth_step(self, x: FloatArray) -> FloatArray:
        # The origin is a branch point at distance x.
        with np.errstate(over="ignore"):
            rise = self.beta * x**self.beta
        return x * (0.5 / np.maximum(rise, max(0.5 / _BRANCH_SHARE, self.beta)))

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        """Expand p(x (1 + t)) = p(x) exp(-x^beta ((1 + t)^beta - 1)) in powers of t.

        At the origin only the value is returned and the rest is zero: the lattice code never
        lets a series begin there.
        """
        at = np.maximum(x, 1e-300)
        inner = [-(at**self.beta) * c for c in _binomials(self.beta, order)]
        series = [np.ones(x.shape)]
        for k in range(1, order + 1):
            terms = (j * inner[j] * series[k - j] for j in range(1, k + 1))
            series.append(sum(terms, np.zeros(x.shape)) / k)
        ratio = np.where(x > 0, step / at, 0.0)
        p = self.pdf(x)
        return [math.factorial(k) * p * term * ratio**k for k, term in enumerate(series)]

    def flat_width(self) -> float:
        return float(1e-17 ** (1 / min(self.beta, 1.0))) if self.beta >= 0.1 else 0.0

    def breaks(self, start: float, stop: float) -> FloatArray:
        growth = 1 + min(_GROWTH - 1, 3 / self.beta)
        return geometric_breaks(start, self.inner, growth, super().breaks(start, stop))

    def origin_width(self) -> float:
        return self.inner

    def origin(self, stop: FloatArray, q: FloatArray) -> LocalIntegrals:
        """Sum the power series of exp(-x^beta), each term an exact positive integral.

        With e = beta j: int_0^b x^e (x - q)^2 = b^(e+1) (b^2 / ((e+2)^2 (e+3)) +
        (b (e+1)/(e+2) - q)^2 / (e+1)).
        """
        b = stop
        mass, first, second = np.zeros((3, b.size))
        term = self.peak * b
        y = b**self.beta
        for j in range(_TERMS):
            e = self.beta * j
            mass += term / (e + 1)
            first += term * (b / (e + 2) - q / (e + 1))
            centred = b * (e + 1) / (e + 2) - q
            second += term * (b * b / ((e + 2) ** 2 * (e + 3)) + centred * centred / (e + 1))
            term = term * -y / (j + 1)
        return LocalIntegrals(mass, first, second)


def _binomials(beta: float, order: int) -> list[float]:
    """Return the coefficients of (1 + t)^beta."""
    found = [1.0]
    for k in range(order):
        found.append(found[-1] * (beta - k) / (k + 1))
    return found


_law = lru_cache(maxsize=128)(StandardGeneralizedGaussian)


@final
@dataclass(frozen=True)
class GeneralizedGaussian(LocScale):
    """exp(-(|x - loc| / scale)^beta), with variance scale^2 Gamma(3/beta) / Gamma(1/beta).

    Raises
    ------
    InvalidValue
        If a parameter is not finite, `scale` is not positive, or `beta` lies outside
        [0.05, 1000]: below, no float64 grid reaches the tails; above, it is a uniform density.
    """

    beta: float
    """The exponent: 1 is Laplace's density, 2 the Gaussian."""
    loc: float = 0.0
    """The centre."""
    scale: float = 1.0
    """Positive."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", positive("beta", self.beta))
        if not 0.05 <= self.beta <= 1000:
            raise InvalidValue(f"beta must lie in [0.05, 1000], got {self.beta:g}")
        super().__post_init__()

    @property
    def law(self) -> StandardGeneralizedGaussian:
        return _law(self.beta)

    @property
    def standard_variance(self) -> float:
        # Gamma(3a) / Gamma(a) = Gamma(1 + 3a) / (3 Gamma(1 + a))
        a = 1 / self.beta
        return float(special.gamma(1 + 3 * a) / special.gamma(1 + a)) / 3


DENSITIES.register(
    "generalized-gaussian",
    Family(GeneralizedGaussian, GeneralizedGaussian(1.5), "exp(-(|x - loc| / scale)^beta)"),
    "gennorm",
    "gen-gaussian",
)
