"""Sums over runs of sorted point masses, from one pass over them."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, two_square

_SPLITTER = 134217729.0  # 2^27 + 1: Veltkamp's constant for 53-bit significands


class Pair(NamedTuple):
    """A number as an unevaluated sum high + low of two floats: about 32 digits."""

    high: FloatArray
    low: FloatArray

    @property
    def value(self) -> FloatArray:
        """The number, rounded once."""
        return self.high + self.low


class Runs(NamedTuple):
    """Sums of w, w x and w x^2 over runs of neighbouring points."""

    weight: Pair
    first: Pair
    second: Pair


@dataclass(frozen=True, eq=False)
class PrefixSums:
    """Point masses in order, with running sums of w, w x and w x^2 in two floats each.

    The sums start at zero and run outwards, so what lies far out costs those near zero no digit.
    A difference of two of them is then good to about 1e-31 of the sum up to the farther end,
    which leaves twelve digits and more of sum w (x - q)^2 on any cell of a number format.

    Parameters
    ----------
    positions : ndarray, shape (n,)
        Strictly increasing.
    weights : ndarray, shape (n,)
        Non-negative: probabilities times `unit`.
    unit : float
        1, or the size of a sample whose weights are counts.
    """

    positions: FloatArray
    weights: FloatArray
    unit: float = 1.0

    @property
    def size(self) -> int:
        """How many points there are."""
        return self.positions.size

    @cached_property
    def table(self) -> FloatArray:
        """The running sums before each point and after the last, shape (n + 1, 6).

        One row is one line of the processor's cache: high and low parts of the three sums.
        """
        x, w = self.positions, self.weights
        zero = int(np.searchsorted(x, 0.0))
        columns = np.empty((x.size + 1, 6))
        for k, (term, rest) in enumerate(_terms(x, w)):
            columns[zero:, 2 * k : 2 * k + 2] = _running(term[zero:], rest[zero:])
            inwards = _running(term[:zero][::-1], rest[:zero][::-1])
            columns[:zero, 2 * k : 2 * k + 2] = -inwards[:0:-1]
        columns.setflags(write=False)
        return columns

    def runs(self, ends: IntArray) -> Runs:
        """Sum over runs: of the points ends[i], ..., ends[i + 1] - 1 along the last axis."""
        rows = self.table.take(ends, axis=0)
        columns = np.ascontiguousarray(np.moveaxis(rows, -1, 0))
        start, stop = columns[..., :-1], columns[..., 1:]
        found = (_plus(stop[k], -start[k], stop[k + 1] - start[k + 1]) for k in (0, 2, 4))
        return Runs(*found)

    def between(self, first: int, last: int) -> "PrefixSums":
        """Return the points first, ..., last - 1."""
        return PrefixSums(self.positions[first:last], self.weights[first:last], self.unit)

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether the points are their own mirror image in 0."""
        x, w = self.positions, self.weights
        return bool((x == -x[::-1]).all() and (w == w[::-1]).all())

    @cached_property
    def moments(self) -> tuple[float, float, float]:
        """The points' probability, and what they add to E[X] and E[X^2]."""
        whole = self.runs(np.array([0, self.size]))
        weight, first, second = (float(pair.value[0]) / self.unit for pair in whole)
        return weight, first, second

    def mass(self, low: FloatArray, high: FloatArray) -> FloatArray:
        """Return the probability of the points in [low, high], one entry per interval."""
        if not self.size:
            return np.zeros(low.size)
        start = np.searchsorted(self.positions, low)
        stop = np.searchsorted(self.positions, high, "right")
        ends = np.stack([start, np.maximum(start, stop)], axis=-1)
        return self.runs(ends).weight.value[:, 0] / self.unit


def shortened(x: FloatArray) -> FloatArray:
    """Return x rounded to 26 digits (Veltkamp): its product with such another is exact."""
    shifted = _SPLITTER * x
    return shifted - (shifted - x)


def times(pair: Pair, short: FloatArray) -> Pair:
    """Return the product with a float of at most 26 digits (Dekker 1971)."""
    product = pair.high * short
    high = shortened(pair.high)
    rest = (high * short - product) + (pair.high - high) * short
    return Pair(product, rest + pair.low * short)


def minus(a: Pair, b: Pair) -> Pair:
    """Return the difference (Knuth 1969, Dekker 1971)."""
    return _plus(a.high, -b.high, a.low - b.low)


def exact_product(a: FloatArray, b: FloatArray) -> Pair:
    """Return the product of two floats as a pair (Dekker 1971); shapes broadcast.

    Unlike `two_product` it does not look for operands near the ends of float64's range: there
    the low part is off by less than the smallest float, which larger terms do not see.
    """
    product = a * b
    ah, bh = shortened(a), shortened(b)
    al, bl = a - ah, b - bh
    return Pair(product, ((ah * bh - product) + ah * bl + al * bh) + al * bl)


def _plus(a: FloatArray, b: FloatArray, rest: FloatArray) -> Pair:
    """Return a + b + rest, the rounding of a + b kept in the low part."""
    high = a + b
    shadow = high - a
    return Pair(high, ((a - (high - shadow)) + (b - shadow)) + rest)


def _terms(x: FloatArray, w: FloatArray) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Return w, w x and w x^2 in two floats each."""
    nothing = np.zeros(x.size)
    square, square_rest = two_square(x)
    if (w == 1).all():
        return (w, nothing), (x, nothing), (square, square_rest)
    second, lost = exact_product(w, square)
    return (w, nothing), exact_product(w, x), (second, lost + w * square_rest)


def _running(term: FloatArray, rest: FloatArray) -> FloatArray:
    """Return compensated running sums, shape (n + 1, 2): the rounding of each step is kept.

    The cascade of Ogita, Rump and Oishi 2005 (Sum2), with every partial sum as a result.
    """
    total = np.zeros((term.size + 1, 2))
    np.cumsum(term, out=total[1:, 0])
    before, after = total[:-1, 0], total[1:, 0]
    shadow = after - before
    lost = (before - (after - shadow)) + (term - shadow)
    np.cumsum(lost + rest, out=total[1:, 1])
    return total
