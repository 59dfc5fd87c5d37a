"""Pairs of extremes in panels that end where the extremes, or a value between them, meet a jump."""

from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.analysis._affine_ends import Ends
from qerror.analysis._affine_flats import heights, masses
from qerror.analysis._affine_panels import marks_of, panel_nodes
from qerror.densities.density import Density
from qerror.densities.extreme import extreme_edges
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw

# Nodes that panels need that are this part of a whole one.
_PARTS = ((0.02, 8), (0.1, 11), (0.3, 15), (0.6, 19), (np.inf, 24))
# Shares of the largest, and the nodes that serve panels with less.
_SHARES = ((1e-18, 5), (1e-15, 8), (1e-12, 12), (1e-8, 16), (np.inf, 24))
_LITTLE = 1e-21  # of all: panels with less are left out
_FEW = 16  # values
_OF_ROOM = 0.8  # of the laws' panels
_LINE = 20  # nodes of panels along a line
# The same of panels that no threshold cuts.
_PLAIN = ((1e-18, 3), (1e-15, 5), (1e-12, 7), (1e-9, 9), (1e-6, 11), (np.inf, 13))
_FINEST = 1e-14  # of its end: a panel is no narrower


def jumps_of(density: Density, *, zero: bool) -> FloatArray:
    """Return where the density jumps or ends, and 0 if asked for."""
    found = [*marks_of(density).tolist(), *(x for x in density.support if np.isfinite(x))]
    return np.unique(found + [0.0] * zero)


@lru_cache(maxsize=64)
def edges_of(density: Density, n: int) -> tuple[FloatArray, FloatArray]:
    """Return the ends of panels over the smallest and over the largest value, with all jumps."""
    mirror = density.affine(-1.0)
    low = -_merged(mirror, extreme_edges(mirror, n), n)[::-1]
    return frozen(low), frozen(_merged(density, extreme_edges(density, n), n))


def _merged(density: Density, edges: FloatArray, n: int) -> FloatArray:
    """Return edges with all jumps; for few values, whose powers of P are smooth, fewer others."""
    jumps = jumps_of(density, zero=False)
    edges = np.union1d(edges, jumps[(jumps > edges[0]) & (jumps < edges[-1])])
    if n > _FEW:
        return edges
    chosen, kept = [float(edges[0])], set(jumps.tolist()) | {float(edges[-1])}
    for at, after in zip(edges[1:-1].tolist(), edges[2:].tolist(), strict=True):
        if at in kept or after - chosen[-1] > _room(density, chosen[-1], after):
            chosen.append(at)
    return np.array([*chosen, float(edges[-1])])


def _room(density: Density, low: float, high: float) -> float:
    """Return how wide a panel between two places may be for the laws' sake."""
    room = np.inf
    for piece in density.pieces():
        if isinstance(piece.law, SmoothLaw) and low < piece.high and high > piece.low:
            a, b = ((x - piece.location) / piece.spread for x in (low, high))
            near = 0.0 if a < 0 < b else min(abs(a), abs(b))
            if near < piece.law.horizon:
                width = float(piece.law.panel_width(np.array([near]))[0])
                room = min(room, _OF_ROOM * piece.spread * width)
    return room


def place_pairs(density: Density, n: int, r: FloatArray, *, integer: bool) -> tuple[IntArray, Ends]:
    """Return pairs l < u (l < 0 < u with an integer zero point), and which r they serve.

    Panels end where x meets a jump or an extreme, x = l + r (u - l), or r (u - l) with an integer
    zero point.
    """
    low, high = _ranges(density, n, integer=integer)
    jumps = jumps_of(density, zero=integer)
    corners = _corners(r, jumps, integer=integer)
    row, a, b = _panels(corners, low, low[0], low[-1])
    share = _outer_share(density, n, a, b, float(high[-1]))
    kept, counts = _needed(share, a, b, low)
    panel, x, dx = panel_nodes(a[kept], b[kept], counts)
    of = row[kept][panel]
    breaks = _breaks(r[of], x, jumps, integer=integer)
    inner, a, b = _panels(breaks, high, np.maximum(x, high[0]), high[-1])
    at_low = heights(density, x) * dx
    share = _inner_share(density, n, x[inner], a, b) * at_low[inner]
    kept, counts = _needed(share, a, b, high)
    panel, u, du = panel_nodes(a[kept], b[kept], counts)
    at = inner[kept][panel]
    return of[at], Ends(x[at], u, at_low[at], heights(density, u) * du, False, False)


