"""The best scale and zero point of an unsigned integer, searched together."""

import math
from dataclasses import dataclass, field

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.formats.integer import Integer
from qerror.optimize import _points, _scan
from qerror.optimize._interval import promising, search_interval

_ALL_BITS = 4  # widths at which every zero point is looked at
_PARTS = 3  # binary digits of the zero points of wider codes that are looked at first
_COARSE = 2  # scales per octave of the first look
_WITHIN = 2.0  # 3 dB: what a scale between two of the first look may gain, and more
_AROUND, _NEAR = 2.0, 1.25  # how far from a place of the first look, and of a neighbour, to search
_WIDENED = 24  # times by which a search is moved on whose best scale is its last
_STARTS = 3  # places from which neighbouring zero points are tried
_SAME = 1e-12  # of the MSE and of a scale: rounding


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """The least MSE at each zero point that was looked at."""

    bits: int
    density: Density
    found: dict[int, tuple[float, float]] = field(default_factory=dict[int, tuple[float, float]])
    """Zero point to MSE and scale."""

    @property
    def top(self) -> int:
        """The largest code."""
        return int(2**self.bits - 1)

    def form(self, zero: int) -> Integer:
        """Return the format with this zero point."""
        return Integer(self.bits, signed=False, zero_point=zero)

    def search(self, zero: int, scale: float, ratio: float) -> float:
        """Return the least MSE at a zero point about a scale, and keep it with its place."""
        form, low, high = self.form(zero), scale / ratio, scale * ratio
        for _ in range(_WIDENED):
            mse, at = self._between(form, low, high)
            if zero not in self.found or mse < self.found[zero][0]:
                self.found[zero] = mse, at
            # The last scale itself: what is lower lies beyond.
            if low * (1 + _SAME) < at < high * (1 - _SAME):
                break
            low, high = (low / ratio**2, low) if at < scale else (high, high * ratio**2)
            scale = math.sqrt(low * high)
        return self.found[zero][0]

    def _between(self, form: Integer, low: float, high: float) -> tuple[float, float]:
        """Return the least MSE between two scales, and where it is."""
        if not self.density.pieces():
            scales, mse = _points.lowest(form, self.density, low, high, exhaustive=False)
            ends = np.array([low, high])
            scales = np.append(scales, ends)
            mse = np.append(mse, quantization_error(form, self.density, ends).mse)
        else:
            scales, mse, scan = _scan.lowest(form, self.density, low, high)
            lowest = int(np.argmin(scan.mse))
            scales = np.append(scales, scan.scales[lowest])
            mse = np.append(mse, scan.mse[lowest])
        best = int(np.argmin(mse))
        return float(mse[best]), float(scales[best])

    @property
    def best(self) -> int:
        """The zero point with the least MSE so far; of equal ones the one next to the middle."""
        least = min(mse for mse, _ in self.found.values())
        tied = [zero for zero, (mse, _) in self.found.items() if mse <= least * (1 + _SAME)]
        return min(tied, key=lambda zero: (abs(2 * zero - self.top), zero))


def searched(bits: int, density: Density) -> tuple[int, float]:
    """Return the best zero point and its scale.

    A coarse look at all zero points of up to 4 bits, or at every eighth of the codes, leaves
    the places that may hold the least MSE; there the scale is searched as in `optimal_scale`,
    and neighbouring zero points are tried by shrinking steps.
    """
    points = ZeroPoints(bits, density)
    stride = 1 if bits <= _ALL_BITS else 2 ** (bits - _PARTS)
    places = _first_look(points, stride)
    least = places[0][0]
    if stride == 1:
        for mse, zero, scale in places:
            if mse <= _WITHIN * least:
                points.search(zero, scale, _AROUND)
        return points.best, points.found[points.best][1]
    for _, zero, scale in places[:_STARTS]:
        points.search(zero, scale, _AROUND)
    for start in sorted(points.found, key=lambda zero: points.found[zero][0]):
        _descend(points, start, stride)
    return points.best, points.found[points.best][1]


def _descend(points: ZeroPoints, zero: int, stride: int) -> None:
    """Try neighbouring zero points by shrinking steps, from one on."""
    step = stride
    while step > 1:
        step //= 2
        while True:
            scale = points.found[zero][1]
            better = zero
            for near in (zero - step, zero + step):
                if not 0 <= near <= points.top:
                    continue
                if near not in points.found:
                    points.search(near, scale, _NEAR)
                if points.found[near][0] < points.found[better][0]:
                    better = near
            if better == zero:
                break
            zero = better


def _first_look(points: ZeroPoints, stride: int) -> list[tuple[float, int, float]]:
    """Return places as MSE, zero point and scale, from the least MSE to the largest.

    Of each zero point those scales that are lower than their neighbours.
    """
    found = [(_mse(points, zero, scale), zero, scale) for zero, scale in _whole(points)]
    scales = _scales(points)
    zeros = sorted({*range(0, points.top + 1, stride), points.top})
    for zero in zeros:
        mse = quantization_error(points.form(zero), points.density, scales).mse
        padded = np.concatenate([[np.inf], mse, [np.inf]])
        dips = np.flatnonzero((mse < padded[:-2]) & (mse <= padded[2:]))
        found += [(float(mse[i]), zero, float(scales[i])) for i in dips]
    return sorted(found)


def _mse(points: ZeroPoints, zero: int, scale: float) -> float:
    return quantization_error(points.form(zero), points.density, scale).mse


def _scales(points: ZeroPoints) -> FloatArray:
    """Return coarse scales about those at which symmetric integers come within 6 dB of their best.

    All codes on one side halve the range at most; twice the levels may reach further.
    """
    symmetric = Integer(max(points.bits, 2))
    stretch = promising(symmetric, points.density, search_interval(symmetric, points.density))
    unit = symmetric.max_value / points.top
    low, high = stretch.low * unit / 2, stretch.high * unit * 2
    return np.geomspace(low, high, math.ceil(_COARSE * math.log2(high / low)) + 1)


def _whole(points: ZeroPoints) -> list[tuple[int, float]]:
    """Return the zero point and scale that reach from end to end of a bounded density and 0."""
    low, high = points.density.support
    low, high = min(low, 0.0), max(high, 0.0)
    if not 0 < high - low < math.inf:
        return []
    scale = (high - low) / points.top
    return [(round(-low / scale), scale)]
