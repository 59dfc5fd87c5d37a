"""Many point masses, such as the values of a sample: sums over cells from running sums.

Between two thresholds all values go to one level q, and with the running sums of w, w x and
w x^2 at both ends

    u = sum w (x - q),   v = sum w x (x - q),   sum w (x - q)^2 = v - q u.

The differences cancel by about (q / cell)^2, which two floats for each sum make up for. So one
scale costs O(levels log n) and keeps its digits. A grid with more levels than there are values
is cheaper the direct way: round each value.
"""

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_product
from qerror.analysis._batch import Sums
from qerror.densities.density import Density
from qerror.densities.prefix_sums import PrefixSums, minus, shortened, times
from qerror.grids import MOST_POINTS, Grid

_CHUNK = 2**13  # cells, or values, at a time: they stay in the processor's cache
_FARTHEST = 1e160  # squares of data stay within float64


def sample_sums(grid: Grid, density: Density, scales: FloatArray) -> Sums:
    """Sum over the density's point masses at every scale."""
    samples = density.atom_sums
    if not samples.size:
        return Sums()
    direct = grid.size > min(2 * samples.size, MOST_POINTS)
    figures, width = (_by_value, samples.size) if direct else (_by_cell, grid.size)
    step = max(1, _CHUNK // width)
    found = np.empty((5, scales.size))
    for first in range(0, scales.size, step):
        part = slice(first, first + step)
        found[:, part] = figures(grid, samples, scales[part] * grid.factor)
    rounding, low, high, mean_error, cross = found / samples.unit
    # Exactly zero by symmetry, unless a tie at 0 has to take a side.
    centred = grid.is_symmetric and density.is_symmetric and grid.dead_zone > 0
    return Sums(rounding, low, high, 0.0 if centred else mean_error, cross)


def run_sums(
    grid: Grid, samples: PrefixSums, scales: FloatArray, first: IntArray, last: IntArray
) -> FloatArray:
    """Sum over the points first[i], ..., last[i] - 1 at scales[i] > 0, shape (5, k).

    Rows: e^2 within the range, below it, above it, e, x e.
    """
    factors = scales * grid.factor
    if grid.size > max(2 * samples.size, _CHUNK):
        parts = [
            _by_value(grid, samples.between(a, b), factors[i : i + 1])
            for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True))
        ]
        found = np.concatenate([np.array(part) for part in parts], axis=1)
        return found / samples.unit
    step = max(1, _CHUNK // grid.size)
    found = np.empty((5, scales.size))
    for start in range(0, scales.size, step):
        at = slice(start, start + step)
        found[:, at] = _by_cell(grid, samples, factors[at], (first[at], last[at]))
    return found / samples.unit


def _by_cell(
    grid: Grid,
    samples: PrefixSums,
    scales: FloatArray,
    within: tuple[IntArray, IntArray] | None = None,
) -> tuple[FloatArray, ...]:
    """Sum cell by cell: below the range, the cells of all levels, above the range."""
    points = grid.base_points
    base = np.concatenate([points[:1], points, points[-1:]])
    edges, closed = _edges(grid)
    start, stop = _reached(points, samples, scales)
    base, edges, closed = base[start:stop], edges[start : stop - 1], closed[start : stop - 1]
    ends = np.zeros((scales.size, base.size + 1), dtype=np.int64)
    ends[:, 1:-1] = _boundaries(edges, closed, samples, scales)
    ends[:, -1] = samples.size
    if within is not None:
        ends = np.clip(ends, within[0][:, None], within[1][:, None])
    weight, first, second = samples.runs(ends)
    level, rest = two_product(scales[:, None], base)
    # Levels farther out than any value can be have none to sum over, but would overflow.
    near = shortened(np.clip(level, -_FARTHEST, _FARTHEST))
    level = np.where(np.abs(level) < _FARTHEST, level, near)
    away = (level - near) + rest  # less than 1e-7 of the level, which 53 digits describe
    u = minus(first, times(weight, near))
    v = minus(second, times(first, near))
    moved, mass = u.value, weight.value
    square = minus(v, times(u, near)).value + away * (away * mass - 2 * moved)
    square = np.maximum(square, 0.0)
    low = square[:, 0] if start == 0 else np.zeros(scales.size)
    high = square[:, -1] if stop == points.size + 2 else np.zeros(scales.size)
    inside = square[:, int(start == 0) : stop - start - int(stop == points.size + 2)]
    error = away * mass - moved
    cross = away * first.value - v.value
    return (
        inside.sum(axis=1),
        low,
        high,
        error.sum(axis=1),
        cross.sum(axis=1),
    )


def _reached(points: FloatArray, samples: PrefixSums, scales: FloatArray) -> tuple[int, int]:
    """Return the cells that values fall into at some scale, as a range of all of them.

    A floating-point range reaches far beyond the data when its optimum is flat.
    """
    ends = samples.positions[[0, -1]]
    quotients = ends / np.array([[scales.min()], [scales.max()]])
    low, high = float(quotients[:, 0].min()), float(quotients[:, 1].max())
    start = int(np.searchsorted(points, low))
    stop = int(np.searchsorted(points, high, "right")) + 2
    return start, min(stop, points.size + 2)


def _boundaries(
    base: FloatArray, closed: BoolArray, samples: PrefixSums, scales: FloatArray
) -> IntArray:
    """Return how many values lie below each boundary: range's ends and thresholds, per scale.

    A value is compared as the simulator does it, by its quotient with the scale: rounding is
    monotone, so this moves a boundary by a neighbour at most.
    """
    x = samples.positions
    at = np.searchsorted(x, scales[:, None] * base)
    divisor, last = scales[:, None], x.size - 1

    def is_below(index: IntArray) -> BoolArray:
        quotient = x[index] / divisor
        below: BoolArray = (quotient < base) | ((quotient == base) & closed)
        return below

    while True:
        more = (at <= last) & is_below(np.minimum(at, last))
        if not more.any():
            break
        at += more
    while True:
        less = (at > 0) & ~is_below(np.maximum(at - 1, 0))
        if not less.any():
            return at
        at -= less


def _edges(grid: Grid) -> tuple[FloatArray, BoolArray]:
    """Return the boundaries between cells before scaling, and whether each belongs to the lower.

    A threshold belongs to the level with the even code, a limit to the range.
    """
    points = grid.base_points
    middles = points[:-1] + 0.5 * grid.base_gaps
    even = (np.arange(middles.size) % 2 == 0) == grid.even_first
    edges = np.concatenate([points[:1], middles, points[-1:]])
    return edges, np.concatenate([[False], even, [True]])


def _by_value(grid: Grid, samples: PrefixSums, scales: FloatArray) -> tuple[FloatArray, ...]:
    """Round each value by itself."""
    totals = np.zeros((5, scales.size))
    base = grid
    if grid.factor != 1:
        base = Grid(grid.edges, grid.steps, grid.counts, even_first=grid.even_first)
    column = scales[:, None]
    for first in range(0, samples.size, _CHUNK):
        x = samples.positions[first : first + _CHUNK]
        weight = samples.weights[first : first + _CHUNK]
        quotient = x / column
        level, rest = two_product(column, base.round_half_even(quotient))
        error = (level - x) + rest
        square = error * error * weight
        below, above = quotient < base.min, quotient > base.max
        totals += (
            np.where(below | above, 0.0, square).sum(axis=1),
            np.where(below, square, 0.0).sum(axis=1),
            np.where(above, square, 0.0).sum(axis=1),
            error @ weight,
            error @ (x * weight),
        )
    return tuple(totals)
