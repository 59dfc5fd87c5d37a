"""Pairs of extremes by the one that is further from the centre, for smooth densities.

Let m be the larger magnitude of the two extremes of a block with a real offset. At a given ratio
of the extremes all levels are proportional to m: what is integrated over the other extreme varies
with log m as smoothly as the density does, and a Gauss rule of the law of m, taken in asinh(m),
serves heavy tails too. The other extreme lies in panels that end where a threshold crosses the
centre: there the error bends within a few spreads, which is little of a wide step.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.analysis._affine_ends import Ends
from qerror.analysis._affine_panels import Lattice, panel_nodes
from qerror.densities.density import Density
from qerror.densities.extreme import height_of, tail_exponent
from qerror.densities.maximum import heavy_rule, log_cumulative
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw

# Nodes of the larger magnitude for tails heavier than these.
_COUNTS = ((2.6, 120), (4.2, 96), (7.0, 68), (math.inf, 48))
_CENTRED = 1e-6  # spreads: nearer to 0 needs no moving
_LIGHTER = 0.5  # of log m: the rule is made for what falls a little faster than the law
_MORE = 0.3  # of those nodes for each doubling of the typical step beyond a fine one
_TALL = 16.0  # of H across a panel of the other extreme
_SPENT = 60.0  # of H: exp(-H) is below 1e-26
_NOTHING = 1e-22  # of H
_FINE = 0.4  # of the spread: shorter steps leave nothing to bend
# Spreads on both sides of such a threshold at which those panels end, and where steps are usually
# wide.
_NEAR = ((3.0, 9.0), (2.0, 4.0, 8.0, 16.0))
# Shares of all, and the nodes that panels with more than that need.
_GRADES = (
    (0.0, 0),
    (3e-20, 2),
    (3e-18, 4),
    (3e-16, 6),
    (3e-14, 8),
    (3e-12, 10),
    (3e-10, 12),
    (3e-8, 14),
)
_HEAVY, _FINER = 3.0, 1e-3  # tails heavier than t^-3 take smaller shares for whole ones
_NODES = 2**15  # of panels handled together
_GRID = np.concatenate([[0.0], np.geomspace(1e-3, 1e30, 1200)])  # spreads: where panels may end


def suits_larger(density: Density) -> bool:
    """Tell whether pairs may be taken by the larger magnitude: smooth everywhere but in 0."""
    return not density.atom_sums.size and not any(density.kinks) and _is_whole(density)


def _is_whole(density: Density) -> bool:
    return all(isinstance(piece.law, SmoothLaw) and piece.is_whole for piece in density.pieces())


def centre_of(density: Density) -> float:
    """Return the mean place of the pieces of a density; 0 where that is as good."""
    pieces = density.pieces()
    if density.atom_sums.size or not _is_whole(density):
        return 0.0
    place = sum(piece.weight * piece.location for piece in pieces)
    near = abs(place) <= _CENTRED * min(piece.spread for piece in pieces)
    same = len({piece.location for piece in pieces}) == 1
    return 0.0 if near and not (same and place) else pieces[0].location if same else place


class Larger(NamedTuple):
    """Nodes of the larger magnitude, and p(m) dm for either side."""

    nodes: FloatArray
    upper: FloatArray
    lower: FloatArray
    wide: float
    """The typical step in units of the smallest spread."""


@lru_cache(maxsize=64)
def larger_nodes(density: Density, n: int, steps: int) -> Larger:
    """Return the rule of the largest of n magnitudes in y = asinh(m / c), c twice its median."""
    exponent = tail_exponent(density)
    # Where steps are usually wide, thresholds cross the bulk of the other extreme as well.
    typical = 2 * float(heavy_rule(density, n, 1, 0.0).nodes[0])
    wide = typical / steps / min(piece.spread for piece in density.pieces())
    count = next(count for limit, count in _COUNTS if exponent < limit or limit == math.inf)
    count = round(count * min(max(1 + _MORE * math.log2(wide / _FINE), 1.0), 2.0))
    growth = max(2 - exponent, 0.0) - _LIGHTER
    m, found = heavy_rule(density, n, count, growth, 2.0)
    with np.errstate(under="ignore", over="ignore"):
        found = found * np.exp(-(n - 1) * log_cumulative(density, m))
    both = np.stack([density.pdf(m), density.pdf(-m)])
    both *= found / n / both.sum(axis=0)
    return Larger(frozen(m), frozen(both[0]), frozen(both[1]), wide)


def larger_pairs(density: Density, n: int, lattice: Lattice) -> Iterator[Ends]:
    """Return all pairs: where they have mirror images, one of them with both weights."""
    m, upper, lower, wide = larger_nodes(density, n, lattice.steps)
    yield from pairs_below(density, n, lattice.steps, (m, upper, lower), _NEAR[wide > 1])


def pairs_below(
    density: Density,
    n: int,
    steps: int,
    larger: tuple[FloatArray, FloatArray, FloatArray],
    near: tuple[float, ...],
) -> Iterator[Ends]:
    """Return pairs by the larger magnitude of both extremes.

    Parameters
    ----------
    density : Density
        Of one value.
    n : int
        How many values share a scale.
    steps : int
        Between the levels of both extremes.
    larger : tuple of arrays of shape (k,)
        The larger magnitude m, and p(m) dm and p(-m) dm.
    near : tuple of float
        Spreads on both sides of where a threshold crosses a centre: panels end there.
    """
    m, upper, lower = larger
    mirror = density.affine(-1.0)
    if density.is_symmetric:
        yield from _pairs(density, mirror, n, steps, (m, upper + lower), near)
        return
    yield from _pairs(density, mirror, n, steps, (m, upper), near)
    for ends in _pairs(mirror, density, n, steps, (m, lower), near):
        yield ends.mirrored


def _pairs(  # noqa: PLR0917 - one side's description
    density: Density,
    mirror: Density,
    n: int,
    steps: int,
    larger: tuple[FloatArray, FloatArray],
    near: tuple[float, ...],
) -> Iterator[Ends]:
    """Return the pairs whose upper extreme is the larger one."""
    m, at_m = larger
    cuts = _cuts(density, -_edges(mirror, n)[::-1], steps, m, near)
    row, panel = np.nonzero(np.diff(cuts, axis=1) > 0)
    a, b = cuts[row, panel], cuts[row, panel + 1]
    share = at_m[row] * _square(density, n, m[row], a, b, steps)
    counts = _counts(share / share.sum(), tail_exponent(density))
    kept = np.flatnonzero(counts)
    group: IntArray = np.cumsum(counts[kept]) // _NODES
    for some in (kept[group == k] for k in np.unique(group)):
        at, low, dl = panel_nodes(a[some], b[some], counts[some])
        of = row[some[at]]
        yield Ends(low, m[of], density.pdf(low) * dl, at_m[of], False, False)


def _cuts(
    density: Density, edges: FloatArray, steps: int, m: FloatArray, near: tuple[float, ...]
) -> FloatArray:
    """Return where panels over the other extreme end, a row for each larger one."""
    top = m[:, None]
    ratio = (np.arange(steps) + 0.5) / steps
    fine = 0.0 if density.kinks else _FINE * min(piece.spread for piece in density.pieces())
    parts = [np.broadcast_to(edges, (m.size, edges.size))]
    for place, spread in sorted({(piece.location, piece.spread) for piece in density.pieces()}):
        # Where a threshold meets the place; the other extreme moves it by 1 - ratio of its way.
        some = ratio[: (steps + 1) // 2] if place == 0 else ratio
        bends = (place - some * top) / (1 - some)
        step = (top - bends) / steps
        parts.append(np.where(step > fine, bends, top))
        for away in near:
            for side in (-1.0, 1.0):
                beside = bends + side * away * spread / (1 - some)
                parts.append(np.where(step > 2 * away * spread, beside, top))
    parts.append(-top)
    cuts = np.concatenate([*parts, top], axis=1)
    return np.sort(np.clip(cuts, -top, top), axis=1)


@lru_cache(maxsize=64)
def _edges(density: Density, n: int) -> FloatArray:
    """Return the ends of panels over the largest of n values: as long as its law lets them be."""
    pieces = density.pieces()
    places = {(piece.location, piece.spread) for piece in pieces}
    grid = np.unique(
        [place + side * spread * _GRID for place, spread in places for side in (-1.0, 1.0)]
    )
    zero = int(np.searchsorted(grid, 0.0))
    height = height_of(density, grid, n)
    room = np.full(grid.size, np.inf)
    for piece in pieces:
        law, away = piece.law, np.abs(grid - piece.location) / piece.spread
        assert isinstance(law, SmoothLaw)
        width = piece.spread * law.panel_width(away)
        room = np.where(away < law.horizon, np.minimum(room, width), room)
    at = int(np.searchsorted(-height, -_SPENT))
    last = min(int(np.searchsorted(-height, -_NOTHING)), grid.size - 1)
    chosen = [at]
    while at < last:
        narrow = grid[at:] - grid[at] <= np.minimum.accumulate(room[at:])
        short = height[at] - height[at:] <= _TALL
        stop = at + max(1, int((narrow & short).sum()) - 1)
        # A kink lies in 0.
        at = zero if at < zero < stop else stop
        chosen.append(at)
    return frozen(grid[np.array(chosen)])


def _counts(share: FloatArray, exponent: float) -> IntArray:
    """Return how many nodes panels with these shares of all need."""
    least, counts = (np.array(part) for part in zip(*_GRADES, strict=True))
    if exponent < _HEAVY:
        least = least * _FINER
    found: IntArray = counts[np.searchsorted(least, share, "right") - 1]
    return found


def _square(  # noqa: PLR0917 - one panel's description
    density: Density, n: int, m: FloatArray, a: FloatArray, b: FloatArray, steps: int
) -> FloatArray:
    """Return about what panels [a, b] below m add: a squared error, weighed with its probability.

    The squared error is at most that of rounding to the nearer extreme, and that of a step.
    """
    t = gauss_legendre(3)[0]
    x = a[:, None] + (b - a)[:, None] * t
    exponent = tail_exponent(density)
    spread = max(piece.spread for piece in density.pieces())
    step = (m - a) / steps
    with np.errstate(under="ignore", over="ignore", divide="ignore"):
        flat = x.ravel()
        within = np.maximum(density.cdf(m)[:, None] - density.cdf(flat).reshape(x.shape), 0.0)
        likely = (within ** (n - 2) * density.pdf(flat).reshape(x.shape)).max(axis=1)
        wide = np.maximum(step / spread, 1.0) ** max(2 - exponent, 0.0)
        away = np.abs(a) + max(abs(piece.location) for piece in density.pieces())
        square = np.minimum(step * step, away * away + spread * spread * wide)
    found: FloatArray = likely * (b - a) * square
    return found
