"""The papers' closed forms: differences of partial moments, for comparison.

I = M2 - 2 q M1 + q^2 M0 per cell (Kuzmin et al. 2022, appendix A.3) is exact on paper and
loses digits to cancellation where cells are narrow: about 4 digits for INT8, 8 for INT16.
"""

import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._batch import Sums
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.grids import Grid


def closed_form_sums(grid: Grid, density: Density, scales: FloatArray) -> Sums:
    """Integrate the continuous part of the density, scale by scale."""
    values = np.zeros((5, scales.size))
    for i, scale in enumerate(scales):
        for piece in density.pieces():
            values[:, i] += _one_scale(grid, piece, float(scale))
    return Sums(*values)


def _one_scale(grid: Grid, piece: Piece, scale: float) -> FloatArray:
    points = grid.points
    base = np.concatenate([points[:1], grid.thresholds, points[-1:]])
    edges = np.concatenate([[-math.inf], scale * base, [math.inf]])
    m0, m1, m2 = (np.diff(moment) for moment in piece.partial_moments(edges))
    q = scale * np.concatenate([points[:1], points, points[-1:]])
    with np.errstate(invalid="ignore"):
        square = m2 - 2 * q * m1 + q * q * m0
        mean, cross = (q * m0 - m1).sum(), (q * m1 - m2).sum()
    return np.array([square[1:-1].sum(), square[0], square[-1], mean, cross])
