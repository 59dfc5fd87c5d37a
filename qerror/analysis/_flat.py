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
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

_MOST_POINTS = 512
_MOST_LEVERAGE = 600.0  # levels in units of their narrowest half cell
_LARGEST = 1e150  # a level beyond it, in units of the law, is as good as infinite
_CHUNK = 2**15  # nodes times scales handled together: 256 KiB an array
_PER_WIDTH = 6  # cells of one width that are looked at: panel widths vary slowly
# Shares of a panel width that half a cell takes up, and the nodes that it needs.
_SHARES = np.array([0.005, 0.06, 0.2, 1.0, 2.0])
_COUNTS = (4, 6, 8, 12, 20)


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
    law = piece.law
    assert isinstance(law, SmoothLaw)
    unit = np.minimum(factors / piece.spread, _LARGEST)
    widest, steepest = _shares(cells, law, unit)
    too_wide: BoolArray = widest > _SHARES[-1]
    if law.panels_shrink:
        # Octaves of what the widest cell of all takes up, so that few rules serve all scales.
        bound = np.ldexp(1.0, np.frexp(unit * _width(cells) * steepest)[1])
    else:
        bound = _SHARES[np.minimum(np.searchsorted(_SHARES, widest), _SHARES.size - 1)]
    bound = np.where(too_wide, 0.0, bound)
    if bound.size == 1:
        if not too_wide[0]:
            rule = _rule(cells, float(bound[0]), law.panels_shrink)
            _add_rows(sums, rule, piece, unit, slice(None))
        return too_wide
    for share in np.unique(bound):
        if share == 0:
            continue
        at = np.flatnonzero(bound == share)
        rule = _rule(cells, float(share), law.panels_shrink)
        rows = max(1, _CHUNK // rule[0].size)
        for start in range(0, at.size, rows):
            _add_rows(sums, rule, piece, unit, at[start : start + rows])
    return too_wide


def _add_rows(
    sums: Sums,
    rule: tuple[FloatArray, FloatArray],
    piece: Piece,
    unit: FloatArray,
    at: slice | IntArray,
) -> None:
    assert isinstance(piece.law, SmoothLaw)
    nodes, weights = rule
    scale = unit[at]
    square, lever = (piece.law.pdf_outer(scale, nodes) @ weights).T
    level = (piece.weight * piece.spread * piece.spread) * scale * scale * scale
    sums.rounding[at] += level * square
    sums.cross[at] += level * (lever - square)


@lru_cache(maxsize=256)
def _rule(cells: Cells, share: float, graded: bool) -> tuple[FloatArray, FloatArray]:
    """Return nodes x (n,) and weights (n, 2) of sum w p(x) = int (x - q)^2 p, int q (q - x) p.

    No half cell takes up more than `share` of a panel; where panels do not grow outwards
    (`graded`), one that is narrower than the widest takes up less in the ratio of the widths.
    Cells that seem too wide even so are those that the density does not reach.
    """
    x: list[FloatArray] = []
    moments: list[FloatArray] = []
    for side, width in ((-1.0, cells.left), (1.0, cells.right)):
        shares = share * (width / _width(cells) if graded else np.ones(width.size))
        needed = np.minimum(np.searchsorted(_SHARES, shares), _SHARES.size - 1)
        for k, count in enumerate(_COUNTS):
            chosen = (width > 0) & (needed == k)
            nodes, weights = gauss_legendre(count)
            q, span = cells.points[chosen, None], width[chosen, None]
            t = span * nodes
            measure = cells.weight[chosen, None] * span * weights
            pair = np.stack([measure * t * t, -side * measure * t * q], axis=-1)
            x.append((q + side * t).ravel())
            moments.append(pair.reshape(-1, 2))
    return np.concatenate(x), np.concatenate(moments)


@lru_cache(maxsize=128)
def _leverage(cells: Cells) -> float:
    """Return the largest ratio of a level to the narrower side of its cell."""
    narrow = np.where(cells.half > 0, cells.half, np.maximum(cells.left, cells.right))
    if not (narrow > 0).all():
        return math.inf
    return float((cells.points / narrow).max())


@lru_cache(maxsize=128)
def _width(cells: Cells) -> float:
    """Return the largest half width of all."""
    return max(float(cells.left.max()), float(cells.right.max()))


def _shares(cells: Cells, law: SmoothLaw, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return per scale the largest share of a panel of a half cell, and 1 / the narrowest panel.

    Cells in which nothing of the density is left do not count.
    """
    inner, longer = _ladder(cells)
    z = np.minimum(unit[:, None] * inner, _LARGEST)
    steep = np.where(z < law.spent, 1 / law.panel_width(z), 0.0)
    return (unit[:, None] * longer * steep).max(axis=1), steep.max(axis=1)


@lru_cache(maxsize=128)
def _ladder(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Return inner ends and half widths of some cells of each width, the outermost included."""
    longer = np.maximum(cells.left, cells.right)
    change = np.flatnonzero(np.diff(longer) != 0)
    first, last = np.append(0, change + 1), np.append(change, longer.size - 1)
    steps = np.linspace(0.0, 1.0, _PER_WIDTH)
    at = np.unique((first[:, None] + (last - first)[:, None] * steps).astype(np.int64))
    return (cells.points - cells.left)[at], longer[at]
