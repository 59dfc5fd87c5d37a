"""Windows that end anywhere, at many scales: whole half cells together, what is left one by one.

Few windows of NVFP4 end at the same ratio to their scale, but nearly all of them hold the same
half cells of the grid. Those go by one set of nodes (`_ratios`); what a window holds on either
side of them lies in one half cell, a row each, or beyond the last level.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_NODES = 12
_LARGEST = 1e150  # squares of it stay within float64


class Ends(NamedTuple):
    """Windows first <= |x| < last in units of their scales, taken apart at a grid's marks."""

    marks: FloatArray
    """Magnitudes of levels and thresholds, ascending from 0."""
    begin: IntArray
    """Which mark the whole half cells of each row begin at."""
    end: IntArray
    """Which they end at; below `begin` where no mark is inside."""
    rows: IntArray
    """Of what is left: the row of each,"""
    low: FloatArray
    """its lower end"""
    high: FloatArray
    """and its upper, which may be infinite."""

    @classmethod
    def of(cls, grid: Grid, first: FloatArray, last: FloatArray) -> "Ends":
        """Take windows apart."""
        marks = _marks(grid)
        begin = np.searchsorted(marks, first, "left")
        end = np.searchsorted(marks, last, "right") - 1
        padded = np.append(marks, np.inf)
        every = np.arange(first.size)
        low = np.concatenate([first, np.maximum(padded[end], first)])
        high = np.concatenate([np.minimum(padded[begin], last), last])
        some = high > low
        some[first.size :] &= end >= begin  # else the first part is all
        return cls(marks, begin, end, np.tile(every, 2)[some], low[some], high[some])


@lru_cache(maxsize=128)
def _marks(grid: Grid) -> FloatArray:
    places = np.concatenate([[0.0], grid.points, grid.thresholds])
    return frozen(np.unique(np.abs(places)))


def end_moments(
    grid: Grid, piece: Piece, scales: FloatArray, ends: Ends, both: bool
) -> tuple[FloatArray, BoolArray]:
    """Return the moments of one piece over what is left of windows, shape (5, k).

    Parameters
    ----------
    both : bool
        Whether the side below 0 counts too; otherwise that above stands alone.

    Returns
    -------
    moments : ndarray
        Those of `ratio_moments`.
    wide : ndarray of bool
        Which rows hold more than one of the law's panels there.
    """
    law = piece.law
    assert isinstance(law, SmoothLaw)
    found, wide = np.zeros((5, scales.size)), np.zeros(scales.size, dtype=bool)
    unit = np.minimum(scales / piece.spread, _LARGEST)
    last = np.isinf(ends.high)
    sides = [1.0] if piece.high > 0 else []
    sides += [-1.0] if both and piece.low < 0 else []
    for chosen, integrate in ((~last, _in_cells), (last, _beyond)):
        rows, low, high = ends.rows[chosen], ends.low[chosen], ends.high[chosen]
        if not rows.size:
            continue
        near = unit[rows] * low
        if integrate is _in_cells:
            share = unit[rows] * (high - low) / law.panel_width(np.minimum(near, _LARGEST))
            wide[rows[(share > 1) & (near < law.spent)]] = True
        elif not law.tail_exponent(1.0) > 2:
            wide[rows] = True
            continue
        for side in sides:
            parts = integrate(grid, law, unit[rows], low, high, side)
            found += [np.bincount(rows, part, scales.size) for part in parts]
    found *= piece.weight / piece.spread
    cube = scales * scales * scales
    found[:3] *= cube
    found[3] *= scales * scales
    found[4] *= cube
    return found, wide


def _in_cells(  # noqa: PLR0917 - a side of a piece
    grid: Grid, law: SmoothLaw, unit: FloatArray, low: FloatArray, high: FloatArray, side: float
) -> tuple[FloatArray, ...]:
    """Integrate parts of half cells, each by the same few nodes, at scale 1."""
    t, w = gauss_legendre(_NODES)
    middle = side * (low + 0.5 * (high - low))
    level = _level(grid, middle)
    offset = (side * low - level)[:, None] + (side * (high - low))[:, None] * t
    width = (high - low)[:, None]
    p = law.pdf(unit[:, None] * (low[:, None] + width * t)) * (width * w)
    p *= offset
    first = p.sum(axis=1)
    p *= offset
    return _split(grid, middle, level, first, p.sum(axis=1))


def _beyond(  # noqa: PLR0917 - a side of a piece
    grid: Grid, law: SmoothLaw, unit: FloatArray, low: FloatArray, high: FloatArray, side: float
) -> tuple[FloatArray, ...]:
    """Integrate what lies beyond every mark."""
    del high
    level = _level(grid, side * np.maximum(low, _marks(grid)[-1]))
    mass, first, second = law.outer(unit * low)
    # About the end and in the law's units; about the level, whose distance has the same sign.
    mass, first, second = mass / unit, first / unit**2, second / unit**3
    away = low - side * level
    about = first + away * mass
    square = second + away * (2 * first + away * mass)
    return _split(grid, side * (2 * low + 1), level, side * about, square)


def _level(grid: Grid, x: FloatArray) -> FloatArray:
    found: FloatArray = grid.points[np.searchsorted(grid.thresholds, x)]
    return found


def _split(
    grid: Grid, place: FloatArray, level: FloatArray, first: FloatArray, square: FloatArray
) -> tuple[FloatArray, ...]:
    """Return the five moments by those of x - level, by where the values lie."""
    below, above = place < grid.points[0], place > grid.points[-1]
    inside = ~(below | above)
    cross = -level * first - square
    return square * inside, square * below, square * above, -first, cross
