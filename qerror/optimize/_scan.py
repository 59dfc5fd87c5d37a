"""Minima of the MSE over the scale where the density has a continuous part.

Where the density is smooth on the scale of the steps, the MSE varies as slowly as the density
does. A point mass, a jump, or a component that is narrower than a step makes it ripple instead:
one ripple for each level that passes by as the scale grows. The scan follows both.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.law import Law
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid
from qerror.optimize._curve import Scan, slope

PER_OCTAVE = 16  # fewer than 8 pick a wrong octave for 4M3E on a Gaussian
_PER_RIPPLE = 8  # no minimum of a ripple hides between two scales
_MOST_POINTS = 8192  # of one scan, a fraction of a second
_GONE = 1e-11  # of a step's square times a component's weight
_BROAD = 2.5  # steps per spread from which a smooth component leaves no ripple
_SLACK = 2e-3  # of the MSE: how far off the lowest value between two smooth points may be
_FEW = 64  # point masses that are followed one by one
_MANY, _MOST_REFINED = 12, 96  # minima: up to so many are all refined; and the most of more
_FLAT = 1e-14  # of the MSE: what the last step may still gain
_FIRST_REACH = 0.02  # of a gap of the scan: how far off the cubic's minimum may be
_NOTHING = 1e-13  # of the MSE
_STEPS = 60  # Newton's, kept between brackets: some five do, so that this ends a fault
_JUMP = 0.04  # the most that a jump of 1 in the density changes int e^2 p, in cubes of the step
_SHALLOW = 1e-4  # of the MSE: ripples up to it leave the minimum about where it is without them
_UNSURE = 0.05  # of a gap: how far off a minimum between its ends may be
_MOST_NEAR = 256  # scales around one minimum


def scanned(form: ScalarFormat, density: Density, low: float, high: float) -> Scan:
    """Return scales between two, dense enough to see the least minima, and the errors there.

    Ripples are followed only where they reach down to the least MSE that was seen.
    """
    scan = Scan.at(form, density, _octaves(low, high))
    rate, depth = _ripples(form.grid(), density, scan.scales)
    if not rate.any():
        return scan
    rate = np.maximum(rate[:-1], rate[1:])
    shallow = depth <= _SHALLOW * scan.mse
    lowest = scan.mse - depth
    ends = np.minimum(lowest[:-1], lowest[1:]) - _dips(scan)
    close = (ends <= scan.mse.min() * (1 + _SLACK)) & (rate > 0)
    both = shallow[:-1] & shallow[1:]
    fine = _between(scan.scales, np.where(close & ~both, rate, 0.0))
    near: list[FloatArray] = [
        _around(scan, int(i), float(rate[i]), float(depth[i : i + 2].max()))
        for i in np.flatnonzero(close & both & (_dips(scan) > 0))
    ]
    found = np.concatenate([fine, *near])
    return scan.with_more(
        form, density, found[(found >= scan.scales[0]) & (found <= scan.scales[-1])]
    )


def _around(scan: Scan, i: int, rate: float, depth: float) -> FloatArray:
    """Return scales about the minimum of a smooth curve with shallow ripples, in one gap.

    The ripples may move the lowest point as far as the curve rises by their depth.
    """
    u = np.log(scan.scales[i : i + 2])
    width = u[1] - u[0]
    fall, climb = scan.rise[i], scan.rise[i + 1]
    middle = u[0] - width * fall / (climb - fall)
    curve = 2 * (climb - fall) / width  # of ln MSE
    loss = depth / scan.mse[i]
    # What the ripples add to the slopes at both ends, and what lies within their depth.
    off = min(4 * math.pi * loss * rate / curve, width)
    reach = math.sqrt(16 * loss / curve) + off + _UNSURE * width
    count = math.ceil(2 * reach * rate * _PER_RIPPLE)
    if count < _PER_RIPPLE // 2:
        return np.empty(0)
    ends = float(middle - reach), float(middle + reach)
    return np.exp(np.linspace(*ends, min(count, _MOST_NEAR)))


def _dips(scan: Scan) -> FloatArray:
    """Return how much lower than at its ends the MSE may be within each gap of a scan."""
    rise = 2 * scan.rise * scan.mse
    falls = (rise[:-1] < 0) & (rise[1:] > 0)
    width = np.diff(np.log(scan.scales))
    return np.where(falls, width * np.minimum(-rise[:-1], rise[1:]), 0.0)


def nodes(form: ScalarFormat, density: Density, low: float, high: float) -> FloatArray:
    """Return scales between two, dense enough to see every ripple of the MSE."""
    scales = _octaves(low, high)
    rate, _ = _ripples(form.grid(), density, scales)
    return _between(scales, np.maximum(rate[:-1], rate[1:]))


def ripples(form: ScalarFormat, density: Density, scales: FloatArray) -> bool:
    """Whether the MSE ripples at some of these scales."""
    return bool(_ripples(form.grid(), density, scales)[0].any())


def _octaves(low: float, high: float) -> FloatArray:
    count = max(3, math.ceil(math.log2(high / low) * PER_OCTAVE) + 1)
    return np.geomspace(low, high, count)


def _between(scales: FloatArray, rate: FloatArray) -> FloatArray:
    """Cut the gaps between scales, with a few points per ripple; `rate` is per unit of ln s."""
    width = math.log(scales[-1] / scales[0]) / (scales.size - 1)
    parts = np.maximum(rate * (width * _PER_RIPPLE), 1.0)
    parts *= min(1.0, max(_MOST_POINTS / parts.sum(), 1 / parts.max()))
    whole = np.ceil(parts).astype(np.int64)
    start = np.repeat(np.log(scales[:-1]), whole)
    step = np.repeat(width / whole, whole)
    rank: IntArray = np.arange(int(whole.sum())) - np.repeat(np.cumsum(whole) - whole, whole)
    found = np.exp(start + rank * step)
    found[rank == 0] = scales[:-1]  # to the last bit: they are known
    return np.append(found, scales[-1])


def _ripples(grid: Grid, density: Density, scales: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how many ripples there are per unit of ln s, and how deep they may be together."""
    rate, depth = np.zeros((2, scales.size))
    for source in _sources(density):
        at = np.searchsorted(grid.edges, source.place / (scales * grid.factor))
        inside = (at > 0) & (at < grid.edges.size)
        step = grid.steps[np.clip(at - 1, 0, grid.steps.size - 1)] * grid.factor * scales
        rippled = inside & (source.spread < _BROAD * step)
        left = np.ones(step.shape)
        if source.law is not None and rippled.any():
            left = source.law.characteristic(2 * math.pi * source.spread / step)
            rippled &= left > _GONE
        rate = np.maximum(rate, np.where(rippled, abs(source.place) / step, 0.0))
        deep = np.minimum(source.mass / 4, source.density * step * _JUMP) * step**2 * left
        depth += np.where(rippled, deep, 0.0)
    return rate, depth


