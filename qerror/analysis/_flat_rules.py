"""The fixed nodes of small grids: which grids have them, for which scales, and what they are."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.analysis._batch import Batch
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

LARGEST = 1e150  # a level beyond it, in units of the law, is as good as infinite
_LEAST = 1e-300  # a scale below it, in units of the law, has no place on the ladder
_MOST_POINTS = 512  # levels: larger grids go the general way
_MOST_LEVERAGE = 600.0  # levels in units of their narrowest half cell
_MOST_SHIFT = 8.0  # spreads from 0 to the law's centre: the offsets from it lose these bits
_PER_WIDTH = 6  # half cells of one width that are looked at: panel widths vary slowly
_OUTSIDE = 3.5  # windows that begin beyond this part of a light law have few digits in p
_PER_OCTAVE = 4  # scales for which the nodes of few rows are looked up together
_FEW_ROWS = 16  # scales for which nodes are looked up together
# Shares of a panel width that half a cell takes up, and the nodes that it needs.
_SHARES = np.array([0.005, 0.06, 0.2, 1.0, 2.0])
_COUNTS = (4, 6, 8, 12, 20)


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
    unit = np.minimum(batch.factors / batch.piece.spread, LARGEST)
    if unit.size <= _FEW_ROWS and batch.mirrored and unit.min() > _LEAST:
        return np.array([share_at(cells, law, each) for each in unit.tolist()])
    return _shares_of(halves, law, unit, batch.shift, _beginning(halves, unit, batch))


def share_at(cells: Cells, law: SmoothLaw, unit: float) -> float:
    """Return the share of a row that is centred at 0: that of its step of a ladder of scales."""
    return _share_near(cells, law, math.ceil(_PER_OCTAVE * math.log2(unit)))


@lru_cache(maxsize=2048)
def _share_near(cells: Cells, law: SmoothLaw, step: int) -> float:
    """Return a share that serves every scale of one step of the ladder of scales, or 0."""
    unit = np.exp2(np.array([step - 1, step]) / _PER_OCTAVE)
    found = _shares_of(halves_of(cells), law, np.minimum(unit, LARGEST), 0.0, np.zeros(2))
    return float(found.max()) if found.min() > 0 else 0.0


def _shares_of(
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
    z = np.minimum(near, LARGEST)
    live = z < law.spent + start[:, None]
    steep = np.where(live, 1 / law.panel_width(z), 0.0)
    widest: FloatArray = (np.multiply.outer(unit, width) * steep).max(axis=1)
    steepest: FloatArray = steep.max(axis=1)
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
def rule_of(cells: Cells, share: float, graded: bool) -> Rule:
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
