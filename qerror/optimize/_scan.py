"""Minima of the MSE over the scale where the density has a continuous part.

Where the density is smooth on the scale of the steps, the MSE varies as slowly as the density
does. A point mass, a jump, or a component that is narrower than a step makes it ripple instead:
one ripple for each level that passes by as the scale grows. The scan follows both.
"""

import math
from typing import NamedTuple

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
_SLACK = 0.02  # of the MSE: how much lower it may be between two smooth points
_FEW = 64  # point masses that are followed one by one
_MANY, _MOST_REFINED = 12, 96  # minima: up to so many are all refined; and the most of more
_FLAT = 1e-12  # of the logarithmic slope, near its rounding; the MSE is long at its minimum
_STEPS = 60


def slope(report: ErrorReport[FloatArray]) -> FloatArray:
    """Return half of d ln MSE / d ln s, which is E[Q e] / E[e^2]; 0 where there is no error."""
    mse = report.mse
    return np.divide(report.cross_moment + mse, mse, out=np.zeros(mse.shape), where=mse > 0)


def scanned(
    form: ScalarFormat, density: Density, low: float, high: float
) -> tuple[FloatArray, ErrorReport[FloatArray]]:
    """Return scales between two, dense enough to see the least minima, and the errors there.

    Ripples are followed only where they reach down to the least MSE that was seen.
    """
    scales = _octaves(low, high)
    report = quantization_error(form, density, scales)
    rate, depth = _ripples(form.grid(), density, scales)
    lowest = report.mse - depth
    close = lowest <= report.mse.min() * (1 + _SLACK)
    gaps = close[:-1] | close[1:]
    fine = _between(scales, np.where(gaps, np.maximum(rate[:-1], rate[1:]), 0.0))
    if fine.size == scales.size:
        return scales, report
    return fine, quantization_error(form, density, fine)


def nodes(form: ScalarFormat, density: Density, low: float, high: float) -> FloatArray:
    """Return scales between two, dense enough to see every ripple of the MSE."""
    scales = _octaves(low, high)
    rate, _ = _ripples(form.grid(), density, scales)
    return _between(scales, np.maximum(rate[:-1], rate[1:]))


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
    return np.append(np.exp(start + rank * step), scales[-1])


def _ripples(grid: Grid, density: Density, scales: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how many ripples there are per unit of ln s, and how deep they may be together."""
    rate, depth = np.zeros((2, scales.size))
    for source in _sources(density):
        at = np.searchsorted(grid.edges, source.place / (scales * grid.factor))
        inside = (at > 0) & (at < grid.edges.size)
        step = grid.steps[np.clip(at - 1, 0, grid.steps.size - 1)] * grid.factor * scales
        rippled = inside & (source.spread < _BROAD * step)
        rate = np.maximum(rate, np.where(rippled, abs(source.place) / step, 0.0))
        depth += np.where(rippled, np.minimum(source.mass, source.density * step) * step**2 / 4, 0)
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
        _Source(part.location, part.spread, part.weight, math.inf) for part in density.pieces()
    ]
    return [source for source in found if source.place != 0 and math.isfinite(source.place)]


def minima(
    form: ScalarFormat, density: Density, scales: FloatArray, report: ErrorReport[FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return the scales and the MSE of the lowest minima between scanned scales."""
    rise = slope(report)
    at = np.flatnonzero((rise[:-1] < 0) & (rise[1:] >= 0))
    if at.size > _MANY:
        lowest, slack = _expected(np.log(scales), report.mse, rise, at)
        chosen = np.argsort(lowest - slack, kind="stable")[:_MOST_REFINED]
        at = np.sort(at[chosen[(lowest - slack)[chosen] <= report.mse.min()]])
    return _refine(form, density, scales, rise, at)


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
