"""The uniform density."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from qerror._arrays import FloatArray, real
from qerror.densities._cut import affine_limits
from qerror.densities._panels import width_of
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.law import LocalIntegrals, PartialMoments
from qerror.densities.piece import Piece
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import InvalidValue


@final
@dataclass(frozen=True)
class Flat(SmoothLaw):
    """The constant 1. A piece of it, cut to [low, high], is a uniform density."""

    def tail_exponent(self, side: float) -> float:
        del side
        return math.inf

    def pdf(self, z: FloatArray) -> FloatArray:
        return np.ones(z.shape)

    def cdf(self, z: FloatArray) -> FloatArray:
        return z

    def ppf(self, probability: FloatArray) -> FloatArray:
        return probability

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.uniform(size=size)

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        return np.zeros(np.broadcast_shapes(r.shape, u.shape))

    def panel_width(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, math.inf)

    def reach(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, math.inf)

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, math.inf)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        del step
        return [np.ones(x.shape), *(np.zeros(x.shape) for _ in range(order))]

    def flat_width(self) -> float:
        return math.inf

    def breaks(self, start: float, stop: float) -> FloatArray:
        del start, stop
        return np.zeros(1)

    def integrals(
        self,
        q: FloatArray,
        left: FloatArray,
        right: FloatArray,
        ends: tuple[FloatArray, FloatArray] | None = None,
    ) -> LocalIntegrals:
        """Integrate exactly: the cubes' difference in product form, which never cancels."""
        start, stop = ends or (q + left, q + right)
        width = width_of(left, right, start, stop)
        # (b^3 - a^3) / 3 = (b - a) (((a + b) / 2)^2 + (b - a)^2 / 12)
        middle = 0.5 * (left + right)
        with np.errstate(invalid="ignore"):  # an empty interval at infinity
            second = np.where(width > 0, width * (middle**2 + width**2 / 12), 0.0)
        return LocalIntegrals(width, width * middle, second)

    def partial_moments(self, z: FloatArray) -> PartialMoments:
        """Kuzmin et al. 2022, appendix A.3."""
        return PartialMoments(z, z**2 / 2, z**3 / 3)


_LAW = Flat()


@final
@dataclass(frozen=True)
class Uniform(Density):
    """Constant on [low, high].

    Raises
    ------
    InvalidValue
        If a limit is not finite or low >= high.
    """

    low: float = -1.0
    """The lower end."""
    high: float = 1.0
    """The upper end, above `low`."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", real("low", self.low))
        object.__setattr__(self, "high", real("high", self.high))
        if not self.low < self.high or math.isinf(self.high - self.low):
            raise InvalidValue(f"low must be below high, got low={self.low:g}, high={self.high:g}")

    def pieces(self) -> tuple[Piece, ...]:
        # A power of two as the unit: nothing is rounded, and cubes stay within float64.
        size = max(-self.low, self.high, self.high - self.low)
        unit = math.ldexp(1.0, min(math.frexp(size)[1], 1023))
        weight = unit / (self.high - self.low)
        return (Piece(_LAW, weight, spread=unit, low=self.low, high=self.high),)

    @property
    def mean(self) -> float:
        return 0.5 * self.low + 0.5 * self.high

    def _variance(self) -> float:
        width = self.high - self.low
        return width * (width / 12)

    def _second_moment(self) -> float:
        return self.mean * self.mean + self.variance

    def _differential_entropy(self) -> float:
        return math.log(self.high - self.low)

    def _cube_root_integral(self) -> float:
        return math.cbrt(self.high - self.low) ** 2

    def _affine(self, scale: float, shift: float) -> Density:
        return Uniform(*affine_limits(self.low, self.high, scale, shift))

    def _ppf(self, p: FloatArray) -> FloatArray:
        return self.low + p * (self.high - self.low)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return rng.uniform(self.low, self.high, size)


DENSITIES.register("uniform", Family(Uniform, Uniform(), "1 / (high - low) on [low, high]"))
