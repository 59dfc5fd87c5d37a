"""Blocks that try two stored scales and keep the better one: four-over-six.

While both scales are constant, what is kept is half of what both give together, and half of
their difference with the sign of the choice.
"""

from typing import NamedTuple

import numpy as np

from qerror.analysis._block_choice import Problem, Step, choice
from qerror.analysis._block_steps import BlockSums, Steps, clipped_share, step_sums
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import ScaleSteps
from qerror.formats.stored_scales import Amax, scale_levels
from qerror.grids import Grid

_UNLIKELY = 1e-18  # steps


class FourOverSixFigures(NamedTuple):
    """What the analysis returns."""

    sums: BlockSums
    codes: dict[float, float]
    """Probability of each level of the scale format, as it is kept."""
    clipped: float
    """P(M > scale * largest level)."""


def four_over_six_sums(
    element: ScalarFormat, density: Density, n: int, rule: FourOverSix
) -> FourOverSixFigures:
    """Return the expectations for blocks of n values, to about 1e-11 of the error.

    Parameters
    ----------
    element : ScalarFormat
        With 4 and 6 as its largest levels.
    density : Density
        Of one value; its only point mass may be 0.
    n : int
        How many values share a scale.
    rule : FourOverSix
        With a number as its tensor scale.

    Raises
    ------
    InvalidValue
        If the tensor scale depends on the values, or there are point masses besides 0: sums of
        few values tie then, which no smooth integral sees.
    """
    grid = element.grid()
    _check(density, rule, grid)
    given = _joint_steps(element, rule)
    both = [Steps.of(density, steps, n) for steps in given]
    total = _mean_of([step_sums(grid, density, n, steps) for steps in both])
    clipped = 0.5 * sum(clipped_share(density, n, steps, grid.max) for steps in both)
    levels, _ = scale_levels(rule.format)
    codes: dict[float, float] = {}
    first, probability = both[0].first, both[0].law.growth(n)
    for k in np.flatnonzero(probability > _UNLIKELY).tolist():
        step, (six, four) = _step(given, k + first), (levels[x.codes[k + first]] for x in given)
        share, kept = float(probability[k]), 0.0
        if step.six != step.four:
            found = choice(Problem(grid, density, n, rule.error, step))
            total = total.plus(found.sums)
            clipped += found.clipped
            kept = 0.5 * (share + found.sign)
        for code, p in ((float(six), share - kept), (float(four), kept)):
            codes[code] = codes.get(code, 0.0) + p
    return FourOverSixFigures(total, {c: p for c, p in sorted(codes.items()) if p > 0}, clipped)


def _check(density: Density, rule: FourOverSix, grid: Grid) -> None:
    if isinstance(rule.tensor, Amax):
        raise InvalidValue(
            "the error of 4over6 is known for a given tensor scale: pass it as tensor=<real>, or "
            "simulate with estimate_error"
        )
    x = density.atoms().positions
    if (x.size and (x != 0).any()) or (x.size and grid.round_half_even(0.0) != 0):
        raise InvalidValue(
            "the error of 4over6 is known for densities without point masses other than 0: with "
            "them both scales can be equally good; simulate with estimate_error"
        )


def _mean_of(sums: list[BlockSums]) -> BlockSums:
    six, four = sums
    return BlockSums(
        0.5 * (six.singles + four.singles),
        0.5 * (six.pair_error + four.pair_error),
        0.5 * (six.pair_cross + four.pair_cross),
    )


def _joint_steps(element: ScalarFormat, rule: FourOverSix) -> tuple[ScaleSteps, ScaleSteps]:
    """Return both candidates' scales between the edges of both."""
    six, four = (candidate.steps(element) for candidate in rule.candidates)
    edges = np.unique(np.concatenate([six.edges, four.edges]))
    upward = np.ones(edges.size - 2, dtype=bool)  # no point mass lies on an edge
    found: list[ScaleSteps] = []
    for steps in (six, four):
        at = np.searchsorted(steps.edges, edges[:-1], "right") - 1
        found.append(ScaleSteps(edges, steps.scales[at], steps.codes[at], upward))
    return found[0], found[1]


def _step(given: tuple[ScaleSteps, ScaleSteps], j: int) -> Step:
    six, four = given
    low, high = six.edges[j : j + 2].tolist()
    return Step(low, high, float(six.scales[j]), float(four.scales[j]))
