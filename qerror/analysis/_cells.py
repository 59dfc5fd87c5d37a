"""Cell by cell: one exact local integral per point of the grid."""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, two_product
from qerror.analysis._sums import Sums
from qerror.densities._base import Density, Piece
from qerror.grids import Grid

_CHUNK = 2**14  # cells handled together: some ten arrays of them stay in the cache


class Cells(NamedTuple):
    """The cells of a grid before its factor, then the upper tail, then perhaps the lower one."""

    points: FloatArray
    left: FloatArray
    right: FloatArray
    """Offsets of the thresholds from the points; infinite for the tails."""
    weight: FloatArray
    """2 for a cell that stands for its mirror image too, else 1."""
    inner: int
    """How many cells lie within the grid's range; what follows are tails."""


def cells_of(grid: Grid, mirrored: bool) -> Cells:
    """List the cells of a grid, or of its upper half, and its tails."""
    points, half = grid.base_points, 0.5 * grid.base_gaps
    left, right = np.append(0.0, -half), np.append(half, 0.0)
    weight = np.ones(points.size)
    if mirrored:
        upper = points >= 0
        points, left, right = points[upper], left[upper], right[upper]
        weight = np.where(points > 0, 2.0, 1.0)
    lows = [] if mirrored else [points[0]]
    return Cells(
        np.concatenate([points, points[-1:], lows]),
        np.concatenate([left, [0.0], [-math.inf] * len(lows)]),
        np.concatenate([right, [math.inf], [0.0] * len(lows)]),
        np.concatenate([weight, [2.0] if mirrored else [1.0, 1.0]]),
        points.size,
    )


def add_cells(sums: Sums, grid: Grid, density: Density, scales: FloatArray) -> None:
    """Add the continuous part of the density, for every scale."""
    mirrored = grid.is_symmetric and density.is_symmetric
    cells = cells_of(grid, mirrored)
    rows = max(1, _CHUNK // cells.points.size)
    for start in range(0, scales.size, rows):
        chunk = slice(start, start + rows)
        factors = grid.factor * scales[chunk]
        for piece in density.pieces():
            _add_piece(sums, chunk, cells, mirrored, piece, factors[:, None])


def _add_piece(  # noqa: PLR0917 - one chunk's description
    sums: Sums, chunk: slice, cells: Cells, mirrored: bool, piece: Piece, factor: FloatArray
) -> None:
    """Integrate one piece over all cells and tails of each scaled grid."""
    q, rest = _centres(piece, factor, cells.points)
    local = piece.integrals(
        q.ravel(), (factor * cells.left).ravel(), (factor * cells.right).ravel(), rest
    )
    first, second = local.first.reshape(q.shape), local.second.reshape(q.shape)
    second *= cells.weight
    n = cells.inner
    sums.rounding[chunk] += second[:, :n].sum(axis=1)
    sums.high[chunk] += second[:, n] * (0.5 if mirrored else 1.0)
    sums.low[chunk] += second[:, -1] * (0.5 if mirrored else 1.0)
    with np.errstate(invalid="ignore"):  # inf - inf: moments that do not exist
        lever = (q * (first * cells.weight)).sum(axis=1)
        sums.cross[chunk] -= lever + second.sum(axis=1)
        if mirrored:
            sums.mean_error[chunk] -= first[:, n] - first[:, n]
        else:
            sums.mean_error[chunk] -= first.sum(axis=1)


def _centres(
    piece: Piece, factor: FloatArray, points: FloatArray
) -> tuple[FloatArray, FloatArray | float]:
    """Return factor times points as a sum of two floats, where the second can matter."""
    if piece.location == 0 and piece.is_whole:
        return factor * points, 0.0
    q, rest = two_product(factor, points)
    return q, rest.ravel()
