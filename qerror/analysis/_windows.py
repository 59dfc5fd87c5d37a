"""Moments of the error over windows of magnitude: what blocks with a shared scale add up."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._ratios import ratio_moments, suits_ratios
from qerror.analysis._samples import run_sums
from qerror.analysis.rows import row_moments
from qerror.densities.density import Density
from qerror.densities.magnitude import magnitude_masses
from qerror.densities.prefix_sums import PrefixSums
from qerror.grids import Grid


class WindowMoments(NamedTuple):
    """Integrals over windows of |x|, one entry a row; e = Q(x) - x."""

    rounding: FloatArray
    """int e^2 p within the grid's range."""
    low: FloatArray
    """int e^2 p below it."""
    high: FloatArray
    """int e^2 p above it."""
    mean: FloatArray
    """int e p."""
    cross: FloatArray
    """int x e p."""
    first: FloatArray
    """int x p."""

    @property
    def square(self) -> FloatArray:
        """Int e^2 p."""
        return self.rounding + self.low + self.high

    def rows(self, at: slice | IntArray) -> "WindowMoments":
        """Return some of the rows."""
        return WindowMoments(*(part[at] for part in self))

    def spread(self, at: slice | IntArray, size: int) -> "WindowMoments":
        """Return so many rows, these ones where it says and the others 0."""
        found = np.zeros((6, size))
        found[:, at] = self
        return WindowMoments(*found)

    def parted(self, sizes: Sequence[int]) -> "list[WindowMoments]":
        """Part rows that were joined."""
        ends = np.cumsum(sizes)
        return [self.rows(slice(end - size, end)) for end, size in zip(ends, sizes, strict=True)]

    def times(self, factor: FloatArray) -> "WindowMoments":
        """Multiply row by row; rows of factor 0 vanish."""
        with np.errstate(invalid="ignore"):
            return WindowMoments(*(np.where(factor == 0, 0.0, part * factor) for part in self))

    def plus(self, other: "WindowMoments") -> "WindowMoments":
        """Add row by row."""
        return WindowMoments(*(a + b for a, b in zip(self, other, strict=True)))

    def dot(self, weights: FloatArray) -> FloatArray:
        """Return the weighted sums of the six, shape (6,); rows of weight 0 do not count."""
        some = weights != 0
        with np.errstate(invalid="ignore"):  # inf - inf: a mean that does not exist
            return np.array([part[some] @ weights[some] for part in self])


class Windows(NamedTuple):
    """Windows low <= |x| < high, a row each, and who has a point mass on an end.

    `low_in` says that the window holds a point mass at its lower end, `high_in` at its upper.
    """

    low: FloatArray
    high: FloatArray
    low_in: BoolArray
    high_in: BoolArray

    @classmethod
    def below(cls, high: FloatArray, high_in: BoolArray) -> "Windows":
        """Return the windows from 0 on."""
        return cls(np.zeros(high.shape), high, np.ones(high.shape, dtype=bool), high_in)

    @classmethod
    def joined(cls, parts: "Sequence[Windows]") -> "Windows":
        """Put windows one after the other."""
        low = np.concatenate([part.low for part in parts])
        high = np.concatenate([part.high for part in parts])
        low_in = np.concatenate([part.low_in for part in parts])
        high_in = np.concatenate([part.high_in for part in parts])
        return cls(low, high, low_in, high_in)

    def rows(self, at: slice | IntArray) -> "Windows":
        """Return some of the rows."""
        return Windows(self.low[at], self.high[at], self.low_in[at], self.high_in[at])

    def masses(self, density: Density) -> FloatArray:
        """Return the probabilities of the windows."""
        total = magnitude_masses(density, self.low, self.high)
        samples = density.atom_sums
        if samples.size:
            for ends in self._runs(samples):
                total += samples.runs(np.stack(ends, axis=-1)).weight.value[:, 0] / samples.unit
        return total

    def moments(self, grid: Grid, density: Density, scales: FloatArray) -> WindowMoments:
        """Integrate over each window the error at its own scale of the grid.

        At scale 0 every value becomes 0.
        """
        found = _continuous(grid, density, scales, self.low, self.high)
        samples = density.atom_sums
        if samples.size:
            for first, last in self._runs(samples):
                _add_points(found, grid, samples, scales, first, last)
        return WindowMoments(*found)

    def _runs(self, samples: PrefixSums) -> list[tuple[IntArray, IntArray]]:
        """Return the runs of point masses in each window: those above 0 on, those below."""
        x = samples.positions
        upper = _count_below(x, self.low, ~self.low_in), _count_below(x, self.high, self.high_in)
        lower = _count_below(x, -self.high, ~self.high_in), _count_below(x, -self.low, self.low_in)
        # A window from 0 on holds 0 once.
        whole = (self.low == 0) & self.low_in
        lower = lower[0], np.where(whole, np.minimum(lower[1], upper[0]), lower[1])
        upper = np.where(whole, lower[1], upper[0]), upper[1]
        return [(a, np.maximum(a, b)) for a, b in (upper, lower)]


