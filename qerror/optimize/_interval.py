"""Where to look for the best range: an interval that the density itself suggests."""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.formats.codebook import Codebook
from qerror.formats.format import ScalarFormat
from qerror.grids import Grid

_ROUNDED = 1e-9  # what rounding may have taken from a probability
_WIDEST = 28  # octaves above the density's own size: tails fall no farther for any data
_COARSE = 2  # points per octave of the first look
_WITHIN = 4.0  # 6 dB
_NEGLIGIBLE = 1e-32  # share of the power that clipping may cost at the upper end
_MOST_SPACING = 2.0**12  # 12 octaves more are searched at the most
_LARGEST, _SMALLEST = 1e150, 1e-150  # squares stay within float64


def typical_size(density: Density) -> float:
    """Return a magnitude that X often has, within an octave: the median of |X|, X != 0."""
    # Half of all probability lies within sqrt(2 E[X^2]) of 0 (Chebyshev).
    widest = math.sqrt(density.second_moment) if math.isfinite(density.second_moment) else 1.0
    if widest == 0:
        return 1.0
    origin = np.zeros(1)
    at_zero = float(density.atom_sums.mass(origin, origin)[0])
    sizes = np.array([widest])
    for lowest in (12, 96, 1000):
        sizes = np.ldexp(widest, np.arange(-lowest, 2))
        sizes = sizes[sizes > 0]
        mass = (
            _mass_within(density, sizes) if at_zero == 0 else density.mass(-sizes, sizes) - at_zero
        )
        enough = mass >= 0.5 * (1 - at_zero) * (1 - _ROUNDED)
        if not enough[0]:
            return float(sizes[np.argmax(enough)]) if enough.any() else widest
    return float(sizes[0])


def _mass_within(density: Density, sizes: FloatArray) -> FloatArray:
    """Return P(-s <= X <= s), to about 1e-16: a difference that shares above 1/2 can bear."""
    below = density.cdf(np.concatenate([sizes, np.nextafter(-sizes, -np.inf)]))
    inside: FloatArray = below[: sizes.size] - below[sizes.size :]
    return inside


def search_interval(
    form: ScalarFormat, density: Density, low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    """Return the ranges (largest values) between which the optimum is searched.

    From where the levels reach an eighth of the typical size to an octave beyond where clipping
    costs 1e-32 of the signal's power on either side, but not beyond 2^28 times the size of X
    (heavy tails never get negligible).
    """
    top, grid = form.max_value, form.grid()
    size = typical_size(density)
    reach = size / 8 * min(top / max(top, -grid.min), 1.0)
    if low is None:
        low = reach if high is None else min(reach, high / 16)
    if high is None:
        high = max(_reach(density, size, grid) * _spacing(form), 16 * low)
    low, high = max(low, _SMALLEST), min(high, _LARGEST)
    if not 0 < low < high < math.inf:
        raise InvalidValue(f"low must be positive and below high, got low={low:g}, high={high:g}")
    return low, high


class Stretch(NamedTuple):
    """An interval of scales, and its better end with the MSE there."""

    low: float
    high: float
    edge: float
    edge_mse: float


def promising(form: ScalarFormat, density: Density, interval: tuple[float, float]) -> Stretch:
    """Narrow an interval of ranges to the scales where the MSE can come within 6 dB of its least.

    Two bounds hold at every scale s: what lies beyond the range is clipped, and, where 0 is a
    level, what lies within half the first level is rounded to 0. The first falls with s and the
    second grows, so both ends follow from a coarse scan.
    """
    count = max(3, math.ceil(_COARSE * math.log2(interval[1] / interval[0])) + 1)
    scales = np.geomspace(*interval, count) / form.max_value
    report = quantization_error(form, density, scales)
    enough = _WITHIN * float(report.mse.min())
    first = max(int(np.argmax(report.clipping <= enough)) - 1, 0)
    lost = _lost_below(density, scales * form.grid().dead_zone)
    last = min(count - int(np.argmax(lost[::-1] <= enough)), count - 1)
    edge = last if report.mse[last] < report.mse[first] else first
    return Stretch(*(float(x) for x in (*scales[[first, last, edge]], report.mse[edge])))


def _spacing(form: ScalarFormat) -> float:
    """Return how far the range must move for each level of a codebook to meet the same values.

    Its levels may lie closest anywhere; those of other formats do around 0 or everywhere alike.
    """
    if not isinstance(form, Codebook):
        return 1.0
    sizes = np.abs(form.grid().base_points)
    return min(float(sizes.max() / sizes[sizes > 0].min()), _MOST_SPACING)


def _lost_below(density: Density, radii: FloatArray) -> FloatArray:
    """Return E[x^2; |x| <= r], what rounding all of it to 0 costs."""
    samples = density.atom_sums
    lost = np.zeros(radii.size)
    if samples.size:
        ends = np.stack(
            [
                np.searchsorted(samples.positions, -radii),
                np.searchsorted(samples.positions, radii, "right"),
            ],
            axis=-1,
        )
        lost += samples.runs(ends).second.value[:, 0] / samples.unit
    for piece in density.pieces():
        lost += piece.integrals(np.zeros(radii.size), -radii, radii).second
    return lost


def _reach(density: Density, size: float, grid: Grid) -> float:
    """Return twice the first range, in octaves, that clips next to nothing on either side.

    A grid that reaches less far to the left than to the right needs a larger range there; one
    that does not go left of 0 cannot help what lies there.
    """
    left = min(-grid.min / grid.max, 1.0) if grid.min < 0 else 0.0
    ends = density.support
    if math.isfinite(ends[0]) and math.isfinite(ends[1]):
        return 2 * max(size, ends[1], -ends[0] / left if left else 0.0)
    power = density.second_moment
    most = max(size, math.sqrt(power))
    octaves = math.ceil(math.log2(most / size)) + _WIDEST
    ranges = np.ldexp(size, np.arange(octaves))
    ranges = ranges[: max(int(np.count_nonzero(ranges < _LARGEST)), 1)]
    clipped = _clipped_above(density, ranges)
    if left == 1 and density.is_symmetric:
        clipped *= 2
    elif left:
        clipped += _clipped_above(density.affine(-1.0), ranges * left)
    enough = np.flatnonzero(clipped <= _NEGLIGIBLE * power)
    return 2 * float(ranges[enough[0]] if enough.size else ranges[-1])


def _clipped_above(density: Density, limits: FloatArray) -> FloatArray:
    """Return E[(x - c)^2; x > c] at limits c > 0."""
    clipped = np.zeros(limits.size)
    infinite, nothing = np.full(limits.size, np.inf), np.zeros(limits.size)
    for piece in density.pieces():
        clipped += piece.integrals(limits, nothing, infinite).second
    samples = density.atom_sums
    if samples.size:
        start = np.searchsorted(samples.positions, limits, "right")
        ends = np.stack([start, np.full(start.size, samples.size)], axis=-1)
        weight, first, second = (pair.value[:, 0] for pair in samples.runs(ends))
        beyond = np.where(weight > 0, second - limits * (2 * first - limits * weight), 0.0)
        clipped += np.maximum(beyond, 0.0) / samples.unit
    return clipped
