"""A grid: the finite set of reals that a number format can represent."""

import reprlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import (
    ArrayValue,
    BoolArray,
    FloatArray,
    Immutable,
    IntArray,
    frozen,
    numbers,
    positive,
    read_only,
    two_product,
    whole_numbers,
)
from qerror.exceptions import InvalidType, InvalidValue, TooLarge

MOST_POINTS = 2**24  # 128 MiB as float64: beyond it a list of points serves nobody


class Segment(NamedTuple):
    """A run of equally spaced levels: start, start + step, ..., stop; count steps."""

    start: float
    stop: float
    step: float
    count: int  # type: ignore[assignment]  # tuple.count is of no use here


@final
@dataclass(frozen=True, eq=False)
class Cells(ArrayValue):
    """The rounding cells of a grid's points, or of those >= 0 of a symmetric grid.

    All distances are before the grid's factor. The outermost cells end at their points: what
    lies beyond is clipped.
    """

    points: FloatArray
    """The levels, ascending."""
    left: FloatArray
    right: FloatArray
    """Distances to the thresholds below and above, >= 0."""
    weight: FloatArray
    """How many cells each stands for: 2 in the upper half of a symmetric grid, where the cell
    of 0 is cut to its right half."""
    half: FloatArray
    """The smaller distance: each cell is symmetric up to it."""
    uneven: IntArray
    """The cells with left != right, where something remains on one side."""


