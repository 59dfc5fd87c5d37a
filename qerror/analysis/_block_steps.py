"""Blocks whose scale is constant while their largest magnitude lies between two edges.

With F the distribution function of |X|, phi a function of one value and its error, and s_j the
scale while a <= M < b,

    E[phi(X_1); all |X_i| < b] = F(b)^(n-1) int_{|x|<b} phi p,

so that E[phi] = sum_j (F(b)^(n-1) - F(a)^(n-1)) A_j + F(b)^(n-1) B_j with A_j the integral of phi
at scale s_j over |x| < a and B_j that over the shell: no integral over the maximum is left, and
for e^2 no term is negative. Two values of a block follow likewise with F^(n-2) and products.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._windows import WindowMoments, Windows
from qerror.densities.density import Density
from qerror.densities.magnitude import MaximumLaw
from qerror.formats.scale_rule import ScaleSteps
from qerror.grids import Grid

_NEGLIGIBLE = 1e-22  # of the largest bound on what a step adds
_LISTED = 1e-30  # codes less likely are not listed
_FAR = 1e150


class BlockSums(NamedTuple):
    """Expectations of one value, and of two, of a block."""

    singles: FloatArray
    """Those of `WindowMoments`, shape (6,)."""
    pair_error: float
    """E[e_1 e_2]."""
    pair_cross: float
    """E[x_1 e_2]."""

    def plus(self, other: "BlockSums") -> "BlockSums":
        """Add."""
        return BlockSums(
            self.singles + other.singles,
            self.pair_error + other.pair_error,
            self.pair_cross + other.pair_cross,
        )


class Steps(NamedTuple):
    """The steps of a scale rule as the windows of magnitude in which each scale holds."""

    windows: Windows
    scales: FloatArray
    law: MaximumLaw
    total: float
    """P(|X| within all the windows): the law is that of values so limited."""
    first: int = 0
    """Which of the rule's steps comes first; those below it are joined with it."""

    def without_last(self) -> "Steps":
        """Return all steps but the last, of the same law."""
        law = MaximumLaw(self.law.below[:-1], self.law.log_below[:-1], self.law.drop[:-1])
        return Steps(self.windows.rows(slice(0, -1)), self.scales[:-1], law, self.total, self.first)

    @classmethod
    def of(cls, density: Density, steps: ScaleSteps, n: int, cap: float = np.inf) -> "Steps":
        """Make the steps of blocks of n, up to a largest magnitude that all values keep to."""
        return cls.all_of(density, [steps], n, [cap])[0]

    @classmethod
    def all_of(
        cls, density: Density, rules: Sequence[ScaleSteps], n: int, caps: Sequence[float]
    ) -> "list[Steps]":
        """Make the steps of several rules together, each up to a largest magnitude of its own."""
        firsts = [_first_likely(density, steps, n) for steps in rules]
        parts = [
            windows_of(steps, cap, first)
            for steps, cap, first in zip(rules, caps, firsts, strict=True)
        ]
        found: list[Steps] = []
        masses = split(Windows.joined(parts).masses(density), [part.low.size for part in parts])
        for steps, cap, first, windows, shells in zip(
            rules, caps, firsts, parts, masses, strict=True
        ):
            total = float(shells.sum()) if cap < np.inf else 1.0
            scales = steps.scales[first : first + shells.size]
            found.append(cls(windows, scales, MaximumLaw.of(shells / total), total, first))
        return found


def split(values: FloatArray, sizes: Sequence[int]) -> list[FloatArray]:
    """Part an array that was joined."""
    return np.split(values, np.cumsum(sizes)[:-1])


def _first_likely(density: Density, steps: ScaleSteps, n: int) -> int:
    """Return the first step that the largest of n magnitudes is in with some probability.

    The distribution function may be off by its last digits here, which matters to no block of
    two values or more.
    """
    if n < 2:
        return 0
    edges = steps.edges[1:-1]
    lower = density.cdf(-edges)
    below = 1 - 2 * lower if density.is_symmetric else density.cdf(edges) - lower
    return int(np.count_nonzero(below < _LISTED ** (1 / n)))


def with_point(density: Density, steps: ScaleSteps, place: float) -> Steps:
    """Make the steps up to a point mass, which ends them as a window of its own."""
    below = windows_of(steps, place)
    inside = np.append(below.high_in[:-1], False)
    end, own = np.array([place]), np.array([True])
    windows = Windows(
        np.append(below.low, end),
        np.append(below.high, end),
        np.append(below.low_in, own),
        np.append(inside, own),
    )
    shells = windows.masses(density)
    total = float(shells.sum())
    scales = steps.scales[: shells.size - 1]
    return Steps(windows, np.append(scales, scales[-1]), MaximumLaw.of(shells / total), total)


def windows_of(steps: ScaleSteps, cap: float = np.inf, first: int = 0) -> Windows:
    """Return the windows of magnitude in which each scale holds, the last one ending at `cap`.

    Those below the first are joined with it.
    """
    stop = max(first + 1, int(np.searchsorted(steps.edges, cap, "left")))
    low = np.append(0.0, steps.edges[first + 1 : stop])
    high = np.append(steps.edges[first + 1 : stop], cap)
    upward = steps.upward[first : stop - 1]
    return Windows(low, high, np.append(True, upward), np.append(~upward, True))


