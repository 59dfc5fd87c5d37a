"""Minima of the MSE over the scale where a few point masses stand beside a continuous part.

The masses' share of the MSE is a chain of parabolas that changes wherever one of them crosses a
threshold (`_crossings`): in a format of 16 bits a thousand times an octave for each. The rest is
smooth between the scales of a scan, where a cubic follows it. So the least value of every
parabola, the rest added, is seen by itself; the lowest are then closed in on with the exact MSE.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.discrete import Discrete
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid
from qerror.optimize._brackets import Brackets, closed_in
from qerror.optimize._curve import Scan, slope

FEW = 64  # point masses that are followed one by one
_TOGETHER = 2**14  # stretches between crossings of the first look; each further one is 4 times
_MOST = 2**20  # as many in all, times the point masses
_MANY, _KEPT = 12, 256  # stretches that are looked at again at least, and at most
_CLOSE = 0.01  # of the MSE: how far off what is expected of a stretch may be
_SLACK = 1e-6  # of the MSE: how far off the cubics may be
_NARROWEST = 1e-9  # of ln s: below, a scale is not known well enough to tell stretches apart
_COUNTED = 2**53  # levels: of more a scale cannot tell stretches apart
_ENDS = 1e-6  # of a stretch: what lies nearer to an end is no minimum


class Stretches(NamedTuple):
    """Scales between neighbouring crossings, and the least MSE expected there."""

    low: FloatArray
    high: FloatArray
    scale: FloatArray
    mse: FloatArray

    def lowest(self) -> "Stretches":
        """Return those that may hold the least minimum, and a few more, from the least MSE on.

        Where the MSE falls to an end of its stretch, it goes on falling in the next one.
        """
        order = np.argsort(self.mse, kind="stable")
        close = self.mse[order] <= self.mse.min() * (1 + _CLOSE)
        order = order[close | _is_inside(self.low, self.high, self.scale)[order]]
        kept = max(min(int(np.count_nonzero(close)), _KEPT), _MANY)
        return Stretches(*(part[order[:kept]] for part in self))


def without(form: ScalarFormat, density: Density, scan: Scan) -> Scan:
    """Return what is left of a scan without the point masses' share."""
    if not density.pieces():
        return Scan(scan.scales, *np.zeros((2, scan.scales.size)))
    x, share = density.atoms()
    weight = float(share.sum())
    alone = Scan.at(form, Discrete(x.tolist(), (share / weight).tolist()), scan.scales)
    rest = np.maximum(scan.mse - weight * alone.mse, 0.0)
    slope = scan.rise * scan.mse - weight * alone.rise * alone.mse
    rise = np.divide(slope, rest, out=np.zeros(rest.size), where=rest > 0)
    return Scan(scan.scales, rest, rise)


