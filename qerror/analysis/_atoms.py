"""Point masses: each is rounded as the simulator would round it."""

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._sums import Sums
from qerror.densities.density import Density
from qerror.grids import Grid


def add_atoms(sums: Sums, grid: Grid, density: Density, scales: FloatArray) -> None:
    """Add the density's point masses, for every scale."""
    x, probability = density.atoms()
    if not x.size:
        return
    error = grid.round_half_even(x, scales[:, None]) - x
    square = error * error * probability
    below = x < (grid.min * scales)[:, None]
    above = x > (grid.max * scales)[:, None]
    sums.low += np.where(below, square, 0.0).sum(axis=1)
    sums.high += np.where(above, square, 0.0).sum(axis=1)
    sums.rounding += np.where(below | above, 0.0, square).sum(axis=1)
    # Exactly zero by symmetry, unless a tie at 0 has to take a side.
    if not (grid.is_symmetric and density.is_symmetric and grid.dead_zone > 0):
        sums.mean_error += error @ probability
    sums.cross += error @ (x * probability)
