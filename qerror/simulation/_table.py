"""Rounding to listed levels, by boundaries that are exact in the working dtype."""

import math
from typing import Any

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.rounding import Rounding
from qerror.simulation._kernels import AnyReal, Kernel, ShortDraws, WorkType, drawn
from qerror.simulation._levels import Levels

COUNTED = 32  # levels up to which each boundary is compared with


class Table(Kernel):
    """Listed levels: the rank of v among exact boundaries, the smallest v of each level.

    Parameters
    ----------
    points : ndarray
        The levels in ascending order, possibly scaled, at double precision.
    stored : dtype
        To which they are rounded, once: half precision, if the work is done in single.
    """

    def __init__(
        self, levels: Levels, points: FloatArray, work: WorkType, mode: Rounding, stored: Any
    ) -> None:
        super().__init__(levels, work)
        self.low, self.high = work(-math.inf), work(math.inf)
        self.mode = mode
        self.points = points
        with np.errstate(over="ignore", under="ignore"):
            self.values = points.astype(stored).astype(work)
        self.negative_zero = levels.negative_zero
        self.bounds = _first_of_each(points, work, mode, levels.even_first)

    def scratch(self, size: int) -> AnyReal:
        del size
        return np.empty(0)

    def ranks(self, v: AnyReal, rng: np.random.Generator | None) -> IntArray:
        """Return the index of each v's level; that of NaN is arbitrary."""
        last = self.points.size - 1
        rank = self._counted(v) if last <= COUNTED else self.bounds.searchsorted(v, side="right")
        rank = np.minimum(rank, last)  # NaN sorts behind everything
        if self.mode == "stochastic" and last:
            rank += self._goes_up(v, rank, rng)
        return rank

    def round(
        self, v: AnyReal, out: AnyReal, scratch: AnyReal, rng: np.random.Generator | None
    ) -> None:
        del scratch
        np.take(self.values, self.ranks(v, rng), out=out, mode="clip")
        np.copyto(out, v, where=np.isnan(v))
        if self.negative_zero:
            np.copysign(out, v, out=out, where=out == 0)

    def _counted(self, v: AnyReal) -> IntArray:
        """Count the boundaries up to each v: with few levels ten times faster than searching."""
        count, beyond = np.zeros(v.size, np.uint8), np.empty(v.size, np.bool_)
        for bound in self.bounds:
            np.greater_equal(v, bound, out=beyond)
            np.add(count, beyond.view(np.uint8), out=count)
        return count.astype(np.intp)

    def _goes_up(self, v: AnyReal, rank: IntArray, rng: np.random.Generator | None) -> BoolArray:
        lower = np.minimum(rank, self.points.size - 2)
        start, stop = self.points[lower], self.points[lower + 1]
        with np.errstate(invalid="ignore"):
            share = np.clip((v - start) / (stop - start), 0.0, 1.0)
            outer = np.clip((stop - v) / (stop - start), 0.0, 1.0)
        u = drawn(rng, v)
        up: BoolArray = u < share
        if isinstance(rng, ShortDraws):  # few bits count from the level on the side of zero
            up = np.where(stop <= 0, ~(u < outer), up)
        up &= rank == lower
        return up


def _first_of_each(points: FloatArray, kind: WorkType, mode: Rounding, even_first: bool) -> AnyReal:
    """Return for each level but the first the smallest number of the dtype that goes to it."""
    low, high = points[:-1], points[1:]
    upper_is_even = (np.arange(1, points.size) % 2 == 0) == even_first
    never, always = np.zeros(low.size, np.bool_), np.ones(low.size, np.bool_)
    bound: FloatArray
    beyond: BoolArray
    match mode:
        case "nearest-even":
            bound, beyond = _at_midpoint(low, high, ~upper_is_even)
        case "nearest-away":
            down = (low + high < 0) | ((low + high == 0) & ~upper_is_even)
            bound, beyond = _at_midpoint(low, high, down)
        case "toward-zero":
            # Between the two innermost levels of a list without zero: to the nearest.
            inner = (low < 0) & (high > 0)
            middle, past = _at_midpoint(low, high, ~upper_is_even)
            bound = np.where(inner, middle, np.where(high > 0, high, low))
            beyond = np.where(inner, past, high <= 0)
        case "up":
            bound, beyond = low, always
        case "down" | "stochastic":
            bound, beyond = high, never
        case "to-odd":
            bound, beyond = np.where(upper_is_even, high, low), ~upper_is_even
    return _rounded_up(np.where(beyond, np.nextafter(bound, np.inf), bound), kind)


def _at_midpoint(
    low: FloatArray, high: FloatArray, tie_goes_down: BoolArray
) -> tuple[FloatArray, BoolArray]:
    """Return the midpoints rounded to float64, and whether only numbers beyond them go up."""
    # Halved first where the sum would overflow; elsewhere last, which may round a subnormal.
    large = np.maximum(np.abs(low), np.abs(high)) > 2.0**1000
    a, b = np.where(large, 0.5, 1.0) * low, np.where(large, 0.5, 1.0) * high
    total = a + b
    shadow = total - a
    rest = (a - (total - shadow)) + (b - shadow)  # Knuth's two-sum: a + b = total + rest
    # What halving a subnormal beside a huge level has lost: its sign is the subnormal's.
    rest += np.where(rest == 0, (low - 2 * a) * large + (high - 2 * b) * large, 0.0)
    middle = np.where(large, total, 0.5 * total)
    lost = np.where(large | (rest != 0), rest, total - 2 * middle)
    return middle, np.where(lost == 0, tie_goes_down, lost > 0)


def _rounded_up(x: FloatArray, kind: WorkType) -> AnyReal:
    """Return the smallest number of the dtype that is not below each x."""
    with np.errstate(over="ignore", under="ignore"):
        near: AnyReal = x.astype(kind)
    return np.where(near < x, np.nextafter(near, kind(np.inf)), near).astype(kind)
