"""Steps that are the same in units of their scale, but for the density."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_choice import reach_of
from qerror.analysis._block_choice_nodes import (
    NO_GAIN,
    Cells,
    Problem,
    Step,
    branches,
    cells_of,
    largest_gain,
    with_crossings,
)
from qerror.densities.smooth_law import SmoothLaw

_DIGITS = 12  # by which shapes are told apart
_EQUAL = 1e-13  # of the squares
_ROUNDING = 1e-14  # of the largest value


def is_plain(problem: Problem) -> bool:
    """Tell whether a density is symmetric and smooth but at 0, with no point mass elsewhere."""
    density, step = problem.density, problem.step
    return (
        problem.folded
        and problem.n > 1
        and step.low < step.high <= density.support[1]
        and math.isfinite(step.high)
        and min(step.six, step.four) > 0
        and not density.atoms().positions.any()
        and all(abs(kink) >= step.high for kink in density.kinks if kink)
        and all(
            isinstance(piece.law, SmoothLaw) and not piece.law.branch_at_zero
            for piece in density.pieces()
        )
    )


def still_share(problem: Problem) -> float:
    """Return the probability of 0, which has no error at either scale."""
    x, probability = problem.density.atoms()
    return float(probability[x == 0].sum())


def shape_key(problem: Problem) -> tuple[object, ...]:
    step = problem.step
    ratios = (float(f"{part / step.six:.{_DIGITS}g}") for part in (step.low, step.high, step.four))
    return (problem.n, problem.error, step.low_in, step.high_in, *ratios)


class Shape(NamedTuple):
    """The steps in units of their scale."""

    problem: Problem
    """The one of the largest scale, in those units but for its density."""
    cells: Cells
    unit: float
    scales: FloatArray
    shares: FloatArray

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "Shape | None":
        """Find the intervals of all; None where all is a tie."""
        one = max(problems, key=lambda each: each.step.six)
        low, high, low_in, high_in, six, four = one.step
        cells = cells_of(one, narrow=False)
        assert cells is not None
        cells = _in_units(cells, six)
        step = Step(low / six, high / six, low_in, high_in, 1.0, four / six)
        problem = one._replace(step=step)
        unit = largest_gain(problem, cells)
        if unit <= _EQUAL * reach_of(problem, cells):
            return None
        scales = np.array([each.step.six for each in problems])
        return cls(problem, cells, unit, scales, np.array([each.share for each in problems]))

    @property
    def falls(self) -> bool:
        """Whether products fall with the frequency: no interval has one gain that is not 0."""
        gains = self.cells.exact_gains(self.problem, self.unit)
        return not np.any(np.abs(gains) > NO_GAIN * self.unit) and self.problem.step.low > 0

    def rows(self, some: IntArray) -> "Shape":
        """Return some of the steps."""
        return self._replace(scales=self.scales[some], shares=self.shares[some])

    def cut(self) -> "Shape":
        """Cut where the gain is 0, and near to what is narrow at the largest scale."""
        problem, scale = self.problem, float(self.scales.max())
        step = problem.step._replace(six=scale, four=scale * problem.step.four)
        more = np.concatenate([np.empty(0), *branches(problem._replace(step=step))]) / scale
        low, high = self.cells.cuts[[0, -1]]
        cells = self.cells.cut(more[(more > low) & (more < high)])
        return self._replace(cells=with_crossings(problem, cells, self.unit, np.zeros(1)))


def _in_units(cells: Cells, scale: float) -> Cells:
    """Return intervals in units of a scale, without those that roundings of their ends make."""
    keep = np.diff(cells.cuts) > _ROUNDING * cells.cuts[-1]
    cuts = np.append(cells.cuts[:-1][keep], cells.cuts[-1]) / scale
    kinds = cells.kind[0][keep], cells.kind[1][keep]
    return Cells(cuts, cells.six[keep] / scale, cells.four[keep] / scale, kinds)
