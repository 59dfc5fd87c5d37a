"""What lies beyond the ends of the grid: everything there goes to the outermost level."""

import math

import numpy as np

from qerror._arrays import FloatArray, IntArray, two_product
from qerror.analysis._batch import Batch, Limits, Sums
from qerror.analysis._window import Ends, window_moments
from qerror.densities.smooth_law import SmoothLaw

_WHOLE_ROWS = 2**12  # tails handled together, each of some ten nodes
_CUT_ROWS = 2**8  # of some hundred nodes, where limits cut


def tail_sums(batch: Batch, lowest: float, highest: float) -> Sums:
    """Integrate beyond the first and the last base point of the grid."""
    size = batch.factors.size
    rows = _WHOLE_ROWS if batch.limits is None else _CUT_ROWS
    if size <= rows:
        return _tails(batch, lowest, highest)
    chunks = [slice(start, start + rows) for start in range(0, size, rows)]
    return Sums.joined(size, [(at, _tails(batch.rows(at), lowest, highest)) for at in chunks])


def one_tail_sum(batch: Batch, highest: float, law: SmoothLaw) -> Sums:
    """Integrate the tails of the single row of a piece centred at 0, by few operations.

    Both of a mirrored batch; the upper one of another.
    """
    piece, factor = batch.piece, float(batch.factors[0])
    q, unit = factor * highest, piece.weight * piece.spread
    if batch.limits is None:
        _, first, square = law.outer_at(q / piece.spread)
        first, square = unit * first, unit * piece.spread * square
    else:
        high = float(batch.limits.high[0])
        if high <= q:
            return Sums()
        z = np.array([q / piece.spread])
        if high - q > piece.spread * float(law.panel_width(z)[0]):
            return _tails(batch, -highest, highest)
        end = Ends.product(factor, highest)
        moments = window_moments(piece, end, end, Ends.at(high))
        first, square = (float(moment[0]) for moment in moments)
    lever = q * first + square
    if not batch.mirrored:
        return Sums(0.0, 0.0, square, -first, -lever)
    mean = math.nan if math.isinf(first) else 0.0
    return Sums(0.0, square, square, mean, -2 * lever)


def _tails(batch: Batch, lowest: float, highest: float) -> Sums:
    q, high_first, high = upper = _tail(batch, highest, 1.0)
    if batch.mirrored:
        # By symmetry zero, unless it does not exist.
        mean = np.where(np.isinf(high_first), math.nan, 0.0) if np.isinf(high).any() else 0.0
        return Sums(0.0, high, high, mean, -2 * (q * high_first + high))
    _, low_first, low = lower = _tail(batch, lowest, -1.0)
    with np.errstate(invalid="ignore"):  # inf - inf: moments that do not exist
        cross = _cross(batch, *upper, 1.0) + _cross(batch, *lower, -1.0)
        return Sums(0.0, low, high, -(high_first + low_first), cross)


def _cross(
    batch: Batch,
    q: FloatArray,
    first: FloatArray | float,
    second: FloatArray | float,
    side: float,
) -> FloatArray:
    """Return E[x e] beyond one end of the grid."""
    cross = -(q * first + second)
    if (side * q > 0).all():
        return cross
    # The grid ends before 0, which its end may be far from.
    nothing, infinite = np.zeros(q.size), np.full(q.size, side * math.inf)
    left, right = (nothing, infinite) if side > 0 else (infinite, nothing)
    limits = batch.limits and (batch.limits.low, batch.limits.high)
    far, about_0 = batch.piece.far_crosses(q, left, right, limits)
    cross[far] = about_0
    return cross


def _tail(
    batch: Batch, point: float, side: float
) -> tuple[FloatArray, FloatArray | float, FloatArray | float]:
    """Return the end of the grid and the first and second moments about it beyond it."""
    piece, factors = batch.piece, batch.factors
    if batch.limits is None and piece.location == 0:
        end = Ends(factors * point, np.zeros(1))
    else:
        end = Ends(*two_product(factors, np.full(1, point)))
    q = end.value
    if batch.limits is not None:
        return q, *_cut_tail(batch, batch.limits, end, side)
    z = side * (q - piece.location) / piece.spread
    if isinstance(piece.law, SmoothLaw) and z.min() >= 0:
        outer = piece.law.outer(z).scaled(piece.weight, piece.spread)
        return q, side * outer.first, outer.second
    nothing, infinite = np.zeros(q.size), np.full(q.size, side * math.inf)
    left, right = (nothing, infinite) if side > 0 else (infinite, nothing)
    local = piece.integrals(q, left, right, end.rest)
    return q, local.first, local.second


def _cut_tail(
    batch: Batch, limits: Limits, end: Ends, side: float
) -> tuple[FloatArray | float, FloatArray | float]:
    """Return the moments between the end of the grid and the limits."""
    piece, law = batch.piece, batch.piece.law
    low, high = limits
    inner, outer = (low, high) if side > 0 else (high, low)
    reached = side * (outer - end.value) > 0
    if not reached.any():
        return 0.0, 0.0
    rows = np.flatnonzero(reached)
    if rows.size < reached.size:
        batch, end = batch.rows(rows), Ends(end.value[rows], end.rest[rows])
        low, high, inner, outer = low[rows], high[rows], inner[rows], outer[rows]
    nothing = np.zeros(rows.size)
    from_end = side * (inner - end.value) <= 0
    begin = Ends(np.where(from_end, end.value, inner), np.where(from_end, end.rest, nothing))
    z = side * (begin.value - piece.location) / piece.spread
    if isinstance(law, SmoothLaw) and z.min() >= 0:
        if from_end.all() and np.isinf(outer).all():
            whole = law.outer(z).scaled(piece.weight, piece.spread)
            first, second = side * whole.first, whole.second
            return _spread(rows, reached.size, first), _spread(rows, reached.size, second)
        width = np.abs(outer - begin.value) / piece.spread
        if not law.branch_at_zero and (width <= law.panel_width(z)).all():
            stop = Ends(outer, nothing)
            first, second = window_moments(
                piece, end, *((begin, stop) if side > 0 else (stop, begin))
            )
            return _spread(rows, reached.size, first), _spread(rows, reached.size, second)
    infinite = np.full(rows.size, side * math.inf)
    left, right = (nothing, infinite) if side > 0 else (infinite, nothing)
    local = piece.integrals(end.value, left, right, end.rest, (low, high))
    return _spread(rows, reached.size, local.first), _spread(rows, reached.size, local.second)


def _spread(rows: IntArray, size: int, values: FloatArray) -> FloatArray:
    """Give rows that are not among these zero."""
    if rows.size == size:
        return values
    found = np.zeros(size)
    found[rows] = values
    return found
