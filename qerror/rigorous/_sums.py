"""The expected errors as sums over boundaries instead of cells.

Where x passes the boundary between levels q and q' = q + D, the squared error changes by
-2 D (x - (q + q') / 2). So with b the end of the range,

    int (x - Q)^2 p = int (x - q_0)^2 p - 2 sum_k D_k int_{b_k}^b (x - m_k) p,

and E[Q] and E[x Q] likewise: two antiderivatives at each boundary are all it takes, where cells
take three and a difference each.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple, Protocol

from qerror.exceptions import InvalidValue, TooLarge
from qerror.grids import Grid
from qerror.rigorous._context import Context, Number
from qerror.rigorous._laws import Part
from qerror.rigorous._parts import Parts
from qerror.rounding import RoundingRule

MOST_POINTS = 2**16 + 1  # levels of 16 bits and one more, each of which is visited


class Inner(NamedTuple):
    """What lies within a grid's range, or in a part of it."""

    square: Number
    """int e^2 p,"""
    mean: Number
    """int e p"""
    cross: Number
    """and int x e p."""

    def plus(self, other: "Inner") -> "Inner":
        """Return both together."""
        return Inner(*(a + b for a, b in zip(self, other, strict=True)))


class AnyLevels(Protocol):
    """Levels that errors are summed over."""

    @property
    def lowest(self) -> Fraction: ...
    @property
    def highest(self) -> Fraction: ...
    def level(self, x: Fraction) -> Fraction:
        """Return the level that a single value goes to."""
        ...

    def inside(self, part: Part, c: Context) -> Inner:
        """Return the sums within the range."""
        ...


@dataclass(frozen=True)
class Levels:
    """The levels of a scaled grid as exact rationals, and where rounding passes between them."""

    points: Sequence[Fraction]
    boundaries: Sequence[Fraction]
    parities: Sequence[bool]
    """Whether the code of each level is even."""
    rule: RoundingRule

    @classmethod
    def of(cls, grid: Grid, rule: RoundingRule) -> "Levels":
        """List those of a grid of at most 2^16 intervals."""
        if rule.mode == "stochastic":
            raise InvalidValue(
                "enclosures and high precision are for rounding that sends each value to one level"
            )
        if grid.size > MOST_POINTS:
            raise TooLarge(
                "high precision, and enclosures of rounding to-odd, visit every level, and this "
                f"grid has {grid.size:,} of them, more than {MOST_POINTS:,}"
            )
        factor = Fraction(grid.factor)
        points = [Fraction(x) * factor for x in grid.base_points.tolist()]
        parities = [(i % 2 == 0) == grid.even_first for i in range(len(points))]
        ends = zip(pairwise(points), parities[1:], strict=True)
        boundaries = [boundary_of(a, b, even, rule) for (a, b), even in ends]
        return cls(points, boundaries, parities, rule)

    @property
    def lowest(self) -> Fraction:
        """The first level."""
        return self.points[0]

    @property
    def highest(self) -> Fraction:
        """The last level."""
        return self.points[-1]

    def inside(self, part: Part, c: Context) -> Inner:
        """Return int e^2 p, int e p and int x e p within the range."""
        return _inside(part, self, c)

    def level(self, x: Fraction) -> Fraction:
        """Return the level that a single value goes to, ties by the rule."""
        i = bisect_left(self.points, x)
        if i == len(self.points):
            return self.points[-1]
        if i == 0 or self.points[i] == x:
            return self.points[i]
        boundary, low, high = self.boundaries[i - 1], self.points[i - 1], self.points[i]
        if x != boundary:
            return high if x > boundary else low
        if self.rule.mode == "nearest-away" and low + high:
            return high if low + high > 0 else low
        return high if self.parities[i] else low


def boundary_of(a: Fraction, b: Fraction, upper_is_even: bool, rule: RoundingRule) -> Fraction:
    match rule.mode:
        case "down":
            return b
        case "up":
            return a
        case "to-odd":
            return b if upper_is_even else a
        case "toward-zero" if a >= 0 or b <= 0:
            return b if a >= 0 else a
        case _:
            return (a + b) / 2


@dataclass
class Errors:
    """The figures of a report; None where a moment does not exist."""

    rounding: Number
    clipping_low: Number | None
    clipping_high: Number | None
    mean_error: Number | None
    cross_moment: Number | None
    signal_power: Number | None
    signal_mean: Number | None

    @property
    def mse(self) -> Number | None:
        """E[e^2]."""
        if self.clipping_low is None or self.clipping_high is None:
            return None
        return self.rounding + self.clipping_low + self.clipping_high


def errors_of(levels: AnyLevels, parts: Parts, c: Context) -> Errors:
    """Return the expected errors at the present precision."""
    zero = c.number(0.0)
    total = Errors(zero, zero, zero, zero, zero, zero, zero)
    for part in parts.pieces:
        _add_piece(total, levels, part, c)
    for x, p in parts.atoms.items():
        error = levels.level(x) - x
        square = c.number(error * error) * p
        if x < levels.lowest:
            total.clipping_low = _plus(total.clipping_low, square)
        elif x > levels.highest:
            total.clipping_high = _plus(total.clipping_high, square)
        else:
            total.rounding += square
        total.mean_error = _plus(total.mean_error, c.number(error) * p)
        total.cross_moment = _plus(total.cross_moment, c.number(x * error) * p)
        total.signal_power = _plus(total.signal_power, c.number(x * x) * p)
        total.signal_mean = _plus(total.signal_mean, c.number(x) * p)
    return total


