"""Minima of the MSE over the scale where the density has a continuous part.

Where the density is smooth on the scale of the steps, the MSE varies as slowly as the density
does. A point mass, a jump, or a component that is narrower than a step makes it ripple instead:
one ripple for each level that passes by as the scale grows. A narrow component away from 0 meets
all of another step at once. The scan follows all three; a few point masses are left to `_masses`.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.densities.density import Density
from qerror.densities.law import Law
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid
from qerror.optimize import _masses
from qerror.optimize._brackets import Brackets, closed_in
from qerror.optimize._curve import Scan

PER_OCTAVE = 16  # fewer than 8 pick a wrong octave for 4M3E on a Gaussian
_PER_RIPPLE = 8  # no minimum of a ripple hides between two scales
_MOST_POINTS = 8192  # of one scan, a fraction of a second
_QUICK = 512  # points: beyond, a few point masses are visited one by one
_GONE = 1e-11  # of a step's square times a component's weight
_BROAD = 2.5  # steps per spread from which a smooth component leaves no ripple
_SLACK = 2e-3  # of the MSE: how far off the lowest value between two smooth points may be
_SHOWN = 64  # that stand for very many point masses
_NARROW = 16  # spreads from 0 from which a component passes an edge between two scales of a scan
_ASIDE = np.linspace(-8.0, 8.0, 33)  # spreads about its centre at which it is looked at then
_OTHER_STEP = 1.2  # times another: steps between which it makes a difference
_FALLS = 0.9  # of the MSE: at least what is left of it after the fall, a gap of the scan earlier
_MANY, _MOST_REFINED = 12, 96  # minima: up to so many are all refined; and the most of more
_JUMP = 0.04  # the most that a jump of 1 in the density changes int e^2 p, in cubes of the step
_BEND = 0.005  # and a bend by which it changes by 1 over a step
_SHALLOW = 1e-4  # of the MSE: ripples up to it leave the minimum about where it is without them
_UNSURE = 0.05  # of a gap: how far off a minimum between its ends may be
_MOST_NEAR = 256  # scales around one minimum


def lowest(
    form: ScalarFormat, density: Density, low: float, high: float
) -> tuple[FloatArray, FloatArray, Scan]:
    """Return the scales and the MSE of the lowest minima between two scales, and what was seen.

    A few point masses that would ripple too often for a scan are visited one by one.
    """
    grid = form.grid()
    scan = _with_edges(form, density, Scan.at(form, density, _octaves(low, high)))
    more = _finer(scan, *_ripples(grid, _sources(density), scan.scales), _least(scan))
    if more.size <= _QUICK or not 0 < density.atoms().positions.size <= _masses.FEW:
        scan = scan.with_more(form, density, more)
        return *_minima(form, density, scan), scan
    smooth = _masses.without(form, density, scan)
    rate, depth = _ripples(grid, _of_pieces(density), scan.scales)
    scan = scan.with_more(form, density, _finer(smooth, rate, depth, _least(scan)))
    return *_masses.lowest(form, density, scan), scan


def _least(scan: Scan) -> float:
    return float(scan.mse.min())


def _with_edges(form: ScalarFormat, density: Density, scan: Scan) -> Scan:
    """Return the scan with the scales at which a narrow component passes to another step.

    Within a gap of the scan the MSE may fall by the square of the steps' ratio and rise again.
    """
    narrow = [
        piece for piece in density.pieces() if piece.spread * _NARROW < abs(piece.location) < np.inf
    ]
    edges = _edges(form.grid())
    if not narrow or not edges.size:
        return scan
    x = np.concatenate([piece.location + piece.spread * _ASIDE for piece in narrow])
    with np.errstate(over="ignore", under="ignore"):
        found = np.divide.outer(x, edges).ravel()
    found = found[(found > scan.scales[0]) & (found < scan.scales[-1])]
    few = 0 < density.atoms().positions.size <= _masses.FEW
    rest = _masses.without(form, density, scan) if few else scan
    floor = np.minimum(rest.mse[:-1], rest.mse[1:]) * _FALLS - _dips(rest)
    found = found[(floor <= _least(scan))[np.searchsorted(scan.scales, found) - 1]]
    return scan.with_more(form, density, found[:: 1 + found.size // _MOST_POINTS])


def _edges(grid: Grid) -> FloatArray:
    """Return the levels at which the step changes."""
    steps = grid.steps
    changes = np.maximum(steps[1:] / steps[:-1], steps[:-1] / steps[1:]) >= _OTHER_STEP
    inner = grid.edges[1:-1]
    levels: FloatArray = inner[changes & (inner != 0)] * grid.factor
    return levels


def _finer(scan: Scan, rate: FloatArray, depth: FloatArray, least: float) -> FloatArray:
    """Return more scales, where ripples may reach down to the least MSE that was seen."""
    if not rate.any():
        return np.empty(0)
    rate = np.maximum(rate[:-1], rate[1:])
    shallow = depth <= _SHALLOW * scan.mse
    lowest = scan.mse - depth
    dips = _dips(scan)
    ends = np.minimum(lowest[:-1], lowest[1:]) - dips
    close = (ends <= least * (1 + _SLACK)) & (rate > 0)
    both = shallow[:-1] & shallow[1:]
    fine = _between(scan.scales, np.where(close & ~both, rate, 0.0))
    near: list[FloatArray] = [
        _around(scan, int(i), float(rate[i]), float(depth[i : i + 2].max()))
        for i in np.flatnonzero(close & both & (dips > 0))
    ]
    found = np.concatenate([fine, *near])
    inside: FloatArray = found[(found >= scan.scales[0]) & (found <= scan.scales[-1])]
    return inside


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
    rate, _ = _ripples(form.grid(), _sources(density), scales)
    return _between(scales, np.maximum(rate[:-1], rate[1:]))


def ripples(form: ScalarFormat, density: Density, scales: FloatArray) -> bool:
    """Whether the MSE ripples at some of these scales."""
    return bool(_ripples(form.grid(), _sources(density), scales)[0].any())


def _octaves(low: float, high: float) -> FloatArray:
    count = max(3, math.ceil(math.log2(high / low) * PER_OCTAVE) + 1)
    return np.geomspace(low, high, count)


def _between(scales: FloatArray, rate: FloatArray) -> FloatArray:
    """Cut the gaps between scales, with a few points per ripple; `rate` is per unit of ln s."""
    width = np.diff(np.log(scales))
    parts = np.maximum(rate * width * _PER_RIPPLE, 1.0)
    parts *= min(1.0, max(_MOST_POINTS / parts.sum(), 1 / parts.max()))
    whole = np.ceil(parts).astype(np.int64)
    start = np.repeat(np.log(scales[:-1]), whole)
    step = np.repeat(width / whole, whole)
    rank: IntArray = np.arange(int(whole.sum())) - np.repeat(np.cumsum(whole) - whole, whole)
    found = np.exp(start + rank * step)
    found[rank == 0] = scales[:-1]  # to the last bit: they are known
    return np.append(found, scales[-1])


def _ripples(
    grid: Grid, sources: "list[_Source]", scales: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return how many ripples there are per unit of ln s, and how deep they may be together."""
    rate, depth = np.zeros((2, scales.size))
    for source in sources:
        with np.errstate(over="ignore"):
            base = source.place / (scales * grid.factor)
        at = np.searchsorted(grid.edges, base)
        inside = (at > 0) & (at < grid.edges.size)
        step = grid.steps[np.clip(at - 1, 0, grid.steps.size - 1)] * grid.factor * scales
        rippled = inside & (source.spread < _BROAD * step)
        left = np.ones(step.shape)
        if source.law is not None and rippled.any():
            left = source.law.characteristic(2 * math.pi * source.spread / step)
            rippled &= left > _GONE
        rate = np.maximum(rate, np.where(rippled, abs(source.place) / step, 0.0))
        most = source.mass / 4 if source.kinked is None else source.most_at_a_kink(step)
        depth += np.where(rippled, most * step**2 * left, 0.0)
    return rate, depth


