"""The normal density."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from scipy import special

from qerror._arrays import FloatArray, positive, real, two_square
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.law import LocalIntegrals, PartialMoments
from qerror.densities.location_scale import LocationScale
from qerror.densities.smooth_law import SmoothLaw, one_panel_outer, outer_moments

_OUTER_NODES = 48  # exp(-t (a + t / 2)) on the reach, for every a >= 0, to 1e-16
_NEAR = 6.0  # up to here the rounding of z^2 costs a few units in the last place
_PEAK = 1 / math.sqrt(2 * math.pi)


@final
@dataclass(frozen=True)
class StandardGaussian(SmoothLaw):
    """exp(-z^2 / 2) / sqrt(2 pi)."""

    horizon = 38.6
    spent = 11.0
    faint = 7.8
    panels_shrink = True

    @property
    def differential_entropy(self) -> float:
        return 0.5 * math.log(2 * math.pi * math.e)

    @property
    def cube_root_integral(self) -> float:
        return math.sqrt(6 * math.pi) / math.pow(2 * math.pi, 1 / 6)

    def tail_exponent(self, side: float) -> float:
        del side
        return math.inf

    def characteristic(self, t: FloatArray) -> FloatArray:
        return np.exp(-0.5 * np.minimum(t, 40.0) ** 2)

    def pdf(self, z: FloatArray) -> FloatArray:
        if z.size and max(z.max(), -z.min()) < _NEAR:
            return _PEAK * np.exp(-0.5 * z * z)
        # Far out z^2 is split exactly: its rounding alone would cost eps z^2 / 4 relative.
        high, low = two_square(np.clip(z, -40.0, 40.0))
        return _PEAK * np.exp(-0.5 * high) * (1 - 0.5 * low)

    def cdf(self, z: FloatArray) -> FloatArray:
        return special.ndtr(z)

    def ppf(self, probability: FloatArray) -> FloatArray:
        return special.ndtri(probability)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.standard_normal(size)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        return -u * (r + 0.5 * u)

    def pdf_outer(self, scale: FloatArray, x: FloatArray) -> FloatArray:
        p = np.multiply.outer(-0.5 * scale * scale, x * x)
        np.exp(p, out=p)
        p *= _PEAK
        return p

    def fold_terms(self, q: FloatArray, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        # cosh and sinh cost less than two exponentials, and sinh keeps small odd parts exact
        level, y = 2 * np.exp(-0.5 * t * t), q * t
        return level * np.cosh(y), -level * np.sinh(y)

    def outer(self, a: FloatArray) -> LocalIntegrals:
        return one_panel_outer(self, np.minimum(a, 40.0), _OUTER_NODES)

    def outer_at(self, a: float) -> tuple[float, float, float]:
        if a >= _NEAR:
            return super().outer_at(a)
        nodes, moments = outer_moments(_OUTER_NODES)
        width = math.sqrt(a * a + 100.0) - a
        u = width * nodes
        mass, first, second = (np.exp(-u * (a + 0.5 * u)) @ moments).tolist()
        level = _PEAK * math.exp(-0.5 * a * a) * width
        return level * mass, level * width * first, level * width * width * second

    def panel_width(self, x: FloatArray) -> FloatArray:
        return 6.0 / np.maximum(x, 3.0)

    def reach(self, x: FloatArray) -> FloatArray:
        return np.sqrt(x * x + 100.0)

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return 0.5 / np.maximum(x, 2.0)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        # p^(k+1) = -x p^(k) - k p^(k-1)
        p = self.pdf(x)
        found = [p, -(x * step) * p]
        for k in range(1, order):
            found.append(-(x * step) * found[k] - k * step * step * found[k - 1])
        return found[: order + 1]

    def partial_moments(self, z: FloatArray) -> PartialMoments:
        """Kuzmin et al. 2022, appendix A.3, by the error function."""
        p = self.pdf(z)
        mass = special.ndtr(z)
        return PartialMoments(mass, -p, mass - np.where(np.isinf(z), 0.0, z) * p)


_LAW = StandardGaussian()


@final
@dataclass(frozen=True)
class Gaussian(LocationScale):
    """The normal density with this mean and standard deviation.

    Raises
    ------
    InvalidValue
        If a parameter is not finite or `std` is not positive.
    """

    mean: float = 0.0  # pyright: ignore[reportIncompatibleMethodOverride] - frozen: read-only too
    """E[X]."""
    std: float = 1.0
    """The standard deviation; positive."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", real("mean", self.mean))
        object.__setattr__(self, "std", positive("std", self.std))

    @property
    def law(self) -> StandardGaussian:
        return _LAW

    @property
    def location(self) -> float:
        return self.mean

    @property
    def spread(self) -> float:
        return self.std

    @property
    def standard_variance(self) -> float:
        return 1.0

    def _affine(self, scale: float, shift: float) -> Density:
        return Gaussian(scale * self.mean + shift, abs(scale) * self.std)


DENSITIES.register(
    "gaussian", Family(Gaussian, Gaussian(), "exp(-(x - mean)^2 / (2 std^2))"), "normal"
)
