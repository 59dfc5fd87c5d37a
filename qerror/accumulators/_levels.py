"""What rounding makes of integers: the levels beside them, ties by the code's parity."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.rounding import RoundingRule


class Levels(NamedTuple):
    """The level toward zero, the one beyond, and how often it is that one."""

    inner: IntArray
    outer: IntArray
    up: FloatArray
    """The probability of the outer one; 0 where x is a level, and both are x."""

    def at(self, where: IntArray | slice) -> "Levels":
        """Return those of some of the integers."""
        return Levels(self.inner[where], self.outer[where], self.up[where])


def levels_of(rule: RoundingRule, x: IntArray, mantissa: int, least: int) -> Levels:
    """Return the levels beside integers, of so many bits after the first one and 2^least or more.

    Integers must lie below 2^53.
    """
    size = np.abs(x)
    leading = np.frexp(size.astype(np.float64))[1].astype(np.int64) - 1
    places: IntArray = np.maximum(leading - mantissa, max(least, 0))
    code: IntArray = np.right_shift(size, places).astype(np.int64, copy=False)
    inner = code << places
    rest = np.ldexp((size - inner).astype(np.float64), -places)
    up = _chance_of_outer(rule, rest, code, x)
    sign = np.sign(x)
    outer = np.where(rest > 0, inner + (np.int64(1) << places), inner)
    return Levels(sign * inner, sign * outer, up)


def _chance_of_outer(
    rule: RoundingRule, rest: FloatArray, code: IntArray, x: IntArray
) -> FloatArray:
    """Return the probability of the level farther from zero, by the code of the nearer one."""
    odd: BoolArray = code % 2 == 1
    if rule.mode == "stochastic":
        parts = rule.parts
        return rest if rule.bits is None else np.asarray(np.floor(rest * parts) / parts)
    if rule.mode == "nearest-even":
        outer = (rest > 0.5) | ((rest == 0.5) & odd)
    elif rule.mode == "nearest-away":
        outer = rest >= 0.5
    elif rule.mode == "to-odd":
        outer = (rest > 0) & ~odd
    elif rule.mode == "toward-zero":
        outer = np.zeros_like(odd)
    else:
        outer = (rest > 0) & ((x > 0) if rule.mode == "up" else (x < 0))
    return np.where(outer, 1.0, 0.0)


def moments_of(
    rows: FloatArray, values: FloatArray
) -> tuple[float, float, float, float, float, float]:
    """Return E[T], Var(T), E[A], E[A^2], Cov(A, T) and Cov(A, (T - E[T])^2).

    Of P(T = t), E[A; T = t] and E[A^2; T = t].
    """
    m0, m1, m2 = rows / rows[0].sum()
    mean, error = float(m0 @ values), float(m1.sum())
    t = values - mean
    variance = float(m0 @ t**2)
    bend = float(m1 @ t**2) - error * variance
    return mean, variance, error, float(m2.sum()), float(m1 @ t), bend
