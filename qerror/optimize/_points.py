"""Minima of the MSE over the scale for point masses: a sample, or values with probabilities.

The MSE is a chain of parabolas with a kink at every crossing of a value and a threshold. A scan
finds the neighbourhoods that can hold the least one; there every crossing is visited.
"""

import math
from collections.abc import Sequence

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid
from qerror.optimize import _masses
from qerror.optimize._crossings import Crossings, enumerated
from qerror.optimize._curve import Scan
from qerror.optimize._scan import PER_OCTAVE

_FEW_CROSSINGS = 2**17  # visited outright, in some ten milliseconds
_PER_RIPPLE = 8  # no minimum of a ripple hides between two scales
_MOST_POINTS = 1024  # for a gap of the first scan
_NOISE = 4.0  # standard deviations of a sample's MSE, within which a scale is looked at again
_SLACK = 0.02  # of the MSE: how much lower it may be between two points of the first scan
_CLOSE = 1e-3  # of the MSE: what the fine scan may miss, and more
# Significant bits that scales have at which point masses are exact.
_SNAPPED_BITS = (1, 2, 4, 8, 11, 24)
_OCTAVES = 40  # either way of the step between point masses
_LISTED = 2**20  # levels: of more, the crossings are not listed
_KEPT = 32  # scales
_LOWEST = 8  # of a stretch


def lowest(
    form: ScalarFormat, density: Density, low: float, high: float, exhaustive: bool
) -> tuple[FloatArray, FloatArray]:
    """Return the scales between two with the least MSE, ascending, and the MSE there."""
    grid = form.grid()
    ends = np.array([low, high])
    if grid.size > _LISTED and not exhaustive:
        found = _in_wide_formats(form, density, low, high)
    elif (
        exhaustive or (crossings := Crossings.of(grid, density)).count(ends).sum() <= _FEW_CROSSINGS
    ):
        found = enumerated(grid, density, low, high)[0]
    else:
        found = _near_the_best(form, density, crossings, low, high)
    found = np.concatenate([found, *_snapped(grid, density, found), _lattice(density, low, high)])
    found = np.unique(found[(found >= low) & (found <= high)])
    return found, quantization_error(grid, density, found).mse


def _in_wide_formats(form: ScalarFormat, density: Density, low: float, high: float) -> FloatArray:
    """Return the best scales of a scan, or of stretches of a few values.

    The more scales are tried, the lower the MSE: as many are as there is time for.
    """
    scales = np.geomspace(low, high, max(3, math.ceil(math.log2(high / low) * PER_OCTAVE) + 1))
    scan = Scan.at(form, density, scales)
    best = scales[np.argsort(scan.mse, kind="stable")[:_KEPT]]
    if density.atoms().positions.size > _masses.FEW:
        return best
    return np.concatenate([best, _masses.lowest(form, density, scan)[0]])


def _near_the_best(
    form: ScalarFormat, density: Density, crossings: Crossings, low: float, high: float
) -> FloatArray:
    """Scan, look again where sampling noise may hide something lower, and visit crossings there."""
    grid = form.grid()
    count = max(3, math.ceil(math.log2(high / low) * PER_OCTAVE) + 1)
    scales = np.geomspace(low, high, count)
    mse = quantization_error(grid, density, scales).mse
    size = density.atom_sums.size
    margin = _SLACK + _NOISE / math.sqrt(size)
    close = mse <= mse.min() * (1 + margin)
    parts = _parts(grid, density, scales)
    fine: list[FloatArray] = [
        np.geomspace(scales[i], scales[i + 1], int(parts[i]) + 1)
        for i in np.flatnonzero(close[:-1] | close[1:])
    ]
    scales = np.unique(np.concatenate(fine))
    mse = quantization_error(grid, density, scales).mse
    found = [scales[mse <= mse.min() * (1 + _CLOSE)]]
    visited, spans = 0, list[tuple[float, float]]()
    for i in np.argsort(mse, kind="stable"):
        if mse[i] > mse.min() * (1 + _CLOSE):
            break
        a, b = float(scales[max(i - 1, 0)]), float(scales[min(i + 1, scales.size - 1)])
        visited += int(crossings.count(np.array([a, b])).sum())
        if visited > _FEW_CROSSINGS and spans:
            break
        spans.append(_narrowed(crossings, a, float(scales[i]), b))
    # Neighbours overlap: what they share is visited once.
    found += [enumerated(grid, density, a, b)[0][:_LOWEST] for a, b in _joined(spans)]
    return np.concatenate(found)


def _narrowed(crossings: Crossings, a: float, middle: float, b: float) -> tuple[float, float]:
    """Return two scales, drawn towards a third until there is time for what lies between them."""
    while b > a * (1 + 1e-9) and int(crossings.count(np.array([a, b])).sum()) > 4 * _FEW_CROSSINGS:
        a, b = 0.5 * (a + middle), 0.5 * (b + middle)
    return a, b


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return spans without those that overlap or touch: one in the place of each such group."""
    found: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return found


def _parts(grid: Grid, density: Density, scales: FloatArray) -> FloatArray:
    """Return into how many parts to cut each gap of a scan, for a few points per ripple."""
    low, high = density.support
    width = math.log(scales[-1] / scales[0]) / (scales.size - 1)
    rate = np.zeros(scales.size)
    for end in (low, high):
        base = end / scales / grid.factor
        at = np.clip(np.searchsorted(grid.edges, base) - 1, 0, grid.steps.size - 1)
        inner = np.clip(np.abs(base), None, max(abs(grid.edges[0]), abs(grid.edges[-1])))
        rate = np.maximum(rate, inner / grid.steps[at])
    return np.clip(np.ceil(rate[:-1] * width * _PER_RIPPLE), 1, _MOST_POINTS)


def _snapped(grid: Grid, density: Density, scales: FloatArray) -> list[FloatArray]:
    """Return scales beside these that may be exact: short numbers, quotients of value and level.

    Where all values are levels the MSE is 0 at one scale alone, which no root finding hits.
    """
    best = scales[: 2**6]
    fraction, exponent = np.frexp(best)
    short = [np.ldexp(np.round(np.ldexp(fraction, n)), exponent - n) for n in _SNAPPED_BITS]
    x = density.atom_sums.positions
    quotients: list[FloatArray] = []
    for value in {float(x[0]), float(x[-1])} - {0.0}:
        with np.errstate(over="ignore"):
            level = grid.round_half_even(np.full(best.size, value) / best)
        quotients.append(np.divide(value, level, out=best.copy(), where=level != 0))
    beside = [np.nextafter(best, 0), np.nextafter(best, np.inf)]
    return [part[(part > 0) & np.isfinite(part)] for part in (*short, *quotients, *beside)]


def _lattice(density: Density, low: float, high: float) -> FloatArray:
    """Return the scales, octave by octave, at which values on a lattice may all be levels."""
    x = density.atom_sums.positions
    sizes = np.unique(np.abs(x[x != 0]))
    if not sizes.size:
        return np.empty(0)
    step = float(min(sizes[0], np.diff(sizes).min(initial=np.inf)))
    with np.errstate(over="ignore"):
        multiples = sizes / step
    if not np.allclose(multiples, np.round(multiples), rtol=1e-12, atol=0):
        return np.empty(0)
    scales = np.ldexp(step, np.arange(-_OCTAVES, _OCTAVES))
    return scales[(scales >= low) & (scales <= high)]
