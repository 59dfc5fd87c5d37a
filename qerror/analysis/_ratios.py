"""Windows that lie alike on the scaled grid at many scales: one set of nodes for all of them.

A block's scale follows its largest magnitude, so that windows of magnitude end at the same ratios
to the scale again and again: theta and 2 theta for powers of two, q for a real scale. Between two
ratios the half cells of the grid are listed once with their Gauss-Legendre nodes; the density is
evaluated at all of them for many scales together, and every moment is a product with weights.
What lies beyond the grid's ends is one more half cell of its last level.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.analysis._ratio_ends import Ends, end_moments
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_MOST_POINTS = 512  # levels: larger grids go the general way
_MOST_GROUPS = 3  # pairs of ratios that get nodes of their own
_ULPS = 3  # bits of a ratio that are rounding: rows that differ by them share their nodes
_CHUNK = 2**15  # nodes times scales handled together: 256 KiB an array
_FEW = 2**13  # nodes times scales: fewer take less time than one more rule does
_LARGEST = 1e150  # squares of it stay within float64


class _Rung(NamedTuple):
    """A way to place nodes, for spans up to a share of the law's panel width."""

    share: float
    nodes: int
    parts: int = 1
    """Equal parts of a span, each with these nodes."""
    halvings: int = 0
    """How often a half cell is cut at half its outer end: panels of heavy tails grow with x, and
    the one cell about 0 may hold all of a law."""


_PLAIN = (_Rung(0.005, 4), _Rung(0.06, 6), _Rung(0.2, 8), _Rung(1.0, 12), _Rung(2.0, 20))
_GRADED = tuple((_Rung(2.0, 20, 1, halvings), _Rung(8.0, 20, 4, halvings)) for halvings in (8, 32))
_SHARES = np.array([rung.share for rung in _PLAIN])
_RUNGS = (*_PLAIN, *(rung for pair in _GRADED for rung in pair))
_TWELVE = 3  # which of the rungs has as many


def suits_ratios(grid: Grid, density: Density) -> bool:
    """Tell whether nodes may be placed without looking at the density: no kink or cut but at 0."""
    return grid.size <= _MOST_POINTS and all(_is_plain(piece) for piece in density.pieces())


def _is_plain(piece: Piece) -> bool:
    law = piece.law
    return (
        isinstance(law, SmoothLaw)
        and not law.branch_at_zero
        and piece.location == 0
        and all(end in {-np.inf, 0.0, np.inf} for end in (piece.low, piece.high))
    )


