"""The default path: cell by cell for small grids, by segments for large ones."""

from qerror._arrays import FloatArray
from qerror.analysis._cells import add_cells
from qerror.analysis._lattice import add_lattice
from qerror.analysis._sums import Sums
from qerror.densities.density import Density
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_FEW_POINTS = 512  # below, visiting every cell is as fast as cutting segments into zones
_LONG_RUNS = 8  # points per segment that make a segment worth its overhead


def add_exact(sums: Sums, grid: Grid, density: Density, scales: FloatArray) -> None:
    """Add the continuous part of the density by whichever exact path is faster."""
    smooth = all(isinstance(piece.law, SmoothLaw) for piece in density.pieces())
    long_runs = grid.size > max(_FEW_POINTS, _LONG_RUNS * grid.steps.size)
    path = add_lattice if smooth and long_runs else add_cells
    path(sums, grid, density, scales)
