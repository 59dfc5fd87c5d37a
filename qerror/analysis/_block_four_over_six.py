"""Blocks that try two stored scales and keep the better one: four-over-six.

While both scales are constant, what is kept is half of what both give together, and half of
their difference with the sign of the choice. Below a tensor scale from the data the largest value
A of the tensor is a level at both scales, so that the other values of its block choose.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._block_care import care_of
from qerror.analysis._block_choice import Choice
from qerror.analysis._block_choice_nodes import Problem, Step
from qerror.analysis._block_choice_together import Ask, choices
from qerror.analysis._block_four_panels import Tensors, has_marks, sums_of_panels
from qerror.analysis._block_joint_steps import check_ends, joint_steps
from qerror.analysis._block_largest import with_largest
from qerror.analysis._block_steps import (
    BlockSums,
    Steps,
    clipped_share,
    combined,
    live_steps,
    step_sums,
    with_point,
)
from qerror.analysis._block_tensor import (
    largest_points,
    largest_values,
    mixed,
    moments_at,
    scaled,
    zero_share,
)
from qerror.analysis._windows import Windows
from qerror.densities.density import Density
from qerror.formats.format import ScalarFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import ScaleSteps
from qerror.formats.stored_scales import Amax, scale_levels
from qerror.grids import Grid

_UNLIKELY = 1e-18  # steps
_PRECISION = 1e-13  # of the squared error
_ROUNDING = 1e-15


class FourOverSixFigures(NamedTuple):
    """What the analysis returns."""

    sums: BlockSums
    codes: dict[float, float]
    """Probability of each level of the scale format, as it is kept."""
    clipped: float
    """P(M > scale * largest level)."""


class _Case(NamedTuple):
    """Blocks of n values, and how they choose."""

    element: ScalarFormat
    grid: Grid
    density: Density
    n: int
    rule: FourOverSix
    levels: FloatArray
    """Of the scale format, by code."""


def four_over_six_sums(
    element: ScalarFormat, density: Density, n: int, rule: FourOverSix, size: int | None = None
) -> FourOverSixFigures:
    """Return the expectations for blocks of n values, to about 1e-12 of the error.

    Where the density is symmetric about 0 and smooth but there it is 1e-14, and 1e-15 of the
    probabilities of codes. `FourOverSix` says what tensor scales from the data leave.

    Parameters
    ----------
    element : ScalarFormat
        With 4 and 6 as its largest levels.
    density : Density
        Of one value.
    n : int
        How many values share a scale.
    rule : FourOverSix
        What is tried.
    size : int, optional
        How many values share a tensor scale that follows from them.

    Raises
    ------
    InvalidValue
        If the tensor scale depends on the values and the scale format has only one of the two
        scales that the largest value asks for.
    """
    case = _Case(element, element.grid(), density, n, rule, scale_levels(rule.format)[0])
    if isinstance(rule.tensor, Amax):
        assert size is not None
        return _below_tensors(case, size)
    given = _both_steps(case, rule.tensor)
    both = [Steps.of(density, steps, n) for steps in given]
    return _chosen(case, given, both)


class _Plan(NamedTuple):
    """What the steps give but for their choices."""

    sums: BlockSums
    clipped: float
    kept: tuple[tuple[float, ...], ...]
    """The weight, the probability, and both levels of each step that is not unlikely."""
    asked: dict[int, Ask]
    """The choice of each of those steps that has one."""


def _chosen(
    case: _Case,
    given: Sequence[ScaleSteps],
    both: Sequence[Steps],
    point: FloatArray | None = None,
) -> FourOverSixFigures:
    """Return what the steps give; those that a point mass ends have weights, the last its own."""
    return _carried_out([_plan(case, given, both, point)])[0]


def _carried_out(plans: Sequence[_Plan]) -> list[FourOverSixFigures]:
    """Add the choices."""
    found = iter(choices([ask for plan in plans for ask in plan.asked.values()]))
    return [_with_choices(plan, {row: next(found) for row in plan.asked}) for plan in plans]


def _with_choices(plan: _Plan, found: Mapping[int, Choice]) -> FourOverSixFigures:
    total, clipped = plan.sums, plan.clipped
    codes: dict[float, float] = {}
    for row, (weight, chance, *levels) in enumerate(plan.kept):
        kept = 0.5 * chance  # that of steps that are too unlikely to ask
        if row in found:
            one = found[row]
            total = total.plus(scaled(one.sums, weight))
            clipped += one.clipped * weight
            kept = max(0.0, 0.5 * (chance + one.sign))
        for level, p in zip(levels, (chance - kept, kept), strict=True):
            codes[level] = codes.get(level, 0.0) + p * weight
    return FourOverSixFigures(total, _likely(codes), float(clipped))


def _plan(
    case: _Case,
    given: Sequence[ScaleSteps],
    both: Sequence[Steps],
    point: FloatArray | None = None,
    share: float | None = None,
) -> _Plan:
    """Return what the steps give and ask; a share of all says how exact that must be."""
    grid, density, n = case.grid, case.density, case.n
    weights = np.ones(both[0].scales.size) if point is None else point
    if point is None:
        sums = [step_sums(grid, density, n, steps) for steps in both]
        clips = [clipped_share(density, n, steps, grid.max) for steps in both]
    else:
        parts = [_apart(case, steps, weights) for steps in both]
        sums, clips = [part for part, _ in parts], [share for _, share in parts]
    total, clipped = _mean_of(sums), 0.5 * sum(clips)
    whole = float(total.singles[:3].sum())
    first, law, windows = both[0].first, both[0].law, both[0].windows
    probability = law.growth(n)
    logs = law.log_below, law.log_below + law.drop
    # A point mass that ends the steps has the scales of the step that it ends.
    last = first + both[0].scales.size - (1 if point is None else 2)
    kept: list[tuple[float, ...]] = []
    asked: dict[int, Ask] = {}
    care = care_of(case.density)
    likely = _UNLIKELY if share is None else max(_UNLIKELY, care.left / share)
    for k in np.flatnonzero(probability > 0).tolist():
        weight, chance = float(weights[k]), float(probability[k])
        at = min(k + first, last)
        six, four = (float(steps.scales[k]) for steps in both)
        if six != four and chance * weight > likely:
            ends = (float(windows.low[k]), float(windows.high[k]))
            step = Step(*ends, bool(windows.low_in[k]), bool(windows.high_in[k]), six, four)
            problem = Problem(grid, density, n, case.rule.error, step, 1 / both[0].total)
            below = float(logs[1][k]), float(logs[0][k])
            if share is None:
                asked[len(kept)] = Ask(problem, _PRECISION * whole / weight, below)
            else:
                part = 1 / (weight * share)
                asked[len(kept)] = Ask(problem, care.enough * whole * part, below, care.rare * part)
        levels = [float(case.levels[steps.codes[at]]) for steps in given]
        kept.append((weight, chance, *levels))
    return _Plan(total, float(clipped), tuple(kept), asked)


def _likely(codes: Mapping[float, float]) -> dict[float, float]:
    return {code: p for code, p in sorted(codes.items()) if p > 0}


def _mean_of(sums: Sequence[BlockSums]) -> BlockSums:
    six, four = sums
    return scaled(six.plus(four), 0.5)


def _both_steps(case: _Case, tensor: float) -> tuple[ScaleSteps, ScaleSteps]:
    return joint_steps(*(one.steps(case.element, tensor) for one in case.rule.candidates))


# ---- tensor scales from the data


def _below_tensors(case: _Case, size: int) -> FourOverSixFigures:
    """Return the expectations for tensors of `size` values."""
    blocks = size // case.n
    found: list[tuple[float, FourOverSixFigures]] = []
    if case.density.pieces() and has_marks(case.density, size):
        tensors = Tensors(case.element, case.density, case.n, size, case.rule)
        sums, codes, clipped = sums_of_panels(tensors)
        levels = {float(case.levels[code]): p for code, p in codes.items()}
        found.append((1.0, FourOverSixFigures(sums, levels, clipped)))
    elif case.density.pieces():
        places, weights = largest_values(case.density, size, *care_of(case.density)[:2])
        each = _below_values(case, blocks, places.tolist(), weights.tolist())
        found += zip(weights.tolist(), each, strict=True)
    if case.density.atom_sums.size:
        points = largest_points(case.density, size).tolist()
        found += [(1.0, _below_point(case, blocks, place)) for place in points]
        least = float(_both_steps(case, 1.0)[0].codes[0])
        nothing = BlockSums(np.zeros(6), 0.0, 0.0)
        chance = zero_share(case.density, size)
        found.append((1.0, FourOverSixFigures(nothing, {case.levels[int(least)]: chance}, 0.0)))
    return _added(found)


def _below_values(
    case: _Case, blocks: int, places: Sequence[float], weights: Sequence[float]
) -> list[FourOverSixFigures]:
    """Return the expectations given each of the largest values that are no point masses."""
    share = 1 / blocks
    owns: list[_Own] = []
    plans: list[_Plan] = []
    for place, weight in zip(places, weights, strict=True):
        given = _both_steps(case, case.rule.tensor_for(place, case.element))
        both = [Steps.of(case.density, steps, case.n, place) for steps in given]
        owns.append(_own(case, given, both, place, share * weight))
        if blocks > 1:
            plans.append(_plan(case, given, both, share=(1 - share) * weight))
    asked = [own.asked for own in owns if own.asked is not None]
    found = iter(choices(asked))
    each = [_with_largest(case.n, own, next(found) if own.asked else None) for own in owns]
    if blocks == 1:
        return each
    pairs = zip(_carried_out(plans), each, strict=True)
    return [_added([(1 - share, rest), (share, own)]) for rest, own in pairs]


class _Own(NamedTuple):
    """What the block that holds the largest value gives but for its choice."""

    sums: BlockSums
    clipped: float
    levels: tuple[float, float]
    mean: float
    """Of the largest value."""
    asked: Ask | None
    """The choice of the other values: its own error is 0 at both scales."""


def _own(
    case: _Case, given: Sequence[ScaleSteps], both: Sequence[Steps], place: float, share: float
) -> _Own:
    """Return what the block that holds the largest value gives and asks; `share` as of a plan."""
    grid, density, n = case.grid, case.density, case.n
    six, four = (float(steps.scales[-1]) for steps in both)
    shown = both[0].first + both[0].scales.size - 1
    levels = tuple(float(case.levels[steps.codes[shown]]) for steps in given)
    below = Windows.below(np.array([place, place]), np.zeros(2, dtype=bool))
    others = below.moments(grid, density, np.array([six, four]))
    others = others.times(np.full(2, 1 / both[0].total))
    halves = [
        with_largest(grid, density, n, others.rows(slice(k, k + 1)), scale, place)
        for k, scale in enumerate((six, four))
    ]
    total = _mean_of(halves)
    ends = density.pdf(np.array([place, -place]))
    own = _Own(total, 0.0, (levels[0], levels[1]), place * float(ends @ [1, -1] / ends.sum()), None)
    if six == four:
        return own._replace(clipped=float(place > grid.max * six * (1 + _ROUNDING)))
    check_ends(grid, place, (six, four), case.rule.format)
    if n == 1:
        return own
    step = Step(0.0, place, low_in=True, high_in=False, six=six, four=four)
    problem = Problem(grid, density, n - 1, case.rule.error, step, 1 / both[0].total)
    care = care_of(density)
    tolerance = care.enough * float(total.singles[:3].sum()) / share
    return own._replace(asked=Ask(problem, tolerance, None, care.rare / share))


def _with_largest(n: int, own: _Own, found: Choice | None) -> FourOverSixFigures:
    """Return the expectations of that block; of n - 1 others there are (n - 1)(n - 2) pairs."""
    if found is None:
        return FourOverSixFigures(own.sums, {own.levels[0]: 1.0}, own.clipped)
    sums = found.sums
    more = BlockSums(
        sums.singles * ((n - 1) / n),
        sums.pair_error * ((n - 2) / n),
        (sums.pair_cross * (n - 2) + own.mean * float(sums.singles[3])) / n,
    )
    kept = max(0.0, 0.5 * (1 + found.sign))
    codes = {own.levels[0]: 1 - kept, own.levels[1]: kept}
    return FourOverSixFigures(own.sums.plus(more), codes, own.clipped)


def _below_point(case: _Case, blocks: int, place: float) -> FourOverSixFigures:
    """Return what the tensors add whose largest magnitude is that of a point mass."""
    given = _both_steps(case, case.rule.tensor_for(place, case.element))
    both = [with_point(case.density, steps, place) for steps in given]
    rest = (blocks - 1) * case.n
    law, total = both[0].law, both[0].total
    with np.errstate(under="ignore"):
        all_in = total**rest
        grown = all_in * -float(np.expm1(rest * law.drop[-1])) if rest else 0.0
    # All windows but the last: some other block reaches the point; the last: this one does.
    weights = np.full(both[0].scales.size, grown)
    weights[-1] = all_in
    return _chosen(case, given, both, weights * total**case.n)


def _apart(case: _Case, steps: Steps, weights: FloatArray) -> tuple[BlockSums, float]:
    """Return sums and the share of blocks that clip, the last step with a weight of its own."""
    grid, density, n = case.grid, case.density, case.n
    last = steps.scales.size - 1
    live = np.union1d(live_steps(steps, n), [last])
    inner, shell = moments_at(grid, density, steps, live)
    found = BlockSums(np.zeros(6), 0.0, 0.0)
    for rows in (slice(0, -1), slice(-1, None)):
        some = live[rows]
        if some.size:
            part = combined(inner.rows(rows), shell.rows(rows), steps, n, some)
            found = found.plus(scaled(part, float(weights[some[0]])))
    clipped = float(weights[0]) * clipped_share(density, n, steps.without_last(), grid.max)
    beyond = steps.windows.high[last] > grid.max * float(steps.scales[last]) * (1 + _ROUNDING)
    return found, clipped + float(weights[last]) * float(steps.law.growth(n)[last]) * float(beyond)


def _added(found: Sequence[tuple[float, FourOverSixFigures]]) -> FourOverSixFigures:
    """Add up, each with its probability."""
    total, codes, clipped = mixed(found)
    return FourOverSixFigures(total, _likely(codes), clipped)
