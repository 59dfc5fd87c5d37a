"""Where widths of blocks lie, as equal steps of their logarithms, and how sums over them end."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.densities.extreme import below, beyond, tail_exponent

_FINE = 0.0125  # of log w
_STRIDES = (40, 28, 20, 14, 10, 6, 4, 2)  # of those: steps of log w to begin with
_LIKE = 1e-8  # the first that is as exact as this for the law of the largest magnitude
_NOTHING = 1e-19  # of all: widths that add less are left out
_ALMOST = 1 - 1e-16
_COARSE = 0.1  # of log w, to find where they lie
_NARROWEST, _WIDEST = 1e-8, 1e150  # of the spreads
# Exponents of tails up to which squares count beyond, and products with the farther extreme.
_ENDLESS = (2.3, 6.0)
_HALVINGS = 6
_SETTLED = 3e-9  # relative, of two sums of shifted nodes: their mean's error is of its square
_LEAST_PAIR = 1e-4  # of the squared errors: E[e_1 e_2] is measured by no less
_APART = 6.0  # of log w: between places from which powers are told apart


def is_endless(density: Density) -> bool:
    """Tell whether squared errors count beyond all widths."""
    return tail_exponent(density) <= _ENDLESS[0]


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
        before = found[max(found.shape[0] - 1 - self.back(step), 0)]
        total: FloatArray = step * found.sum(axis=0) + self.rest(before, found[-1], step)
        return total

    def back(self, step: float) -> int:
        """Return how many steps before the last one powers are told apart from it."""
        return round(_APART / step)

    def rest(
        self,
        before: FloatArray,
        end: FloatArray,
        step: float,
        mixed: tuple[int, ...] = (4, 6),
    ) -> FloatArray:
        """Return what follows the last step, from what it adds and what one further back did.

        Squares fall as w^-fast; of the mixed sums a part falls as w^-slow: those with the farther
        extreme as a factor. With a real offset that one has no error, E[x e] is no such sum.
        """
        total = np.zeros(7)
        if self.exponent > _ENDLESS[1]:
            return total
        slow, fast = self.exponent - 1, min(2 * self.exponent - 2, self.exponent)
        if self.exponent <= _ENDLESS[0]:
            total[:3] = step * end[:3] / math.expm1(fast * step)
            total[[4, 5]] = step * end[[4, 5]] / math.expm1(fast * step)
        way = self.back(step) * step
        slower, faster = math.exp(slow * way), math.exp(fast * way)
        for k in mixed:
            part = (before[k] - slower * end[k]) / (faster - slower)
            rest = end[k] - part
            more = part / math.expm1(fast * step) + rest / math.expm1(slow * step)
            total[k] = step * more
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


def settled_sum(total: Callable[[float, float], FloatArray], step: float) -> FloatArray | None:
    """Return the mean of sums over equal steps, of a shift and a step; None if they differ."""
    found = total(0.0, step)
    for _ in range(_HALVINGS):
        other = total(0.5 * step, step)
        agree = _agree(found, other)
        found, step = 0.5 * (found + other), 0.5 * step
        if agree:
            return found
    return None


def _agree(one: FloatArray, other: FloatArray) -> bool:
    """Tell whether two sums are alike, small ones measured by all errors."""
    square = max(float(one[:3].sum()), float(other[:3].sum()))
    least = np.full(7, square)
    least[3], least[5] = math.sqrt(square), _LEAST_PAIR * square
    size = np.maximum(np.maximum(np.abs(one), np.abs(other)), least)
    return bool((np.abs(one - other) <= _SETTLED * size).all())
