"""The arcsine density: a sine at full scale, sampled at random."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
from scipy import special

from qerror._arrays import FloatArray, real
from qerror.densities._cut import affine_limits
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.law import LocalIntegrals
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw, geometric_breaks
from qerror.exceptions import InvalidValue

_NODES = 16  # of a panel in the angle, at most pi/3 wide: 1e-30
_INNER = 0.5  # the first panel, in the angle, ends here
_WIDTH = 0.8  # panels of this share of the distance from the end
_GROWTH = 1.7  # ratio of neighbouring breaks below _INNER
_SHARE = 0.08  # steps of this share of it: the 14th Euler-Maclaurin term is below 1e-15


@final
@dataclass(frozen=True)
class ArcsineEnd(SmoothLaw):
    """1 / (pi sqrt(|z| (2 - |z|))): either half of an arcsine density, seen from its end.

    A piece of it, cut to z in [0, 1], is the half with its end at 0 and the centre at 1; both
    halves of a density have their distances from the singular points exact this way.
    """

    kink_at_zero = True
    branch_at_zero = True
    root_at_zero = True
    horizon = 2.0

    def pdf(self, z: FloatArray) -> FloatArray:
        a = np.abs(z)
        inside = a < 2
        with np.errstate(divide="ignore"):  # infinite at the end itself
            level = 1 / (math.pi * np.sqrt(a * np.where(inside, 2 - a, 1.0)))
        return np.where(inside, level, 0.0)

    def cdf(self, z: FloatArray) -> FloatArray:
        """Return the integral from -2; the two halves together make 2."""
        half: FloatArray = np.arcsin(np.sqrt(0.5 * np.minimum(np.abs(z), 2.0)))
        return 1 + np.sign(z) * (2 / math.pi) * half

    def ppf(self, probability: FloatArray) -> FloatArray:
        away = probability - 1
        return np.sign(away) * 2 * np.square(np.sin(0.5 * math.pi * away))

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.ppf(rng.uniform(0.0, 2.0, size))

    def tail_exponent(self, side: float) -> float:
        del side
        return math.inf

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        # Levels on an end, or beyond the centre, are looked at in passing: they stay finite.
        near = np.maximum(u / np.maximum(r, 1e-300), -0.999)
        far = np.maximum(-u / np.maximum(2 - r, 0.25), -0.999)
        return -0.5 * (np.log1p(near) + np.log1p(far))

    def panel_width(self, x: FloatArray) -> FloatArray:
        return _WIDTH * np.minimum(x, np.maximum(2 - x, 0.25))

    def reach(self, x: FloatArray) -> FloatArray:
        return np.maximum(x, 1.5)

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return _SHARE / _WIDTH * self.panel_width(x)

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        # x (2 - x) p^(k+1) = -(2k + 1)(1 - x) p^(k) + k^2 p^(k-1), all terms of one sign; at the
        # end itself, where no series ever begins, the derivatives are left at zero.
        curve = np.where(x > 0, step / np.where(x > 0, x * (2 - x), 1.0), 0.0)
        p = self.pdf(x)
        found = [p, -curve * (1 - x) * p]
        for k in range(1, order):
            slope = -(2 * k + 1) * (1 - x) * found[k]
            found.append(curve * (slope + k * k * step * found[k - 1]))
        return found[: order + 1]

    def flat_width(self) -> float:
        return 0.0

    def breaks(self, start: float, stop: float) -> FloatArray:
        return geometric_breaks(start, _INNER, _GROWTH, super().breaks(start, stop))

    def origin_width(self) -> float:
        return _INNER

    def origin(self, stop: FloatArray, q: FloatArray) -> LocalIntegrals:
        """Substitute z = 1 - cos t: p dz = dt / pi, and z - q = 2 sin^2(t / 2) - q."""
        nodes, weights = gauss_legendre(_NODES)
        angle = 2 * np.arcsin(np.sqrt(0.5 * stop))
        away = 2 * np.square(np.sin(0.5 * angle[:, None] * nodes)) - q[:, None]
        mass = angle / math.pi
        return LocalIntegrals(mass, mass * (away @ weights), mass * (np.square(away) @ weights))


_LAW = ArcsineEnd()


@final
@dataclass(frozen=True)
class Arcsine(Density):
    """1 / (pi sqrt((x - low)(high - x))): a sine between `low` and `high` at a random phase.

    Raises
    ------
    InvalidValue
        If a limit is not finite or low >= high.
    """

    low: float = -1.0
    """The least value of the sine."""
    high: float = 1.0
    """Its largest value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", real("low", self.low))
        object.__setattr__(self, "high", real("high", self.high))
        if not self.low < self.mean < self.high or math.isinf(self.high - self.low):
            raise InvalidValue(f"low must be below high, got low={self.low:g}, high={self.high:g}")

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces

    @cached_property
    def _pieces(self) -> tuple[Piece, ...]:
        half, middle = 0.5 * self.high - 0.5 * self.low, self.mean
        return (
            Piece(_LAW, 1.0, self.low, half, self.low, middle),
            Piece(_LAW, 1.0, self.high, half, middle, self.high),
        )

    @property
    def mean(self) -> float:
        return 0.5 * self.low + 0.5 * self.high

    def _variance(self) -> float:
        return (self.high - self.low) ** 2 / 8

    def _second_moment(self) -> float:
        return self.mean**2 + self._variance()

    def _differential_entropy(self) -> float:
        return math.log(0.25 * math.pi) + math.log(self.high - self.low)

    def _cube_root_integral(self) -> float:
        # int (1 - z^2)^(-1/6) dz = B(1/2, 5/6)
        half = 0.5 * self.high - 0.5 * self.low
        return float(special.beta(0.5, 5 / 6)) / math.cbrt(math.pi) * math.cbrt(half) ** 2

    def _kinks(self) -> tuple[float, ...]:
        return (self.low, self.high)

    def _pdf(self, x: FloatArray) -> FloatArray:
        inside = np.clip(x, self.low, self.high)
        with np.errstate(divide="ignore"):
            level = 1 / (math.pi * np.sqrt(inside - self.low) * np.sqrt(self.high - inside))
        return np.where(inside == x, level, 0.0)

    def _cdf(self, x: FloatArray) -> FloatArray:
        # From the nearer end: its distance keeps its digits, and the arc is away from its own.
        inside = np.clip(x, self.low, self.high)
        below, above = inside - self.low, self.high - inside
        share = np.minimum(below, above) / (self.high - self.low)
        tail: FloatArray = 2 / math.pi * np.arcsin(np.sqrt(share))
        return np.where(below <= above, tail, 1 - tail)

    def _ppf(self, p: FloatArray) -> FloatArray:
        # From the nearer end, whose distance keeps its digits.
        near: FloatArray = np.square(np.sin(0.5 * math.pi * np.minimum(p, 1 - p)))
        away = near * (self.high - self.low)
        return np.where(p < 0.5, self.low + away, self.high - away)

    def _affine(self, scale: float, shift: float) -> Density:
        return Arcsine(*affine_limits(self.low, self.high, scale, shift))


DENSITIES.register(
    "arcsine",
    Family(Arcsine, Arcsine(), "1 / sqrt((x - low)(high - x)): a sine at full scale"),
    "sine",
)
