"""Uniform runs under every rounding mode, in constant time a run.

The terms of the formula are those of `_mode_series`. Rounding to odd is nearest rounding among
the odd levels.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_product
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._lattice import (
    joint_zones,
    lattice_sums,
    one_sided,
    reached,
    shortened,
    zones_of,
)
from qerror.analysis._mode_series import ORDER, Series, series_of
from qerror.analysis._patterns import LOWER, UPPER, Pattern, Stretches, ways_of
from qerror.analysis._runs import Runs, Segments, joined, segments_of, whole_segments_of
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import TooLarge
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_MASS_NODES = 16  # a panel's mass to the last bit
_CHUNK = 2**12  # segments of a chunk of scales
_TOGETHER = 2**16  # stretches that are visited together
_MOST = 2**22  # stretches that are visited one by one


def run_sums(grid: Grid, batch: Batch, law: SmoothLaw, rule: RoundingRule, mirrored: bool) -> Sums:
    """Integrate over the cells within the grid's range; `mirrored` says that both halves agree."""
    if rule.mode == "to-odd":
        found = _to_odd(grid, batch, law)
    else:
        size = batch.factors.size
        segments = segments_of(grid)
        rows = max(1, _CHUNK // min(segments.start.size, 128))
        starts = range(0, size, rows)
        chunks = [slice(start, start + rows) for start in starts]
        found = Sums.joined(
            size, [(at, _chunk_sums(batch.rows(at), segments, law, rule)) for at in chunks]
        )
    return replace(found, mean_error=0.0) if mirrored else found


def _to_odd(grid: Grid, batch: Batch, law: SmoothLaw) -> Sums:
    """Sum the runs between odd levels as nearest rounding, and the intervals beside them."""
    start, step, count = whole_segments_of(grid)
    odd_before = np.cumsum(grid.counts % 2) - grid.counts % 2
    first_is_odd = (odd_before % 2 == 0) != grid.even_first
    inner = np.where(first_is_odd, 0.0, 1.0)
    pairs = np.floor((count - inner) / 2)
    last = inner + 2 * pairs
    runs = pairs > 0
    doubled = Segments((start + inner * step)[runs], 2 * step[runs], pairs[runs])
    total = lattice_sums(batch, doubled, law) if runs.any() else Sums()
    before, after = inner > 0, last < count
    single = Segments(
        np.concatenate([start[before], (start + last * step)[after]]),
        np.concatenate([step[before], step[after]]),
        np.ones(np.count_nonzero(before) + np.count_nonzero(after)),
    )
    ways = np.repeat([UPPER, LOWER], [np.count_nonzero(before), np.count_nonzero(after)])
    alone = Runs.of(single, batch.factors)
    return total + _odd_sums(alone, np.tile(ways, batch.factors.size), None, batch)


def _chunk_sums(batch: Batch, segments: Segments, law: SmoothLaw, rule: RoundingRule) -> Sums:
    """Integrate one piece over all segments of each scaled grid."""
    piece = batch.piece
    runs = reached(Runs.of(segments, batch.factors), batch, law)
    runs, astride = runs.cut_at(np.zeros(runs.owner.size))
    runs, odd = one_sided(runs, batch)
    odd = joined([odd, astride])
    total = _odd_sums(odd, _ways(odd, rule), rule.bits, batch)
    runs = shortened(runs, batch, law)
    if not runs.owner.size:
        return total
    index, first, last = zones_of(runs, piece, law)
    zones = runs.at(index)
    step = zones.spacing(piece)
    inner, outer = zones.standard(piece, first), zones.standard(piece, last)
    smooth = step <= np.minimum(law.smooth_step(inner), law.smooth_step(outer))
    parts = _smooth_sums(zones, batch, law, rule, (index, first, last), smooth)
    rough = ~smooth
    return total + parts + _rough_sums(zones.at(rough), batch, law, rule, first[rough], last[rough])


def _ways(runs: Runs, rule: RoundingRule) -> IntArray:
    """Return how single intervals of ascending runs are rounded."""
    low, high = runs.start, runs.start + runs.step
    return ways_of(rule, low, high, np.zeros(low.size, dtype=bool))


def _outward(runs: Runs) -> BoolArray:
    """Tell which runs, each on one side of x = 0, count away from it."""
    far: BoolArray = runs.step * (2 * runs.start + runs.length * runs.step) >= 0
    return far


def _flipped(runs: Runs, rule: RoundingRule) -> BoolArray:
    """Tell which runs see the mirror image of the rule: s becomes 1 - s."""
    match rule.mode:
        case "down":
            return runs.step < 0
        case "up":
            return runs.step > 0
        case "toward-zero":
            return ~_outward(runs)
        case _:
            return ~_outward(runs) if rule.bits else np.zeros(runs.owner.size, dtype=bool)


def _smooth_sums(  # noqa: PLR0917 - zones of one chunk
    zones: Runs,
    batch: Batch,
    law: SmoothLaw,
    rule: RoundingRule,
    where: tuple[IntArray, FloatArray, FloatArray],
    smooth: BoolArray,
) -> Sums:
    """Sum the smooth zones by their mass and the terms at their ends."""
    piece, series = batch.piece, series_of(rule)
    run, first, last = where[0][smooth], where[1][smooth], where[2][smooth]
    zones = zones.at(smooth)
    if not run.size:
        return Sums()
    flipped = _flipped(zones, rule)
    step = zones.spacing(piece)
    nodes, weights = gauss_legendre(_MASS_NODES)
    inner, width = zones.standard(piece, first), (last - first) * step
    u = width[:, None] * nodes
    p = law.pdf(inner)[:, None] * width[:, None] * np.exp(law.log_ratio(inner[:, None], u))
    mass = p @ weights
    lever = ((zones.place(piece, first)[:, None] + u) * p) @ weights
    mean, _, _ = series.sided(flipped)
    square = step * step * series.square * mass
    total = np.array([square, step * mean * mass, step * mean * lever])
    lower, upper = joint_zones(run, first, last)
    sums = _gathered(batch, zones.owner, zones.sign, total)
    for at, j, side in ((lower, first, -1.0), (upper, last, 1.0)):
        ends = zones.at(at)
        terms = side * _end_terms(ends, _at_point(ends, batch, law, j[at]), series, flipped[at])
        sums += _gathered(batch, ends.owner, ends.sign, terms)
    return _as_sums(batch, sums)


def _at_point(
    zones: Runs, batch: Batch, law: SmoothLaw, j: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the step, the place and step^k p^(k) at a point of each run."""
    piece = batch.piece
    z, step = zones.standard(piece, j), zones.spacing(piece)
    return step, zones.place(piece, j), np.array(law.derivatives(z, step, ORDER))


def _end_terms(
    zones: Runs,
    at: tuple[FloatArray, FloatArray, FloatArray],
    series: Series,
    flipped: BoolArray,
) -> FloatArray:
    """Return the terms of the three sums at one end of each zone, shape (3, n)."""
    del zones
    step, x, p = at
    _, squares, means = series.sided(flipped)
    k = np.arange(ORDER + 1)[:, None]
    lower = np.concatenate([np.zeros((1, step.size)), p[:-1]])
    square = step**3 * (squares * p).sum(axis=0)
    mean = step**2 * (means * p).sum(axis=0)
    cross = step**2 * (means * (x * p + k * step * lower)).sum(axis=0)
    return np.array([square, mean, cross])


def _gathered(batch: Batch, owner: IntArray, sign: FloatArray, terms: FloatArray) -> FloatArray:
    """Return int e^2 p, int e p and int x e p per row in units of the spread, shape (3, k)."""
    square, mean, cross = terms
    size = batch.factors.size
    parts = [np.bincount(owner, part, size) for part in (square, sign * mean, cross)]
    return np.array(parts, dtype=np.float64)


def _as_sums(batch: Batch, sums: FloatArray) -> Sums:
    unit = batch.piece.weight * batch.piece.spread
    square, mean, cross = sums
    wide = unit * batch.piece.spread
    return Sums(wide * square, mean_error=unit * mean, cross=wide * cross)


def _rough_sums(  # noqa: PLR0917 - zones of one chunk
    zones: Runs,
    batch: Batch,
    law: SmoothLaw,
    rule: RoundingRule,
    first: FloatArray,
    last: FloatArray,
) -> Sums:
    """Sum the intervals first..last of each zone one by one, in the law's units."""
    counts = (last - first).astype(np.int64)
    _check_count(int(counts.sum()), rule)
    if not counts.sum():
        return Sums()
    index = np.repeat(np.arange(counts.size), counts)
    j = first[index] + (np.arange(index.size) - np.repeat(np.cumsum(counts) - counts, counts))
    step = max(1, _TOGETHER >> (rule.bits or 0))
    starts = range(0, index.size, step)
    parts = (
        _intervals(zones.at(index[a : a + step]), batch, law, rule, j[a : a + step]) for a in starts
    )
    return _as_sums(batch, sum(parts, np.zeros((3, batch.factors.size))))


def _intervals(
    zone: Runs, batch: Batch, law: SmoothLaw, rule: RoundingRule, j: FloatArray
) -> FloatArray:
    """Return the three sums over the intervals from point j of their runs on."""
    ways = _turned(zone, rule)
    owner, form = Stretches.of(ways, rule.bits)
    runs, at = zone.at(owner), j[owner] + form.at
    piece = batch.piece
    step, q, x = runs.spacing(piece), runs.standard(piece, at), runs.place(piece, at)
    ends = runs.standard(piece, at - form.left), runs.standard(piece, at + form.right)
    mass, away, second = law.integrals(q, -step * form.left, step * form.right, ends)
    square = step * step * form.variance * mass + step * form.lean * away + form.bend * second
    sure = form.bend > 0
    cross = -(x * away + second)
    far, about_0 = _far_crosses(runs, at, form, piece)
    cross[far] = about_0
    mean, cross = np.where(sure, -away, 0.0), np.where(sure, cross, 0.0)
    return _gathered(batch, runs.owner, runs.sign, np.array([square, mean, cross]))


def _far_crosses(
    runs: Runs, at: FloatArray, form: Pattern, piece: Piece
) -> tuple[IntArray, FloatArray]:
    """Return `Piece.far_crosses` of stretches for a weight of 1 and in units of the spread."""
    q, ends = runs.near(at), (runs.near(at - form.left), runs.near(at + form.right))
    left, right = np.minimum(*ends) - q, np.maximum(*ends) - q
    far, cross = replace(piece, weight=1.0).far_crosses(q, left, right)
    return far, cross / piece.spread / piece.spread


def _turned(zone: Runs, rule: RoundingRule) -> IntArray:
    """Return how intervals are rounded as seen along their runs."""
    size = zone.owner.size
    inner = rule._replace(mode="down") if rule.mode in {"up", "toward-zero"} else rule
    forward = ways_of(inner, np.zeros(size), np.ones(size), np.zeros(size, dtype=bool))
    return np.where(_flipped(zone, rule), forward + 1, forward)


def _check_count(intervals: int, rule: RoundingRule) -> None:
    count = intervals * rule.parts
    if count > _MOST:
        raise TooLarge(
            f"{rule.name} has {count:,} thresholds where the density is not smooth on the scale of "
            f"a step, more than the {_MOST:,} that are visited one by one; take fewer random bits, "
            "or 'stochastic'"
        )


def _odd_sums(odd: Runs, ways: IntArray, bits: int | None, batch: Batch) -> Sums:
    """Sum single intervals with the piece's own integrals, whatever is inside."""
    if not odd.owner.size:
        return Sums()
    owner, form = Stretches.of(ways, bits)
    runs = odd.at(owner)
    q, rest = two_product(runs.factor, runs.start + form.at * runs.step)
    gap, lost = two_product(runs.factor, runs.step)
    limits = batch.limits and (batch.limits.low[runs.owner], batch.limits.high[runs.owner])
    left, right = -gap * form.left, gap * form.right
    ends_lost = (-lost * form.left, lost * form.right)
    local = batch.piece.integrals(q, left, right, rest, limits, ends_lost)
    cross = -(q * local.first + local.second)
    far, about_0 = batch.piece.far_crosses(q, left, right, limits)
    cross[far] = about_0
    square = gap * gap * form.variance * local.mass + gap * form.lean * local.first
    sure = form.bend > 0
    terms: Iterable[FloatArray] = (
        square + form.bend * local.second,
        np.where(sure, -local.first, 0.0),
        np.where(sure, cross, 0.0),
    )
    size = batch.factors.size
    found = [np.bincount(runs.owner, part, size).astype(np.float64) for part in terms]
    return Sums(found[0], mean_error=found[1], cross=found[2])