class _Source(NamedTuple):
    """What makes the MSE ripple: a place where the density changes within a step."""

    place: float
    spread: float
    """Within which it changes."""
    mass: float
    """The most probability there can be within a step."""
    law: Law | None = None
    """The law of a whole component."""
    kinked: Density | None = None
    """The density that jumps or bends there."""

    def most_at_a_kink(self, step: FloatArray) -> FloatArray:
        """Return how deep the ripples of a kink are, in squares of the step."""
        assert self.kinked is not None
        below, above = np.nextafter(self.place, -np.inf), np.nextafter(self.place, np.inf)
        left, right = self.kinked.pdf([below, above])
        bend = np.abs(self.kinked.pdf(self.place - step) - left)
        bend += np.abs(self.kinked.pdf(self.place + step) - right)
        most: FloatArray = np.minimum(0.25, (_JUMP * abs(right - left) + _BEND * bend) * step)
        return most


def _sources(density: Density) -> list[_Source]:
    x, probability = density.atoms()
    if x.size > _SHOWN:
        # Of very many, a few stand for all.
        chosen = np.linspace(0, x.size - 1, _SHOWN).astype(np.int64)
        x, probability = x[chosen], np.full(_SHOWN, probability.sum() / _SHOWN)
    masses = zip(x.tolist(), probability.tolist(), strict=True)
    return [_Source(a, 0.0, p) for a, p in masses if a != 0] + _of_pieces(density)


def _of_pieces(density: Density) -> list[_Source]:
    found = [_Source(kink, 0.0, 1.0, kinked=density) for kink in density.kinks]
    found += [
        _Source(part.location, part.spread, part.weight, part.law) for part in density.pieces()
    ]
    return [source for source in found if source.place != 0 and math.isfinite(source.place)]


def _minima(form: ScalarFormat, density: Density, scan: Scan) -> tuple[FloatArray, FloatArray]:
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
    return closed_in(form, density, Brackets.of(scan, at))