def smooth_pairs(density: Density, n: int, *, integer: bool) -> Ends:
    """Return pairs l < u in panels that end at jumps alone."""
    low, high = _ranges(density, n, integer=integer)
    _, a, b = _panels(np.empty((1, 0)), low, low[0], low[-1])
    kept, counts = _plain(_outer_share(density, n, a, b, float(high[-1])))
    _, x, dx = panel_nodes(a[kept], b[kept], counts)
    row, a, b = _panels(np.empty((x.size, 0)), high, np.maximum(x, high[0]), high[-1])
    at_low = heights(density, x) * dx
    kept, counts = _plain(_inner_share(density, n, x[row], a, b) * at_low[row])
    panel, u, du = panel_nodes(a[kept], b[kept], counts)
    at = row[kept][panel]
    return Ends(x[at], u, at_low[at], heights(density, u) * du, False, False)


def _plain(share: FloatArray) -> tuple[IntArray, IntArray]:
    """Return which panels count, and how many nodes they need that no threshold cuts."""
    most = float(share.max(initial=0.0))
    kept = np.flatnonzero(share > _LITTLE * most)
    least, counts = (np.array(x) for x in zip(*_PLAIN, strict=True))
    return kept, counts[np.searchsorted(least, share[kept] / most)]


def _ranges(density: Density, n: int, *, integer: bool) -> tuple[FloatArray, FloatArray]:
    """Return the ends of panels of both extremes, of either side of 0 where that is asked for."""
    low, high = edges_of(density, n)
    if not integer:
        return low, high
    return (
        np.append(low[low < 0], min(0.0, float(low[-1]))),
        np.append(max(0.0, float(high[0])), high[high > 0]),
    )


def _corners(r: FloatArray, jumps: FloatArray, *, integer: bool) -> FloatArray:
    """Return the smallest values at which a break of the largest one reaches a jump; (r, k)."""
    x, u, r = jumps[None, :, None], jumps[None, None, :], r[:, None, None]
    if not integer:
        return ((x - r * u) / (1 - r)).reshape(r.shape[0], -1)
    meeting = (u - x / r).reshape(r.shape[0], -1)
    share = np.where(r > 0, 1 - r, -r)
    return np.concatenate([meeting, (-u * share / (1 - share)).reshape(r.shape[0], -1)], axis=1)


def _breaks(r: FloatArray, low: FloatArray, jumps: FloatArray, *, integer: bool) -> FloatArray:
    """Return the largest values at which x meets a jump, or an extreme; (low, k)."""
    r, first = r[:, None], low[:, None]
    if not integer:
        return np.where(jumps > first, first + (jumps - first) / r, first)
    share = np.where(r > 0, 1 - r, -r)
    return np.concatenate([first + jumps / r, -first * (1 - share) / share], axis=1)


