"""Every rounding mode by the same integrals: intervals between levels, cut into stretches.

Nearest rounding has quicker paths of its own (`dispatch`). What lies beyond the range goes to
its end in every mode, so the tails are the same for all.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, two_product, two_sum
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._mode_runs import run_sums
from qerror.analysis._patterns import Stretches, ways_of
from qerror.analysis._tails import tail_sums
from qerror.densities.density import Density
from qerror.densities.prefix_sums import PrefixSums
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import TooLarge
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_FEW_POINTS = 512  # below, visiting every interval is as fast as cutting runs into zones
_LONG_RUNS = 8  # times as many points as runs: cutting runs into zones pays
_CHUNK = 2**14  # stretches handled together
_MOST = 2**22  # stretches of one scale: some seconds
_SMALLEST = 5e-324  # of float64
_ATOMS = 2**13  # samples handled together: a few megabytes


def mode_sums(grid: Grid, density: Density, scales: FloatArray, rule: RoundingRule) -> Sums:
    """Add up what the density's pieces and point masses contribute under a rounding mode."""
    symmetric = rule.is_odd and grid.is_symmetric and grid.size % 2 == 1
    mirrored = symmetric and density.is_symmetric
    total = atom_sums(grid, density, scales, rule)
    for piece in density.pieces():
        batch = Batch.of(piece, grid.factor * scales, mirrored)
        lowest, highest = float(grid.edges[0]), float(grid.edges[-1])
        total += tail_sums(batch, lowest, highest)
        if not grid.steps.size:
            continue
        law = piece.law
        if isinstance(law, SmoothLaw) and grid.size > max(
            _FEW_POINTS, _LONG_RUNS * grid.steps.size
        ):
            total += run_sums(grid, replace(batch, mirrored=False), law, rule, mirrored)
        else:
            total += _stretch_sums(grid, batch, rule)
    return total


class Intervals(NamedTuple):
    """The stretches of a grid before its factor, shape (m,) each."""

    level: FloatArray
    gap: FloatArray
    left: FloatArray
    right: FloatArray
    left_lost: FloatArray
    """What rounding took from `left` and `right`."""
    right_lost: FloatArray
    variance: FloatArray
    lean: FloatArray
    bend: FloatArray
    weight: float


def between(grid: Grid, upper: bool) -> tuple[FloatArray, FloatArray, FloatArray, BoolArray]:
    """Return lower and upper levels of a grid's gaps, their widths, whether the upper is even.

    Of the upper half alone if asked.
    """
    points, gaps = grid.base_points, grid.base_gaps
    low, high = points[:-1], points[1:]
    even = (np.arange(1, points.size) % 2 == 0) == grid.even_first
    at = low >= 0 if upper else np.full(low.shape, True)
    return low[at], high[at], gaps[at], even[at]


def intervals(grid: Grid, rule: RoundingRule, upper: bool) -> Intervals:
    """List the stretches of a grid; of the upper half for both of them."""
    count = (grid.size - 1) * rule.parts
    if count > _MOST:
        raise TooLarge(
            f"{rule.name} has {count:,} thresholds on this grid, more than the {_MOST:,} that are "
            "visited one by one; take fewer random bits, or 'stochastic'"
        )
    low, high, gaps, even = between(grid, upper)
    owner, form = Stretches.of(ways_of(rule, low, high, even), rule.bits)
    gap = gaps[owner]
    gap_lost = two_sum(high, -low)[1][owner]
    level = np.where(form.at == 1, high[owner], low[owner] + form.at * gap)
    return Intervals(
        level,
        gap,
        gap * form.left,
        gap * form.right,
        gap_lost * form.left,
        gap_lost * form.right,
        gap * gap * form.variance,
        gap * form.lean,
        form.bend,
        2.0 if upper else 1.0,
    )


