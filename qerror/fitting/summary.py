"""What the fits need of data, read once: exact moments, limits, and bins about a robust centre."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray, read_only, two_square, two_sum
from qerror.exceptions import InvalidValue

DIRECT = 1 << 17
"""Up to so many values are kept one by one."""

_BINS_SHIFT = 12  # of float32's 23 stored bits: bins are 2^-11 wide, relative to the centre
_BINS = 1 << (32 - _BINS_SHIFT)
_MOST_OCTAVES = 100  # from the unit to the farthest value, so that squares and float32 hold it


@dataclass(frozen=True)
class Unit:
    """A centre and a spread that no few values can move: x = centre + d 2^exponent."""

    centre: float
    """A value amid the data, which the sums are about."""
    exponent: int
    """Values are multiplied by 2 to minus this."""

    @classmethod
    def of(cls, probe: FloatArray, low: float, high: float) -> "Unit":
        """Return the median of a probe and its quartiles' distance, as a power of two.

        Parameters
        ----------
        probe : ndarray
            A part of the values, in any order; not empty.
        low, high : float
            The least and the largest of all values.
        """
        # In halves: their difference is finite where that of the values is not.
        first, centre, third = np.quantile(0.5 * probe, (0.25, 0.5, 0.75)).tolist()
        farthest = max(0.5 * high - centre, centre - 0.5 * low)
        spread = third - first or farthest or 1.0
        exponent = math.frexp(spread)[1]
        most = math.frexp(farthest)[1] if farthest > 0 else exponent
        return cls(2 * centre, max(exponent, most - _MOST_OCTAVES))

    def distances(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return d = (x - centre) / 2^exponent as a sum of two floats; d is the first of them."""
        centre = math.ldexp(self.centre, -self.exponent)
        return two_sum(np.ldexp(x, -self.exponent), -centre)

    def value(self, d: float) -> float:
        """Return centre + d 2^exponent."""
        return self.centre + math.ldexp(d, self.exponent)

    def length(self, d: float) -> float:
        """Return d 2^exponent."""
        return math.ldexp(d, self.exponent)


@dataclass(frozen=True, eq=False)
class Summary:
    """Values of data, or bins of them, with moments that are exact whatever their number.

    Everything is in units of `unit`. Summaries of parts with one unit add up: `a.merged(b)`.
    """

    unit: Unit
    size: int
    """Number of values."""
    low: float
    """The least value, in the data's own units."""
    high: float
    """The limits, in the data's own units."""
    first: tuple[float, float]
    """The sum of d in two floats."""
    second: tuple[float, float]
    """The sum of d^2 in two floats."""
    points: FloatArray
    """Distances d from the centre: of the values, or the mean of each bin."""
    weights: FloatArray
    """How many values stand at each point."""

    @classmethod
    def of(cls, parts: Iterable[FloatArray], unit: Unit, *, binned: bool) -> "Summary":
        """Read parts once; bins keep memory bounded, values are exact.

        Parameters
        ----------
        parts : iterable of ndarray
            Flat arrays of finite numbers.
        unit : Unit
            Where the bins are finest, 2^-11 of the distance from its centre.
        binned : bool
            Whether to keep bins instead of the values.
        """
        size, low, high = 0, math.inf, -math.inf
        first = second = (0.0, 0.0)
        kept = _Bins() if binned else _Values()
        for part in parts:
            d, rest = unit.distances(part)
            size += d.size
            low = min(low, float(part.min(initial=math.inf)))
            high = max(high, float(part.max(initial=-math.inf)))
            square, small = two_square(d)
            first = _added(first, d, rest)
            second = _added(second, square, small + 2 * d * rest)
            kept.add(d)
        points, weights = kept.points()
        return cls(unit, size, low, high, first, second, read_only(points), read_only(weights))

    def merged(self, other: "Summary") -> "Summary":
        """Return the summary of both parts' values, in bins if either has bins or both are many.

        Raises
        ------
        InvalidValue
            If the units differ.
        """
        if self.unit != other.unit:
            raise InvalidValue("summaries add up only about one centre and unit")
        points = np.concatenate([self.points, other.points])
        weights = np.concatenate([self.weights, other.weights])
        size = self.size + other.size
        if self.is_binned or other.is_binned or size > DIRECT:
            kept = _Bins()
            kept.add(points, weights)
            points, weights = kept.points()
        return Summary(
            self.unit,
            size,
            min(self.low, other.low),
            max(self.high, other.high),
            _joined(self.first, other.first),
            _joined(self.second, other.second),
            read_only(points),
            read_only(weights),
        )

    @property
    def is_binned(self) -> bool:
        """Whether a point may stand for several values."""
        return self.points.size < self.size

    @property
    def mean(self) -> float:
        """The mean of the values, exact to a few roundings."""
        return self.unit.value(sum(self.first) / max(self.size, 1))

    @property
    def std(self) -> float:
        """The root of the mean squared distance from the mean, as exact."""
        # The mean lies within one standard deviation of the median, so little cancels.
        shift = sum(self.first) / max(self.size, 1)
        variance = sum(self.second) / max(self.size, 1) - shift * shift
        return self.unit.length(math.sqrt(max(variance, 0.0)))

    def average(self, y: FloatArray) -> float:
        """Return the weighted mean of a value a point."""
        return float(self.weights @ y) / self.size

    def quantiles(self, *shares: float) -> list[float]:
        """Return the least distances with at least these shares of the weight up to them."""
        order = np.argsort(self.points)
        cumulative = np.cumsum(self.weights[order])
        at = np.searchsorted(cumulative, np.array(shares) * self.size * (1 - 1e-12))
        found: list[float] = self.points[order][np.minimum(at, order.size - 1)].tolist()
        return found


class _Values:
    """Keeps every value."""

    def __init__(self) -> None:
        self._parts: list[FloatArray] = [np.empty(0)]

    def add(self, d: FloatArray) -> None:
        self._parts.append(d)

    def points(self) -> tuple[FloatArray, FloatArray]:
        d = np.concatenate(self._parts)
        return d, np.ones(d.size)


class _Bins:
    """Counts values by sign, exponent and the leading bits of their distance."""

    def __init__(self) -> None:
        self._counts, self._sums = np.zeros(_BINS), np.zeros(_BINS)

    def add(self, d: FloatArray, weights: FloatArray | None = None) -> None:
        key = d.astype(np.float32).view(np.uint32) >> np.uint32(_BINS_SHIFT)
        index = key.astype(np.int64)
        self._counts += np.bincount(index, weights, minlength=_BINS)
        total = d if weights is None else d * weights
        self._sums += np.bincount(index, total, minlength=_BINS)

    def points(self) -> tuple[FloatArray, FloatArray]:
        used = self._counts > 0
        return self._sums[used] / self._counts[used], self._counts[used]


def _added(total: tuple[float, float], x: FloatArray, rest: FloatArray) -> tuple[float, float]:
    """Add an array, and what its elements lost, to a sum in two floats."""
    lost = float(rest.sum())
    while x.size > 1:
        half = x.size // 2
        odd = x[2 * half :]
        x, error = two_sum(x[:half], x[half : 2 * half])
        lost += float(error.sum())
        x = np.concatenate([x, odd])
    return _joined(total, (float(x.sum()), lost))


def _joined(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    high = a[0] + b[0]
    shadow = high - a[0]
    error = (a[0] - (high - shadow)) + (b[0] - shadow)
    low = a[1] + b[1] + error
    return high + low, low - ((high + low) - high)
