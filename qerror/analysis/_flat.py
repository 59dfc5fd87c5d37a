"""Small grids on smooth laws: one fixed set of nodes, one product of matrices.

With few points the nodes of all half cells are listed once per grid, the density is evaluated at
all of them for many scales together, and the sums are one product with their weights. A half
cell that a limit or a kink of the density cuts is left out there and integrated by itself.
Nodes are absolute here; what that costs is eps q/m on the cross moment (q a level, m half a
step), so that levels are limited to a few hundred steps.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen, two_product
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._window import Ends, window_moments
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

_MOST_POINTS = 512
_MOST_LEVERAGE = 600.0  # levels in units of their narrowest half cell
_MOST_SHIFT = 8.0  # spreads from 0 to the law's centre: the offsets from it lose these bits
_LEAST = 1e-300
_LARGEST = 1e150  # a level beyond it, in units of the law, is as good as infinite
_CHUNK = 2**15  # nodes times scales handled together: 256 KiB an array
_PER_WIDTH = 6  # half cells of one width that are looked at: panel widths vary slowly
_OUTSIDE = 3.5  # windows that begin beyond this part of a light law have few digits in p
_PER_OCTAVE = 4  # scales for which the nodes are looked up together
# Shares of a panel width that half a cell takes up, and the nodes that it needs.
_SHARES = np.array([0.005, 0.06, 0.2, 1.0, 2.0])
_COUNTS = (4, 6, 8, 12, 20)
_ONE = np.ones(1)


@dataclass(frozen=True, eq=False)
class Halves:
    """The non-empty half cells of a grid in ascending order, before the grid's factor."""

    level: FloatArray
    """The grid point that values in it are rounded to, at one of its ends; shape (m,)."""
    side: FloatArray
    """1 above the level, -1 below."""
    width: FloatArray
    weight: FloatArray
    edges: FloatArray
    """Their ends, shape (m + 1,)."""

    @cached_property
    def ladder(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Both ends and the width of some half cells of each width, the outermost included."""
        differ = (np.diff(self.width) != 0) | (np.diff(np.sign(self.level)) != 0)
        change = np.flatnonzero(differ)
        first, last = np.append(0, change + 1), np.append(change, self.width.size - 1)
        steps = np.linspace(0.0, 1.0, _PER_WIDTH)
        at = np.unique((first[:, None] + (last - first)[:, None] * steps).astype(np.int64))
        return frozen(self.edges[at]), frozen(self.edges[at + 1]), frozen(self.width[at])

    @cached_property
    def widest(self) -> float:
        """The largest width of all."""
        return float(self.width.max())


class Rule(NamedTuple):
    """Nodes x (n,) and weights (n, 3) of int (x-q)^2 p, int q (q-x) p and int (q-x) p."""

    nodes: FloatArray
    weights: FloatArray
    pair: FloatArray
    """The first two columns of the weights."""
    begins: IntArray
    """The first node of each half cell, and the number of all; shape (m + 1,)."""


def suits_flat(batch: Batch, cells: Cells, law: SmoothLaw) -> bool:
    """Tell whether a piece can be summed over these cells this way."""
    return (
        cells.points.size <= _MOST_POINTS
        and not law.branch_at_zero
        and abs(batch.piece.location) <= _MOST_SHIFT * batch.piece.spread
        and _leverage(cells) <= _MOST_LEVERAGE
    )


def flat_shares(batch: Batch, cells: Cells, law: SmoothLaw) -> FloatArray:
    """Return per row what part of a panel its widest half cell takes up, rounded up to a rule.

    0 where a half cell is too wide for a single panel: these rows need another path.
    """
    halves = halves_of(cells)
    unit = np.minimum(batch.factors / batch.piece.spread, _LARGEST)
    return _shares(halves, law, unit, batch.shift, _beginning(halves, unit, batch))


def one_flat_sum(batch: Batch, cells: Cells, law: SmoothLaw) -> Sums | None:
    """Integrate the single row of a symmetric piece by few operations; None if too wide."""
    weight, spread, factor = batch.piece.weight, batch.piece.spread, float(batch.factors[0])
    unit = factor / spread
    if not _LEAST < unit < _LARGEST:
        return None
    share = _share_near(cells, law, math.ceil(_PER_OCTAVE * math.log2(unit)))
    if not share:
        return None
    rule, halves, odd = _rule(cells, share, law.panels_shrink), halves_of(cells), Sums()
    nodes, weights = rule.nodes, rule.pair
    if batch.limits is not None:
        high = float(batch.limits.high[0])
        last = int(halves.edges.searchsorted(high / factor)) - 1
        if last < 0:
            return None
        if last < halves.level.size:
            nodes, weights = nodes[: rule.begins[last]], weights[: rule.begins[last]]
            odd = _one_odd(batch, halves, last, high)
    p = law.pdf_outer(np.array([unit]), nodes)
    square, lever = (p @ weights)[0].tolist()
    level = weight * spread * spread * unit * unit * unit
    return Sums(level * square, cross=level * (lever - square)) + odd


def _one_odd(batch: Batch, halves: Halves, last: int, high: float) -> Sums:
    """Integrate what `high` leaves of a half cell of the single row of a symmetric piece."""
    factor = float(batch.factors[0])
    level = Ends.product(factor, float(halves.level[last]))
    edge = Ends.product(factor, float(halves.edges[last]))
    first, square = window_moments(batch.piece, level, edge, Ends.at(high))
    weight = float(halves.weight[last])
    found = weight * float(square[0])
    return Sums(found, cross=-weight * float(level.value[0]) * float(first[0]) - found)


def flat_sums(batch: Batch, cells: Cells, law: SmoothLaw, shares: FloatArray) -> Sums:
    """Integrate over the cells within the grid's range; `shares` are those of `flat_shares`."""
    halves, shift = halves_of(cells), batch.shift
    windows = tuple(_windows(batch, law, halves))
    unit = np.minimum(batch.factors / batch.piece.spread, _LARGEST)
    columns = 2 if batch.mirrored else 3  # the mean is zero by symmetry
    moments = np.empty((unit.size, columns))
    for at, rule in _grouped(cells, law, shares):
        if windows:
            p, used = _between(law, unit[at], shift, rule, [w.rows(at) for w in windows])
        else:
            p, used = _density(law, unit[at], shift, rule.nodes), slice(None)
        moments[at] = p @ (rule.pair if batch.mirrored else rule.weights)[used]
    whole = _sums(batch, unit, moments)
    return sum((_odd(batch, halves, window) for window in windows), whole)


def _grouped(
    cells: Cells, law: SmoothLaw, shares: FloatArray
) -> Iterator[tuple[slice | IntArray, Rule]]:
    """Yield sets of rows that share their rule, few enough for the arrays to stay in the cache."""
    if shares.size == 1:
        yield slice(None), _rule(cells, float(shares[0]), law.panels_shrink)
        return
    for share in np.unique(shares):
        rule = _rule(cells, float(share), law.panels_shrink)
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
    """An interval low < x < high a row, its half cells, and those wholly inside it."""

    low: FloatArray
    high: FloatArray
    from_half: IntArray
    """The half cell that holds `low`: -1 below the grid, the number of all above it."""
    to_half: IntArray

    def rows(self, at: slice | IntArray) -> "_Window":
        """Return some of the rows."""
        return _Window(self.low[at], self.high[at], self.from_half[at], self.to_half[at])


def _windows(batch: Batch, law: SmoothLaw, halves: Halves) -> Iterator[_Window]:
    """Yield the intervals of a row between its limits and the law's kink; none for whole rows."""
    piece = batch.piece
    edges, factors = halves.edges, batch.factors
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
    """Tell whether 0 is where the law's kink is and no half cell has it inside."""
    return location == 0 and bool((edges == 0).any() or edges[0] > 0 or edges[-1] < 0)


def _between(
    law: SmoothLaw, unit: FloatArray, shift: float, rule: Rule, windows: Sequence[_Window]
) -> tuple[FloatArray, slice]:
    """Return the density at the nodes that some window holds, 0 outside a row's, and which."""
    size = rule.begins.size - 1
    starts = [rule.begins[np.clip(w.from_half + 1, 0, size)] for w in windows]
    stops = [rule.begins[np.clip(w.to_half, 0, size)] for w in windows]
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


def _odd(batch: Batch, halves: Halves, window: _Window) -> Sums:
    """Integrate the half cells that the ends of a window cut."""
    size = halves.level.size
    low, high, first, last = window
    real = low < high
    alone = real & (first >= last)
    at_low = real & (first >= 0) & (first < size)
    at_high = real & (last >= 0) & (last < size) & ~alone
    rows = np.concatenate([np.flatnonzero(at_low), np.flatnonzero(at_high)])
    if not rows.size:
        return Sums()
    lower = np.arange(rows.size) < np.count_nonzero(at_low)
    half = np.where(lower, first[rows], last[rows])
    # The level, and the end of the half cell that is inside the window.
    base = np.stack([halves.level[half], halves.edges[np.where(lower, half + 1, half)]])
    product, rest = two_product(batch.factors[rows], base)
    level, edge = Ends(product[0], rest[0]), Ends(product[1], rest[1])
    low, high, nothing = low[rows], high[rows], np.zeros(rows.size)
    both = alone[rows]
    start = Ends(np.where(lower, low, edge.value), np.where(lower, nothing, edge.rest))
    stop_at_limit = both | ~lower
    stop = Ends(
        np.where(stop_at_limit, high, edge.value), np.where(stop_at_limit, nothing, edge.rest)
    )
    first_moment, square = window_moments(batch.piece, level, start, stop)
    weight = halves.weight[half]
    parts = (square, -first_moment, -level.value * first_moment - square)
    rounding, mean, cross = (_added(rows, weight * part, real.size) for part in parts)
    return Sums(rounding, 0.0, 0.0, 0.0 if batch.mirrored else mean, cross)


def _added(rows: IntArray, values: FloatArray, size: int) -> FloatArray:
    return np.bincount(rows, values, size).astype(np.float64, copy=False)


def _shares(
    halves: Halves, law: SmoothLaw, unit: FloatArray, shift: float, start: FloatArray
) -> FloatArray:
    """Return what `flat_shares` does; windows begin `start` away from the law's centre."""
    widest, steepest = _widest(halves, law, unit, shift, start)
    if law.panels_shrink:
        # Octaves of what the widest cell of all takes up, so that few rules serve all scales.
        bound = np.ldexp(1.0, np.frexp(unit * halves.widest * steepest)[1])
    else:
        bound = _SHARES[np.minimum(np.searchsorted(_SHARES, widest), _SHARES.size - 1)]
    unfit = (widest > _SHARES[-1]) | (start > law.spent / _OUTSIDE)
    return np.where(unfit, 0.0, bound).astype(np.float64, copy=False)


@lru_cache(maxsize=2048)
def _share_near(cells: Cells, law: SmoothLaw, step: int) -> float:
    """Return a share that serves every scale of one step of the ladder of scales, or 0."""
    unit = np.exp2(np.array([step - 1, step]) / _PER_OCTAVE)
    found = _shares(halves_of(cells), law, np.minimum(unit, _LARGEST), 0.0, np.zeros(2))
    return float(found.max()) if found.min() > 0 else 0.0


def _beginning(halves: Halves, unit: FloatArray, batch: Batch) -> FloatArray:
    """Return how far from the law's centre the grid within the limits begins, in its units."""
    if batch.mirrored:
        return np.zeros(unit.size)
    low, high = unit * halves.edges[0] - batch.shift, unit * halves.edges[-1] - batch.shift
    if batch.limits is not None:
        ends = [(end - batch.piece.location) / batch.piece.spread for end in batch.limits]
        low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
    nearest: FloatArray = np.maximum(np.maximum(low, -high), 0.0)
    return nearest


def _widest(
    halves: Halves, law: SmoothLaw, unit: FloatArray, shift: float, start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return per row the largest share of a panel of a half cell, and 1 / the narrowest panel.

    Half cells in which nothing of the density is left do not count.
    """
    lower, upper, width = halves.ladder
    near = np.multiply.outer(unit, lower)
    from_centre = shift == 0 and halves.edges[0] >= 0
    if not from_centre:
        near = np.maximum(near - shift, shift - np.multiply.outer(unit, upper))
        near = np.maximum(near, 0.0)
    z = np.minimum(near, _LARGEST)
    live = z < law.spent + start[:, None]
    steep = np.where(live, 1 / law.panel_width(z), 0.0)
    widest, steepest = (np.multiply.outer(unit, width) * steep).max(axis=1), steep.max(axis=1)
    if from_centre:
        return widest, steepest
    # The half cell of the centre, where panels are narrowest if they grow outwards.
    centre = halves.edges.searchsorted(shift / unit, "right") - 1
    inside = (centre >= 0) & (centre < halves.width.size)
    own = np.where(inside, halves.width[np.minimum(centre, halves.width.size - 1)], 0.0)
    narrow = 1 / float(law.panel_width(np.zeros(1))[0])
    return (
        np.maximum(widest, unit * own * narrow),
        np.where(inside, np.maximum(steepest, narrow), steepest),
    )


@lru_cache(maxsize=128)
def halves_of(cells: Cells) -> Halves:
    """List the half cells that are not empty."""
    q, left, right = cells.points, cells.left, cells.right
    level, weight = np.repeat(q, 2), np.repeat(cells.weight, 2)
    width = np.stack([left, right], axis=-1).ravel()
    side = np.tile([-1.0, 1.0], q.size)
    edges = np.stack([q - left, q], axis=-1).ravel()
    full = width > 0
    ends = np.append(edges[full], q[-1:] + right[-1:])
    return Halves(*map(frozen, (level[full], side[full], width[full], weight[full], ends)))


@lru_cache(maxsize=256)
def _rule(cells: Cells, share: float, graded: bool) -> Rule:
    """List nodes and weights such that no half cell takes up more than `share` of a panel.

    Where panels do not grow outwards (`graded`), a half cell that is narrower than the widest
    takes up less in the ratio of the widths. Those that seem too wide even so are half cells
    that the density does not reach.
    """
    halves = halves_of(cells)
    shares = share * (halves.width / halves.widest if graded else np.ones(halves.width.size))
    needed = np.minimum(np.searchsorted(_SHARES, shares), _SHARES.size - 1)
    counts = np.array(_COUNTS)[needed]
    begins = np.append(0, np.cumsum(counts))
    x, moments = np.empty(begins[-1]), np.empty((begins[-1], 3))
    for k, count in enumerate(_COUNTS):
        chosen = np.flatnonzero(needed == k)
        nodes, weights = gauss_legendre(count)
        q, span = halves.level[chosen, None], halves.width[chosen, None]
        offset = halves.side[chosen, None] * (span * nodes)
        measure = halves.weight[chosen, None] * span * weights
        at = begins[chosen, None] + np.arange(count)
        x[at] = q + offset
        columns = (measure * offset * offset, -measure * offset * q, -measure * offset)
        moments[at] = np.stack(columns, axis=-1)
    return Rule(frozen(x), frozen(moments), frozen(moments[:, :2].copy()), frozen(begins))


@lru_cache(maxsize=128)
def _leverage(cells: Cells) -> float:
    """Return the largest ratio of a level to the narrower side of its cell."""
    narrow = np.where(cells.half > 0, cells.half, np.maximum(cells.left, cells.right))
    if not (narrow > 0).all():
        return math.inf
    return float((np.abs(cells.points) / narrow).max())
