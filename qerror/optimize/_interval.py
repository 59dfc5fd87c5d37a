"""Where to look for the best range: an interval that the density itself suggests."""

import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid

_QUANTILES = (0.25, 0.1, 0.01, 1e-3, 1e-6)
_WIDEST = 28  # octaves above the typical size: wider than any data set's own spread
_COARSE = 2  # points per octave of the first look
_WITHIN = 4.0  # 6 dB
_NEGLIGIBLE = 1e-32  # share of the power that clipping may cost at the upper end


def typical_size(density: Density) -> float:
    """Return a magnitude that X often has: about the median of |X|."""
    for p in _QUANTILES:
        low, high = density.ppf([p, 1 - p])
        size = max(abs(float(low)), abs(float(high)))
        if size > 0:
            return size
    low, high = density.support
    size = max(abs(low), abs(high))
    return size if 0 < size < math.inf else 1.0


def search_interval(
    density: Density, low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    """Return the ranges (largest values) between which the optimum is searched.

    From an eighth of the typical size to an octave beyond where clipping costs 1e-32 of the
    signal's power, but not beyond 2^28 typical sizes (heavy tails never get negligible).
    """
    size = typical_size(density)
    if low is None:
        low = size / 8 if high is None else min(size / 8, high / 16)
    if high is None:
        high = max(_reach(density, size), 16 * low)
    if not 0 < low < high < math.inf:
        raise InvalidValue(f"low must be positive and below high, got low={low:g}, high={high:g}")
    return low, high


def promising(
    form: ScalarFormat, density: Density, interval: tuple[float, float]
) -> tuple[float, float]:
    """Narrow an interval to where the MSE can come within 6 dB of its least value.

    Two bounds hold at every scale s: what lies beyond the range is clipped, and, where 0 is a
    level, what lies within half the first level is rounded to 0. The first falls with s and the
    second grows, so both ends follow from a coarse scan.
    """
    count = max(3, math.ceil(_COARSE * math.log2(interval[1] / interval[0])) + 1)
    ranges = np.geomspace(*interval, count)
    report = quantization_error(form, density, ranges / form.max_value)
    enough = _WITHIN * float(report.mse.min())
    first = int(np.argmax(report.clipping <= enough))
    lost = _lost_below(density, ranges / form.max_value * form.grid().dead_zone)
    last = count - 1 - int(np.argmax(lost[::-1] <= enough))
    return float(ranges[max(first - 1, 0)]), float(ranges[min(last + 1, count - 1)])


def levels_per_octave(grid: Grid) -> int:
    """Return how many levels lie in the densest octave, from above."""
    top = np.maximum(np.abs(grid.edges[:-1]), np.abs(grid.edges[1:]))
    span = np.minimum(np.diff(grid.edges), 0.5 * top)
    return math.ceil(float((span / grid.steps).max(initial=1.0)))


def _lost_below(density: Density, radii: FloatArray) -> FloatArray:
    """Return E[x^2; |x| <= r], what rounding all of it to 0 costs."""
    x, probability = density.atoms()
    lost = (x * x * (np.abs(x) <= radii[:, None])) @ probability
    for piece in density.pieces():
        lost += piece.integrals(np.zeros(radii.size), -radii, radii).second
    return lost


def _reach(density: Density, size: float) -> float:
    """Return twice the first range, in octaves of the size, that clips next to nothing."""
    ranges = np.ldexp(size, np.arange(_WIDEST))
    clipped = np.zeros(ranges.size)
    infinite, nothing = np.full(ranges.size, np.inf), np.zeros(ranges.size)
    for piece in density.pieces():
        clipped += piece.integrals(ranges, nothing, infinite).second
        clipped += piece.integrals(-ranges, -infinite, nothing).second
    x, probability = density.atoms()
    clipped += np.maximum(np.abs(x) - ranges[:, None], 0.0) ** 2 @ probability
    enough = np.flatnonzero(clipped <= _NEGLIGIBLE * density.second_moment)
    return 2 * float(ranges[enough[0]] if enough.size else ranges[-1])