def _panels(
    breaks: FloatArray, edges: FloatArray, start: FloatArray | float, stop: FloatArray | float
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return rows and ends of what lies between start and stop, cut at breaks and edges."""
    rows = breaks.shape[0]
    start, stop = (np.broadcast_to(x, (rows,))[:, None] for x in (start, stop))
    cuts = np.concatenate([breaks, np.broadcast_to(edges, (rows, edges.size))], axis=1)
    cuts = np.concatenate([start, np.clip(cuts, start, np.maximum(start, stop)), stop], axis=1)
    cuts = np.sort(np.maximum(cuts, start), axis=1)
    row, panel = np.nonzero(np.diff(cuts, axis=1) > _FINEST * np.abs(cuts[:, 1:]))
    return row, cuts[row, panel], cuts[row, panel + 1]


def _needed(
    share: FloatArray, a: FloatArray, b: FloatArray, edges: FloatArray
) -> tuple[IntArray, IntArray]:
    """Return which panels count, and how many nodes they need."""
    most = share.max(initial=0.0)
    kept = np.flatnonzero(share > _LITTLE * most)
    a, b = a[kept], b[kept]
    whole = np.diff(edges)[np.clip(np.searchsorted(edges, 0.5 * (a + b)) - 1, 0, edges.size - 2)]
    (parts, counts), (shares, fewer) = (
        [np.array(x) for x in zip(*table, strict=True)] for table in (_PARTS, _SHARES)
    )
    by_part = counts[np.searchsorted(parts, (b - a) / whole)]
    by_share = fewer[np.searchsorted(shares, share[kept] / most)]
    return kept, np.minimum(by_part, by_share)


def _outer_share(density: Density, n: int, a: FloatArray, b: FloatArray, top: float) -> FloatArray:
    """Return about what panels of the smallest value add."""
    t, w = gauss_legendre(3)
    x = a[:, None] + (b - a)[:, None] * t
    with np.errstate(under="ignore"):
        above = np.maximum(1 - density.cdf(x), 0.0) ** (n - 2)
        found: FloatArray = ((heights(density, x) * above) @ w) * (b - a) * np.square(top - a)
    return found


def _inner_share(
    density: Density, n: int, low: FloatArray, a: FloatArray, b: FloatArray
) -> FloatArray:
    """Return about what panels of the largest value add: the squared width, times its chance."""
    t, w = gauss_legendre(3)
    with np.errstate(under="ignore"):
        mass = (heights(density, a[:, None] + (b - a)[:, None] * t) @ w) * (b - a)
        within = masses(density, low, b)
        found: FloatArray = mass * within ** (n - 2) * np.square(b - low)
    return found


# ---- lines on which a place is given


def _line(cuts: FloatArray, nodes: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return rows, nodes and weights of panels between cuts, in no order, some of them empty."""
    cuts = np.sort(cuts, axis=1)
    row, panel = np.nonzero(np.diff(cuts, axis=1) > 0)
    a, b = cuts[row, panel], cuts[row, panel + 1]
    at, x, dx = panel_nodes(a, b, np.full(a.size, nodes))
    return row[at], x, dx


def pairs_beside(
    density: Density, n: int, point: float, r: FloatArray, *, integer: bool, nodes: int = _LINE
) -> tuple[IntArray, Ends]:
    """Return rows and pairs of extremes that have a point at places between them."""
    low, high = edges_of(density, n)
    r = r[:, None]
    if integer:
        w = np.where(point * r > 0, point / np.where(r == 0, np.inf, r), np.inf)
        # Over the lower extreme: below 0 and the point, and the upper one above.
        start = np.maximum(np.maximum(low[0], high[0] - w), np.maximum(-w, point - w))
        stop = np.minimum(np.minimum(low[-1], high[-1] - w), min(0.0, point))
        some = start < stop
        start, stop, w = (np.where(some, x, 0.0) for x in (start, stop, w))
        cuts = np.concatenate([np.broadcast_to(low, (r.size, low.size)), high - w, start], axis=1)
        row, x, dx = _line(np.clip(np.concatenate([cuts, stop], axis=1), start, stop), nodes)
        w = w[row, 0]
        at_high = heights(density, x + w) * dx * (w * w / abs(point))
        return row, Ends(x, x + w, heights(density, x), at_high, False, False)
    start = np.maximum(np.maximum((point - low[-1]) / r, (high[0] - point) / (1 - r)), 0.0)
    stop = np.minimum((point - low[0]) / r, (high[-1] - point) / (1 - r))
    stop = np.maximum(start, stop)
    cuts = np.concatenate([(point - low) / r, (high - point) / (1 - r), start, stop], axis=1)
    row, width, dw = _line(np.clip(cuts, start, stop), nodes)
    x, u = point - r[row, 0] * width, point + (1 - r[row, 0]) * width
    return row, Ends(x, u, heights(density, x), heights(density, u) * dw * width, False, False)


def pairs_apart(
    density: Density,
    n: int,
    share: FloatArray,
    beside: FloatArray | None,
    nodes: int = _LINE,
) -> tuple[IntArray, Ends]:
    """Return rows and pairs l = -A w, u = (1 - A) w over all w; p(u) du stands for w dw too.

    Panels end where -R w, R of `beside`, meets a mark.
    """
    low, high = edges_of(density, n)
    a = share[:, None]
    nearest, farthest = np.maximum(-low[[-1, 0]], 0.0)
    lowest, highest = np.maximum(high[[0, -1]], 0.0)
    start: FloatArray = np.maximum(nearest / a, lowest / (1 - a))
    stop: FloatArray = np.maximum(start, np.minimum(farthest / a, highest / (1 - a)))
    cuts = [-low[low < 0] / a, high[high > 0] / (1 - a), start, stop]
    if beside is not None:
        jumps = jumps_of(density, zero=False)
        cuts.append(-jumps[jumps < 0] / beside[:, None])
    row, w, dw = _line(np.clip(np.concatenate(cuts, axis=1), start, stop), nodes)
    x, u = -share[row] * w, (1 - share[row]) * w
    return row, Ends(x, u, heights(density, x), heights(density, u) * dw * w, False, False)
