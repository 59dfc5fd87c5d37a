"""Where widths of blocks lie, as equal steps of their logarithms, and how sums over them end."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.densities.extreme import below, beyond, tail_exponent

_FINE = 0.0125  # of log w
_STRIDES = (28, 20, 14, 10, 6, 4, 2)  # of those: steps of log w to begin with
_LIKE = 1e-8  # the first that is as exact as this for the law of the largest magnitude
_NOTHING = 1e-19  # of all: widths that add less are left out
_ALMOST = 1 - 1e-16
_COARSE = 0.1  # of log w, to find where they lie
_NARROWEST, _WIDEST = 1e-8, 1e150  # of the spreads
# Exponents of tails up to which squares count beyond, and products with the farther extreme.
_ENDLESS = (2.1, 6.0)
_APART = 6.0  # of log w: between places from which powers are told apart


class Widths(NamedTuple):
    """Where widths of blocks lie, in log w, and how sums over them end."""

    first: float
    last: float
    exponent: float
    """Of the heavier tail, where what lies beyond the last one counts."""
    spread: float
    """The smallest of the density's pieces."""
    step: float
    """Of log w, to begin with."""

    def logs(self, shift: float, step: float) -> FloatArray:
        """Return equal steps down from the last one, less a shift."""
        stop = self.last - shift
        count = math.floor((stop - self.first) / step) + 1
        return np.asarray(stop - step * np.arange(count)[::-1], dtype=np.float64)

    def sum(self, found: FloatArray, step: float) -> FloatArray:
        """Sum over equal steps of log w, shape (k, 7), and over all that follow."""
        total: FloatArray = step * found.sum(axis=0)
        squares, crosses = [0, 1, 2, 5], [4, 6]
        if self.exponent > _ENDLESS[1]:
            return total
        # Squares fall as w^-fast; x e also has a term of w^-slow: that of the farther extreme.
        slow, fast = self.exponent - 1, min(2 * self.exponent - 2, self.exponent)
        back = round(_APART / step)
        end, before = found[-1], found[-1 - back]
        if self.exponent <= _ENDLESS[0]:
            total[squares] += step * end[squares] / math.expm1(fast * step)
        slower, faster = math.exp(slow * back * step), math.exp(fast * back * step)
        part = (before[crosses] - slower * end[crosses]) / (faster - slower)
        rest = end[crosses] - part
        more = part / math.expm1(fast * step) + rest / math.expm1(slow * step)
        total[crosses] += step * more
        return total


@lru_cache(maxsize=64)
def widths_of(density: Density, n: int, steps: int) -> Widths:
    """Return the widths that blocks of n values have."""
    spreads = [piece.spread for piece in density.pieces()]
    far = max(piece.spread + abs(piece.location) for piece in density.pieces())
    low, high = math.log(min(spreads) * _NARROWEST), math.log(far) + math.log(_WIDEST)
    logs = np.arange(low, high, _COARSE)
    w = np.exp(logs)
    with np.errstate(under="ignore", divide="ignore"):
        outside = np.minimum(_beyond_both(density, w), 1.0)
        either = np.minimum(n * _beyond_both(density, 0.5 * w), 1.0)
        # Squared errors are at most those of half a step, and of rounding all values to 0.
        square = np.minimum(np.cumsum(2 * _COARSE * outside * w * w), (0.5 * w / steps) ** 2)
        share = (n - 2) * np.log1p(-np.minimum(outside, _ALMOST)) + np.log(either * square)
        share += 2 * np.minimum(logs - math.log(min(spreads)), 0.0)
    least = math.log(_NOTHING)
    kept = np.flatnonzero((share > share.max() + least) & (either > _NOTHING))
    first, last = float(logs[kept[0]]) - _COARSE, float(logs[kept[-1]]) + _COARSE
    exponent = tail_exponent(density)
    if exponent <= _ENDLESS[1]:  # powers are told apart where steps are wide
        last = max(last, math.log(far * steps) + _APART + 1)
    return Widths(first, last, exponent, min(spreads), _first_step(density, n, first, last))


def _first_step(density: Density, n: int, first: float, last: float) -> float:
    """Return the largest step of log w that integrates the law of the largest magnitude."""
    logs = np.arange(first, last, _FINE)
    w = np.exp(logs)
    outside = np.minimum(_beyond_both(density, w), 1.0)
    with np.errstate(under="ignore", divide="ignore"):
        powers = np.exp((n - 1) * np.log1p(-np.minimum(outside, _ALMOST)))
        law = powers * w * (density.pdf(w) + density.pdf(-w))
    stride = _STRIDES[-1]
    for stride in _STRIDES:
        one, other = float(law[::stride].sum()), float(law[stride // 2 :: stride].sum())
        if abs(one - other) <= _LIKE * one:
            break
    return stride * _FINE


def _beyond_both(density: Density, x: FloatArray) -> FloatArray:
    return beyond(density, x) + below(density, -x)
