"""Uniform segments in constant time: the error of 2^32 cells at the cost of a few.

Over a run of equal steps D between grid points A and E, where the density p is smooth on the
step's scale, the Euler-Maclaurin formula at half-integers gives, with b_m = B_2m(1/2) / (2m)!,

    int e^2 p = D^2/12 P(A, E) - 2 sum_{m>=2} b_m D^2m [p^(2m-3)]
    int e p   =                -   sum_{m>=1} b_m D^2m [p^(2m-2)]
    int x e p =                -   sum_{m>=1} b_m D^2m [f^(2m-2)],   f = x p.

A run is cut into zones at the law's panel edges. A zone whose step is small against the law
there is summed by the formula; any other zone goes cell by cell, and has few cells. The end
terms alone are no test of that: with all of a density inside one coarse cell they vanish, and
the answer would be wrong.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_product
from qerror.analysis._cells import add_tails
from qerror.analysis._sums import Sums
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

# b_m = B_2m(1/2) / (2m)! = -(1 - 2^(1-2m)) B_2m / (2m)!
_SERIES = (
    -1 / 24,
    7 / 5760,
    -31 / 967680,
    127 / 154828800,
    -73 / 3503554560,
    1414477 / 2678117105664000,
    -8191 / 612141052723200,
)
_ORDER = 2 * len(_SERIES) - 2
_MASS_NODES = 16  # a zone is at most an eighth wider than the panel that 12 nodes serve
_CHUNK = 2**12
_FEW = 8  # cells next to a branch point at 0 that go one by one


class Segments(NamedTuple):
    """The uniform runs of a grid before its factor, or of its upper half."""

    start: FloatArray
    step: FloatArray
    length: FloatArray


def segments_of(grid: Grid, mirrored: bool) -> Segments | None:
    """List a grid's segments, or those of its upper half; None if 0 is not a point."""
    start, step, count = grid.edges[:-1], grid.steps, grid.counts.astype(np.float64)
    if not mirrored:
        return Segments(start, step, count)
    stop = grid.edges[1:]
    upper = stop > 0
    start, step, count = start[upper], step[upper], count[upper]
    if start[0] < 0:
        if grid.counts[upper][0] % 2:
            return None
        start = np.append(0.0, start[1:])
        count = np.append(0.5 * count[0], count[1:])
    return Segments(start, step, count)