@final
@dataclass(frozen=True, eq=False)
class Grid(Immutable):
    """A union of uniform segments times one positive factor.

    Segment i runs from ``edges[i]`` to ``edges[i + 1]`` in ``counts[i]`` steps of ``steps[i]``;
    neighbours share their edge. An integer format is one segment and every binade of a
    floating-point format is one, so a 32-bit grid is described by a few hundred numbers.
    The factor stays apart from the segments: scaling a grid rounds nothing but the factor.

    Parameters
    ----------
    edges : array_like, shape (n + 1,)
        Strictly increasing, finite.
    steps : array_like, shape (n,)
        Positive spacings.
    counts : array_like of int, shape (n,)
        Intervals per segment, at least 1.
    factor : float
        Multiplies every point; positive and finite.
    even_first : bool
        Whether the smallest point has an even code. Codes alternate from point to point,
        and a value exactly between two points goes to the even one.

    Raises
    ------
    InvalidValue
        If the parts do not describe a strictly increasing finite grid.
    """

    edges: FloatArray
    steps: FloatArray
    counts: IntArray
    factor: float = 1.0
    even_first: bool = True

    def __post_init__(self) -> None:
        edges = read_only(np.atleast_1d(numbers("the edges of a grid", self.edges)))
        steps = read_only(numbers("the steps of a grid", self.steps).reshape(-1))
        counts = whole_numbers("the counts of a grid", self.counts)
        if not (edges.ndim == 1 and edges.size == steps.size + 1 == counts.size + 1):
            raise InvalidValue(
                "a grid of n segments needs n + 1 edges, n steps and n counts, "
                f"got {edges.size}, {steps.size} and {counts.size}"
            )
        if not np.isfinite(edges).all():
            raise InvalidValue("a grid's points must be finite")
        if not ((np.diff(edges) > 0).all() and (steps > 0).all() and (counts > 0).all()):
            raise InvalidValue("a grid's points must be strictly increasing")
        _check_lengths(edges, steps, counts)
        for name, value in (("edges", edges), ("steps", steps), ("counts", counts)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "factor", positive("the factor of a grid", self.factor))

    @classmethod
    def uniform(cls, start: float, step: float, count: int, even_first: bool = True) -> "Grid":
        """Make the grid start, start + step, ..., start + count step."""
        edges = np.array([start, start + count * step])
        return cls(edges, np.array([step]), np.array([count]), even_first=even_first)

    @classmethod
    def from_points(cls, values: npt.ArrayLike) -> "Grid":
        """Make a grid of explicit points, in any order, without duplicates.

        Raises
        ------
        InvalidValue
            If there is no point, a point is not finite, or two are equal.
        """
        try:
            given = np.asarray(values)
            if given.dtype.kind == "c":  # a cast would drop the imaginary parts
                raise TypeError
            points = np.sort(given.astype(np.float64).reshape(-1))
        except (TypeError, ValueError, OverflowError):
            raise InvalidType(
                f"the points of a grid must be numbers, got {reprlib.repr(values)}"
            ) from None
        if points.size == 0:
            raise InvalidValue("a grid needs at least one point, got none")
        if not np.isfinite(points).all():
            raise InvalidValue("the points of a grid must be finite")
        with np.errstate(over="ignore"):
            gaps = np.diff(points)
        if not (gaps > 0).all():
            twice = points[:-1][gaps <= 0][0]
            raise InvalidValue(f"the points of a grid must differ, got {twice:g} twice")
        if not np.isfinite(gaps).all():
            raise InvalidValue("the points of a grid span more than float64 can hold")
        return cls(points, gaps, np.ones(gaps.size, dtype=np.int64))

    @cached_property
    def size(self) -> int:
        """Number of points."""
        # As Python integers: a 64-bit format has more points than int64 can count.
        return sum(map(int, self.counts)) + 1

    @property
    def min(self) -> float:
        """Smallest point."""
        return float(self.edges[0] * self.factor)

    @property
    def max(self) -> float:
        """Largest point."""
        return float(self.edges[-1] * self.factor)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The uniform runs, from the lowest to the highest."""
        edges, steps = self.edges * self.factor, self.steps * self.factor
        return tuple(
            Segment(float(start), float(stop), float(step), int(count))
            for start, stop, step, count in zip(
                edges[:-1], edges[1:], steps, self.counts, strict=True
            )
        )

    @property
    def points(self) -> FloatArray:
        """All points, shape (size,), strictly increasing; refuses more than 2^24 of them."""
        return frozen(self.base_points * self.factor)

    @property
    def thresholds(self) -> FloatArray:
        """The midpoints between neighbours, shape (size - 1,): where rounding changes."""
        return frozen((self.base_points[:-1] + 0.5 * self.base_gaps) * self.factor)

    @cached_property
    def base_points(self) -> FloatArray:
        """The points before the factor, shape (size,)."""
        if self.size > MOST_POINTS:
            raise TooLarge(
                f"this grid has {self.size:,} points, more than the {MOST_POINTS:,} that are "
                "listed one by one; use .segments, .min, .max and .size"
            )
        first = np.repeat(self.edges[:-1], self.counts)
        return frozen(np.append(first + self._rank() * self.base_gaps, self.edges[-1]))

    @cached_property
    def base_gaps(self) -> FloatArray:
        """The distances between neighbours before the factor, shape (size - 1,)."""
        return frozen(np.repeat(self.steps, self.counts))

    @cached_property
    def cells(self) -> Cells:
        """The cells of all points."""
        half = 0.5 * self.base_gaps
        left, right = np.append(0.0, half), np.append(half, 0.0)
        return _cells(self.base_points, left, right, np.ones(self.size))

    @cached_property
    def upper_cells(self) -> Cells:
        """The cells of the points >= 0 of a symmetric grid, each for its mirror image too."""
        whole = self.cells
        upper = whole.points >= 0
        points = whole.points[upper]
        left = np.where(points > 0, whole.left[upper], 0.0)
        return _cells(points, left, whole.right[upper], np.full(points.size, 2.0))

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether the grid is its own mirror image."""
        pairs = (-self.edges, self.edges), (self.steps, self.steps), (self.counts, self.counts)
        return all(np.array_equal(a, b[::-1]) for a, b in pairs)

    @cached_property
    def dead_zone(self) -> float:
        """How far around 0 everything is rounded to 0, at least; 0 if 0 is no level."""
        if self.round_half_even(0.0) != 0:
            return 0.0
        around = (self.edges[:-1] <= 0) & (self.edges[1:] >= 0)
        return 0.5 * float(self.steps[around].min(initial=np.inf)) * self.factor

    def scaled(self, factor: float) -> "Grid":
        """Return the grid with every point multiplied by `factor` > 0."""
        product = self.factor * positive("the scale of a grid", factor)
        return Grid(self.edges, self.steps, self.counts, product, self.even_first)

    def round_half_even(self, x: npt.ArrayLike, scale: npt.ArrayLike = 1.0) -> FloatArray:
        """Return the point of ``scaled(scale)`` nearest to each x, a tie going to the even code.

        The two broadcast against each other.

        Meant for a handful of values (point masses): the decision is exact for points and
        values that are exact; arrays of data belong to the simulator.
        """
        level, factor = self._nearest(x, scale)
        return level * factor

    def error_half_even(self, x: npt.ArrayLike, scale: npt.ArrayLike = 1.0) -> FloatArray:
        """Return the error ``round_half_even(x, scale) - x``, rounded once.

        The product of level, factor and scale keeps its low half, so that errors far below the
        last place of x, as wide formats have them, are right.
        """
        x = np.asarray(x, dtype=np.float64)
        level, factor = self._nearest(x, scale)
        value, rest = two_product(level, factor)
        _, lost = two_product(np.asarray(self.factor), np.asarray(scale, dtype=np.float64))
        error: FloatArray = (value - x) + (rest + level * lost)
        return error

    def neighbours(self, x: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return the points around x, before the factor, and whether the upper one is even.

        A point is its own lower neighbour, and the highest its upper one too; not of one point.
        """
        segment, rank = self._locate(x, np.asarray(self.factor))
        low = np.where(x >= self.max, self.edges[-1], self._level(segment, rank))
        even: BoolArray = ((self._parity[segment] + rank) % 2 == 0) != self.even_first
        return low, self._level(segment, rank + 1), even

    def _nearest(self, x: npt.ArrayLike, scale: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the base points that values are rounded to, and what multiplies them."""
        factor = self.factor * np.asarray(scale, dtype=np.float64)
        x, factor = np.broadcast_arrays(np.asarray(x, dtype=np.float64), factor)
        if not self.steps.size:
            return np.full(x.shape, self.edges[0]), factor
        segment, rank = self._locate(x, factor)
        low, high = self._level(segment, rank), self._level(segment, rank + 1)
        below, above = x - low * factor, high * factor - x
        even_low = ((self._parity[segment] + rank) % 2 == 0) == self.even_first
        up = (above < below) | ((above == below) & ~even_low)
        return np.where(up, high, low), factor

    def _rank(self) -> FloatArray:
        """Return each point's number within its segment: 0, 1, ..., count - 1, 0, 1, ..."""
        starts = np.cumsum(self.counts) - self.counts
        return (np.arange(self.size - 1) - np.repeat(starts, self.counts)).astype(np.float64)

    @cached_property
    def _parity(self) -> IntArray:
        """Whether the number of points below each segment's start is odd, as 0 or 1."""
        odd = self.counts % 2
        return frozen((np.cumsum(odd) - odd) % 2)

    def _locate(self, x: FloatArray, factor: FloatArray) -> tuple[IntArray, IntArray]:
        """Return the segment, and the rank in it, of the gap between points that holds each x."""
        with np.errstate(over="ignore"):
            base = x / factor
            segment = np.searchsorted(self.edges, base, "right") - 1
            segment = np.clip(segment, 0, self.steps.size - 1)
            rank = np.floor((base - self.edges[segment]) / self.steps[segment])
        last = self.counts[segment] - 1
        rank = np.clip(rank, 0, last).astype(np.int64)
        # The difference above may round up to the next point.
        back = self._level(segment, rank) * factor > x
        return segment, np.maximum(rank - back, 0)

    def _level(self, segment: IntArray, rank: IntArray) -> FloatArray:
        """Return the base points of these ranks, from 0 to the segment's count."""
        step, left = self.steps[segment], self.counts[segment] - rank
        # From the nearer end: a run of 2^54 points around zero has ranks beyond float64.
        below, above = self.edges[segment] + rank * step, self.edges[segment + 1] - left * step
        return np.where(rank <= left, below, above)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[bytes, bytes, bytes, bool]:
        # Adding zero turns -0.0 into 0.0: equal points must have equal bytes.
        parts = (self.edges * self.factor + 0.0, self.steps * self.factor, self.counts)
        edges, steps, counts = (part.tobytes() for part in parts)
        return edges, steps, counts, self.even_first

    def __repr__(self) -> str:
        parts = f"{self.size:,} points in {self.steps.size} segments"
        return f"Grid({parts}, {self.min:g}..{self.max:g})"


def _check_lengths(edges: FloatArray, steps: FloatArray, counts: IntArray) -> None:
    """Refuse segments whose steps do not lead from edge to edge, up to rounding of the edges."""
    size = np.maximum(np.abs(edges[:-1]), np.abs(edges[1:]))
    with np.errstate(over="ignore", invalid="ignore"):
        off = np.abs(np.diff(edges) - steps * counts) > 4 * np.finfo(np.float64).eps * size
    if off.any():
        i = int(np.argmax(off))
        raise InvalidValue(
            f"{counts[i]} steps of {steps[i]:g} do not lead from {edges[i]:g} to {edges[i + 1]:g}"
        )


def _cells(points: FloatArray, left: FloatArray, right: FloatArray, weight: FloatArray) -> Cells:
    half, uneven = np.minimum(left, right), np.flatnonzero(left != right)
    return Cells(points, left, right, weight, half, uneven)
