"""Cell by cell: one exact local integral per point of the grid.

Scales are rows and points are columns. Columns whose cells are narrow against the law, which is
nearly all of them, are integrated together without a branch; the few others, and the cells that
a limit cuts, go through the general integrals one by one.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_product
from qerror.analysis._batch import Batch, Limits, Sums
from qerror.densities.quadrature import MomentRule, rule_for
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

_CHUNK = 2**12  # cells handled together, times some ten nodes: the arrays stay in the cache
_LARGEST = 1e300  # levels beyond it, in units of the law, are as good as infinite
_SINGLE = 2**11  # below this many cells one rule for all is faster than grouping them
_SQUARED = 1e150  # squares beyond it leave float64
_ULPS = 2.0**-50  # of a level: rounding of a cell's ends


def cell_sums(batch: Batch, cells: Cells) -> Sums:
    """Integrate over the cells within the grid's range."""
    size = batch.factors.size
    rows = max(1, _CHUNK // cells.points.size)
    if size <= rows:
        return _chunk_sums(batch, cells)
    chunks = [slice(start, start + rows) for start in range(0, size, rows)]
    return Sums.joined(size, [(at, _chunk_sums(batch.rows(at), cells)) for at in chunks])


class _Moments(NamedTuple):
    """int (x - q) p and int (x - q)^2 p of each cell at each scale, shape (rows, cells)."""

    first: FloatArray
    second: FloatArray


def _chunk_sums(batch: Batch, cells: Cells) -> Sums:
    """Integrate one piece over all cells of each scaled grid."""
    factor, law = batch.factors[:, None], batch.piece.law
    q, rest = _centres(batch, factor, cells)
    if isinstance(law, SmoothLaw):
        moments, general = _plain(batch, law, cells, factor, q, rest)
    else:
        first, second = np.zeros(q.shape), np.zeros(q.shape)
        moments, general = _Moments(first, second), np.ones(q.shape, dtype=bool)
    if batch.limits is not None:
        outside, cut = _beyond(batch.limits, cells, factor, q)
        moments.first[outside], moments.second[outside] = 0.0, 0.0
        general = (general | cut) & ~outside
    if general.any():
        row, column = np.nonzero(general)
        _fill(moments, batch, cells, q, rest, (row, column))
    first, second = moments
    square = second @ cells.weight
    mean = 0.0 if batch.mirrored else -first.sum(axis=1)
    if _around_zero(cells):
        cross = _crosses(batch, cells, factor, q, moments) @ cells.weight
    else:
        cross = -((q * first) @ cells.weight + square)
    return Sums(square, mean_error=mean, cross=cross)


@lru_cache(maxsize=128)
def _around_zero(cells: Cells) -> tuple[int, ...]:
    """Return the cells that hold or touch 0 and are not that of 0."""
    inward = np.where(cells.points > 0, cells.left, cells.right)
    at = (cells.points != 0) & (np.abs(cells.points) <= inward)
    return tuple(np.flatnonzero(at).tolist())


def _crosses(
    batch: Batch, cells: Cells, factor: FloatArray, q: FloatArray, moments: _Moments
) -> FloatArray:
    """Return E[x e] of each cell of a grid without a 0."""
    cross = -(q * moments.first + moments.second)
    for column in _around_zero(cells):
        left, right = (factor[:, 0] * side[column] for side in (-cells.left, cells.right))
        limits = batch.limits and (batch.limits.low, batch.limits.high)
        far, about_0 = batch.piece.far_crosses(q[:, column], left, right, limits)
        cross[far, column] = about_0
    return cross


def _centres(
    batch: Batch, factor: FloatArray, cells: Cells
) -> tuple[FloatArray, FloatArray | None]:
    """Return the levels as a sum of two floats; None where the second cannot matter."""
    if batch.piece.location == 0 and batch.limits is None:
        return factor * cells.points, None
    return two_product(factor, cells.points)


def _plain(  # noqa: PLR0917 - a chunk's levels
    batch: Batch,
    law: SmoothLaw,
    cells: Cells,
    factor: FloatArray,
    q: FloatArray,
    rest: FloatArray | None,
) -> tuple[_Moments, BoolArray]:
    """Return the moments of the columns that are narrow at every scale, and which are not."""
    piece, mirrored = batch.piece, batch.mirrored
    first, second = np.empty(q.shape), np.empty(q.shape)
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
    plain: BoolArray = np.logical_and.reduce(fits, axis=0)
    everywhere = bool(plain.all())
    width[:, ~plain] = 1.0
    half = np.minimum(left, right)
    ratio = longer / width
    p = law.pdf(z)
    if law.horizon < _SQUARED and z.max() > _SQUARED:
        # What lies beyond is nothing, and squares there would overflow.
        half, longer = np.where(z > law.horizon, 0.0, (half, longer))
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
        outwards = right[:, uneven] > left[:, uneven]
        ends = half[:, uneven], longer[:, uneven]
        more = _longer_sides(law, z[:, uneven], outwards, ends, float(ratio[:, uneven].max()))
        first[:, uneven] += p[:, uneven] * more.first
        second[:, uneven] += p[:, uneven] * more.second
    if sign is not None:
        first *= sign
    if piece.spread != 1:
        second *= piece.spread
    return _Moments(first, second), np.broadcast_to(~plain, q.shape)


def _longer_sides(
    law: SmoothLaw,
    z: FloatArray,
    outwards: BoolArray,
    ends: tuple[FloatArray, FloatArray],
    widest: float,
) -> _Moments:
    """Return what is left of cells on their longer side, for a density of 1 at their levels.

    Parameters
    ----------
    outwards : array of bool
        Where the longer side lies away from the centre.
    ends : pair of arrays
        Where the rest begins and ends: half widths.
    widest : float
        The longest of them in units of a panel.
    """
    side = np.where(outwards, 1.0, -1.0)
    rule = rule_for(widest)
    start, span = ends[0], ends[1] - ends[0]
    t = start[..., None] + span[..., None] * rule.nodes
    moment = np.exp(law.log_ratio(z[..., None], side[..., None] * t)) * t
    first = side * span * (moment @ rule.zeroth)
    return _Moments(first, span * ((moment * t) @ rule.zeroth))


def _beyond(
    limits: Limits, cells: Cells, factor: FloatArray, q: FloatArray
) -> tuple[BoolArray, BoolArray]:
    """Tell which cells lie outside the limits, and which are not surely inside."""
    slack = _ULPS * np.abs(q)
    lower, upper = q - factor * cells.left, q + factor * cells.right
    low, high = limits.low[:, None], limits.high[:, None]
    outside = (upper + slack < low) | (lower - slack > high) | (low >= high)
    return outside, (lower - slack < low) | (upper + slack > high)


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


def _fill(  # noqa: PLR0917 - a chunk's levels
    moments: _Moments,
    batch: Batch,
    cells: Cells,
    q: FloatArray,
    rest: FloatArray | None,
    at: tuple[IntArray, IntArray],
) -> None:
    """Fill in the moments of the other cells of the chunk."""
    row, column = at
    factor = batch.factors[row]
    limits = batch.limits and (batch.limits.low[row], batch.limits.high[row])
    if rest is None:
        left, right = -factor * cells.left[column], factor * cells.right[column]
        local = batch.piece.integrals(q[at], left, right, 0.0, limits)
    else:  # neighbouring cells meet: what lies between them would be lost
        left, left_rest = two_product(-factor, cells.left[column])
        right, right_rest = two_product(factor, cells.right[column])
        lost = left_rest, right_rest
        local = batch.piece.integrals(q[at], left, right, rest[at], limits, lost)
    moments.first[at], moments.second[at] = local.first, local.second
