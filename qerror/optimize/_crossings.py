"""The best scale for point masses, exactly: every value that changes its level is visited.

While no value crosses a threshold the MSE is a parabola in the scale: with levels s g,

    E[(x - s g)^2] = M - 2 R (s - r) + C (s - r)^2,   R = E[(x - r g) g],   C = E[g^2],

about a reference scale r. A value x crosses the threshold m at the scale x / m, and that changes
M, R and C by one term each. So sorting the crossings and running sums give the lowest point of
every parabola. A parabola that is lowest outside its own stretch does no harm: nearest levels
are the best assignment, so the true MSE there is lower still, and belongs to another stretch.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import TooLarge
from qerror.grids import Grid

_TOGETHER = 2**18  # crossings sorted at a time
_MOST = 2**27  # crossings that a full search may visit, under a minute
_KEPT = 8  # lowest points of a stretch that are looked at again


@dataclass(frozen=True, eq=False)
class Crossings:
    """Where the values of a density without a continuous part change their level."""

    grid: Grid
    density: Density
    middles: FloatArray
    """Thresholds at scale 1 that move, ascending."""
    near: FloatArray
    """The level beside each threshold towards 0."""
    far: FloatArray
    """The level on its other side."""

    @classmethod
    def of(cls, grid: Grid, density: Density) -> "Crossings":
        points = grid.base_points * grid.factor
        middles = points[:-1] + 0.5 * np.diff(points)
        moving = middles != 0
        below, above = points[:-1][moving], points[1:][moving]
        middles = middles[moving]
        near, far = np.where(middles > 0, below, above), np.where(middles > 0, above, below)
        return cls(grid, density, middles, near, far)

    def count(self, edges: FloatArray) -> IntArray:
        """Return how many crossings lie between neighbouring scales."""
        x = self.density.atom_sums.positions
        # The values between 0 and a threshold grow in number with the scale.
        ranks = np.searchsorted(x, edges[:, None] * self.middles)
        passed: IntArray = np.abs(np.diff(ranks, axis=0)).sum(axis=1)
        return passed

    def lowest(self, low: float, high: float) -> tuple[FloatArray, FloatArray]:
        """Return the scales in [low, high] that may have the least MSE, and their parabolas'."""
        change, rise, bend = self._steps(low, high)
        start = quantization_error(self.grid, self.density, low)
        power = start.signal_power + 2 * start.cross_moment + start.mse
        flow = -(start.cross_moment + start.mse) / low
        m = start.mse + np.append(0.0, np.cumsum(change))
        r = flow + np.append(0.0, np.cumsum(rise))
        c = power / low**2 + np.append(0.0, np.cumsum(bend))
        move = np.divide(r, c, out=np.zeros(r.size), where=c > 0)
        move = np.clip(move, 0.0, high - low)
        mse = m + move * (c * move - 2 * r)
        kept = np.argsort(mse, kind="stable")[:_KEPT] if mse.size > _KEPT else np.arange(mse.size)
        return low + move[kept], mse[kept]

    def _steps(self, low: float, high: float) -> tuple[FloatArray, ...]:
        """Return the crossings between two scales in their order, and what each changes."""
        samples = self.density.atom_sums
        x, weight = samples.positions, samples.weights / samples.unit
        # With growing scale a value passes from the far level to the near one.
        ends = np.sort(np.searchsorted(x, np.outer([low, high], self.middles)), axis=0)
        counts: IntArray = ends[1] - ends[0]
        which: IntArray = np.repeat(np.arange(int(counts.size)), counts)
        at = np.arange(which.size) + np.repeat(ends[0] - (np.cumsum(counts) - counts), counts)
        value, share = x[at], weight[at]
        middle, near, far = self.middles[which], self.near[which], self.far[which]
        order = np.argsort(value / middle)
        jump = near - far
        change = -2 * low * share * jump * (value - low * middle)
        rise = share * jump * (value - 2 * low * middle)
        bend = share * jump * (2 * middle)
        return change[order], rise[order], bend[order]


def enumerated(
    grid: Grid, density: Density, low: float, high: float
) -> tuple[FloatArray, FloatArray]:
    """Return the best scales of every stretch between two scales, by visiting all crossings.

    Raises
    ------
    TooLarge
        If there are more than 2^27 crossings.
    """
    crossings = Crossings.of(grid, density)
    edges = _edges(crossings, low, high)
    found = [crossings.lowest(float(a), float(b)) for a, b in pairwise(edges)]
    scales, mse = (np.concatenate(parts) for parts in zip(*found, strict=True))
    best = np.argsort(mse, kind="stable")[: 4 * _KEPT]
    return scales[best], mse[best]


def _edges(crossings: Crossings, low: float, high: float) -> FloatArray:
    """Cut an interval of scales into stretches with few enough crossings."""
    edges = np.array([low, high])
    while True:
        counts = crossings.count(edges)
        if counts.sum() > _MOST:
            raise TooLarge(
                f"an exhaustive search would visit {counts.sum():,} crossings of values and "
                f"thresholds, more than {_MOST:,}; narrow it by low and high, or leave it out"
            )
        parts = np.where(edges[1:] > edges[:-1] * (1 + 1e-12), -(-counts // _TOGETHER), 1)
        if (parts <= 1).all():
            return edges
        cut: list[FloatArray] = [
            np.linspace(a, b, min(int(n), 64) + 1)[:-1]
            for a, b, n in zip(edges, edges[1:], np.maximum(parts, 1), strict=False)
        ]
        edges = np.append(np.concatenate(cut), high)
