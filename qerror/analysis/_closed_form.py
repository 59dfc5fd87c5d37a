"""The papers' closed forms: differences of partial moments, for comparison.

I = M2 - 2 q M1 + q^2 M0 per cell (Kuzmin et al. 2022, appendix A.3) is exact on paper and
loses digits to cancellation where cells are narrow: about 4 digits for INT8, 8 for INT16.
"""

import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._sums import Sums
from qerror.densities.density import Density
from qerror.grids import Grid


def add_closed_form(sums: Sums, grid: Grid, density: Density, scales: FloatArray) -> None:
    """Add the continuous part of the density, scale by scale."""
    points, thresholds = grid.points, grid.thresholds
    base = np.concatenate([points[:1], thresholds, points[-1:]])
    for i, scale in enumerate(scales):
        for piece in density.pieces():
            edges = np.concatenate([[-math.inf], scale * base, [math.inf]])
            m0, m1, m2 = (np.diff(moment) for moment in piece.partial_moments(edges))
            q = scale * np.concatenate([points[:1], points, points[-1:]])
            with np.errstate(invalid="ignore"):
                square = m2 - 2 * q * m1 + q * q * m0
                sums.rounding[i] += square[1:-1].sum()
                sums.low[i] += square[0]
                sums.high[i] += square[-1]
                sums.mean_error[i] += (q * m0 - m1).sum()
                sums.cross[i] += (q * m1 - m2).sum()