class _Source(NamedTuple):
    """What makes the MSE ripple: a place where the density changes within a step."""

    place: float
    spread: float
    """Within which it changes."""
    mass: float
    """The most probability there can be within a step,"""
    density: float
    """and the most per unit of length."""
    law: Law | None = None
    """The law of a whole component."""


def _sources(density: Density) -> list[_Source]:
    x, probability = density.atoms()
    if x.size > _FEW:
        # Of very many, a few stand for all.
        chosen = np.linspace(0, x.size - 1, _FEW).astype(np.int64)
        x, probability = x[chosen], np.full(_FEW, probability.sum() / _FEW)
    found = [
        _Source(a, 0.0, p, math.inf) for a, p in zip(x.tolist(), probability.tolist(), strict=True)
    ]
    kinks = np.array(density.kinks)
    beside = np.maximum(
        density.pdf(np.nextafter(kinks, -np.inf)), density.pdf(np.nextafter(kinks, np.inf))
    )
    found += [_Source(a, 0.0, 1.0, p) for a, p in zip(kinks.tolist(), beside.tolist(), strict=True)]
    found += [
        _Source(part.location, part.spread, part.weight, math.inf, part.law)
        for part in density.pieces()
    ]
    return [source for source in found if source.place != 0 and math.isfinite(source.place)]


def minima(form: ScalarFormat, density: Density, scan: Scan) -> tuple[FloatArray, FloatArray]:
    """Return the scales and the MSE of the lowest minima between scanned scales."""
    rise = scan.rise
    at = np.flatnonzero((rise[:-1] < 0) & (rise[1:] >= 0))
    if at.size > _MANY:
        lowest, slack = _expected(np.log(scan.scales), scan.mse, rise, at)
        chosen = np.argsort(lowest - slack, kind="stable")[:_MOST_REFINED]
        at = np.sort(at[chosen[(lowest - slack)[chosen] <= scan.mse.min()]])
    return _refine(form, density, scan, at)


