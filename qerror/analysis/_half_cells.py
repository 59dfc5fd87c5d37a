"""A scaled grid taken apart for the distribution of errors: half cells outwards of their levels."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen, two_product
from qerror.analysis._patterns import Stretches, ways_of
from qerror.exceptions import TooLarge
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_MOST = 2**20  # levels, each of which is visited: some ten megabytes


class HalfCells(NamedTuple):
    """Intervals [level, level + side width] whose values all go to the level, shape (m,) each.

    Those beyond the range are infinitely wide.
    """

    level: FloatArray
    rest: FloatArray
    """What the product of point and factor lost to rounding."""
    side: FloatArray
    """1 above the level, -1 below."""
    width: FloatArray
    gap: FloatArray
    """The step between the two levels around; beyond the range that of the last two."""
    far: FloatArray
    """The level on the other side; beyond the range the level itself."""
    far_rest: FloatArray
    drawn: BoolArray
    """Where a draw decides between the two: a value goes to the level with a probability that
    falls from 1 at it to 0 at the other."""

    @property
    def size(self) -> int:
        """How many there are."""
        return self.level.size

    def at(self, index: IntArray) -> "HalfCells":
        """Return some of them."""
        level, rest, side, width, gap, far, far_rest = (field[index] for field in self[:-1])
        return HalfCells(level, rest, side, width, gap, far, far_rest, self.drawn[index])

    def finite(self) -> "HalfCells":
        """Return those within the range."""
        return self.at(np.flatnonzero(np.isfinite(self.width)))

    def within(self, low: float, high: float) -> list[tuple[float, float]]:
        """Return side and width of those that hold some of [low, high], as far as it reaches."""
        start = np.where(self.side > 0, self.level, self.level - self.width)
        stop = np.where(self.side > 0, self.level + self.width, self.level)
        first, last = np.maximum(start, low), np.minimum(stop, high)
        alive = first < last
        reach = np.where(self.side > 0, last - self.level, self.level - first)
        reach = np.minimum(reach, self.width)
        return list(zip(self.side[alive].tolist(), reach[alive].tolist(), strict=True))

    def exceeding(self, atol: float, rtol: float) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Yield intervals of offsets outwards of the levels at which |e| > atol + rtol |x|.

        With g the level, seen from the side of 0 on which x lies: g - x > a + r x below
        (g - a) / (1 + r), and x - g > a + r x above (g + a) / (1 - r) where r < 1, below it
        where r > 1. As offsets from g these are -(a + r g) / (1 + r) and (a + r g) / (1 - r).
        """
        for sign in (1.0, -1.0):
            g, side = sign * self.level, sign * self.side
            lever = atol + rtol * g
            lower, upper = -np.inf, np.inf
            start = np.full(g.size, -np.inf)
            first = start, -lever / (1 + rtol)
            if rtol < 1:
                second = lever / (1 - rtol), np.full(g.size, upper)
            elif rtol > 1:
                second = np.full(g.size, lower), lever / (1 - rtol)
            else:
                second = np.full(g.size, lower), np.where(g + atol < 0, np.inf, -np.inf)
            for low, high in (first, second):
                positive = np.maximum(low, -g)  # x >= 0 on this side
                yield np.where(side > 0, positive, -high), np.where(side > 0, high, -positive)


@lru_cache(maxsize=32)
def half_cells_of(grid: Grid, rule: RoundingRule) -> HalfCells:
    """List the half cells of a grid; where levels are drawn, two share each interval."""
    if grid.size > _MOST:
        raise TooLarge(
            f"the distribution of the error visits every level, and this grid has {grid.size:,} of "
            f"them, more than {_MOST:,}; its moments cost nothing: quantization_error"
        )
    points, gaps = grid.base_points, grid.base_gaps
    low, high = points[:-1], points[1:]
    even = (np.arange(1, points.size) % 2 == 0) == grid.even_first
    if drawn := rule.mode == "stochastic":
        base, far = np.concatenate([low, high]), np.concatenate([high, low])
        step = width = np.concatenate([gaps, gaps])
        side = np.repeat([1.0, -1.0], gaps.size)
    else:
        owner, form = Stretches.of(ways_of(rule, low, high, even), None)
        base = np.where(form.at == 1, high[owner], low[owner])
        far = np.where(form.at == 1, low[owner], high[owner])
        step = gaps[owner]
        width = step * np.maximum(form.left, form.right)
        side = np.where(form.right > 0, 1.0, -1.0)
    ends = np.array([-1.0, 1.0])
    last = gaps[[0, -1]] if gaps.size else np.array([np.inf, np.inf])
    level, rest = two_product(np.asarray(grid.factor), np.concatenate([points[[0, -1]], base]))
    other, lost = two_product(np.asarray(grid.factor), np.concatenate([points[[0, -1]], far]))
    side = np.concatenate([ends, side])
    width = np.concatenate([np.full(2, np.inf), width * grid.factor])
    gap = np.concatenate([last, step]) * grid.factor
    for array in (level, rest, side, width, gap, other, lost):
        frozen(array)
    sharing = frozen(drawn & np.isfinite(width))
    return HalfCells(level, rest, side, width, gap, other, lost, sharing)