def _plus(a: Number | None, b: Number | None) -> Number | None:
    return None if a is None or b is None else a + b


def _add_piece(total: Errors, levels: AnyLevels, part: Part, c: Context) -> None:
    """Add one piece: what lies below the range, above it, and inside."""
    lowest, highest = levels.lowest, levels.highest
    below, inner = _moments(part, part.low, lowest, c), levels.inside(part, c)
    above = _moments(part, highest, part.high, c)
    for name, moments, q in (("clipping_low", below, lowest), ("clipping_high", above, highest)):
        level = c.number(q)
        square = _about(moments, level)
        setattr(total, name, _plus(getattr(total, name), square))
        m0, m1, m2 = moments
        total.mean_error = _plus(total.mean_error, None if m1 is None else level * m0 - m1)
        lever = None if m1 is None or m2 is None else level * m1 - m2
        total.cross_moment = _plus(total.cross_moment, lever)
    square, mean, cross = inner
    total.rounding += square
    total.mean_error = _plus(total.mean_error, mean)
    total.cross_moment = _plus(total.cross_moment, cross)
    whole = _moments(part, part.low, part.high, c)
    total.signal_mean = _plus(total.signal_mean, whole[1])
    total.signal_power = _plus(total.signal_power, whole[2])


Moments = tuple[Number, Number | None, Number | None]


def _moments(part: Part, low: float | Fraction, high: float | Fraction, c: Context) -> Moments:
    """Return int x^k p between two places, within the piece, k = 0, 1, 2."""
    low, high = _greatest(low, part.low), -_greatest(-high, -part.high)
    zero = c.number(0.0)
    if not low < high:
        return zero, zero, zero
    ends = [[_end(part, x, k, c) for x in (low, high)] for k in range(3)]
    m0, m1, m2 = (None if a is None or b is None else b - a for a, b in ends)
    return _in_units_of_x(part, m0, m1, m2)


def _greatest(a: float | Fraction, b: float | Fraction) -> float | Fraction:
    return max(a, b)


def _end(part: Part, x: float | Fraction, k: int, c: Context) -> Number | None:
    if isinstance(x, Fraction):
        return part.antiderivative(c, c.number(x), k)
    return part.end(c, x, k)


def _in_units_of_x(part: Part, m0: Number, m1: Number | None, m2: Number | None) -> Moments:
    w, at, s = part.weight, part.location, part.spread
    first = None if m1 is None else w * (at * m0 + s * m1)
    second = None
    if m1 is not None and m2 is not None:
        second = w * (at * at * m0 + 2 * at * s * m1 + s * s * m2)
    return w * m0, first, second


def _about(moments: Moments, q: Number) -> Number | None:
    """Return int (x - q)^2 p."""
    m0, m1, m2 = moments
    return None if m1 is None or m2 is None else m2 - 2 * q * m1 + q * q * m0


def _antiderivatives(
    part: Part, places: Sequence[Fraction], c: Context
) -> Iterator[tuple[Number, Number]]:
    """Yield those of p and z p at each place; about the law's centre each magnitude once."""
    known: dict[Fraction, tuple[Number, Number]] = {}
    centred = part.location == 0
    origin: Number = part.shape.antiderivative(c, c.number(0.0), 0) if centred else None
    for place in places:
        key = abs(place) if centred else place
        if key not in known:
            x = c.number(key)
            known[key] = part.antiderivative(c, x, 0), part.antiderivative(c, x, 1)
        even, odd = known[key]
        yield (2 * origin - even, odd) if centred and place < 0 else (even, odd)


def _inside(part: Part, levels: Levels, c: Context) -> Inner:
    """Return int e^2 p, int e p and int x e p within the range."""
    lowest, highest = levels.points[0], levels.points[-1]
    low = _greatest(lowest, part.low)
    high = -_greatest(-highest, -part.high)
    zero = c.number(0.0)
    if not low < high or math.isinf(low) or math.isinf(high):
        return Inner(zero, zero, zero)
    first, last = bisect_right(levels.boundaries, low), bisect_left(levels.boundaries, high)
    top = [_end(part, high, k, c) for k in range(2)]
    mass, lever, middle = zero, zero, zero
    places = levels.boundaries[first:last]
    for i, ends in enumerate(_antiderivatives(part, places, c), first):
        a, b = levels.points[i], levels.points[i + 1]
        m0, m1 = (upper - lower for upper, lower in zip(top, ends, strict=True))
        step = c.number(b - a)
        m0, m1 = step * m0, step * m1
        mass += m0
        lever += part.location * m0 + part.spread * m1
        middle += c.number((a + b) / 2) * m0
    w, q = part.weight, c.number(levels.points[first])
    moments = _moments(part, low, high, c)
    m0, x1, x2 = moments
    assert x1 is not None
    assert x2 is not None
    square = _about(moments, q) - 2 * w * (lever - middle)
    return Inner(square, q * m0 + w * mass - x1, q * x1 + w * lever - x2)
