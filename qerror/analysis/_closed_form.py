"""The papers' closed forms: differences of partial moments, for comparison.

I = M2 - 2 q M1 + q^2 M0 per cell (Kuzmin et al. 2022, appendix A.3) is exact on paper and
loses digits to cancellation where cells are narrow: about 4 digits for INT8, 8 for INT16.
"""

import math
from collections.abc import Iterator

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._batch import Sums
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.exceptions import TooLarge
from qerror.grids import MOST_POINTS, Grid

_CHUNK = 2**14  # cells handled together


def closed_form_sums(grid: Grid, density: Density, scales: FloatArray) -> Sums:
    """Integrate the continuous part of the density, scale by scale."""
    values = np.zeros((5, scales.size))
    for i, scale in enumerate(scales):
        for piece in density.pieces():
            values[:, i] += _one_scale(grid, piece, float(scale))
    return Sums(*values)


def _one_scale(grid: Grid, piece: Piece, scale: float) -> FloatArray:
    """Sum over the cells, some at a time: wide formats have millions."""
    ends = scale * (grid.edges[[0, -1]] * grid.factor)
    low = _cells(piece, ends[:1], np.array([-math.inf, ends[0]]))
    high = _cells(piece, ends[1:], np.array([ends[1], math.inf]))
    inside = np.zeros(3)
    for points, edges in _stretches(grid):
        at, between = (scale * (base * grid.factor) for base in (points, edges))
        inside += _cells(piece, at, between)
    mean, cross = low[1:] + inside[1:] + high[1:]
    return np.array([inside[0], low[0], high[0], mean, cross])


def _cells(piece: Piece, q: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the sums of int e^2 p, int e p and int x e p over neighbouring cells."""
    m0, m1, m2 = (np.diff(moment) for moment in piece.partial_moments(edges))
    with np.errstate(invalid="ignore"):
        parts = m2 - 2 * q * m1 + q * q * m0, q * m0 - m1, q * m1 - m2
        return np.array([part.sum() for part in parts])


def _stretches(grid: Grid) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield neighbouring points and the edges of their cells, before the factor."""
    if grid.size > MOST_POINTS:
        raise TooLarge(
            f"this grid has {grid.size:,} points, more than the {MOST_POINTS:,} that the closed "
            "form visits one by one; the default method, quadrature, takes any number"
        )
    before = grid.edges[:1]
    for start, step, count in zip(grid.edges, grid.steps, grid.counts.tolist(), strict=False):
        for first in range(0, count, _CHUNK):
            points = start + np.arange(first, min(first + _CHUNK, count)) * step
            edges = np.append(before, points + 0.5 * step)
            yield points, edges
            before = edges[-1:]
    yield grid.edges[-1:], np.append(before, grid.edges[-1:])
