"""Point masses: each is rounded as the simulator would round it."""

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._batch import Sums
from qerror.densities.density import Density
from qerror.grids import Grid


def atom_sums(grid: Grid, density: Density, scales: FloatArray) -> Sums:
    """Sum over the density's point masses at every scale."""
    x, probability = density.atoms()
    if not x.size:
        return Sums()
    error = grid.error_half_even(x, scales[:, None])
    square = error * error * probability
    below = x < (grid.min * scales)[:, None]
    above = x > (grid.max * scales)[:, None]
    # Exactly zero by symmetry, unless a tie at 0 has to take a side.
    symmetric = grid.is_symmetric and density.is_symmetric and grid.dead_zone > 0
    return Sums(
        np.where(below | above, 0.0, square).sum(axis=1),
        np.where(below, square, 0.0).sum(axis=1),
        np.where(above, square, 0.0).sum(axis=1),
        0.0 if symmetric else error @ probability,
        error @ (x * probability),
    )
