"""The fixed nodes of small grids: which grids have them, for which scales, and what they are."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.analysis._batch import Batch
from qerror.analysis._window import NODES
from qerror.densities.piece import FAR
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

LARGEST = 1e150  # a level beyond it, in units of the law, is as good as infinite
_LEAST = 1e-300  # a scale below it, in units of the law, has no place on the ladder
_MOST_POINTS = 512  # levels: larger grids go the general way
_MOST_LEVERAGE = 600.0  # levels in units of their narrowest span
_MOST_SHIFT = 8.0  # spreads from 0 to the law's centre: the offsets from it lose these bits
_PER_WIDTH = 6  # spans of one width that are looked at: panel widths vary slowly
_FAINT = 2 / 3  # of a panel's width: 20 nodes on three panels reach 1e-9
_OUTSIDE = 3.5  # windows that begin beyond this part of a light law have few digits in p
_PER_OCTAVE = 4  # scales for which the nodes of few rows are looked up together
_FEW_ROWS = 16  # scales for which nodes are looked up together
# Shares of a panel width that a span takes up, and the nodes that it needs.
_SHARES = np.array([0.005, 0.06, 0.2, 1.0, 2.0, 4.0])
_COUNTS = np.array([4, 6, 8, 12, 20, 36])


@dataclass(frozen=True, eq=False)
class Spans:
    """The cells of a grid in ascending order, each of one span or two, before the grid's factor.

    A cell that is as wide on both sides of its level is one span, any other and that of level 0,
    where a density may have its kink, one span a side.
    """

    level: FloatArray
    """The grid point that values in it are rounded to; shape (m,)."""
    side: FloatArray
    """Where it lies: 1 above the level, -1 below, 0 on both sides."""
    reach: FloatArray
    """How far from the level."""
    weight: FloatArray
    edges: FloatArray
    """Their ends, shape (m + 1,)."""

    @cached_property
    def width(self) -> FloatArray:
        """How wide each is."""
        return frozen(np.where(self.side == 0, 2.0, 1.0) * self.reach)

    @cached_property
    def ladder(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Both ends and the width of some spans of each width, the outermost included."""
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

    @cached_property
    def around_zero(self) -> float:
        """The smallest |level| other than 0 whose span holds or touches 0, or 0."""
        around = (self.edges[:-1] <= 0) & (self.edges[1:] >= 0) & (self.level != 0)
        return float(np.abs(self.level[around]).min()) if around.any() else 0.0


class Rule(NamedTuple):
    """Nodes x (n,) and weights (n, 3) of int (x-q)^2 p, int q (q-x) p and int (q-x) p."""

    nodes: FloatArray
    weights: FloatArray
    pair: FloatArray
    """The first two columns of the weights."""
    begins: IntArray
    """The first node of each span, and the number of all; shape (m + 1,)."""


def suits_flat(batch: Batch, cells: Cells, law: SmoothLaw) -> bool:
    """Tell whether a piece can be summed over these cells this way."""
    return (
        cells.points.size <= _MOST_POINTS
        and not law.branch_at_zero
        and abs(batch.piece.location) <= _MOST_SHIFT * batch.piece.spread
        and _leverage(cells) <= _MOST_LEVERAGE
    )


def flat_shares(batch: Batch, cells: Cells, law: SmoothLaw) -> FloatArray:
    """Return per row what part of a panel its widest span takes up, rounded up to a rule.

    0 where a span is too wide for a single panel: these rows need another path.
    """
    spans = spans_of(cells)
    unit = np.minimum(batch.factors / batch.piece.spread, LARGEST)
    if unit.size <= _FEW_ROWS and batch.mirrored and unit.min() > _LEAST:
        return np.array([share_at(cells, law, each) for each in unit.tolist()])
    return _shares_of(spans, law, unit, batch.shift, _beginning(spans, unit, batch))


def share_at(cells: Cells, law: SmoothLaw, unit: float) -> float:
    """Return the share of a row that is centred at 0: that of its step of a ladder of scales."""
    return _share_near(cells, law, math.ceil(_PER_OCTAVE * math.log2(unit)))


@lru_cache(maxsize=2048)
def _share_near(cells: Cells, law: SmoothLaw, step: int) -> float:
    """Return a share that serves every scale of one step of the ladder of scales, or 0."""
    unit = np.exp2(np.array([step - 1, step]) / _PER_OCTAVE)
    found = _shares_of(spans_of(cells), law, np.minimum(unit, LARGEST), 0.0, np.zeros(2))
    return float(found.max()) if found.min() > 0 else 0.0


def _shares_of(
    spans: Spans, law: SmoothLaw, unit: FloatArray, shift: float, start: FloatArray
) -> FloatArray:
    """Return what `flat_shares` does; windows begin `start` away from the law's centre."""
    widest, steepest = _widest(spans, law, unit, shift, start)
    if law.panels_shrink:
        # Octaves of what the widest cell of all takes up, so that few rules serve all scales.
        bound = np.ldexp(1.0, np.frexp(unit * spans.widest * steepest)[1])
        bound = np.maximum(bound, _SHARES[0])  # below it, all have the same rule
    else:
        bound = _SHARES[np.minimum(np.searchsorted(_SHARES, widest), _SHARES.size - 1)]
    unfit = (widest > _SHARES[-1]) | (start > law.spent / _OUTSIDE)
    # There x is small beside the offsets from levels, and E[x e] is taken about 0.
    unfit |= unit * spans.around_zero > FAR * max(abs(shift), 1.0)
    return np.where(unfit, 0.0, bound).astype(np.float64, copy=False)


