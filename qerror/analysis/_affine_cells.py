"""The error of equally spaced levels between two limits, row by row.

A row has the levels anchor + k step, k = 0..steps, and the limits low < x < high, which reach at
most half a step beyond the levels. Unlike the rows of a scaled grid, the levels of a row start
anywhere.
"""

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._affine_excess import excess_moments, reaches
from qerror.analysis._affine_ratios import MOST_SHARE, alike_moments, panel_share, suits
from qerror.analysis._affine_rows import Rows
from qerror.analysis._windows import WindowMoments
from qerror.analysis.rows import row_moments
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.prefix_sums import PrefixSums, minus, shortened, times
from qerror.densities.smooth_law import SmoothLaw
from qerror.densities.uniform import Flat
from qerror.grids import Grid

_MOST_CELLS = 1024  # levels of a row that are summed one by one
_CHUNK = 2**14  # cells handled together
_INNER = np.array([[0], [3], [4], [5]])  # what cells between the outermost levels add to


def cell_moments(density: Density, rows: Rows) -> WindowMoments:
    """Integrate the continuous part of the density over the limits."""
    found = np.zeros((6, rows.low.size))
    for piece in density.pieces():
        if isinstance(piece.law, Flat):
            found[_INNER[:, 0]] += _of_flat(piece, rows)
            found += _ends(piece, rows)
            continue
        if rows.steps > _MOST_CELLS:
            _by_lattice(found, piece, rows)
            continue
        narrow, wide, rest = _sorted(piece, rows)
        if narrow.size:
            found[_INNER, narrow] += alike_moments(piece, rows.at(narrow))
        if wide.size:
            found[_INNER, wide] += excess_moments(piece, rows.at(wide))
        size = max(1, _CHUNK // (rows.steps + 1))
        for start in range(0, rest.size, size):
            at = rest[start : start + size]
            found[:, at] += _by_cells(piece, rows.at(at))
        found += _ends(piece, rows)
    return WindowMoments(*found)


def _sorted(piece: Piece, rows: Rows) -> tuple[IntArray, IntArray, IntArray]:
    """Return which rows have cells that are narrow for the law, wide ones, and all others."""
    law = piece.law
    if not (isinstance(law, SmoothLaw) and not law.branch_at_zero and piece.is_whole):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.arange(rows.low.size)
    share = panel_share(piece, rows)
    wide = (share > MOST_SHARE) & reaches(piece, rows)
    narrow = (share <= MOST_SHARE) if suits(piece, rows) else np.zeros(share.size, dtype=bool)
    return np.flatnonzero(narrow), np.flatnonzero(wide), np.flatnonzero(~(narrow | wide))


def _of_flat(piece: Piece, rows: Rows) -> FloatArray:
    """Return int e^2 p, int e p, int x e p and int x p of a constant, in closed form; (4, k).

    From the place y = k + psi among the levels to another one, the integral of psi^2 is that of
    whole cells, a twelfth of the difference in k, and the difference in psi^3 / 3.
    """
    low = np.maximum(np.maximum(rows.low, rows.anchor), piece.low)
    high = np.maximum(np.minimum(np.minimum(rows.high, rows.top), piece.high), low)
    s, apart = rows.step, (high - low) / rows.step
    k, psi = np.empty((2, s.size)), np.empty((2, s.size))
    for i, x in enumerate((low, high)):
        y = (x - rows.anchor) / s
        k[i] = np.rint(y)
        psi[i] = y - k[i]
    cells = k[1] - k[0]
    # Within a cell the places' difference is the limits'.
    turn = np.where(cells > 0, psi[1] - psi[0], apart)
    square = cells / 12 + turn * (psi[0] ** 2 + psi[0] * psi[1] + psi[1] ** 2) / 3
    mean = 0.5 * turn * (psi[0] + psi[1])
    middle = 0.5 * k[0] * (psi[0] + psi[1]) * turn + 0.5 * cells * (psi[1] ** 2 - 0.25)
    width = high - low
    found = np.stack(
        [
            s**3 * square,
            -s * s * mean,
            -s * s * (rows.anchor * mean + s * (middle + square)),
            width * (low + 0.5 * width),
        ]
    )
    found *= piece.weight / piece.spread
    return found


def _by_cells(piece: Piece, rows: Rows) -> FloatArray:
    """Sum over the cells one by one."""
    low, high, step = (x[:, None] for x in (rows.low, rows.high, rows.step))
    level = rows.anchor[:, None] + np.arange(rows.steps + 1) * step
    left = np.broadcast_to(-0.5 * step, level.shape).copy()
    right = -left
    left[:, 0] = 0.0
    right[:, -1] = 0.0
    left, right = np.maximum(left, low - level), np.minimum(right, high - level)
    right = np.maximum(left, right)
    local = piece.integrals(level.ravel(), left.ravel(), right.ravel())
    mass, first, second = (part.reshape(level.shape) for part in local)
    return np.stack(
        [
            second.sum(axis=1),
            np.zeros(rows.low.size),
            np.zeros(rows.low.size),
            -first.sum(axis=1),
            -(level * first + second).sum(axis=1),
            (level * mass + first).sum(axis=1),
        ]
    )


def _ends(piece: Piece, rows: Rows) -> FloatArray:
    """Integrate what lies beyond the lowest and the highest level."""
    found = np.zeros((6, rows.low.size))
    if rows.zero is None:
        return found
    top, zero = rows.top, np.zeros(rows.low.size)
    for place, level, left, right in (
        (1, rows.anchor, np.minimum(rows.low - rows.anchor, 0.0), zero),
        (2, top, zero, np.maximum(rows.high - top, 0.0)),
    ):
        at = np.flatnonzero(right > left)
        if at.size:
            q = level[at]
            mass, first, second = piece.integrals(q, left[at], right[at])
            found[place, at] = second
            found[3, at] -= first
            found[4, at] -= q * first + second
            found[5, at] += q * mass + first
    return found


def _by_lattice(found: FloatArray, piece: Piece, rows: Rows) -> None:
    """Add the rows of wide formats, each at a cost that does not grow with the levels."""
    grid, zero = Grid.uniform(0.0, 1.0, rows.steps), np.zeros(1)
    for i, (low, high, anchor, step, top) in enumerate(
        zip(
            *(x.tolist() for x in (rows.low, rows.high, rows.anchor, rows.step, rows.top)),
            strict=True,
        )
    ):
        start, stop = max(low, anchor), min(high, top)
        moved = Piece(
            piece.law,
            piece.weight,
            piece.location - anchor,
            piece.spread,
            piece.low - anchor,
            piece.high - anchor,
        )
        part = row_moments(grid, moved, np.array([step]), start - anchor, stop - anchor)
        rounding, below, above, mean, cross = (float(x[0]) for x in part)
        mass, first, _ = piece.integrals(zero + start, zero, zero + (stop - start))
        found[0, i] += rounding + below + above
        found[3, i] += mean
        found[4, i] += cross + anchor * mean
        found[5, i] += float(first[0] + start * mass[0])
    found += _ends(piece, rows)


def point_moments(samples: PrefixSums, rows: Rows) -> WindowMoments:
    """Sum over the point masses between the limits, those on a limit left out."""
    x = samples.positions
    first = np.searchsorted(x, rows.low, "right")
    last = np.maximum(np.searchsorted(x, rows.high, "left"), first)
    found = np.zeros((6, rows.low.size))
    most = int((last - first).max(initial=0))
    size = max(1, _CHUNK // max(1, min(most, rows.steps + 3)))
    for start in range(0, rows.low.size, size):
        at = slice(start, start + size)
        if most <= 2 * rows.steps + 6:
            found[:, at] = _by_point(samples, rows.at(at), first[at], last[at], most)
        else:
            found[:, at] = _by_run(samples, rows.at(at), first[at], last[at])
    return WindowMoments(*(found / samples.unit))


def _by_point(
    samples: PrefixSums, rows: Rows, first: IntArray, last: IntArray, most: int
) -> FloatArray:
    """Round each point by itself."""
    index = first[:, None] + np.arange(most)
    weight = np.where(index < last[:, None], 1.0, 0.0)
    index = np.minimum(index, samples.size - 1)
    x = samples.positions[index]
    weight *= samples.weights[index]
    column = rows.column
    error = column.errors(x)
    square = weight * error * error
    below, above = x < column.anchor, x > column.top
    return np.stack(
        [
            np.where(below | above, 0.0, square).sum(axis=1),
            np.where(below, square, 0.0).sum(axis=1),
            np.where(above, square, 0.0).sum(axis=1),
            (weight * error).sum(axis=1),
            (weight * error * x).sum(axis=1),
            (weight * x).sum(axis=1),
        ]
    )


def _by_run(samples: PrefixSums, rows: Rows, first: IntArray, last: IntArray) -> FloatArray:
    """Sum cell by cell, from running sums."""
    rank = np.arange(rows.steps + 1)
    anchor, step = rows.anchor[:, None], rows.step[:, None]
    level = np.concatenate([anchor, anchor + rank * step, rows.top[:, None]], axis=1)
    inner = anchor + (rank[:-1] + 0.5) * step
    cuts = np.concatenate([anchor, inner, rows.top[:, None]], axis=1)
    ends = np.empty((cuts.shape[0], cuts.shape[1] + 2), dtype=np.int64)
    ends[:, 0], ends[:, -1] = first, last
    ends[:, 1:-1] = np.clip(np.searchsorted(samples.positions, cuts), first[:, None], last[:, None])
    weight, linear, second = samples.runs(ends)
    near = shortened(level)
    away = level - near
    u, v = minus(linear, times(weight, near)), minus(second, times(linear, near))
    square = minus(v, times(u, near)).value + away * (away * weight.high - 2 * u.high)
    square = np.maximum(square, 0.0)
    error = away * weight.high - u.value
    cross = away * linear.high - v.value
    return np.stack(
        [
            square[:, 1:-1].sum(axis=1),
            square[:, 0],
            square[:, -1],
            error.sum(axis=1),
            cross.sum(axis=1),
            linear.value.sum(axis=1),
        ]
    )
