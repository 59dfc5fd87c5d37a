"""Cell by cell: one exact local integral per point of the grid.

Scales are rows and points are columns. Columns whose cells are narrow against the law, which is
nearly all of them, are integrated together without a branch; the few others, and cells that a
limit of the density cuts, go through the general integrals one by one.
"""

import math
from collections.abc import Iterator

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_product
from qerror.analysis._flat import add_flat, suits_flat
from qerror.analysis._sums import Sums
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import MomentRule, rule_for
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells, Grid

_CHUNK = 2**12  # cells handled together, times some ten nodes: the arrays stay in the cache
_LARGEST = 1e300  # levels beyond it, in units of the law, are as good as infinite
_TAIL_ROWS = 2**8  # tails handled together, each of some hundred nodes
_SINGLE = 2**11  # below this many cells one rule for all is faster than grouping them


def add_cells(sums: Sums, grid: Grid, density: Density, scales: FloatArray) -> None:
    """Add the continuous part of the density, for every scale."""
    mirrored = grid.is_symmetric and density.is_symmetric
    cells = grid.upper_cells if mirrored else grid.cells
    factors = grid.factor * scales
    for piece in density.pieces():
        flat = mirrored and suits_flat(cells, piece)
        wide = add_flat(sums, cells, piece, factors) if flat else np.ones(scales.size, dtype=bool)
        if wide.any():
            for chunk in _chunks(np.flatnonzero(wide), cells.points.size):
                _add_inner(sums, chunk, cells, mirrored, piece, factors[chunk, None])
        for start in range(0, scales.size, _TAIL_ROWS):
            rows = slice(start, start + _TAIL_ROWS)
            add_tails(sums, rows, cells.points, mirrored, piece, factors[rows, None])


