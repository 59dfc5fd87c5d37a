"""Where a density known by its values is not smooth: poles, cusps, and tails that are powers."""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from qerror._arrays import FloatArray

_STEP = 1e-3  # of the law's width: how near to 0 a cusp is looked for,
_FALL = 80.0  # in a tenth of which squares fall by 100,
_NOISE = 1e-10  # and what is no cusp, of the density
_DIGITS = 1e-280  # of a density that has all of its digits
_POWER = 1e-4  # to which a power's exponent is the same at a quarter and a quarter of that
_LIGHT = 16.0  # of it: tails that fall faster count as light

Pdf: TypeAlias = Callable[[FloatArray], FloatArray]


class Pole(NamedTuple):
    """A place where the density grows like u^-(1 - power), u being the distance on one side.

    Next to it, where quadrature would not end, the power law stands for the density.
    """

    place: float
    side: float
    """1.0 where the density lies above the place, -1.0 where below."""
    width: float
    power: float
    mass: float
    """The probability within the width."""

    @property
    def interval(self) -> tuple[float, float]:
        """The lower and the upper end of what is replaced."""
        far = self.place + self.side * self.width
        return min(self.place, far), max(self.place, far)

    def integrals(self, q: FloatArray, start: FloatArray, stop: FloatArray) -> FloatArray:
        """Integrate (x - q)^k over the part of [start, stop] within the width, k = 0, 1, 2."""
        with np.errstate(invalid="ignore"):
            ends = np.clip(self.side * (np.stack([start, stop]) - self.place), 0.0, self.width)
        near, far = np.sort(ends / self.width, axis=0)
        b = self.power
        m = [
            self.mass * self.width**k * b / (b + k) * (far ** (b + k) - near ** (b + k))
            for k in range(3)
        ]
        away = self.place - q
        first = away * m[0] + self.side * m[1]
        return np.stack([m[0], first, away * (first + self.side * m[1]) + m[2]])


def has_cusp(pdf: Pdf, width: float) -> bool:
    """Tell whether p(h) + p(-h) - 2 p(0) falls slower than a square as h does."""
    steps = width * np.array([_STEP, 0.1 * _STEP])
    (middle,) = pdf(np.zeros(1))
    with np.errstate(all="ignore"):
        wide, narrow = np.abs(pdf(steps) + pdf(-steps) - 2 * middle).tolist()
    # A smooth one so flat that both are rounding has none; a pole is another matter.
    return bool(_NOISE * middle < wide < _FALL * narrow < math.inf)


def power_of_tail(pdf: Pdf, places: FloatArray) -> float:
    """Return the a of P(X > t) ~ t^-a, read off at places with all digits; infinite if light."""
    outer = places[places > 0]
    seen = outer[pdf(outer) > _DIGITS]
    if not seen.size:
        return math.inf
    p = pdf(seen.max() * np.array([1 / 64, 1 / 16, 1 / 4, 1.0]))
    with np.errstate(divide="ignore", invalid="ignore"):
        falls = (-np.diff(np.log(p)) / math.log(4.0)).tolist()
    is_power = abs(falls[2] - falls[0]) < _POWER * falls[2]
    return round(falls[2] - 1, 6) if is_power and falls[2] - 1 < _LIGHT else math.inf