def _expected(
    u: FloatArray, mse: FloatArray, rise: FloatArray, at: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return about how low the MSE is between two scales, by parabolas, and how far off that is."""
    a, b = mse[at] * rise[at], mse[at + 1] * rise[at + 1]
    root = -a / (b - a)
    h = u[at + 1] - u[at]
    left = mse[at] + a * root * h
    right = mse[at + 1] - b * (1 - root) * h
    return np.minimum(left, right), _SLACK * np.minimum(mse[at], mse[at + 1]) + np.abs(left - right)


def _refine(
    form: ScalarFormat, density: Density, scan: Scan, at: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Close in on the root of the slope in every bracket together.

    Three points are looked at a time, since a call costs more than a row: about where a cubic
    through both ends has its minimum, then about the root of the parabola through the three.
    """
    return _closed_in(form, density, _Brackets.of(scan, at))


def followed(
    form: ScalarFormat, density: Density, places: FloatArray, reach: FloatArray, sure: BoolArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return scales and MSE of the minima within `reach` of the places in ln s.

    None if the slope does not change its sign about one of those that are sure, or a place
    without a minimum has a lower MSE than all that were found.
    """
    points = places + reach * _ASIDE[:, None]
    found = quantization_error(form, density, np.exp(points))
    rise, mse = slope(found), found.mse
    there = (rise[0] < 0) & (rise[2] >= 0)
    if not there[sure].all():
        return None
    brackets = _Brackets((places - reach)[there], (places + reach)[there], places[there])
    brackets.narrow(brackets.open, points[:, there], rise[:, there], mse[:, there])
    scales, least = _closed_in(form, density, brackets)
    if mse[:, ~there].min(initial=np.inf) < least.min():
        return None
    return scales, least


def _closed_in(
    form: ScalarFormat, density: Density, brackets: "_Brackets"
) -> tuple[FloatArray, FloatArray]:
    for _ in range(_STEPS):
        i = brackets.open
        if not i.size:
            break
        points = brackets.guess[i] + brackets.reach[i] * _ASIDE[:, None]
        found = quantization_error(form, density, np.exp(points))
        brackets.narrow(i, points, slope(found), found.mse)
    return np.exp(brackets.guess), brackets.value


_APART = 1e-3  # of a bracket
_ASIDE = np.array([-1.0, 0.0, 1.0])


class _Brackets:
    """Intervals of ln s that hold a root of the slope each, and what is known of it."""

    def __init__(self, low: FloatArray, high: FloatArray, guess: FloatArray) -> None:
        self.low, self.high, self.guess = low, high, guess
        self.value, self.near = np.full((2, low.size), np.inf)
        self.open: IntArray = np.arange(low.size)
        self.reach = _FIRST_REACH * (high - low)
        self._keep_inside(self.open)

    @classmethod
    def of(cls, scan: Scan, at: IntArray) -> "_Brackets":
        """Begin with gaps of a scan at whose ends the slope changes its sign."""
        low, high = np.log(scan.scales[at]), np.log(scan.scales[at + 1])
        rise = 2 * scan.rise * scan.mse
        width = high - low
        a, b, fall = rise[at] * width, rise[at + 1] * width, np.diff(scan.mse)[at]
        # The cubic's derivative a + 2 (3 fall - 2 a - b) t + 3 (a + b - 2 fall) t^2
        linear, square = 3 * fall - 2 * a - b, 3 * (a + b - 2 * fall)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = -a / (linear + np.sqrt(linear * linear - a * square))
        t = np.where((t >= 0) & (t <= 1), t, a / (a - b))
        return cls(low, high, low + t * width)

    def narrow(self, i: IntArray, points: FloatArray, rise: FloatArray, mse: FloatArray) -> None:
        """Take in what was found at three ascending points each of the brackets i."""
        before = self.high[i] - self.low[i]
        for x, f in zip(points, rise, strict=True):
            self.low[i] = np.where((f < 0) & (x > self.low[i]), x, self.low[i])
        for x, f in zip(points[::-1], rise[::-1], strict=True):
            self.high[i] = np.where(
                (f >= 0) & (x > self.low[i]) & (x < self.high[i]), x, self.high[i]
            )
        row = np.argmin(mse, axis=0)
        column = np.arange(i.size)
        self.value[i] = np.minimum(self.value[i], mse[row, column])
        least = np.argmin(np.abs(rise), axis=0)
        root = _inverse_root(points, rise)
        width = self.high[i] - self.low[i]
        inside = (root >= self.low[i]) & (root <= self.high[i])
        near = np.abs(rise[least, column])
        slow = ~inside | ((width > 0.5 * before) & (near > 0.5 * self.near[i]))
        self.near[i] = near
        moved = np.abs(root - points[least, column])
        self.guess[i] = np.where(slow, 0.5 * (self.low[i] + self.high[i]), root)
        self.reach[i] = np.where(slow, 0.25 * width, np.minimum(4 * moved, 0.25 * width))
        self._keep_inside(i)
        settled = ~slow & (near * moved <= _FLAT)
        self.guess[i] = np.where(settled, root, self.guess[i])
        # At a kink the slope never gets small, but what is left to gain does.
        left = width * np.abs(rise).max(axis=0)
        tiny = (left <= _NOTHING) | (width <= 4e-16 * np.abs(self.low[i]))
        self.open = i[~(settled | tiny)]

    def _keep_inside(self, i: IntArray) -> None:
        """Keep the three points within the bracket, and apart from each other."""
        low, high, guess = self.low[i], self.high[i], self.guess[i]
        room = np.minimum(guess - low, high - guess)
        self.reach[i] = np.maximum(np.minimum(self.reach[i], room), _APART * (high - low))


def _inverse_root(x: FloatArray, f: FloatArray) -> FloatArray:
    """Return x at f = 0 on the parabola x(f) through three points a column; nan for none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first = (x[1] - x[0]) / (f[1] - f[0])
        second = (x[2] - x[1]) / (f[2] - f[1])
        bend = (second - first) / (f[2] - f[0])
        root: FloatArray = x[1] - f[1] * (first - bend * f[0])
        return root
