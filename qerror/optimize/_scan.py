"""Minima of the MSE over the scale where the density has a continuous part.

Where the density is smooth on the scale of the steps, the MSE varies as slowly as the density
does. A point mass, a jump, or a component that is narrower than a step makes it ripple instead:
one ripple for each level that passes by as the scale grows. The scan follows both.
"""

import math

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid

PER_OCTAVE = 16  # fewer than 8 pick a wrong octave for 4M3E on a Gaussian
_PER_RIPPLE = 8
_MOST_POINTS = 8192  # of one scan, a fraction of a second
_BROAD = 2.5  # steps per spread from which a smooth component leaves no ripple
_FEW = 64  # point masses that are followed one by one
_MOST_REFINED = 48
_FLAT = 1e-12  # of the logarithmic slope, near its rounding; the MSE is long at its minimum
_STEPS = 60


def slope(report: ErrorReport[FloatArray]) -> FloatArray:
    """Return half of d ln MSE / d ln s, which is E[Q e] / E[e^2]; 0 where there is no error."""
    mse = report.mse
    return np.divide(report.cross_moment + mse, mse, out=np.zeros(mse.shape), where=mse > 0)


def nodes(form: ScalarFormat, density: Density, low: float, high: float) -> FloatArray:
    """Return scales between two, dense enough to see every minimum of the MSE."""
    count = max(3, math.ceil(math.log2(high / low) * PER_OCTAVE) + 1)
    coarse = np.geomspace(low, high, count)
    width = math.log(high / low) / (count - 1)
    wanted = _ripples(form.grid(), density, coarse) * (width * _PER_RIPPLE)
    parts = np.maximum(np.maximum(wanted[:-1], wanted[1:]), 1.0)
    parts *= min(1.0, max(_MOST_POINTS / parts.sum(), 1 / parts.max()))
    whole = np.ceil(parts).astype(np.int64)
    start = np.repeat(np.log(coarse[:-1]), whole)
    step = np.repeat(width / whole, whole)
    rank = np.arange(whole.sum()) - np.repeat(np.cumsum(whole) - whole, whole)
    return np.append(np.exp(start + rank * step), high)


def _ripples(grid: Grid, density: Density, scales: FloatArray) -> FloatArray:
    """Return how many ripples there are per unit of ln s, at each scale."""
    found = np.zeros(scales.size)
    for position, spread in _sources(density):
        at = np.searchsorted(grid.edges, position / (scales * grid.factor))
        inside = (at > 0) & (at < grid.edges.size)
        beside = np.clip(at - 1, 0, grid.steps.size - 1)
        step = grid.steps[beside] * grid.factor * scales
        rippled = inside & (spread < _BROAD * step)
        found = np.maximum(found, np.where(rippled, abs(position) / step, 0.0))
    return found


def _sources(density: Density) -> list[tuple[float, float]]:
    """Return what may ripple: places and how smooth the density is there."""
    x = density.atoms().positions
    if x.size > _FEW:
        x = x[np.linspace(0, x.size - 1, _FEW).astype(np.int64)]
    places = [(float(at), 0.0) for at in (*x, *density.kinks)]
    places += [(piece.location, piece.spread) for piece in density.pieces()]
    return [(at, spread) for at, spread in set(places) if at != 0 and math.isfinite(at)]


def minima(
    form: ScalarFormat, density: Density, scales: FloatArray, report: ErrorReport[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the scales and the MSE of the lowest minima between scanned scales."""
    rise = slope(report)
    at = np.flatnonzero((rise[:-1] < 0) & (rise[1:] >= 0))
    if at.size > _MOST_REFINED:
        depth = _expected(np.log(scales), report.mse, rise, at)
        at = np.sort(at[np.argsort(depth, kind="stable")[:_MOST_REFINED]])
    return _refine(form, density, scales, rise, at)


def _expected(u: FloatArray, mse: FloatArray, rise: FloatArray, at: IntArray) -> FloatArray:
    """Return about how low the MSE is between two scales: parabolas from both ends."""
    h, a, b = u[at + 1] - u[at], rise[at], rise[at + 1]
    root = -a / (b - a)
    left = mse[at] * (1 + a * root * h)
    right = mse[at + 1] * (1 - b * (1 - root) * h)
    return np.minimum(left, right)


def _refine(
    form: ScalarFormat, density: Density, scales: FloatArray, rise: FloatArray, at: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Close in on the root of the slope in every bracket together (Illinois, in log s)."""
    a, b = np.log(scales[at]), np.log(scales[at + 1])
    fa, fb = rise[at], rise[at + 1]
    best, value = b.copy(), np.full(at.size, np.inf)
    last = np.zeros(at.size, dtype=np.int64)
    i = np.arange(at.size)
    for _ in range(_STEPS):
        if not i.size:
            break
        x = np.clip((a[i] * fb[i] - b[i] * fa[i]) / (fb[i] - fa[i]), a[i], b[i])
        report = quantization_error(form, density, np.exp(x))
        f = slope(report)
        best[i], value[i] = x, report.mse
        side = np.where(f < 0, -1, 1)
        # Illinois: an end that stays twice has its value halved, so that it moves next time.
        stale = np.where(side == last[i], 0.5, 1.0)
        a[i], fa[i] = np.where(side < 0, x, a[i]), np.where(side < 0, f, fa[i] * stale)
        b[i], fb[i] = np.where(side < 0, b[i], x), np.where(side < 0, fb[i] * stale, f)
        last[i] = side
        i = i[(np.abs(f) > _FLAT) & (b[i] - a[i] > 4e-16 * np.abs(x))]
    return np.exp(best), value