def step_sums(grid: Grid, density: Density, n: int, steps: Steps) -> BlockSums:
    """Return the expectations for blocks of n values."""
    power = _power(grid, density) / steps.total
    live = live_steps(steps, n, power)
    windows, scales = steps.windows.rows(live), steps.scales[live]
    shell = windows.moments(grid, density, scales)
    at = _weighty(n, steps, live, power, grid.is_symmetric and density.is_symmetric)
    ahead = Windows.below(windows.low[at], ~windows.low_in[at])
    inner = ahead.moments(grid, density, scales[at]).spread(at, live.size)
    return combined(inner, shell, steps, n, live)


def _weighty(
    n: int, steps: Steps, live: IntArray, power: float, is_symmetric: bool
) -> IntArray | slice:
    """Return which of the live steps add anything by the values below them.

    Under a heavy tail a bound on the power of all errors leaves few of the steps whose shells
    count.
    """
    if math.isinf(power):
        return slice(None)
    bound, reach, shells = steps.law.growth(n - 1) * power, _reach(steps), _shells(steps, n)
    least = _NEGLIGIBLE * float((bound + np.minimum(shells * reach * reach, power)).max())
    if not is_symmetric:
        bound = bound + shells * reach * math.sqrt(power)
    return np.flatnonzero(bound[live] > least)


def _power(grid: Grid, density: Density) -> float:
    """Return a bound on E[e^2] at any scale: E[X^2] where 0 is a level, else infinity.

    An error is then no larger than its value.
    """
    return density.second_moment if grid.error_half_even(np.zeros(1))[0] == 0 else math.inf


def combined(
    inner: WindowMoments, shell: WindowMoments, steps: Steps, n: int, live: IntArray
) -> BlockSums:
    """Weigh the moments below and within the windows with the law of the maximum."""
    law, share = steps.law, 1 / steps.total
    up, grown = (power(n - 1)[live] * share for power in (law.power, law.growth))
    singles = inner.dot(grown) + shell.dot(up)
    if n < 2:
        return BlockSums(singles, 0.0, 0.0)
    up, grown = (power(n - 2)[live] * share * share for power in (law.power, law.growth))
    with np.errstate(invalid="ignore"):
        error = grown * inner.mean**2 + up * shell.mean * (2 * inner.mean + shell.mean)
        cross = grown * inner.mean * inner.first + up * (
            inner.first * shell.mean + shell.first * (inner.mean + shell.mean)
        )
    return BlockSums(singles, float(error.sum()), float(cross.sum()))


def live_steps(steps: Steps, n: int, power: float = math.inf) -> IntArray:
    """Return the steps that add anything: a bound on each, against the largest.

    `power` is a bound on all of them. Without one squares may have their mean where values hardly
    ever are, so that what adds to the mean error counts too.
    """
    reach = _reach(steps)
    weight = _shells(steps, n) + steps.law.growth(n - 1)
    bound = np.minimum(weight * reach * reach, power)
    some = bound > _NEGLIGIBLE * bound.max(initial=0.0)
    if math.isinf(power):
        some |= weight * reach > _NEGLIGIBLE * (weight * reach).max(initial=0.0)
    return np.flatnonzero(some)


def _reach(steps: Steps) -> FloatArray:
    """Return how large the values of each step are, or may as well be."""
    low, high = steps.windows.low, steps.windows.high
    # The last window may be the only one, from 0 on.
    far = np.maximum(2 * low, steps.scales)
    return np.minimum(np.where(np.isfinite(high), high, far), _FAR)


def _shells(steps: Steps, n: int) -> FloatArray:
    """Return the probability that a value lies in a step's shell and no other beyond it."""
    return steps.law.power(n - 1) * steps.law.below * -np.expm1(steps.law.drop)


def likely_codes(steps: Steps, n: int) -> tuple[IntArray, FloatArray]:
    """Return the rule's steps that a block is in with some probability, and that probability."""
    probability = steps.law.growth(n)
    at = np.flatnonzero(probability > _LISTED)
    return at + steps.first, probability[at]


def clipped_share(density: Density, n: int, steps: Steps, top: float) -> float:
    """Return P(M > scale * top), top the largest magnitude among the levels."""
    at, outer = clipped_windows(n, steps, top)
    return clipped_sum(n, steps, at, outer.masses(density)) if at.size else 0.0


def clipped_windows(n: int, steps: Steps, top: float) -> tuple[IntArray, Windows]:
    """Return the steps in which the largest value may clip, and where it then lies."""
    windows = steps.windows
    limit = np.maximum(windows.low, steps.scales * top)
    at = np.flatnonzero((steps.law.growth(n) > 0) & (limit < windows.high))
    inside: BoolArray = windows.low_in[at] & (limit[at] > steps.scales[at] * top)
    return at, Windows(limit[at], windows.high[at], inside, windows.high_in[at])


def clipped_sum(n: int, steps: Steps, at: IntArray, masses: FloatArray) -> float:
    """Add up the probabilities that the largest of n values lies in those windows."""
    with np.errstate(divide="ignore", under="ignore", invalid="ignore"):
        drop = np.log1p(-np.minimum(masses / steps.total / steps.law.below[at], 1.0))
        return float((steps.law.power(n)[at] * -np.expm1(n * drop)).sum())
