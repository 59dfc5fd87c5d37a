"""Moments of the error between limits, row by row: what formats with shared scales add up."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._batch import Batch, Sums
from qerror.analysis.dispatch import piece_sums
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidValue
from qerror.grids import Grid

_ROWS = 2**12  # rows handled together: a few megabytes


class RowMoments(NamedTuple):
    """Integrals of the error e = Q(x) - x times the density over low < x < high, shape (k,)."""

    rounding: FloatArray
    """int e^2 p within the grid's range."""
    clipping_low: FloatArray
    """int e^2 p below it: values there saturate."""
    clipping_high: FloatArray
    """int e^2 p above it."""
    mean: FloatArray
    """int e p."""
    cross: FloatArray
    """int x e p."""

    @property
    def square(self) -> FloatArray:
        """Int e^2 p, beyond the grid's ends too."""
        return self.rounding + self.clipping_low + self.clipping_high


def row_moments(
    grid: Grid,
    density: Density | Piece,
    scales: npt.ArrayLike,
    low: npt.ArrayLike,
    high: npt.ArrayLike,
) -> RowMoments:
    """Return the moments of the error where X lies between limits, one row a scale.

    Parameters
    ----------
    grid : Grid
        The levels at scale 1.
    density : Density or Piece
        What X follows. Of a density only the continuous part counts: where point masses fall on
        a limit is for the caller to say, and `Grid.error_half_even` gives their errors.
    scales : array_like, shape (k,)
        Row i quantizes to ``grid.scaled(scales[i])``; positive.
    low, high : array_like, shape (k,) or a number
        Row i integrates over low[i] < x < high[i]: anywhere, infinite allowed, and need not
        hold a level. A row with low >= high is zero.

    Returns
    -------
    RowMoments
        Not divided by the probability of the limits. Where grid and density are symmetric and
        every low is -high, half the cells are visited and the mean is exactly zero; a shell
        a <= |x| < b is then twice the row (a, b), with mean zero.

    Raises
    ------
    InvalidValue
        If the shapes do not fit each other or a limit is nan.
    """
    scale, below, above = (np.asarray(x, dtype=np.float64) for x in (scales, low, high))
    if scale.ndim != 1 or not {below.shape, above.shape} <= {(), scale.shape}:
        raise InvalidValue(
            "scales must be a vector and the limits numbers or vectors like it, got shapes "
            f"{scale.shape}, {below.shape} and {above.shape}"
        )
    if np.isnan(below).any() or np.isnan(above).any():
        raise InvalidValue("a limit must not be nan")
    below, above = np.broadcast_to(below, scale.shape), np.broadcast_to(above, scale.shape)
    pieces = (density,) if isinstance(density, Piece) else density.pieces()
    mirrored = (
        grid.is_symmetric
        and all(piece.is_symmetric for piece in pieces)
        and bool((below == -above).all())
    )
    parts: list[tuple[slice | IntArray, Sums]] = []
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for start in range(0, scale.size, _ROWS):
            at = slice(start, start + _ROWS)
            parts.append((at, _some(grid, pieces, mirrored, scale[at], below[at], above[at])))
    return RowMoments(*Sums.joined(scale.size, parts).rows(scale.size))


def _some(  # noqa: PLR0917 - a chunk of rows
    grid: Grid,
    pieces: tuple[Piece, ...],
    mirrored: bool,
    scales: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> Sums:
    """Add up the pieces for some of the rows."""
    batches = (Batch.of(piece, grid.factor * scales, mirrored) for piece in pieces)
    return sum((piece_sums(grid, batch.between(low, high)) for batch in batches), Sums())