def _count_below(x: FloatArray, end: FloatArray, included: BoolArray) -> IntArray:
    """Return how many of the ascending x lie below the ends, or on them where they are included."""
    return np.where(included, np.searchsorted(x, end, "right"), np.searchsorted(x, end, "left"))


def _continuous(
    grid: Grid, density: Density, scales: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return the six moments of the continuous part, shape (6, k)."""
    found = np.zeros((6, scales.size))
    if not density.pieces():
        return found
    alive, dead = high > low, scales == 0
    at = np.flatnonzero(alive & ~dead)
    if at.size and suits_ratios(grid, density):
        found[:5, at], rest = ratio_moments(grid, density, scales[at], low[at], high[at])
        at = at[rest]
    for rows in (at[low[at] == 0], at[low[at] > 0]):
        if rows.size:
            found[:5, rows] = _quantized(grid, density, scales[rows], low[rows], high[rows])
    at = np.flatnonzero(alive & dead)
    if at.size:
        found[:, at] = _unquantized(density, low[at], high[at])
    if not density.is_symmetric:
        found[5] = _first_moments(density, low, high)
    return found


def _quantized(
    grid: Grid, density: Density, scales: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return the first five moments where all windows begin at 0, or none does."""
    if low[0] == 0:
        return np.stack(row_moments(grid, density, scales, -high, high))
    upper = np.stack(row_moments(grid, density, scales, low, high))
    if grid.is_symmetric and density.is_symmetric:
        rounding, _, clipped, _, cross = upper
        return np.stack([2 * rounding, clipped, clipped, np.zeros(scales.size), 2 * cross])
    return upper + np.stack(row_moments(grid, density, scales, -high, -low))


def _unquantized(density: Density, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the moments where every value becomes 0: e = -x."""
    zero = np.zeros(low.size)
    first, second = np.zeros((2, low.size))
    for piece in density.pieces():
        for left, right in ((low, high), (-high, -low)):
            local = piece.integrals(zero, left, right)
            first += local.first
            second += local.second
    return np.stack([second, zero, zero, -first, -second, first])


def _first_moments(density: Density, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return int x p, about the ends of the windows: narrow ones lose nothing."""
    total, zero, width = np.zeros(low.size), np.zeros(low.size), high - low
    for piece in density.pieces():
        upper = piece.integrals(low, zero, width)
        lower = piece.integrals(-low, -width, zero)
        total += upper.first + lower.first + low * (upper.mass - lower.mass)
    return total


def _add_points(  # noqa: PLR0917 - a run of point masses a row
    found: FloatArray,
    grid: Grid,
    samples: PrefixSums,
    scales: FloatArray,
    first: IntArray,
    last: IntArray,
) -> None:
    """Add the point masses first[i], ..., last[i] - 1 to row i."""
    at = np.flatnonzero(last > first)
    if not at.size:
        return
    runs = samples.runs(np.stack([first[at], last[at]], axis=-1))
    sums = runs.first.value[:, 0] / samples.unit
    found[5, at] += sums
    dead = scales[at] == 0
    found[0, at[dead]] += runs.second.value[dead, 0] / samples.unit
    found[3, at[dead]] -= sums[dead]
    found[4, at[dead]] -= runs.second.value[dead, 0] / samples.unit
    live = at[~dead]
    if live.size:
        found[:5, live] += run_sums(grid, samples, scales[live], first[live], last[live])
