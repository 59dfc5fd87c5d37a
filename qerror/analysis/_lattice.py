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

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._near import FLATTEST, SERIES, nearest
from qerror.analysis._odd import gathered, nothing, odd_sums
from qerror.analysis._runs import Runs, Segments, joined
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import TooLarge

# Shares of the largest step that the whole series is exact for, and how many terms they need: one
# more at a share s makes the rest (s/10)^2 times as small, so that it stays below 1e-20.
_TERMS = ((1e-4, 2), (0.01, 4), (math.inf, len(SERIES)))
# Shares s of a panel that a zone takes up, and the nodes that its mass needs; a zone is at most an
# eighth wider than the panel, which 12 nodes integrate to 1e-16. So the ellipse on which the law is
# analytic has rho = 4.8/s, and m nodes leave rho^-2m: below 1e-18 in each row.
_MASS_NODES = ((1e-4, 2), (0.004, 3), (0.02, 4), (0.1, 6), (0.25, 8), (0.6, 10), (math.inf, 16))
_CHUNK = 2**12  # runs handled together
_CELLS = 2**16  # cells handled together where they are visited one by one
_MOST_CELLS = 2**26  # of one scale, summed one by one: some seconds
_FEW = 8  # cells next to a branch point at 0 that go one by one


def lattice_sums(batch: Batch, segments: Segments, law: SmoothLaw) -> Sums:
    """Integrate over the cells within the grid's range."""
    size = batch.factors.size
    if size == 1:
        return _chunk_sums(batch, segments, law)
    _, reachable = nearest(segments, batch, law, _end_of(batch, law))
    rows = max(1, _CHUNK // min(reachable.start.size + 1, 48))
    if size <= rows:
        return _chunk_sums(batch, segments, law)
    chunks = [slice(start, start + rows) for start in range(0, size, rows)]
    return Sums.joined(size, [(at, _chunk_sums(batch.rows(at), segments, law)) for at in chunks])


def _chunk_sums(batch: Batch, segments: Segments, law: SmoothLaw) -> Sums:
    """Integrate one piece over all segments of each scaled grid."""
    piece = batch.piece
    near, segments = nearest(segments, batch, law, _end_of(batch, law))
    runs = reached(Runs.of(segments, batch.factors), batch, law)
    constant, runs = _collapsed(runs, batch, law)
    constant += near
    runs, odd = one_sided(runs, batch)
    total = (
        constant + odd_sums(odd, batch, law) + _zone_sums(shortened(runs, batch, law), batch, law)
    )
    square, mean, cross = total
    unit = piece.weight * (2.0 if batch.mirrored else 1.0) * piece.spread
    return Sums(
        (unit * piece.spread) * square,
        mean_error=0.0 if batch.mirrored else unit * mean,
        cross=(unit * piece.spread) * cross,
    )


def reached(runs: Runs, batch: Batch, law: SmoothLaw) -> Runs:
    """Drop the runs that the density does not reach."""
    with np.errstate(over="ignore"):
        start = runs.standard(batch.piece, np.zeros(runs.length.size))
        stop = runs.standard(batch.piece, runs.length)
    end = _end_of(batch, law)
    keep = (start < end) & (stop > -end)
    if batch.limits is not None:
        low, high = (end[runs.owner] for end in batch.limits)
        keep &= (runs.near(0.0) <= high) & (runs.near(runs.length) >= low) & (low < high)
    return runs if keep.all() else runs.at(keep)


def _end_of(batch: Batch, law: SmoothLaw) -> float:
    """Return how far from its centre the law counts.

    Beyond `spent` a row that holds the centre has nothing of its error, but many cells: as steep
    as the law is there, each is too wide for the formula.
    """
    if batch.limits is not None:
        low, high = batch.limits
        centre = batch.piece.location
        if not ((low <= centre) & (high >= centre)).all():
            return law.horizon
    return min(law.spent, law.horizon)


def _collapsed(runs: Runs, batch: Batch, law: SmoothLaw) -> tuple[FloatArray, Runs]:
    """Sum the runs next to x = 0 in which the density is constant: D^2/12 times their mass.

    A floating-point grid has most of its binades there. Returns the sums and the other runs.
    """
    piece = batch.piece
    centre = np.array([abs(piece.location) / piece.spread])
    flat = law.flat_width() if centre[0] == 0 else 1e-18 * float(law.panel_width(centre)[0])
    flat = min(flat, FLATTEST)
    stop = runs.start + runs.length * runs.step
    reach = runs.factor * np.maximum(np.abs(runs.start), np.abs(stop))
    near = reach <= flat * piece.spread
    if batch.limits is not None:
        low, high = (end[runs.owner] for end in batch.limits)
        near &= (runs.near(0.0) > low) & (runs.near(runs.length) < high)
    if not near.any():
        return nothing(batch), runs
    chosen = runs.at(near)
    step = chosen.spacing(piece)
    mass = step * chosen.length * law.pdf(centre)
    square = step * step * mass
    # Between grid points int x e = D^2/24 per unit; about the law's centre int e vanishes.
    sums = gathered(batch, chosen.owner, square / 12, np.zeros(step.size), square / 24)
    return sums, runs.at(~near)


def one_sided(runs: Runs, batch: Batch) -> tuple[Runs, Runs]:
    """Cut the runs at the law's centre and the limits, and mirror those below the centre.

    Returns the runs, all on z >= 0 and inside the limits, and the single intervals in which a
    cut fell between two grid points. Cuts are places x, compared to the points to more than
    double precision: a jump of the density at an inexact place would cost as many digits as
    the step is narrow.
    """
    centre = batch.piece.location
    odd: list[Runs] = []
    cuts = [np.full(batch.factors.size, centre), *(batch.limits or ())]
    for cut in cuts:
        if np.isfinite(cut).any():
            runs, interval = runs.cut_at(cut[runs.owner])
            odd.append(interval)
    if batch.limits is not None:
        low, high = (end[runs.owner] for end in batch.limits)
        inside = (runs.near(0.0) < high) & (runs.near(runs.length) > low)
        # Next to a limit at 0 a step may be below every float, and its D^2/12 long before.
        runs = runs.at(inside & (runs.spacing(batch.piece) > 0))
    below = runs.standard(batch.piece, runs.length) <= 0
    if below.any():
        runs = joined([runs.at(~below), runs.at(below).reversed()])
    return runs, joined(odd)


def shortened(runs: Runs, batch: Batch, law: SmoothLaw) -> Runs:
    """End the runs, which lead outwards, where the density does."""
    piece, end = batch.piece, _end_of(batch, law)
    if end == math.inf:
        return runs
    start = runs.standard(piece, np.zeros(runs.length.size))
    reach = np.ceil(np.maximum(end - start, 0.0) / runs.spacing(piece))
    runs = runs._replace(length=np.minimum(runs.length, reach))
    return runs.at(runs.length > 0)


def _zone_sums(runs: Runs, batch: Batch, law: SmoothLaw) -> FloatArray:
    """Cut the runs into zones, and sum each by the formula or cell by cell."""
    if not runs.owner.size:
        return nothing(batch)
    piece = batch.piece
    index, first, last = zones_of(runs, piece, law)
    zones = runs.at(index)
    step = zones.spacing(piece)
    inner, outer = zones.standard(piece, first), zones.standard(piece, last)
    smooth = step <= np.minimum(law.smooth_step(inner), law.smooth_step(outer))
    rough = ~smooth
    whole = _smooth_sums(zones.at(smooth), batch, law, index[smooth], (first[smooth], last[smooth]))
    return whole + _cell_sums(zones.at(rough), batch, law, (first[rough], last[rough]))


def zones_of(runs: Runs, piece: Piece, law: SmoothLaw) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return runs and their first and last points between neighbouring breaks of the law."""
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


def _smooth_sums(
    zones: Runs, batch: Batch, law: SmoothLaw, run: IntArray, points: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Sum zones, each a run's points first..last, by the Euler-Maclaurin formula."""
    if not run.size:
        return nothing(batch)
    piece, (first, last) = batch.piece, points
    step = zones.spacing(piece)
    mass = _masses(law, zones.standard(piece, first), (last - first) * step)
    zeros = np.zeros(run.size)
    sums = gathered(batch, zones.owner, step * step / 12 * mass, zeros, zeros)
    lower, upper = joint_zones(run, first, last)
    ends = np.append(np.flatnonzero(lower), np.flatnonzero(upper))
    side = np.where(np.arange(ends.size) < np.count_nonzero(lower), -1.0, 1.0)
    j = np.where(side < 0, first[ends], last[ends])
    ends, zones = np.arange(ends.size), zones.at(ends)
    z = zones.standard(piece, j)
    share = zones.spacing(piece) / law.smooth_step(z)
    least = -1.0
    for most, terms in _TERMS:
        at = ends[(share > least) & (share <= most)]
        least = most
        if at.size:
            sums += _end_sums(zones.at(at), batch, law, (j[at], z[at], side[at]), terms)
    return sums


def _masses(law: SmoothLaw, inner: FloatArray, width: FloatArray) -> FloatArray:
    """Return int p over zones, by the nodes that each needs."""
    mass = law.pdf(inner) * width
    share = width / law.panel_width(inner)
    lower = -1.0
    for upper, count in _MASS_NODES:
        at = np.flatnonzero((share > lower) & (share <= upper))
        lower = upper
        if at.size:
            nodes, weights = gauss_legendre(count)
            p = law.log_ratio(inner[at, None], width[at, None] * nodes)
            mass[at] *= np.exp(p) @ weights
    return mass


def joint_zones(run: IntArray, first: FloatArray, last: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Tell which smooth zones have terms at their first point, and which at their last.

    Where two of a run meet, their end terms cancel exactly: both are left out.
    """
    joint: BoolArray = (run[1:] == run[:-1]) & (first[1:] == last[:-1])
    return np.append(True, ~joint), np.append(~joint, True)


def _end_sums(
    zones: Runs,
    batch: Batch,
    law: SmoothLaw,
    ends: tuple[FloatArray, FloatArray, FloatArray],
    terms: int,
) -> FloatArray:
    """Return the first terms of the formula, in derivatives, at ends of zones.

    Parameters
    ----------
    ends : tuple of arrays
        Which points they are, where these lie, and whether a zone begins there (-1) or ends (1).
    """
    piece, (j, z, side) = batch.piece, ends
    step = zones.spacing(piece)
    x = z if piece.location == 0 else zones.place(piece, j)
    p = law.derivatives(z, step, 2 * terms - 2)
    square, mean, cross = np.zeros((3, z.size))
    for m, b in enumerate(SERIES[:terms]):
        k = 2 * m
        mean -= b * p[k]
        cross -= b * (x * p[k] + (k * step * p[k - 1] if k else 0.0))
        if m:
            square -= 2 * b * p[k - 1]
    scale = side * step * step
    return gathered(
        batch, zones.owner, scale * step * square, zones.sign * scale * mean, scale * cross
    )


def _cell_sums(
    runs: Runs, batch: Batch, law: SmoothLaw, points: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Sum the points first..last of each run one by one, in bounded memory."""
    total = nothing(batch)
    first, last = points
    size = last - first
    if not size.size:
        return total
    if size.sum() > _MOST_CELLS:
        raise TooLarge(
            f"{int(size.sum()):,} cells of this grid are too wide for the formula of narrow ones, "
            f"more than the {_MOST_CELLS:,} that are visited one by one; choose a smaller scale or "
            "fewer bits"
        )
    # Long runs are parted at points, whose cells then lie half in either part.
    parts = np.ceil(size / _CELLS).astype(np.int64)
    index = np.repeat(np.arange(parts.size), parts)
    rank = np.arange(index.size) - np.repeat(np.cumsum(parts) - parts, parts)
    first = first[index] + rank * _CELLS
    last = np.minimum(first + _CELLS, last[index])
    parted: FloatArray = last - first
    full = np.arange(1, math.ceil(int(size.sum()) / _CELLS) + 1) * _CELLS
    ends = np.cumsum(parted).searchsorted(full, "right")
    for at in np.split(np.arange(index.size), ends):
        if at.size:
            total += _one_by_one(runs.at(index[at]), batch, law, (first[at], last[at]))
    return total


def _one_by_one(
    runs: Runs, batch: Batch, law: SmoothLaw, points: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Sum the points first..last of each run; the outer two have half a cell."""
    piece, (first, last) = batch.piece, points
    size = (last - first + 1).astype(np.int64)
    index = np.repeat(np.arange(size.size), size)
    rank = (np.arange(index.size) - np.repeat(np.cumsum(size) - size, size)).astype(np.float64)
    cells, j = runs.at(index), first[index] + rank
    z = cells.standard(piece, j)
    x = z if piece.location == 0 else cells.place(piece, j)
    half = 0.5 * cells.spacing(piece)
    left = np.where(rank > 0, -half, 0.0)
    right = np.where(rank < size[index] - 1, half, 0.0)
    local = law.integrals(z, left, right)
    return gathered(
        batch,
        cells.owner,
        local.second,
        -cells.sign * local.first,
        -x * local.first - local.second,
    )
