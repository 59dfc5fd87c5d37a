"""The reciprocal density: the logarithm is uniform."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from qerror._arrays import FloatArray, positive
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.law import PartialMoments
from qerror.densities.piece import Piece
from qerror.densities.smooth_law import SmoothLaw, geometric_breaks
from qerror.exceptions import InvalidValue

_TINY = 1e-300  # as near to 0 as the law is evaluated; pieces are cut away from it
_WIDTH = 0.8  # panels of this share of x: the pole is at 0
_GROWTH = 1.7  # ratio of neighbouring breaks
_SHARE = 0.08  # steps of this share of x: the 14th Euler-Maclaurin term is below 1e-15


@final
@dataclass(frozen=True)
class Reciprocal(SmoothLaw):
    """1 / |z|. A piece of it, cut to limits of one sign, is a log-uniform density."""

    kink_at_zero = True
    branch_at_zero = True

    def pdf(self, z: FloatArray) -> FloatArray:
        return 1 / np.maximum(np.abs(z), _TINY)

    def cdf(self, z: FloatArray) -> FloatArray:
        """Return the antiderivative; only its differences on one side of 0 have a meaning."""
        return np.sign(z) * np.log(np.maximum(np.abs(z), _TINY))

    def ppf(self, probability: FloatArray) -> FloatArray:
        return np.exp(probability)

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.ppf(rng.uniform(size=size))

    def tail_exponent(self, side: float) -> float:
        del side
        return 0.0

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        return -np.log1p(u / r)

    def panel_width(self, x: FloatArray) -> FloatArray:
        return _WIDTH * x

    def reach(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, math.inf)

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return _SHARE * x

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        # p^(k) = (-1)^k k! / x^(k + 1)
        p = self.pdf(x)
        found = [p]
        for k in range(1, order + 1):
            found.append(-k * step * p * found[-1])
        return found

    def flat_width(self) -> float:
        return 0.0

    def breaks(self, start: float, stop: float) -> FloatArray:
        return geometric_breaks(max(start, _TINY), stop, _GROWTH, np.array([stop]))

    def partial_moments(self, z: FloatArray) -> PartialMoments:
        """Integrate 1, z and z^2 over z."""
        size = np.abs(z)
        return PartialMoments(self.cdf(z), size, 0.5 * z * size)


_LAW = Reciprocal()


@final
@dataclass(frozen=True)
class LogUniform(Density):
    """1 / (x ln(high / low)) on [low, high], 0 < low < high: ln X is uniform.

    Raises
    ------
    InvalidValue
        If a limit is not positive and finite, or low >= high.
    """

    low: float
    """The lower end; positive."""
    high: float
    """The upper end, above `low`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", positive("low", self.low))
        object.__setattr__(self, "high", positive("high", self.high))
        if not self.low < self.high:
            raise InvalidValue(f"low must be below high, got low={self.low:g}, high={self.high:g}")

    @cached_property
    def _length(self) -> float:
        """ln(high / low), to its last digits for limits that are close together too."""
        ratio = (self.high - self.low) / self.low
        return math.log1p(ratio) if ratio < 1 else math.log(self.high) - math.log(self.low)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        # A power of two as the unit: nothing is rounded, and cubes stay within float64.
        unit = math.ldexp(1.0, math.frexp(self.high)[1] - 1)
        return (Piece(_LAW, 1 / self._length, 0.0, unit, self.low, self.high),)

    @property
    def mean(self) -> float:
        return (self.high - self.low) / self._length

    def _second_moment(self) -> float:
        return self.mean * (0.5 * self.low + 0.5 * self.high)

    def _differential_entropy(self) -> float:
        return math.log(self._length) + 0.5 * (math.log(self.low) + math.log(self.high))

    def _cube_root_integral(self) -> float:
        # (x length)^(-1/3) has the antiderivative 3/2 x^(2/3) length^(-1/3)
        rise = math.expm1(2 / 3 * self._length)
        return 1.5 * math.cbrt(self.low) ** 2 * rise / math.cbrt(self._length)

    def _cdf(self, x: FloatArray) -> FloatArray:
        inside = np.clip(x, self.low, self.high)
        share: FloatArray = np.log1p((inside - self.low) / self.low) / self._length
        return np.where(x >= self.high, 1.0, np.minimum(share, 1.0))

    def _ppf(self, p: FloatArray) -> FloatArray:
        # From the nearer end: the exponential keeps its digits there.
        up: FloatArray = self.low * np.exp(p * self._length)
        down: FloatArray = self.high * np.exp((p - 1) * self._length)
        return np.clip(np.where(p < 0.5, up, down), self.low, self.high)

    def _affine(self, scale: float, shift: float) -> Density:
        if scale > 0 and shift == 0:
            return LogUniform(scale * self.low, scale * self.high)
        return super()._affine(scale, shift)


DENSITIES.register(
    "log-uniform",
    Family(LogUniform, LogUniform(0.01, 10.0), "1 / x on [low, high]: ln X is uniform"),
    "reciprocal",
)