def _stretch_sums(grid: Grid, batch: Batch, rule: RoundingRule) -> Sums:
    """Integrate stretch by stretch at each scale."""
    found = intervals(grid, rule, batch.mirrored)
    rows = max(1, _CHUNK // found.level.size)
    starts = range(0, batch.factors.size, rows)
    chunks = [slice(start, start + rows) for start in starts]
    return Sums.joined(batch.factors.size, [(at, _rows(batch.rows(at), found)) for at in chunks])


def _rows(batch: Batch, found: Intervals) -> Sums:
    factor = batch.factors[:, None]
    q, rest = two_product(factor, found.level)
    left, left_lost = two_product(-factor, found.left)
    right, right_lost = two_product(factor, found.right)
    left_lost -= factor * found.left_lost
    right_lost += factor * found.right_lost
    spans, rests = (q.ravel(), left.ravel(), right.ravel()), (left_lost.ravel(), right_lost.ravel())
    local = batch.piece.integrals(*spans, rest.ravel(), None, rests)
    mass, first, second = (moment.reshape(q.shape) for moment in local)
    spread = factor * factor * found.variance * mass + factor * found.lean * first
    square = spread + found.bend * second
    sure = found.bend > 0  # drawn levels have no mean error
    mean = -np.where(sure, first, 0.0).sum(axis=1)
    cross = -(q * first + second)
    far, about_0 = batch.piece.far_crosses(*spans)
    cross.flat[far] = about_0
    cross = np.where(sure, cross, 0.0).sum(axis=1)
    weight = found.weight
    return Sums(
        weight * square.sum(axis=1),
        mean_error=0.0 if batch.mirrored else weight * mean,
        cross=weight * cross,
    )


def atom_sums(grid: Grid, density: Density, scales: FloatArray, rule: RoundingRule) -> Sums:
    """Sum over the density's point masses, each rounded by itself at every scale."""
    samples = density.atom_sums
    if not samples.size:
        return Sums()
    totals = np.zeros((5, scales.size))
    base = replace(grid, factor=1.0)
    for at, x, weight in _chunks(samples, scales.size):
        totals[:, at] += _of_atoms(base, x, weight, (scales[at] * grid.factor)[:, None], rule)
    return Sums(*totals)


def _chunks(samples: PrefixSums, scales: int) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield scales and the places and masses of values, few enough to be met together."""
    rows = max(1, _ATOMS // min(max(samples.size, 1), _ATOMS))
    for start in range(0, scales, rows):
        for first in range(0, samples.size, _ATOMS):
            some = slice(first, first + _ATOMS)
            weight = samples.weights[some] / samples.unit
            yield slice(start, start + rows), samples.positions[some], weight


def _of_atoms(
    base: Grid, x: FloatArray, weight: FloatArray, column: FloatArray, rule: RoundingRule
) -> FloatArray:
    """Return the five sums of some values at some scales, shape (5, k)."""
    quotient, low, high, share = around(base, x, column, rule)
    below, above = (_away(level, column, x) for level in (low, high))
    square = (1 - share) * below * below + share * above * above
    mean = (1 - share) * below + share * above
    if (drawn := _drawn(base, quotient, rule)) is not None:
        # Beside a level the rarer one's share may be below an ulp of 1, and yet be all of V.
        square, mean = np.where(drawn, -below * above, square), np.where(drawn, 0.0, mean)
    square *= weight
    mean *= weight
    under, over = quotient < base.min, quotient > base.max
    return np.array(
        [
            np.where(under | over, 0.0, square).sum(axis=1),
            np.where(under, square, 0.0).sum(axis=1),
            np.where(over, square, 0.0).sum(axis=1),
            mean.sum(axis=1),
            mean @ x,
        ]
    )


def around(
    base: Grid, x: FloatArray, column: FloatArray, rule: RoundingRule
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the quotients of values and factors, the levels around, the chance of the upper."""
    quotient = _quotient(x, column)
    inside = np.clip(quotient, base.min, base.max)
    low = high = np.full(inside.shape, base.min)
    upper_is_even = np.ones(inside.shape, dtype=bool)
    if base.size > 1:
        low, high, upper_is_even = base.neighbours(inside)
    return quotient, low, high, shares_up(rule, inside, low, high, upper_is_even)


def _quotient(x: FloatArray, factor: FloatArray) -> FloatArray:
    """Return x / factor, rounded once as the simulator compares it, and 0 only where x is."""
    quotient = x / factor
    # To a directed mode a value beside 0 matters however small it is.
    gone = (quotient == 0) & (x != 0)
    return np.where(gone, np.copysign(_SMALLEST, x), quotient) if gone.any() else quotient


def atom_slopes(grid: Grid, density: Density, scales: FloatArray, rule: RoundingRule) -> FloatArray:
    """Return what point masses add to dMSE / d ln s while none passes a threshold, shape (k,)."""
    total = np.zeros(scales.size)
    base = replace(grid, factor=1.0)
    for at, x, weight in _chunks(density.atom_sums, scales.size):
        column = (scales[at] * grid.factor)[:, None]
        total[at] += _slopes_of_atoms(base, x, column, rule) @ weight
    return total


def _slopes_of_atoms(
    base: Grid, x: FloatArray, column: FloatArray, rule: RoundingRule
) -> FloatArray:
    """Return dV / d ln s of each value, V = E[e^2 | x]; drawn levels a, b have V = (x-a) (b-x)."""
    quotient, low, high, share = around(base, x, column, rule)
    below, above = (_away(level, column, x) for level in (low, high))
    lower, upper = low * column, high * column
    settled = 2 * ((1 - share) * below * lower + share * above * upper)
    drawn = _drawn(base, quotient, rule)
    return settled if drawn is None else np.where(drawn, -(lower * above + upper * below), settled)


def _drawn(base: Grid, quotient: FloatArray, rule: RoundingRule) -> BoolArray | None:
    """Tell which values have a mean error of 0 as their levels are drawn, if any have."""
    if rule.mode != "stochastic" or rule.bits is not None:
        return None
    return (quotient >= base.min) & (quotient < base.max)


def _away(level: FloatArray, column: FloatArray, x: FloatArray) -> FloatArray:
    """Return level times scale minus x, rounded once."""
    value, rest = two_product(column, level)
    error: FloatArray = (value - x) + rest
    return error


def shares_up(
    rule: RoundingRule,
    x: FloatArray,
    low: FloatArray,
    high: FloatArray,
    upper_is_even: BoolArray,
) -> FloatArray:
    """Return the probability that each x in [low, high] goes to high; low is x if it is a level."""
    # Compared, not subtracted: near 0, x - low rounds to half a step and more where x is not.
    gap, above = high - low, x > low
    middle = low + 0.5 * gap
    inward_up = (high <= 0) & (low < 0)
    up: BoolArray
    match rule.mode:
        case "nearest-even":
            up = (x > middle) | ((x == middle) & above & upper_is_even)
        case "nearest-away":
            tie = (high > -low) | ((high == -low) & upper_is_even)
            up = (x > middle) | ((x == middle) & above & tie)
        case "down":
            up = np.zeros(x.shape, dtype=bool)
        case "up":
            up = above
        case "toward-zero":
            astride = (low < 0) & (high > 0)
            nearer = (x > middle) | ((x == middle) & above & upper_is_even)
            up = np.where(astride, nearer, inward_up & above)
        case "to-odd":
            up = above & ~upper_is_even
        case "stochastic":
            start = np.where(inward_up, high, low)  # on the side of zero: exact from there
            part = np.divide(np.abs(x - start), gap, out=np.zeros(x.shape), where=gap > 0)
            if rule.bits is not None:
                part = np.floor(rule.parts * part) / rule.parts
            return np.where(inward_up, 1 - part, part)
    return up.astype(np.float64)


def rounded_atoms(grid: Grid, x: FloatArray, rule: RoundingRule) -> tuple[FloatArray, FloatArray]:
    """Return the error of each value, under a mode without draws, and the step around it."""
    below, above, share, step = drawn_atoms(grid, x, rule)
    return np.where(share > 0, above, below), step


def drawn_atoms(
    grid: Grid, x: FloatArray, rule: RoundingRule
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the errors that each value may have, the chance of the second, and the step."""
    base, factor = replace(grid, factor=1.0), np.asarray(grid.factor)
    if not x.size:
        return np.empty(0), np.empty(0), np.empty(0), np.empty(0)
    if base.size == 1:
        away = _away(np.full(x.shape, base.min), factor, x)
        return away, away, np.zeros(x.shape), np.full(x.shape, np.inf)
    _, low, high, share = around(base, x, factor, rule)
    step = np.where(high > low, high - low, base.base_gaps[-1])
    below, above = (_away(level, factor, x) for level in (low, high))
    return below, above, share, step * factor