def _beginning(spans: Spans, unit: FloatArray, batch: Batch) -> FloatArray:
    """Return how far from the law's centre the grid within the limits begins, in its units."""
    if batch.mirrored:
        return np.zeros(unit.size)
    low, high = unit * spans.edges[0] - batch.shift, unit * spans.edges[-1] - batch.shift
    if batch.limits is not None:
        ends = [(end - batch.piece.location) / batch.piece.spread for end in batch.limits]
        low, high = np.maximum(low, ends[0]), np.minimum(high, ends[1])
    nearest: FloatArray = np.maximum(np.maximum(low, -high), 0.0)
    return nearest


def _widest(
    spans: Spans, law: SmoothLaw, unit: FloatArray, shift: float, start: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return per row the largest share of a panel of a span, and 1 / the narrowest panel.

    Spans in which nothing of the density is left do not count.
    """
    lower, upper, width = spans.ladder
    near = np.multiply.outer(unit, lower)
    from_centre = shift == 0 and spans.edges[0] >= 0
    if not from_centre:
        near = np.maximum(near - shift, shift - np.multiply.outer(unit, upper))
        near = np.maximum(near, 0.0)
    z = np.minimum(near, LARGEST)
    live = z < law.spent + start[:, None]
    steep = np.where(live, 1 / law.panel_width(z), 0.0)
    # Next to what lies about the centre, half the digits are enough there.
    steep[(z > law.faint) & (start == 0)[:, None]] *= _FAINT
    widest: FloatArray = (np.multiply.outer(unit, width) * steep).max(axis=1)
    steepest: FloatArray = steep.max(axis=1)
    if from_centre:
        return widest, steepest
    # The span of the centre, where panels are narrowest if they grow outwards.
    centre = spans.edges.searchsorted(shift / unit, "right") - 1
    inside = (centre >= 0) & (centre < spans.width.size)
    own = np.where(inside, spans.width[np.minimum(centre, spans.width.size - 1)], 0.0)
    narrow = 1 / float(law.panel_width(np.zeros(1))[0])
    return (
        np.maximum(widest, unit * own * narrow),
        np.where(inside, np.maximum(steepest, narrow), steepest),
    )


@lru_cache(maxsize=128)
def spans_of(cells: Cells) -> Spans:
    """List the spans that are not empty."""
    q, left, right = cells.points, cells.left, cells.right
    even = (left == right) & (q != 0)
    level, weight = np.repeat(q, 2), np.repeat(cells.weight, 2)
    reach = np.stack([left, right], axis=-1).ravel()
    side = np.stack([np.where(even, 0.0, -1.0), np.ones(q.size)], axis=-1).ravel()
    start = np.stack([q - left, q], axis=-1).ravel()
    kept = np.stack([left > 0, (right > 0) & ~even], axis=-1).ravel()
    edges = np.append(start[kept], q[-1:] + right[-1:])
    return Spans(*map(frozen, (level[kept], side[kept], reach[kept], weight[kept], edges)))


@lru_cache(maxsize=256)
def rule_of(cells: Cells, share: float, graded: bool) -> Rule:
    """List nodes and weights such that no span takes up more than `share` of a panel.

    Where panels do not grow outwards (`graded`), a span that is narrower than the widest takes
    up less in the ratio of the widths. Those that seem too wide even so are spans that the
    density does not reach.
    """
    spans = spans_of(cells)
    shares = share * (spans.width / spans.widest if graded else np.ones(spans.width.size))
    needed = np.minimum(np.searchsorted(_SHARES, shares), _SHARES.size - 1)
    counts, table = _COUNTS[needed], _node_table()
    begins = np.append(0, np.cumsum(counts))
    span = np.repeat(np.arange(counts.size), counts)
    at = np.arange(span.size) + (table.begins[needed] - begins[:-1])[span]
    side, level = spans.side[span], spans.level[span]
    offset = spans.reach[span] * np.where(side == 0, table.centred[at], side * table.nodes[at])
    measure = spans.weight[span] * spans.width[span] * table.weights[at]
    lever, moments = measure * offset, np.empty((span.size, 3))
    np.multiply(lever, offset, out=moments[:, 0])
    np.multiply(-lever, level, out=moments[:, 1])
    np.negative(lever, out=moments[:, 2])
    pair = frozen(moments[:, :2].copy())
    return Rule(frozen(level + offset), frozen(moments), pair, frozen(begins))


def nodes_between(share: float) -> int:
    """Return how many nodes serve a part of a span that takes up no more than this share."""
    return NODES if share <= 2.0 else int(_COUNTS[-1])


class _Table(NamedTuple):
    """The Gauss-Legendre rules one after the other, and where each begins."""

    nodes: FloatArray
    """On [0, 1],"""
    centred: FloatArray
    """and on [-1, 1], each the mirror image of another."""
    weights: FloatArray
    begins: IntArray


@lru_cache(maxsize=1)
def _node_table() -> _Table:
    rules = [gauss_legendre(count) for count in _COUNTS.tolist()]
    centred = [nodes - nodes[::-1] for nodes, _ in rules]
    nodes, weights = (np.concatenate(each) for each in zip(*rules, strict=True))
    begins = np.cumsum(_COUNTS) - _COUNTS
    return _Table(frozen(nodes), frozen(np.concatenate(centred)), frozen(weights), frozen(begins))


@lru_cache(maxsize=128)
def _leverage(cells: Cells) -> float:
    """Return the largest ratio of a level to the narrower side of its cell."""
    narrow = np.where(cells.half > 0, cells.half, np.maximum(cells.left, cells.right))
    if not (narrow > 0).all():
        return math.inf
    return float((np.abs(cells.points) / narrow).max())
