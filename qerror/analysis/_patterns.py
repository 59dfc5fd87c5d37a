"""What a rounding mode does between two neighbouring levels: one small table a way of rounding.

Between levels a and b = a + D the interval is cut into stretches. On each, with t = x - q from
a reference point q,

    E[e^2 | x] = variance D^2 + lean D t + bend t^2,      E[e | x] = -t if bend is 1, else 0.

Rounding to one level takes one stretch with its q at that level. Stochastic rounding has
E[e^2 | x] = (x - a) (b - x), and half by half, from the nearer level, |t| (D - |t|) loses no
digits. With k random bits the expected level is the next lower of 2^k points, and the variance
p (1 - p) D^2 is constant between two of them.
"""

from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, frozen
from qerror.rounding import RoundingRule

How: TypeAlias = Literal["lower", "upper", "nearest", "drawn", "short", "short-down"]
WAYS: tuple[How, ...] = ("lower", "upper", "nearest", "drawn", "short", "short-down")
LOWER, UPPER, NEAREST, DRAWN, SHORT, SHORT_DOWN = range(len(WAYS))


class Pattern(NamedTuple):
    """The stretches of one interval between levels, in units of its length; shape (m,) each."""

    at: FloatArray
    """The reference point, from 0 at the lower level to 1 at the upper."""
    left: FloatArray
    right: FloatArray
    """How far the stretch reaches to both sides of it, >= 0; at one side it is 0."""
    variance: FloatArray
    lean: FloatArray
    bend: FloatArray

    @property
    def size(self) -> int:
        """How many stretches there are."""
        return self.at.size


@lru_cache(maxsize=64)
def pattern(how: int, bits: int | None = None) -> Pattern:
    """Return the stretches of one way of rounding between two levels."""
    zero, one = np.zeros(1), np.ones(1)
    ends, none = np.array([0.0, 1.0]), np.zeros(2)
    match WAYS[how]:
        case "lower":
            found = Pattern(zero, zero, one, zero, zero, one)
        case "upper":
            found = Pattern(one, one, zero, zero, zero, one)
        case "nearest":
            found = Pattern(ends, 0.5 * ends, 0.5 * (1 - ends), none, none, np.ones(2))
        case "drawn":
            lean = np.array([1.0, -1.0])
            found = Pattern(ends, 0.5 * ends, 0.5 * (1 - ends), none, lean, -np.ones(2))
        case way:
            found = _short(1 << (bits or 0), down=way == "short-down")
    return Pattern(*map(frozen, found))


def _short(count: int, down: bool) -> Pattern:
    """Return the stretches between `count` thresholds, counted from the level nearer to zero."""
    share = np.arange(count) / count
    width, nothing = np.full(count, 1 / count), np.zeros(count)
    variance, bend = share * (1 - share), np.ones(count)
    if down:
        return Pattern(1 - share, width, nothing, variance, nothing, bend)
    return Pattern(share, nothing, width, variance, nothing, bend)


def ways_of(  # noqa: PLR0911 - one mode a line
    rule: RoundingRule, low: FloatArray, high: FloatArray, upper_is_even: BoolArray
) -> IntArray:
    """Return how each interval between levels low and high is rounded.

    Where 0 lies between two levels, neither is nearer to it: rounding toward zero then goes to
    the nearest, and random bits count from the lower level.
    """
    inner_below = low >= 0
    inner_above = high <= 0
    match rule.mode:
        case "nearest-even" | "nearest-away":
            return np.full(low.size, NEAREST)
        case "down":
            return np.full(low.size, LOWER)
        case "up":
            return np.full(low.size, UPPER)
        case "toward-zero":
            return np.where(inner_below, LOWER, np.where(inner_above, UPPER, NEAREST))
        case "to-odd":
            return np.where(upper_is_even, LOWER, UPPER)
        case "stochastic":
            if rule.bits is None:
                return np.full(low.size, DRAWN)
            return np.where(inner_above & ~inner_below, SHORT_DOWN, SHORT)


class Stretches(NamedTuple):
    """The stretches of many intervals: a pattern for each, one after the other."""

    owner: IntArray
    """The interval."""
    pattern: Pattern

    @classmethod
    def of(cls, ways: IntArray, bits: int | None) -> "Stretches":
        """List the stretches of intervals that are rounded in these ways."""
        owners: list[IntArray] = []
        parts: list[Pattern] = []
        for how in np.unique(ways).tolist():
            at = np.flatnonzero(ways == how)
            one = pattern(int(how), bits)
            owners.append(np.repeat(at, one.size))
            parts.append(Pattern(*(np.tile(field, at.size) for field in one)))
        if not parts:
            nothing = np.empty(0)
            return cls(np.empty(0, dtype=np.int64), Pattern(*(nothing,) * 6))
        joined = Pattern(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))
        return cls(np.concatenate(owners), joined)