def ratio_moments(
    grid: Grid, density: Density, scales: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Integrate over low <= |x| < high by nodes that scales share.

    Returns
    -------
    moments : ndarray, shape (5, k)
        int e^2 p within, below and above the grid's range, int e p and int x e p.
    rest : ndarray of int
        The rows that are left for another path; zero in `moments`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        key = np.stack([low / scales, high / scales])
    alike = (key.view(np.int64) + (1 << (_ULPS - 1))) >> _ULPS
    groups = _groups(alike)
    at_once = len(groups) > _MOST_GROUPS or bool((key == np.inf).any())
    found, wide = (_by_marks if at_once else _by_ratios)(grid, density, scales, key, groups)
    rest = np.flatnonzero(wide)
    found[:, rest] = 0.0
    return found, rest


def _by_ratios(
    grid: Grid, density: Density, scales: FloatArray, key: FloatArray, groups: list[IntArray]
) -> tuple[FloatArray, BoolArray]:
    """Integrate windows that share few pairs of ratios."""
    found, wide = np.zeros((5, scales.size)), np.zeros(scales.size, dtype=bool)
    mirrored = grid.is_symmetric and density.is_symmetric
    for at in groups:
        ratios: tuple[float, float] = tuple(key[:, at[0]].tolist())
        for piece in density.pieces():
            sums, broad = _piece_moments(grid, piece, scales[at], ratios, mirrored)
            found[:, at] += sums
            wide[at] |= broad
    return found, wide


def _by_marks(
    grid: Grid, density: Density, scales: FloatArray, key: FloatArray, groups: list[IntArray]
) -> tuple[FloatArray, BoolArray]:
    """Integrate windows that end anywhere: whole half cells together, then what is left of each."""
    del groups
    found, wide = np.zeros((5, scales.size)), ~np.isfinite(key[0])
    mirrored = grid.is_symmetric and density.is_symmetric
    ends = Ends.of(grid, *np.where(wide, 0.0, key))
    for piece in density.pieces():
        sums, broad = end_moments(grid, piece, scales, ends, not mirrored)
        found += _of_both_sides(sums) if mirrored else sums
        wide |= broad
    for at in _groups(np.stack([ends.begin, ends.end])):
        begin, end = int(ends.begin[at[0]]), int(ends.end[at[0]])
        if end > begin:
            ratios = np.tile(ends.marks[[begin, end], None], scales.size)
            sums, broad = _by_ratios(grid, density, scales, ratios, [at])
            found += sums
            wide |= broad
    return found, wide


def _of_both_sides(upper: FloatArray) -> FloatArray:
    """Return the moments of both sides by those above 0, where the sides are alike."""
    rounding, _, clipped, _, cross = upper
    return np.stack([2 * rounding, clipped, clipped, np.zeros(cross.size), 2 * cross])


def _groups(alike: IntArray) -> list[IntArray]:
    """Return sets of columns that are the same."""
    if (alike == alike[:, :1]).all():
        return [np.arange(alike.shape[1])]
    _, group, sizes = np.unique(alike, axis=1, return_inverse=True, return_counts=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    return np.split(order, np.cumsum(sizes)[:-1])


def _piece_moments(
    grid: Grid, piece: Piece, scales: FloatArray, ratios: tuple[float, float], mirrored: bool
) -> tuple[FloatArray, BoolArray]:
    """Return the moments of one piece, and which rows have a half cell too wide for any rung."""
    law = piece.law
    assert isinstance(law, SmoothLaw)
    sides = (piece.high > 0, piece.low < 0 and not mirrored)
    unit = np.minimum(scales / piece.spread, _LARGEST)
    needed = _rungs_for(grid, ratios, law, unit)
    found = np.zeros((5, scales.size))
    level = piece.weight / piece.spread
    for step, rung in enumerate(_RUNGS):
        rows = np.flatnonzero(needed == step)
        if not rows.size:
            continue
        rule = _rule(grid, ratios, sides, rung)
        size = max(1, _CHUNK // rule.nodes.size)
        for start in range(0, rows.size, size):
            at = rows[start : start + size]
            found[:, at] = level * rule.moments(law, unit[at])
    cube = scales * scales * scales
    found[:3] *= cube
    found[3] *= scales * scales
    found[4] *= cube
    return _of_both_sides(found) if mirrored else found, needed == len(_RUNGS)


def _rungs_for(
    grid: Grid, ratios: tuple[float, float], law: SmoothLaw, unit: FloatArray
) -> IntArray:
    """Return per scale which of the rungs serves it, or their number where none does."""
    needed = np.searchsorted(_SHARES, _widest(grid, ratios, law, unit, 0))
    if unit.size * _spans(grid, ratios, 0)[0].size * _PLAIN[_TWELVE].nodes <= _FEW:
        needed = np.maximum(needed, _TWELVE)
    wide = np.flatnonzero(needed == len(_PLAIN))
    needed[wide] = len(_RUNGS)
    step = len(_PLAIN)
    for pair in _GRADED:
        if not wide.size:
            break
        share = _widest(grid, ratios, law, unit[wide], pair[0].halvings)
        taken = np.searchsorted([rung.share for rung in pair], share)
        fits = taken < len(pair)
        needed[wide[fits]] = step + taken[fits]
        wide, step = wide[~fits], step + len(pair)
    return np.asarray(needed, dtype=np.int64)


def _widest(
    grid: Grid, ratios: tuple[float, float], law: SmoothLaw, unit: FloatArray, halvings: int
) -> FloatArray:
    """Return per scale the largest share of a panel of a span that the density reaches."""
    inner, span = _spans(grid, ratios, halvings)
    z = np.minimum(unit[:, None] * inner, _LARGEST)
    share = unit[:, None] * span / law.panel_width(z)
    widest: FloatArray = np.where(z < law.spent, share, 0.0).max(axis=1, initial=0.0)
    return widest


@lru_cache(maxsize=512)
def _spans(grid: Grid, ratios: tuple[float, float], halvings: int) -> tuple[FloatArray, FloatArray]:
    """Return inner ends and widths of the spans of both sides."""
    parts = [_halves(grid, ratios, side, halvings) for side in (1.0, -1.0)]
    inner = np.concatenate([np.minimum(np.abs(a), np.abs(b)) for _, a, b, _ in parts])
    span = np.concatenate([b - a for _, a, b, _ in parts])
    return frozen(inner), frozen(span)


@lru_cache(maxsize=512)
def _halves(
    grid: Grid, ratios: tuple[float, float], side: float, halvings: int
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Return levels, ends and kinds (0 within the range, 1 below, 2 above) of the half cells.

    They are cut at their outer end times 1/2, 1/4, ..., as often as is said.
    """
    low, high = ratios if side > 0 else (-ratios[1], -ratios[0])
    points, middles = grid.points, grid.thresholds
    marks = np.concatenate([points, middles])
    inside = marks[(marks > low) & (marks < high)]
    ends = np.unique(np.concatenate([[low], inside, [high]])) if low < high else np.empty(0)
    if halvings and ends.size:
        magnitude = np.sort(np.abs(ends))
        cuts = np.multiply.outer(np.ldexp(1.0, -np.arange(1, halvings + 1)), magnitude[1:])
        cuts = cuts[cuts > magnitude[:-1]]
        ends = np.unique(np.concatenate([ends, side * cuts]))
    start, stop = ends[:-1], ends[1:]
    centre = 0.5 * (start + stop)
    level = points[np.searchsorted(middles, centre)]
    kind: IntArray = np.where(centre < points[0], 1, np.where(centre > points[-1], 2, 0))
    return frozen(level), frozen(start), frozen(stop), frozen(kind)


class _Rule(NamedTuple):
    """Nodes x (m,) and weights (m, 5) of the moments at scale 1.

    The first `paired` nodes and the next as many lie alike above and below their levels. Weights
    there are those of the sum and of the difference of the density at both: a product of p and
    large offsets of both signs would lose the small difference.
    """

    nodes: FloatArray
    weights: FloatArray
    paired: int

    def moments(self, law: SmoothLaw, unit: FloatArray) -> FloatArray:
        """Return the five moments at each scale, shape (5, k), for a density that is the law."""
        p, m = law.pdf_outer(unit, self.nodes), self.paired
        odd = p[:, :m] - p[:, m : 2 * m]
        p[:, :m] += p[:, m : 2 * m]
        p[:, m : 2 * m] = odd
        found: FloatArray = (p @ self.weights).T
        return found


@lru_cache(maxsize=512)
def _rule(grid: Grid, ratios: tuple[float, float], sides: tuple[bool, bool], rung: _Rung) -> _Rule:
    """Place the nodes of a rung on the half cells of some sides."""
    t, w = gauss_legendre(rung.nodes)
    t = ((np.arange(rung.parts)[:, None] + t) / rung.parts).reshape(-1)
    w = np.tile(w / rung.parts, rung.parts)
    chosen = [side for side, taken in zip((1.0, -1.0), sides, strict=True) if taken]
    halves = [_halves(grid, ratios, side, rung.halvings) for side in chosen]
    level, start, stop, kind = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    upper, lower, rest = _paired(level, start, stop, kind)
    span, base = (stop - start)[:, None], level[:, None]
    offset, measure = (start - level)[rest, None] + span[rest] * t, span * w
    # From its own end: a level may be farther off than float64 tells places about 0 apart.
    node = start[rest, None] + span[rest] * t
    square = measure[rest] * offset * offset
    alone = [np.where((kind[rest] == k)[:, None], square, 0.0) for k in range(3)]
    alone += [-measure[rest] * offset, -measure[rest] * offset * node]
    away = span[upper] * t
    even, lever = measure[upper] * away * away, measure[upper] * away
    nothing = np.zeros(even.shape)
    columns = [
        [even, nothing, nothing, nothing, -even],
        [nothing, nothing, nothing, -lever, -lever * base[upper]],
        alone,
    ]
    nodes = [base[upper] + away, base[lower] - away, node]
    weights = [np.stack([x.reshape(-1) for x in part], axis=-1) for part in columns]
    x = np.concatenate([part.reshape(-1) for part in nodes])
    return _Rule(frozen(x), frozen(np.concatenate(weights)), away.size)


def _paired(
    level: FloatArray, start: FloatArray, stop: FloatArray, kind: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return which half cells lie above a level, which as wide below the same, and the others."""
    above = np.flatnonzero((start == level) & (kind == 0))
    below = np.flatnonzero((stop == level) & (kind == 0))
    _, i, j = np.intersect1d(level[above], level[below], return_indices=True)
    upper, lower = above[i], below[j]
    alike = (stop - start)[upper] == (stop - start)[lower]
    upper, lower = upper[alike], lower[alike]
    others = np.ones(level.size, dtype=bool)
    others[upper] = others[lower] = False
    return upper, lower, np.flatnonzero(others)
