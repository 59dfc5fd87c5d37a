"""Windows that lie alike on the scaled grid at many scales: one set of nodes for all of them.

A block's scale follows its largest magnitude, so that windows of magnitude end at the same ratios
to the scale again and again: theta and 2 theta for powers of two, q for a real scale. Between two
ratios the half cells of the grid are listed once with their Gauss-Legendre nodes; the density is
evaluated at all of them for many scales together, and every moment is a product with weights.
What lies beyond the grid's ends is one more half cell of its last level.
"""

from functools import lru_cache

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_MOST_POINTS = 512  # levels: larger grids go the general way
_LEAST_ROWS = 2  # with the same ratios: one alone goes the general way
_ULPS = 3  # bits of a ratio that are rounding: rows that differ by them share their nodes
_CHUNK = 2**15  # nodes times scales handled together: 256 KiB an array
_LARGEST = 1e150  # squares of it stay within float64
# Shares of a panel width that half a cell takes up, and the nodes that it needs.
_SHARES = np.array([0.005, 0.06, 0.2, 1.0, 2.0, 8.0, 32.0])
_COUNTS = ((1, 4), (1, 6), (1, 8), (1, 12), (1, 20), (4, 20), (16, 20))
"""Equal parts of a half cell, and nodes of each."""


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
    """Integrate over low <= |x| < high where several rows have the same ratios to their scales.

    Returns
    -------
    moments : ndarray, shape (5, k)
        int e^2 p within, below and above the grid's range, int e p and int x e p.
    rest : ndarray of int
        The rows that are left for another path; zero in `moments`.
    """
    found = np.zeros((5, scales.size))
    with np.errstate(over="ignore", invalid="ignore"):
        key = np.stack([low / scales, high / scales])
    alike = (key.view(np.int64) + (1 << (_ULPS - 1))) >> _ULPS
    _, group, sizes = np.unique(alike, axis=1, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    left = [np.flatnonzero(sizes[group] < _LEAST_ROWS)]
    for index in np.flatnonzero(sizes >= _LEAST_ROWS).tolist():
        at = np.flatnonzero(group == index)
        first, last = key[:, at[0]].tolist()
        if last == np.inf:
            left.append(at)
            continue
        mirrored = grid.is_symmetric and density.is_symmetric
        for piece in density.pieces():
            sums, wide = _piece_moments(grid, piece, scales[at], (first, last), mirrored)
            if wide.any():
                left.append(at[wide])
                sums[:, wide] = 0.0
            found[:, at] += sums
    rest = np.unique(np.concatenate(left))
    found[:, rest] = 0.0
    return found, rest


def _piece_moments(
    grid: Grid, piece: Piece, scales: FloatArray, ratios: tuple[float, float], mirrored: bool
) -> tuple[FloatArray, BoolArray]:
    """Return the moments of one piece, and which rows have a half cell too wide for one panel."""
    law = piece.law
    assert isinstance(law, SmoothLaw)
    sides = (piece.high > 0, piece.low < 0 and not mirrored)
    unit = np.minimum(scales / piece.spread, _LARGEST)
    share = _widest(grid, ratios, law, unit)
    found = np.zeros((5, scales.size))
    level = piece.weight / piece.spread
    needed: IntArray = np.asarray(np.searchsorted(_SHARES, share))
    steps: list[int] = sorted(set(needed.tolist()))
    for step in steps:
        if step == _SHARES.size:
            continue
        parts, count = _COUNTS[step]
        nodes, weights = _rule(grid, ratios, sides, parts, count)
        rows = np.flatnonzero(needed == step)
        size = max(1, _CHUNK // nodes.size)
        for start in range(0, rows.size, size):
            at = rows[start : start + size]
            found[:, at] = (level * (law.pdf_outer(unit[at], nodes) @ weights)).T
    cube = scales * scales * scales
    found[:3] *= cube
    found[3] *= scales * scales
    found[4] *= cube
    if mirrored:
        rounding, _, clipped, _, cross = found
        found = np.stack([2 * rounding, clipped, clipped, np.zeros(scales.size), 2 * cross])
    return found, needed == _SHARES.size


def _widest(
    grid: Grid, ratios: tuple[float, float], law: SmoothLaw, unit: FloatArray
) -> FloatArray:
    """Return per scale the largest share of a panel of a half cell that the density reaches."""
    inner, span = _spans(grid, ratios)
    z = np.minimum(unit[:, None] * inner, _LARGEST)
    share = unit[:, None] * span / law.panel_width(z)
    widest: FloatArray = np.where(z < law.spent, share, 0.0).max(axis=1, initial=0.0)
    return widest


@lru_cache(maxsize=512)
def _spans(grid: Grid, ratios: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return inner ends and widths of the half cells of both sides."""
    parts = [_halves(grid, ratios, side) for side in (1.0, -1.0)]
    inner = np.concatenate([np.minimum(np.abs(a), np.abs(b)) for _, a, b, _ in parts])
    span = np.concatenate([b - a for _, a, b, _ in parts])
    return frozen(inner), frozen(span)


def _halves(
    grid: Grid, ratios: tuple[float, float], side: float
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Return levels, ends and kinds (0 within the range, 1 below, 2 above) of the half cells."""
    low, high = ratios if side > 0 else (-ratios[1], -ratios[0])
    points, middles = grid.points, grid.thresholds
    marks = np.concatenate([points, middles])
    inside = marks[(marks > low) & (marks < high)]
    ends = np.unique(np.concatenate([[low], inside, [high]])) if low < high else np.empty(0)
    start, stop = ends[:-1], ends[1:]
    centre = 0.5 * (start + stop)
    level = points[np.searchsorted(middles, centre)]
    kind = np.where(centre < points[0], 1, np.where(centre > points[-1], 2, 0))
    return level, start, stop, kind


@lru_cache(maxsize=512)
def _rule(
    grid: Grid, ratios: tuple[float, float], sides: tuple[bool, bool], parts: int, count: int
) -> tuple[FloatArray, FloatArray]:
    """Return nodes x (m,) and weights (m, 5) of the moments at scale 1."""
    t, w = gauss_legendre(count)
    t = ((np.arange(parts)[:, None] + t) / parts).reshape(-1)
    w = np.tile(w / parts, parts)
    x: list[FloatArray] = []
    columns: list[FloatArray] = []
    for side in (1.0, -1.0):
        if not sides[0 if side > 0 else 1]:
            continue
        level, start, stop, kind = _halves(grid, ratios, side)
        span = (stop - start)[:, None]
        offset = (start - level)[:, None] + span * t
        measure = span * w
        square = measure * offset * offset
        node = level[:, None] + offset
        moments = [np.where((kind == k)[:, None], square, 0.0) for k in range(3)]
        moments += [-measure * offset, -measure * offset * node]
        x.append(node.reshape(-1))
        columns.append(np.stack([part.reshape(-1) for part in moments], axis=-1))
    return frozen(np.concatenate(x)), frozen(np.concatenate(columns))
