"""Uniform runs under every rounding mode, in constant time a run.

With u the place of x in its interval of length D, from 0 at the lower level to 1, rounding at a
threshold 1 - s has the error e = D (s - 1/2 - B_1(u + s)), B_n the periodic Bernoulli
polynomials: s = 0 rounds down, 1/2 to the nearest, 1 up. Since B_1^2 = B_2 + 1/12, repeated
integration by parts over a run gives

    int e^2 p = D^2 ((s-1/2)^2 + 1/12) P + sum_k (-1)^k D^(k+3) S_k [p^(k)],
        S_k = 2 B_(k+3)(s) / (k+3)! - 2 (s-1/2) B_(k+2)(s) / (k+2)!
    int e p   = D (s-1/2) P - sum_k (-1)^k D^(k+2) F_k [p^(k)],      F_k = B_(k+2)(s) / (k+2)!

and x e p as the second, with f = x p. Stochastic rounding is the mean over s, uniform in [0, 1],
or in 0, 1/N, ..., (N-1)/N where k = log2 N bits are drawn; the means are rational numbers. To
odd is nearest rounding among the odd levels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

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
from qerror.analysis._patterns import LOWER, UPPER, Stretches, ways_of
from qerror.analysis._runs import Runs, Segments, joined, segments_of
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import TooLarge
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_ORDER = 12  # derivatives at the ends of a run, as many as for nearest rounding
_MASS_NODES = 16
_CHUNK = 2**12
_TOGETHER = 2**16  # stretches that are handled together
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
    start, step, count = segments_of(grid)
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
    runs = shortened(runs, piece, law)
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


@dataclass(frozen=True, eq=False)
class _Series:
    """What one rule leaves in each interval of a run, in units of its step."""

    square: float
    """The mean of e^2"""
    mean: float
    """and of e."""
    square_ends: FloatArray
    """(-1)^k S_k"""
    mean_ends: FloatArray
    """and -(-1)^k F_k, k = 0.._ORDER."""

    def sided(self, flipped: BoolArray) -> "tuple[FloatArray, FloatArray, FloatArray]":
        """Return mean, S and F for each run: shape (n,), (order + 1, n) twice."""
        sign = np.where(flipped, -1.0, 1.0)
        odd: BoolArray = np.arange(_ORDER + 1) % 2 == 1
        turned = np.where(odd[:, None], 1.0, sign)  # S_k turns its sign where k is even
        other = np.where(odd[:, None], sign, 1.0)  # F_k where it is odd
        squares, means = self.square_ends[:, None] * turned, self.mean_ends[:, None] * other
        return sign * self.mean, squares, means


@lru_cache(maxsize=64)
def _series(rule: RoundingRule) -> _Series:
    """Return the series of rounding toward the start of a run, to the nearest, or drawn."""
    count = None if rule.mode == "stochastic" and rule.bits is None else 1
    if rule.bits is not None:
        count = 1 << rule.bits
    bernoulli = _bernoulli(_ORDER + 5)

    def plain(n: int) -> Fraction:
        """Return the mean of B_n(s)."""
        if count is None:
            return Fraction(0)
        return bernoulli[n] / Fraction(count) ** n

    def weighted(n: int) -> Fraction:
        """Return the mean of (s - 1/2) B_n(s), by the product of Bernoulli polynomials."""
        whole = bernoulli[n + 1] / (n + 1)
        if count is None:
            return whole
        total = plain(n + 1) + whole  # the term 2k = 0 is B_(n+1)(s) (n + 1) / (n + 1)
        for k in range(2, n + 1, 2):
            total += math.comb(n, k) * bernoulli[k] * plain(n + 1 - k) / (n + 1 - k)
        return total

    squares, means = np.empty(_ORDER + 1), np.empty(_ORDER + 1)
    for k in range(_ORDER + 1):
        f = plain(k + 2) / math.factorial(k + 2)
        s = 2 * plain(k + 3) / math.factorial(k + 3) - 2 * weighted(k + 2) / math.factorial(k + 2)
        squares[k], means[k] = float((-1) ** k * s), float(-((-1) ** k) * f)
    return _Series(float(weighted(1) + Fraction(1, 12)), float(plain(1)), squares, means)


def _bernoulli(count: int) -> list[Fraction]:
    """Return B_0 .. B_count, with B_1 = -1/2."""
    found = [Fraction(1)]
    for n in range(1, count + 1):
        total = sum((math.comb(n + 1, k) * found[k] for k in range(n)), Fraction(0))
        found.append(-total / (n + 1))
    return found


def _smooth_sums(  # noqa: PLR0917 - zones of one chunk
    zones: Runs,
    batch: Batch,
    law: SmoothLaw,
    rule: RoundingRule,
    where: tuple[IntArray, FloatArray, FloatArray],
    smooth: BoolArray,
) -> Sums:
    """Sum the smooth zones by their mass and the terms at their ends."""
    piece, series = batch.piece, _series(rule)
    zones, (run, first, last) = zones.at(smooth), (part[smooth] for part in where)
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
        terms = side * _end_terms(ends, piece_terms(ends, batch, law, j[at]), series, flipped[at])
        sums += _gathered(batch, ends.owner, ends.sign, terms)
    return _as_sums(batch, sums)


def piece_terms(
    zones: Runs, batch: Batch, law: SmoothLaw, j: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the step, the place and step^k p^(k) at a point of each run."""
    piece = batch.piece
    z, step = zones.standard(piece, j), zones.spacing(piece)
    return step, zones.place(piece, j), np.array(law.derivatives(z, step, _ORDER))


def _end_terms(
    zones: Runs,
    at: tuple[FloatArray, FloatArray, FloatArray],
    series: _Series,
    flipped: BoolArray,
) -> FloatArray:
    """Return the terms of the three sums at one end of each zone, shape (3, n)."""
    del zones
    step, x, p = at
    _, squares, means = series.sided(flipped)
    k = np.arange(_ORDER + 1)[:, None]
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
    mass, away, second = law.integrals(q, -step * form.left, step * form.right)
    square = step * step * form.variance * mass + step * form.lean * away + form.bend * second
    sure = form.bend > 0
    mean, cross = np.where(sure, -away, 0.0), np.where(sure, -(x * away + second), 0.0)
    return _gathered(batch, runs.owner, runs.sign, np.array([square, mean, cross]))


def _turned(zone: Runs, rule: RoundingRule) -> IntArray:
    """Return how intervals are rounded as seen along their runs."""
    forward = ways_of(
        rule._replace(mode="down") if rule.mode in {"up", "toward-zero"} else rule,
        *(np.full(zone.owner.size, end) for end in (0.0, 1.0)),
        np.zeros(zone.owner.size, dtype=bool),
    )
    return np.where(_flipped(zone, rule), forward + 1, forward)


def _check_count(intervals: int, rule: RoundingRule) -> None:
    count = intervals * (1 if rule.bits is None else 1 << rule.bits)
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
    gap = runs.factor * runs.step
    limits = batch.limits and (batch.limits.low[runs.owner], batch.limits.high[runs.owner])
    local = batch.piece.integrals(q, -gap * form.left, gap * form.right, rest, limits)
    square = gap * gap * form.variance * local.mass + gap * form.lean * local.first
    sure = form.bend > 0
    terms: Iterable[FloatArray] = (
        square + form.bend * local.second,
        np.where(sure, -local.first, 0.0),
        np.where(sure, -(q * local.first + local.second), 0.0),
    )
    size = batch.factors.size
    found = [np.bincount(runs.owner, part, size).astype(np.float64) for part in terms]
    return Sums(found[0], mean_error=found[1], cross=found[2])