@dataclass(frozen=True, eq=False)
class Masses:
    """A few point masses on a grid, and all the rest as a scan saw it."""

    grid: Grid
    x: FloatArray
    share: FloatArray
    scales: FloatArray
    """Of the scan."""
    rest: FloatArray
    """The MSE there without the point masses,"""
    slope: FloatArray
    """and its derivative to ln s."""
    seen: FloatArray
    """The MSE of all."""

    @classmethod
    def of(cls, form: ScalarFormat, density: Density, scan: Scan) -> "Masses":
        """Take a density's point masses out of a scan."""
        rest = without(form, density, scan)
        slopes = 2 * rest.rise * rest.mse
        x, share = density.atoms()
        return cls(form.grid(), x, share, scan.scales, rest.mse, slopes, scan.mse)

    def floors(self) -> FloatArray:
        """Return about the least that the rest gets to in each gap of the scan."""
        width = np.diff(np.log(self.scales))
        falls, climbs = np.maximum(-self.slope[:-1], 0.0), np.maximum(self.slope[1:], 0.0)
        dip = np.where((falls > 0) & (climbs > 0), width * np.minimum(falls, climbs), 0.0)
        lowest: FloatArray = np.minimum(self.rest[:-1], self.rest[1:]) - dip
        return lowest

    def passed(self, edges: FloatArray) -> IntArray:
        """Return how many thresholds lie below each x / s, shape (masses, scales)."""
        with np.errstate(over="ignore"):
            base = self.x[:, None] / (edges * self.grid.factor)
        return _thresholds_below(self.grid, base)

    def stretches(self, low: FloatArray, high: FloatArray) -> Stretches:
        """Return all stretches in disjoint intervals of scales, ascending."""
        a, b = self.passed(low), self.passed(high)
        first, counts = np.minimum(a, b).ravel(), np.abs(a - b).ravel()
        which = np.repeat(np.arange(counts.size), counts)
        rank = np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts)
        middles = _threshold(self.grid, first[which] + rank) * self.grid.factor
        crossings = np.repeat(self.x, low.size)[which] / middles
        breaks = np.unique(np.concatenate([crossings, low, high]))
        middle = 0.5 * (breaks[:-1] + breaks[1:])
        inside = np.searchsorted(low, middle, "right") - 1
        within = (inside >= 0) & (middle < high[inside])
        return self._least(breaks[:-1][within], breaks[1:][within], middle[within])

    def _least(self, low: FloatArray, high: FloatArray, s: FloatArray) -> Stretches:
        """Return the vertex of each stretch's parabola, the rest added as it is about there."""
        level = self.grid.round_half_even(self.x[:, None], s) / s
        error = self.x[:, None] - s * level
        mse, flow, bend = (
            self.share @ product for product in (error * error, error * level, level * level)
        )
        rest, rise, curve = self._rest_at(s)
        bend = bend + 0.5 * np.maximum(curve, 0.0)
        flow = flow - 0.5 * rise
        move = np.divide(flow, bend, out=np.zeros(s.size), where=bend > 0)
        move = np.clip(move, low - s, high - s)
        return Stretches(low, high, s + move, mse + rest + move * (bend * move - 2 * flow))

    def _rest_at(self, s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the rest, and its first two derivatives to s, by cubics in ln s."""
        u = np.log(self.scales)
        i = np.clip(np.searchsorted(self.scales, s, "right") - 1, 0, u.size - 2)
        width = (u[1:] - u[:-1])[i]
        t = (np.log(s) - u[i]) / width
        value, fall = self.rest[i], (self.rest[1:] - self.rest[:-1])[i]
        left, right = self.slope[i] * width, self.slope[i + 1] * width
        square, cube = 3 * fall - 2 * left - right, left + right - 2 * fall
        first = (left + t * (2 * square + 3 * t * cube)) / width
        second = (2 * square + 6 * t * cube) / width**2
        at = value + t * (left + t * (square + t * cube))
        return np.maximum(at, 0.0), first / s, (second - first) / s**2

    def groups(self) -> Iterator[tuple[FloatArray, FloatArray, float]]:
        """Yield intervals to visit with the least that the rest may be there, from the lowest on.

        Together they hold as many stretches as there is time for; an interval that holds more
        is cut about its middle.
        """
        floors, ranks = self.floors(), self.passed(self.scales)
        seen = np.minimum(self.seen[:-1], self.seen[1:])
        counts: IntArray = 1 + np.abs(np.diff(ranks, axis=1)).sum(axis=0)
        order, left = np.lexsort((seen, floors)), _MOST // self.x.size
        together = min(_TOGETHER, left)
        while order.size and left > 0:
            total = np.cumsum(counts[order])
            taken = max(int(np.count_nonzero(total <= together)), 1)
            chosen = np.sort(order[:taken])
            low, high = self.scales[chosen], self.scales[chosen + 1]
            if total[0] > together:
                low, high = _about_the_middle(low, high, together / float(total[0]))
            if (np.log(high / low) < _NARROWEST).any():
                return
            yield low, high, float(floors[order[0]])
            left -= int(total[taken - 1])
            order, together = order[taken:], min(4 * together, left)


def lowest(form: ScalarFormat, density: Density, scan: Scan) -> tuple[FloatArray, FloatArray]:
    """Return the scales of the lowest minima within a scan, ascending, and the MSE there.

    The density has between 1 and `FEW` point masses.
    """
    masses = Masses.of(form, density, scan)
    if masses.grid.size > _COUNTED:
        return np.empty(0), np.empty(0)
    found = Stretches(*np.empty((4, 0)))
    for low, high, floor in masses.groups():
        if floor > found.mse.min(initial=np.inf) * (1 + _SLACK):
            break
        more = masses.stretches(low, high)
        joined = (np.concatenate(pair) for pair in zip(found, more, strict=True))
        found = Stretches(*joined).lowest()
    if not found.mse.size:
        return np.empty(0), np.empty(0)
    return _settled(form, density, found)


def _settled(
    form: ScalarFormat, density: Density, found: Stretches
) -> tuple[FloatArray, FloatArray]:
    """Close in on the minima of the stretches that may hold the least one; ascending."""
    exact = quantization_error(form, density, found.scale).mse
    may_be = exact - 2 * np.abs(exact - found.mse)
    order = np.argsort(exact, kind="stable")
    order = np.append(order[:_MANY], order[_MANY:][may_be[order[_MANY:]] <= exact.min()])
    low, high, scale = (np.log(part[order]) for part in found[:3])
    width = high - low
    inner = np.clip(scale, low + 2 * _ENDS * width, high - 2 * _ENDS * width)
    points = np.stack([low + _ENDS * width, inner, high - _ENDS * width])
    at = quantization_error(form, density, np.exp(points))
    rise, mse = slope(at), at.mse
    there = (rise[0] < 0) & (rise[2] > 0)
    brackets = Brackets(low[there], high[there], inner[there])
    brackets.narrow(brackets.open, points[:, there], rise[:, there], mse[:, there])
    scales, least = closed_in(form, density, brackets)
    # Beside an interval that was visited the MSE may be lower still.
    last = int(np.argmin(mse[1]))
    if mse[1, last] < least.min(initial=np.inf):
        scales, least = np.append(scales, np.exp(inner[last])), np.append(least, mse[1, last])
    order = np.argsort(scales)
    return scales[order], least[order]


def _is_inside(low: FloatArray, high: FloatArray, scale: FloatArray) -> BoolArray:
    margin = _ENDS * (high - low)
    inside: BoolArray = (scale > low + margin) & (scale < high - margin)
    return inside


def _about_the_middle(
    low: FloatArray, high: FloatArray, share: float
) -> tuple[FloatArray, FloatArray]:
    middle, half = np.sqrt(low * high), np.exp(0.5 * share * np.log(high / low))
    return middle / half, middle * half


def _thresholds_below(grid: Grid, base: FloatArray) -> IntArray:
    """Return how many thresholds of a grid without its factor lie below each value."""
    if not grid.steps.size:
        return np.zeros(base.shape, dtype=np.int64)
    at = np.clip(np.searchsorted(grid.edges, base, "right") - 1, 0, grid.steps.size - 1)
    with np.errstate(over="ignore"):
        steps = np.floor((base - grid.edges[at]) / grid.steps[at] + 0.5)
    before = np.cumsum(grid.counts) - grid.counts
    rank: IntArray = before[at] + np.clip(steps, 0, grid.counts[at]).astype(np.int64)
    return rank


def _threshold(grid: Grid, rank: IntArray) -> FloatArray:
    """Return the thresholds by their number from the left, before the factor."""
    before = np.cumsum(grid.counts) - grid.counts
    at = np.searchsorted(before, rank, "right") - 1
    middle: FloatArray = grid.edges[at] + (rank - before[at] + 0.5) * grid.steps[at]
    return middle
