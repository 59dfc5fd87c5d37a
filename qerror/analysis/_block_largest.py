"""The block that holds the largest value of a tensor, which sets its scale."""

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._block_steps import BlockSums
from qerror.analysis._windows import WindowMoments
from qerror.densities.density import Density
from qerror.grids import Grid

_ROUNDING = 1e-15  # of the largest value: so near to a level or a tie it is on it


def with_largest(  # noqa: PLR0917 - one block's description
    grid: Grid,
    density: Density,
    n: int,
    others: WindowMoments,
    scale: float,
    largest_value: float,
    *,
    alone: bool = True,
) -> BlockSums:
    """Return the expectations of the block that holds the largest value, at its end or its other.

    `others` are the moments of one of the other values. The largest value's own error counts
    `alone`, or only together with the others'.
    """
    ends = np.array([largest_value, -largest_value])
    chance = density.pdf(ends)
    chance = chance / chance.sum()
    errors = _end_errors(grid, ends, scale)
    beyond = np.abs(ends) > np.array([grid.max, -grid.min]) * scale * (1 + _ROUNDING)
    square = chance * errors * errors
    end = np.array(
        [
            float(square[~beyond].sum()),
            float(square[1] * beyond[1]),
            float(square[0] * beyond[0]),
            float(chance @ errors),
            float(chance @ (ends * errors)),
            float(chance @ ends),
        ]
    )
    rest = np.array([float(part[0]) for part in others])
    counted = end if alone else end * [0, 0, 0, 0, 0, 1]
    singles = (counted + (n - 1) * rest) / n
    if n < 2:
        return BlockSums(singles, 0.0, 0.0)
    error = ((n - 2) * rest[3] ** 2 + 2 * end[3] * rest[3]) / n
    cross = ((n - 2) * rest[3] * rest[5] + end[3] * rest[5] + end[5] * rest[3]) / n
    return BlockSums(singles, float(error), float(cross))


def _end_errors(grid: Grid, ends: FloatArray, scale: float) -> FloatArray:
    """Return the errors of the largest value: it is a multiple of its scale that may be a tie."""
    ratio = ends / scale
    at = np.searchsorted(grid.thresholds, ratio)
    near = np.stack([np.maximum(at - 1, 0), np.minimum(at, grid.thresholds.size - 1)])
    for tie in grid.thresholds[near]:
        ratio = np.where(np.abs(ratio - tie) <= _ROUNDING * np.abs(ratio), tie, ratio)
    errors = grid.error_half_even(ratio)
    errors = np.where(np.abs(errors) <= _ROUNDING * np.abs(ratio), 0.0, errors)
    found: FloatArray = errors * scale
    return found
