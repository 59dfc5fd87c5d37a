"""Small symmetric grids on symmetric laws: one fixed set of nodes, one product of matrices.

With few points the nodes of all half cells are listed once per grid, the density is evaluated at
all of them for many scales together, and both sums are one product with their weights. Nodes are
absolute here; what that costs is eps q/m on the cross moment (q a level, m half a step), so that
levels are limited to a few hundred steps.
"""

import math
from functools import lru_cache

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._sums import Sums
from qerror.densities._base import Piece
from qerror.densities._panels import SmoothLaw, gauss_legendre
from qerror.grids import Cells

_MOST_POINTS = 512
_MOST_LEVERAGE = 600.0  # levels in units of their narrowest half cell
_LARGEST = 1e150  # a level beyond it, in units of the law, is as good as infinite
_CHUNK = 2**15  # nodes times scales handled together: 256 KiB an array
_PER_WIDTH = 6  # cells of one width that are looked at: panel widths vary slowly
_SHARES = np.array([0.06, 0.2, 1.0, 2.0])  # of a panel width that half a cell takes up
_COUNTS = (6, 8, 12, 20)  # and the nodes that it needs


def suits_flat(cells: Cells, piece: Piece) -> bool:
    """Tell whether a piece of a symmetric density can be summed over upper cells this way."""
    law = piece.law
    return (
        isinstance(law, SmoothLaw)
        and not law.branch_at_zero
        and piece.is_whole
        and cells.points.size <= _MOST_POINTS
        and _leverage(cells) <= _MOST_LEVERAGE
    )


def add_flat(sums: Sums, cells: Cells, piece: Piece, factors: FloatArray) -> BoolArray:
    """Add the cells within the grid's range; returns the scales that need another path.

    Parameters
    ----------
    cells : Cells
        Those of the points >= 0.
    factors : ndarray, shape (k,)
        Scales of the base grid; `sums` has the same length.

    Returns
    -------
    ndarray of bool, shape (k,)
        True where a cell is too wide for a single panel: nothing was added there.
    """
    unit = np.minimum(factors / piece.spread, _LARGEST)
    kind = np.searchsorted(_SHARES, _widest(cells, piece, unit))
    for k in range(int(kind.min()), min(int(kind.max()) + 1, len(_COUNTS))):
        at = np.flatnonzero(kind == k)
        rows = max(1, _CHUNK // (2 * _COUNTS[k] * cells.points.size))
        for start in range(0, at.size, rows):
            _add_rows(sums, cells, piece, unit, at[start : start + rows], _COUNTS[k])
    too_wide: BoolArray = kind == len(_COUNTS)
    return too_wide


def _add_rows(  # noqa: PLR0917 - one chunk's description
    sums: Sums, cells: Cells, piece: Piece, unit: FloatArray, at: IntArray, count: int
) -> None:
    nodes, weights = _rule(cells, count)
    scale = unit[at]
    p = piece.law.pdf(scale[:, None] * nodes)
    square, lever = (p @ weights).T
    level = (piece.weight * piece.spread * piece.spread) * scale * scale * scale
    sums.rounding[at] += level * square
    sums.cross[at] += level * (lever - square)


@lru_cache(maxsize=128)
def _rule(cells: Cells, count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes x (n,) and weights (n, 2) of sum w p(x) = int (x - q)^2 p, int q (q - x) p."""
    nodes, weights = gauss_legendre(count)
    x: list[FloatArray] = []
    moments: list[FloatArray] = []
    for side, width in ((-1.0, cells.left), (1.0, cells.right)):
        wide = width > 0
        q, span = cells.points[wide, None], width[wide, None]
        t = span * nodes
        measure = cells.weight[wide, None] * span * weights
        x.append((q + side * t).ravel())
        moments.append(np.stack([measure * t * t, -side * measure * t * q], -1).reshape(-1, 2))
    return np.concatenate(x), np.concatenate(moments)


@lru_cache(maxsize=128)
def _leverage(cells: Cells) -> float:
    """Return the largest ratio of a level to the narrower side of its cell."""
    narrow = np.where(cells.half > 0, cells.half, np.maximum(cells.left, cells.right))
    if not (narrow > 0).all():
        return math.inf
    return float((cells.points / narrow).max())


def _widest(cells: Cells, piece: Piece, unit: FloatArray) -> FloatArray:
    """Return per scale the largest share of a panel that a half cell takes up.

    Cells in which nothing of the density is left do not count.
    """
    law = piece.law
    assert isinstance(law, SmoothLaw)
    inner, longer = _ladder(cells)
    z = np.minimum(unit[:, None] * inner, _LARGEST)
    share = unit[:, None] * longer / law.panel_width(z)
    widest: FloatArray = np.where(z < law.spent, share, 0.0).max(axis=1)
    return widest


@lru_cache(maxsize=128)
def _ladder(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Return inner ends and half widths of some cells of each width, the outermost included."""
    longer = np.maximum(cells.left, cells.right)
    change = np.flatnonzero(np.diff(longer) != 0)
    first, last = np.append(0, change + 1), np.append(change, longer.size - 1)
    steps = np.linspace(0.0, 1.0, _PER_WIDTH)
    at = np.unique((first[:, None] + (last - first)[:, None] * steps).astype(np.int64))
    return (cells.points - cells.left)[at], longer[at]