def add_lattice(sums: Sums, grid: Grid, density: Density, scales: FloatArray) -> None:
    """Add the continuous part of the density, for every scale."""
    mirrored = grid.is_symmetric and density.is_symmetric
    segments = segments_of(grid, mirrored)
    if segments is None:
        mirrored, segments = False, segments_of(grid, mirrored=False)
        assert segments is not None
    rows = max(1, _CHUNK // min(segments.start.size, 128))
    ends = grid.edges[[0, -1]]
    for begin in range(0, scales.size, rows):
        chunk = slice(begin, begin + rows)
        factors = grid.factor * scales[chunk]
        for piece in density.pieces():
            _add_piece(sums, chunk, segments, mirrored, piece, factors)
            add_tails(sums, chunk, ends, mirrored, piece, factors[:, None])


class _Runs(NamedTuple):
    """Uniform runs on the grid, each belonging to one scale.

    Point j of a run, 0 <= j <= count, lies at x = factor (start + j step). In the law's units
    it is z = sign (x - location) / spread; a run with sign -1 counts downwards, so that z >= 0
    once the runs have been cut at the law's centre.
    """

    owner: IntArray
    factor: FloatArray
    start: FloatArray
    step: FloatArray
    length: FloatArray
    sign: FloatArray

    def at(self, index: BoolArray | IntArray) -> "_Runs":
        """Return some of the runs."""
        return _Runs(
            self.owner[index],
            self.factor[index],
            self.start[index],
            self.step[index],
            self.length[index],
            self.sign[index],
        )

    def standard(self, piece: Piece, j: FloatArray) -> FloatArray:
        """Return the position of point j in the law's units."""
        base = self.start + j * self.step
        if piece.location == 0:
            return self.sign * (self.factor * base) / piece.spread
        x, rest = two_product(self.factor, base)
        return self.sign * ((x - piece.location) + rest) / piece.spread

    def spacing(self, piece: Piece) -> FloatArray:
        """Return the step in the law's units."""
        return self.factor * np.abs(self.step) / piece.spread

    def part(self, first: FloatArray, last: FloatArray) -> "_Runs":
        """Return the points first..last of each run."""
        return self._replace(start=self.start + first * self.step, length=last - first)

    def reversed(self) -> "_Runs":
        """Return the runs counted from their other ends, seen in the law's mirror."""
        return self._replace(
            start=self.start + self.length * self.step, step=-self.step, sign=-self.sign
        )


def _joined(parts: list[_Runs]) -> _Runs:
    owner = np.concatenate([part.owner for part in parts])
    rest = (np.concatenate([part[k] for part in parts]) for k in range(1, 6))
    factor, start, step, length, sign = (field.astype(np.float64) for field in rest)
    return _Runs(owner, factor, start, step, length, sign)


class _Moments:
    """Running int e^2 p, int e p and int z e p per scale, in the law's units."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.square, self.mean, self.cross = np.zeros((3, size))

    def add(self, owner: IntArray, square: FloatArray, mean: FloatArray, cross: FloatArray) -> None:
        self.square += np.bincount(owner, square, self.size)
        self.mean += np.bincount(owner, mean, self.size)
        self.cross += np.bincount(owner, cross, self.size)


def _add_piece(  # noqa: PLR0917 - one chunk's description
    sums: Sums,
    chunk: slice,
    segments: Segments,
    mirrored: bool,
    piece: Piece,
    factors: FloatArray,
) -> None:
    """Integrate one piece over all segments of each scaled grid."""
    moments = _Moments(factors.size)
    runs = _inside(_flattened(segments, factors), piece)
    runs = _collapsed(moments, runs, piece)
    runs, odd = _one_sided(runs, piece)
    _add_odd(moments, odd, piece)
    _add_zones(moments, _shortened(runs, piece), piece)
    weight = piece.weight * (2.0 if mirrored else 1.0)
    unit = weight * piece.spread
    sums.rounding[chunk] += unit * piece.spread * moments.square
    sums.cross[chunk] += unit * piece.spread * moments.cross
    if not mirrored:
        sums.mean_error[chunk] += unit * moments.mean
        sums.cross[chunk] += unit * piece.location * moments.mean


def _flattened(segments: Segments, factors: FloatArray) -> _Runs:
    """Return every segment at every scale, scale by scale."""
    n, k = segments.start.size, factors.size
    return _Runs(
        np.repeat(np.arange(k), n),
        np.repeat(factors, n),
        np.tile(segments.start, k),
        np.tile(segments.step, k),
        np.tile(segments.length, k),
        np.ones(n * k),
    )


def _law(piece: Piece) -> SmoothLaw:
    assert isinstance(piece.law, SmoothLaw)
    return piece.law


def _limits(piece: Piece) -> tuple[float, float]:
    """Return where the piece ends in the law's units, or where nothing is left of it."""
    horizon = _law(piece).horizon
    low = (piece.low - piece.location) / piece.spread
    high = (piece.high - piece.location) / piece.spread
    return max(low, -horizon), min(high, horizon)


def _inside(runs: _Runs, piece: Piece) -> _Runs:
    """Drop the runs that the density does not reach."""
    low, high = _limits(piece)
    with np.errstate(over="ignore"):
        start = runs.standard(piece, np.zeros(runs.length.size))
        stop = runs.standard(piece, runs.length)
    keep = (start < high) & (stop > low)
    return runs if keep.all() else runs.at(keep)


def _collapsed(moments: _Moments, runs: _Runs, piece: Piece) -> _Runs:
    """Sum the runs next to x = 0 in which the density is constant: D^2/12 times their mass.

    A floating-point grid has most of its binades there.
    """
    law = _law(piece)
    centre = np.array([abs(piece.location) / piece.spread])
    flat = law.flat_width() if centre[0] == 0 else 1e-18 * float(law.panel_width(centre)[0])
    flat = min(flat, 1e300)
    stop = runs.start + runs.length * runs.step
    reach = runs.factor * np.maximum(np.abs(runs.start), np.abs(stop))
    near = (reach <= flat * piece.spread) & _uncut(runs, piece)
    if not near.any():
        return runs
    chosen = runs.at(near)
    step = chosen.spacing(piece)
    mass = step * chosen.length * law.pdf(centre)
    square = step * step * mass
    # Between grid points int x e = D^2/24 per unit; about the law's centre int e vanishes.
    moments.add(chosen.owner, square / 12, np.zeros(step.size), square / 24)
    return runs.at(~near)


def _uncut(runs: _Runs, piece: Piece) -> BoolArray:
    """Tell which runs lie wholly inside the piece."""
    stop = runs.start + runs.length * runs.step
    return (runs.factor * runs.start >= piece.low) & (runs.factor * stop <= piece.high)


def _one_sided(runs: _Runs, piece: Piece) -> tuple[_Runs, _Runs]:
    """Cut the runs at the law's centre and the piece's limits and mirror those below 0.

    Returns the runs, all on z >= 0 and inside the limits, and the single intervals in which a
    cut fell between two grid points.
    """
    odd = [runs.at(np.zeros(runs.owner.size, dtype=bool))]
    low, high = ((end - piece.location) / piece.spread for end in (piece.low, piece.high))
    for cut in (0.0, low, high):
        if math.isfinite(cut):
            runs, interval = _cut_at(runs, piece, cut)
            odd.append(interval)
    start = runs.standard(piece, np.zeros(runs.length.size))
    stop = runs.standard(piece, runs.length)
    keep = (start >= low) & (stop <= high)
    runs, stop = runs.at(keep), stop[keep]
    below = stop <= 0
    if below.any():
        runs = _joined([runs.at(~below), runs.at(below).reversed()])
    return runs, _joined(odd)


def _cut_at(runs: _Runs, piece: Piece, cut: float) -> tuple[_Runs, _Runs]:
    """Cut ascending runs at z = `cut`; an interval that holds it inside comes out alone."""
    start = runs.standard(piece, np.zeros(runs.length.size))
    stop = runs.standard(piece, runs.length)
    hit = (start < cut) & (stop > cut)
    if not hit.any():
        return runs, runs.at(hit)
    target = runs.at(hit)
    j = np.floor((cut - start[hit]) / target.spacing(piece))
    j = np.clip(j, 0, target.length - 1)
    j -= target.standard(piece, j) > cut  # the quotient may be one off
    j += target.standard(piece, j + 1) <= cut
    on_point = target.standard(piece, j) == cut
    next_point = np.where(on_point, j, j + 1)
    lower, upper = target.part(np.zeros(j.size), j), target.part(next_point, target.length)
    interval = target.part(j, next_point).at(~on_point)
    return (
        _joined([runs.at(~hit), lower.at(lower.length > 0), upper.at(upper.length > 0)]),
        interval,
    )


def _shortened(runs: _Runs, piece: Piece) -> _Runs:
    """End the runs, which lead outwards, where the density does."""
    horizon = _law(piece).horizon
    if horizon == math.inf:
        return runs
    start = runs.standard(piece, np.zeros(runs.length.size))
    reach = np.ceil(np.maximum(horizon - start, 0.0) / runs.spacing(piece))
    runs = runs._replace(length=np.minimum(runs.length, reach))
    return runs.at(runs.length > 0)


def _add_zones(moments: _Moments, runs: _Runs, piece: Piece) -> None:
    """Cut the runs into zones, and sum each by the formula or cell by cell."""
    if not runs.owner.size:
        return
    law = _law(piece)
    index, first, last = _zones(runs, piece)
    zones = runs.at(index)
    step = zones.spacing(piece)
    inner, outer = zones.standard(piece, first), zones.standard(piece, last)
    smooth = step <= np.minimum(law.smooth_step(inner), law.smooth_step(outer))
    _add_smooth(moments, zones.at(smooth), piece, index[smooth], first[smooth], last[smooth])
    rough = ~smooth
    _add_cells(moments, zones.at(rough), piece, first[rough], last[rough])


def _zones(runs: _Runs, piece: Piece) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return runs and their first and last points between neighbouring breaks of the law."""
    law = _law(piece)
    step = runs.spacing(piece)
    start = runs.standard(piece, np.zeros(step.size))
    stop = runs.standard(piece, runs.length)
    near = np.maximum(start, _FEW * step)
    edges = law.breaks(float(near.min()), float(min(stop.max(), 1e290)))
    lower = np.searchsorted(edges, near, "right")
    upper = np.searchsorted(edges, stop, "left")
    pieces = np.maximum(upper - lower, 0) + 1
    index = np.repeat(np.arange(step.size), pieces)
    rank = np.arange(index.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    edge = np.append(edges, math.inf)[np.minimum(lower[index] + rank, edges.size)]
    with np.errstate(over="ignore"):
        last = np.floor((edge - start[index]) / step[index])
    last = np.where(rank == pieces[index] - 1, runs.length[index], last)
    last = np.clip(last, 0, runs.length[index])
    first = np.where(rank == 0, 0.0, np.append(0.0, last[:-1]))
    keep = last > first
    return index[keep], first[keep], last[keep]


def _add_smooth(  # noqa: PLR0917 - one zone's description
    moments: _Moments,
    zones: _Runs,
    piece: Piece,
    run: IntArray,
    first: FloatArray,
    last: FloatArray,
) -> None:
    """Add zones by the Euler-Maclaurin formula."""
    if not run.size:
        return
    law, step = _law(piece), zones.spacing(piece)
    nodes, weights = gauss_legendre(_MASS_NODES)
    inner = zones.standard(piece, first)
    width = (last - first) * step
    shape = np.exp(law.log_ratio(inner[:, None], width[:, None] * nodes)) @ weights
    mass = law.pdf(inner) * width * shape
    nothing = np.zeros(run.size)
    moments.add(zones.owner, step * step / 12 * mass, nothing, nothing)
    # Where two smooth zones of a run meet, their end terms cancel exactly: leave both out.
    joint = (run[1:] == run[:-1]) & (first[1:] == last[:-1])
    lower = np.append(True, ~joint)
    upper = np.append(~joint, True)
    _add_ends(moments, zones.at(lower), piece, first[lower], -1.0)
    _add_ends(moments, zones.at(upper), piece, last[upper], 1.0)


def _add_ends(moments: _Moments, zones: _Runs, piece: Piece, j: FloatArray, side: float) -> None:
    """Add the derivative terms of the formula at one end of each zone."""
    z, step = zones.standard(piece, j), zones.spacing(piece)
    p = _law(piece).derivatives(z, step, _ORDER)
    square, mean, cross = np.zeros((3, z.size))
    for m, b in enumerate(_SERIES):
        k = 2 * m
        mean -= b * p[k]
        cross -= b * (z * p[k] + (k * step * p[k - 1] if k else 0.0))
        if m:
            square -= 2 * b * p[k - 1]
    scale = side * step * step
    moments.add(zones.owner, scale * step * square, zones.sign * scale * mean, scale * cross)


def _add_cells(
    moments: _Moments, runs: _Runs, piece: Piece, first: FloatArray, last: FloatArray
) -> None:
    """Add the points first..last of each run one by one; the outer two have half a cell."""
    if not runs.owner.size:
        return
    size = (last - first + 1).astype(np.int64)
    index = np.repeat(np.arange(size.size), size)
    rank = (np.arange(index.size) - np.repeat(np.cumsum(size) - size, size)).astype(np.float64)
    cells = runs.at(index)
    z = cells.standard(piece, first[index] + rank)
    half = 0.5 * cells.spacing(piece)
    left = np.where(rank > 0, -half, 0.0)
    right = np.where(rank < size[index] - 1, half, 0.0)
    local = _law(piece).integrals(z, left, right)
    moments.add(
        cells.owner,
        local.second,
        -cells.sign * local.first,
        -z * local.first - local.second,
    )


def _add_odd(moments: _Moments, odd: _Runs, piece: Piece) -> None:
    """Add single intervals that hold the law's centre or a limit of the piece inside.

    The limits are compared in the units of x, with the points to double precision and more: a
    jump of the density at an inexact place would cost as many digits as the step is narrow.
    """
    if not odd.owner.size:
        return
    bare = replace(piece, weight=1.0)
    unit = piece.spread
    for j, side in ((0.0, 1.0), (1.0, -1.0)):
        q, rest = two_product(odd.factor, odd.start + j * odd.step)
        half = side * 0.5 * odd.factor * odd.step
        local = bare.integrals(q, np.minimum(half, 0.0), np.maximum(half, 0.0), rest)
        z = odd.standard(piece, np.full(q.size, j))
        first, second = local.first / unit, local.second / unit / unit
        moments.add(odd.owner, second, -first, -z * first - second)