def _chunks(rows: IntArray, width: int) -> Iterator[IntArray]:
    size = max(1, _CHUNK // width)
    for start in range(0, rows.size, size):
        yield rows[start : start + size]


def add_tails(  # noqa: PLR0917 - one chunk's description
    sums: Sums,
    chunk: slice | IntArray,
    points: FloatArray,
    mirrored: bool,
    piece: Piece,
    factor: FloatArray,
) -> None:
    """Integrate what lies beyond the first and the last of the points, `factor` a column."""
    q, high_first, high = _tail(piece, factor, points[-1:], 1.0)
    sums.high[chunk] += high
    if math.isinf(high_first[0]) and mirrored:
        sums.low[chunk] += high
        sums.mean_error[chunk] = math.nan
        return
    if mirrored:
        sums.low[chunk] += high
        sums.cross[chunk] -= 2 * (q * high_first + high)
        return
    q_low, low_first, low = _tail(piece, factor, points[:1], -1.0)
    sums.low[chunk] += low
    with np.errstate(invalid="ignore"):  # inf - inf: moments that do not exist
        sums.mean_error[chunk] -= high_first + low_first
        sums.cross[chunk] -= q * high_first + q_low * low_first + high + low


def _tail(
    piece: Piece, factor: FloatArray, point: FloatArray, side: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the end of the grid and the first and second moments about it beyond it."""
    q, rest = centres(piece, factor, point)
    q = q[:, 0]
    z = side * (q - piece.location) / piece.spread
    if isinstance(piece.law, SmoothLaw) and piece.is_whole and rest is None and z.min() >= 0:
        outer = piece.law.outer(np.abs(z)).scaled(piece.weight, piece.spread)
        return q, side * outer.first, outer.second
    nothing, infinite = np.zeros(q.size), np.full(q.size, side * math.inf)
    left, right = (nothing, infinite) if side > 0 else (infinite, nothing)
    local = piece.integrals(q, left, right, 0.0 if rest is None else rest[:, 0])
    return q, local.first, local.second


def centres(
    piece: Piece, factor: FloatArray, points: FloatArray
) -> tuple[FloatArray, FloatArray | None]:
    """Return factor times points as a sum of two floats; None where the second cannot matter."""
    if piece.location == 0 and piece.is_whole:
        return factor * points, None
    return two_product(factor, points)


def _add_inner(  # noqa: PLR0917 - one chunk's description
    sums: Sums,
    chunk: slice | IntArray,
    cells: Cells,
    mirrored: bool,
    piece: Piece,
    factor: FloatArray,
) -> None:
    """Integrate one piece over all cells of each scaled grid."""
    q, rest = centres(piece, factor, cells.points)
    first, second = np.empty(q.shape), np.empty(q.shape)
    general = _plain_columns(cells, mirrored, piece, factor, q, rest, first, second)
    if general.size:
        _general(cells, piece, factor, q, rest, general, first, second)
    weight = cells.weight
    square = second @ weight
    sums.rounding[chunk] += square
    sums.cross[chunk] -= (q * first) @ weight + square
    if not mirrored:
        sums.mean_error[chunk] -= first.sum(axis=1)


def _plain_columns(  # noqa: PLR0917 - one chunk's description
    cells: Cells,
    mirrored: bool,
    piece: Piece,
    factor: FloatArray,
    q: FloatArray,
    rest: FloatArray | None,
    first: FloatArray,
    second: FloatArray,
) -> IntArray:
    """Fill in the moments of all columns that are narrow at every scale; returns the others."""
    law = piece.law
    if not isinstance(law, SmoothLaw):
        return np.arange(cells.points.size)
    unit = factor if piece.spread == 1 else np.minimum(factor / piece.spread, _LARGEST)
    left, right = unit * cells.left, unit * cells.right
    longer = np.maximum(left, right)
    sign = None
    if rest is None:
        z = q if piece.spread == 1 else np.clip(q / piece.spread, -_LARGEST, _LARGEST)
    else:
        z = ((q - piece.location) + rest) / piece.spread
    if not mirrored:
        sign = np.where(z < 0, -1.0, 1.0)
        left, right = np.where(z < 0, right, left), np.where(z < 0, left, right)
        z = np.abs(z)
    width = law.panel_width(z)
    fits = law.fits_one_panel(z, left, right, width)
    if not piece.is_whole:
        fits &= _inside(cells, piece, factor, q)
    plain: BoolArray = np.logical_and.reduce(fits, axis=0)
    everywhere = bool(plain.all())
    width[:, ~plain] = 1.0
    half = np.minimum(left, right)
    ratio = longer / width
    p = law.pdf(z)
    if piece.weight != 1 or piece.spread != 1:
        p *= piece.weight * piece.spread
    for at, rule in _groups(plain, everywhere, ratio):
        m = half[:, at]
        even, odd = law.fold_terms(z[:, at, None], m[..., None] * rule.nodes)
        level = p[:, at] * m * m
        first[:, at] = level * (odd @ rule.first)
        second[:, at] = level * m * (even @ rule.second)
    uneven = cells.uneven if everywhere else cells.uneven[plain[cells.uneven]]
    if uneven.size:
        # What is left of a cell on its longer side; outwards of the centre is positive.
        side = np.where(right[:, uneven] > left[:, uneven], 1.0, -1.0)
        rule = rule_for(float(ratio[:, uneven].max()))
        start = half[:, uneven]
        span = longer[:, uneven] - start
        t = start[..., None] + span[..., None] * rule.nodes
        moment = np.exp(law.log_ratio(z[:, uneven, None], side[..., None] * t)) * t
        level = p[:, uneven] * span
        first[:, uneven] += side * level * (moment @ rule.zeroth)
        second[:, uneven] += level * ((moment * t) @ rule.zeroth)
    if sign is not None:
        first *= sign
    if piece.spread != 1:
        second *= piece.spread
    return np.flatnonzero(~plain)


def _inside(cells: Cells, piece: Piece, factor: FloatArray, q: FloatArray) -> BoolArray:
    """Tell which columns lie inside the piece's limits at every scale, with room to spare."""
    gap = factor * np.maximum(cells.left, cells.right) * (1 + 1e-9)
    inside = (q - gap > piece.low) & (q + gap < piece.high)
    everywhere: BoolArray = np.logical_and.reduce(inside, axis=0)
    return everywhere


def _groups(
    plain: BoolArray, everywhere: bool, ratio: FloatArray
) -> Iterator[tuple[slice | IntArray, MomentRule]]:
    """Yield sets of columns with the rule that their widest cell needs."""
    if ratio.size <= _SINGLE:
        at = slice(None) if everywhere else np.flatnonzero(plain)
        if everywhere or plain.any():
            yield at, rule_for(float(ratio[:, at].max()))
        return
    widest = ratio.max(axis=0)
    lower = -1.0
    for upper in (0.005, 0.06, 0.2, math.inf):
        at = np.flatnonzero(plain & (widest > lower) & (widest <= upper))
        lower = upper
        if at.size:
            yield _as_slice(at), rule_for(float(widest[at].max()))


def _as_slice(at: IntArray) -> slice | IntArray:
    """Return consecutive columns as a slice, which costs no copy."""
    run = at[-1] - at[0] + 1 == at.size
    return slice(int(at[0]), int(at[-1]) + 1) if run else at


def _general(  # noqa: PLR0917 - one chunk's description
    cells: Cells,
    piece: Piece,
    factor: FloatArray,
    q: FloatArray,
    rest: FloatArray | None,
    at: IntArray,
    first: FloatArray,
    second: FloatArray,
) -> None:
    """Fill in the moments of the other columns, cell by cell."""
    centre = q[:, at]
    left, right = -(factor * cells.left[at]), factor * cells.right[at]
    low = 0.0 if rest is None else rest[:, at].ravel()
    local = piece.integrals(centre.ravel(), left.ravel(), right.ravel(), low)
    first[:, at] = local.first.reshape(centre.shape)
    second[:, at] = local.second.reshape(centre.shape)
