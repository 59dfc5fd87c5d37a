"""Small grids on smooth laws: one fixed set of nodes, one product of matrices.

With few points the nodes of all cells, or half cells, are listed once per grid, the density is
evaluated at all of them for many scales together, and the sums are one product with their
weights. One that a limit or a kink of the density cuts is left out there and integrated by itself.
Nodes are absolute here; what that costs is eps q/m on the cross moment (q a level, m half a
step), so that levels are limited to a few hundred steps.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, two_product
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._flat_rules import (
    LARGEST,
    Rule,
    Spans,
    flat_shares,
    nodes_between,
    rule_of,
    spans_of,
)
from qerror.analysis._window import Ends, window_moments
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

_CHUNK = 2**15  # nodes times scales handled together: 256 KiB an array
_ONE = np.ones(1)


def flat_sums(batch: Batch, cells: Cells, law: SmoothLaw, shares: FloatArray) -> Sums:
    """Integrate over the cells within the grid's range; `shares` are those of `flat_shares`."""
    spans, shift = spans_of(cells), batch.shift
    windows = tuple(_windows(batch, law, spans))
    unit = np.minimum(batch.factors / batch.piece.spread, LARGEST)
    columns = 2 if batch.mirrored else 3  # the mean is zero by symmetry
    moments = np.empty((unit.size, columns))
    for at, rule in _grouped(cells, law, shares):
        if windows:
            p, used = _between(law, unit[at], shift, rule, [w.rows(at) for w in windows])
        else:
            p, used = _density(law, unit[at], shift, rule.nodes), slice(None)
        moments[at] = p @ (rule.pair if batch.mirrored else rule.weights)[used]
    whole = _sums(batch, unit, moments)
    count = nodes_between(float(shares.max()))
    return sum((_odd(batch, spans, window, count) for window in windows), whole)


def centred_sums(
    batch: Batch, halves_of_rows: tuple[Batch, Batch], cells: Cells, law: SmoothLaw
) -> Sums | None:
    """Integrate rows with limits on both sides of 0 over the upper cells of a symmetric grid.

    The density is evaluated above 0 only, once for both halves. None where a cell is too wide.
    """
    shares = flat_shares(replace(batch, mirrored=True), cells, law)
    if not shares.min() > 0:
        return None
    spans = spans_of(cells)
    # An upper cell weighs for the lower one too.
    piece = replace(batch.piece, weight=0.5 * batch.piece.weight)
    parts = [replace(half, piece=piece) for half in halves_of_rows]
    windows = [_up_to(part, spans) for part in parts]
    unit = np.minimum(batch.factors / batch.piece.spread, LARGEST)
    moments = np.empty((2, unit.size, 3))
    for at, rule in _grouped(cells, law, shares):
        stops = [rule.begins[np.clip(w.to_span[at], 0, None)] for w in windows]
        last = max(int(stop.max()) for stop in stops)
        p = law.pdf_outer(unit[at], rule.nodes[:last])
        for moment, stop in zip(moments, stops, strict=True):
            moment[at] = _ending(p, stop) @ rule.weights[:last]
    count = nodes_between(float(shares.max()))
    upper, lower = (
        _sums(part, unit, moment) + _odd(part, spans, window, count)
        for part, moment, window in zip(parts, moments, windows, strict=True)
    )
    return upper + lower.mirrored()


def _up_to(half: Batch, spans: Spans) -> "_Window":
    """Return the window of the upper half of the rows, which begins below every span."""
    high = half.limits.high if half.limits is not None else np.full(half.factors.size, math.inf)
    to_span: IntArray = np.asarray(spans.edges.searchsorted(high / half.factors, "left")) - 1
    return _Window(-high, high, np.full(high.size, -1), to_span)


def _ending(p: FloatArray, stops: IntArray) -> FloatArray:
    """Return rows with zeros from their stops on."""
    columns: IntArray = np.arange(int(p.shape[1]))
    return np.where(columns < stops[:, None], p, 0.0)


def _grouped(
    cells: Cells, law: SmoothLaw, shares: FloatArray
) -> Iterator[tuple[slice | IntArray, Rule]]:
    """Yield sets of rows that share their rule, few enough for the arrays to stay in the cache."""
    if shares.size == 1:
        yield slice(None), rule_of(cells, float(shares[0]), law.panels_shrink)
        return
    for share in (shares[:1] if (shares == shares[0]).all() else np.unique(shares)).tolist():
        rule = rule_of(cells, share, law.panels_shrink)
        rows = max(1, _CHUNK // max(1, rule.nodes.size))
        at = np.flatnonzero(shares == share)
        yield from ((at[start : start + rows], rule) for start in range(0, at.size, rows))


def _density(law: SmoothLaw, unit: FloatArray, shift: float, nodes: FloatArray) -> FloatArray:
    if shift == 0:
        return law.pdf_outer(unit, nodes)
    z = np.multiply.outer(unit, nodes)
    z -= shift
    return law.pdf_outer(_ONE, z.ravel()).reshape(z.shape)


def _sums(batch: Batch, unit: FloatArray, moments: FloatArray) -> Sums:
    """Give sums over nodes, in base units, the units of x."""
    weight, spread = batch.piece.weight, batch.piece.spread
    squares = (weight * spread) * unit * unit
    levels = (squares * spread) * unit
    rounding, cross = levels * moments[:, 0], levels * (moments[:, 1] - moments[:, 0])
    return Sums(rounding, 0.0, 0.0, 0.0 if batch.mirrored else squares * moments[:, 2], cross)


class _Window(NamedTuple):
    """An interval low < x < high a row, its spans, and those wholly inside it."""

    low: FloatArray
    high: FloatArray
    from_span: IntArray
    """The span that holds `low`: -1 below the grid, the number of all above it."""
    to_span: IntArray

    def rows(self, at: slice | IntArray) -> "_Window":
        """Return some of the rows."""
        return _Window(self.low[at], self.high[at], self.from_span[at], self.to_span[at])


def _windows(batch: Batch, law: SmoothLaw, spans: Spans) -> Iterator[_Window]:
    """Yield the intervals of a row between its limits and the law's kink; none for whole rows."""
    piece = batch.piece
    edges, factors = spans.edges, batch.factors
    kinked = law.kink_at_zero and not (batch.mirrored or _on_edge(piece.location, edges))
    if batch.limits is None:
        if not kinked:
            return
        low, high = np.full((2, factors.size), [[-math.inf], [math.inf]])
    else:
        low, high = batch.limits
    kink = np.clip(piece.location, low, high) if kinked else high
    pairs = ((low, kink), (kink, high)) if kinked else ((low, high),)
    for start, stop in pairs:
        first = edges.searchsorted(start / factors, "right") - 1
        last = edges.searchsorted(stop / factors, "left") - 1
        yield _Window(start, stop, first, last)


def _on_edge(location: float, edges: FloatArray) -> bool:
    """Tell whether 0 is where the law's kink is and no span has it inside."""
    return location == 0 and bool((edges == 0).any() or edges[0] > 0 or edges[-1] < 0)


def _between(
    law: SmoothLaw, unit: FloatArray, shift: float, rule: Rule, windows: Sequence[_Window]
) -> tuple[FloatArray, slice]:
    """Return the density at the nodes that some window holds, 0 outside a row's, and which."""
    size = rule.begins.size - 1
    starts = [rule.begins[np.clip(w.from_span + 1, 0, size)] for w in windows]
    stops = [rule.begins[np.clip(w.to_span, 0, size)] for w in windows]
    first, last = min(int(x.min()) for x in starts), max(int(x.max()) for x in stops)
    last = max(first, last)
    p = _density(law, unit, shift, rule.nodes[first:last])
    # Before, between and after the windows: from the end of one to the start of the next.
    before, after = [np.full(unit.size, first), *stops], [*starts, np.full(unit.size, last)]
    for left, right in zip(before, after, strict=True):
        ends = zip((left - first).tolist(), (right - first).tolist(), strict=True)
        for i, (begin, end) in enumerate(ends):
            p[i, max(begin, 0) : max(end, 0)] = 0.0
    return p, slice(first, last)


def _odd(batch: Batch, spans: Spans, window: _Window, count: int) -> Sums:
    """Integrate the spans that the ends of a window cut, by so many nodes each."""
    size = spans.level.size
    low, high, first, last = window
    real = low < high
    alone = real & (first >= last)
    at_low = real & (first >= 0) & (first < size)
    at_high = real & (last >= 0) & (last < size) & ~alone
    rows = np.concatenate([np.flatnonzero(at_low), np.flatnonzero(at_high)])
    if not rows.size:
        return Sums()
    lower = np.arange(rows.size) < np.count_nonzero(at_low)
    cut = np.where(lower, first[rows], last[rows])
    # The level, and the end of the span that is inside the window.
    base = np.stack([spans.level[cut], spans.edges[np.where(lower, cut + 1, cut)]])
    product, rest = two_product(batch.factors[rows], base)
    level, edge = Ends(product[0], rest[0]), Ends(product[1], rest[1])
    low, high, nothing = low[rows], high[rows], np.zeros(rows.size)
    both = alone[rows]
    start = Ends(np.where(lower, low, edge.value), np.where(lower, nothing, edge.rest))
    stop_at_limit = both | ~lower
    stop = Ends(
        np.where(stop_at_limit, high, edge.value), np.where(stop_at_limit, nothing, edge.rest)
    )
    first_moment, square = window_moments(batch.piece, level, start, stop, count)
    weight = spans.weight[cut]
    parts = (square, -first_moment, -level.value * first_moment - square)
    rounding, mean, cross = (_added(rows, weight * part, real.size) for part in parts)
    return Sums(rounding, 0.0, 0.0, 0.0 if batch.mirrored else mean, cross)


def _added(rows: IntArray, values: FloatArray, size: int) -> FloatArray:
    return np.bincount(rows, values, size).astype(np.float64, copy=False)
