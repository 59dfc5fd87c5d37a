"""What rounding a sum costs, given what it is a multiple of.

Let X be the exact sum before it is rounded to multiples of D, s its sign and f in [0, 1) the
rest of |X| / D. A rounding mode makes of f an expected error and an expected squared error, in
units of D and away from zero. Of a sum of which nothing is known but its last bit, k places below
D, f takes all odd multiples of 2^-k equally often.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, frozen
from qerror.rounding import RoundingRule

FINEST = 12  # places below D beyond which the last bit no longer matters: 4^-12 of the cost


class Cost(NamedTuple):
    """An expected error away from zero, and an expected squared error."""

    first: FloatArray
    second: FloatArray


def cost_of(rule: RoundingRule, rest: FloatArray, side: int) -> Cost:
    """Return what rounding costs |X| = (n + rest) D, n even as often as odd, X of the sign `side`.

    A mode that rounds by the code's parity goes up as often as down.
    """
    up = _chance_outward(rule, rest, side)
    return Cost(up - rest, up * (1 - rest) ** 2 + (1 - up) * rest**2)


def _chance_outward(rule: RoundingRule, rest: FloatArray, side: int) -> FloatArray:
    """Return the probability of the level farther from zero."""
    inexact = rest > 0
    if rule.mode == "stochastic":
        return rest if rule.bits is None else np.floor(rest * 2**rule.bits) / 2**rule.bits
    if rule.mode == "nearest-even":
        return np.where(rest == 0.5, 0.5, rest > 0.5)
    if rule.mode == "nearest-away":
        return np.where(rest >= 0.5, 1.0, 0.0)
    if rule.mode == "to-odd":
        return np.where(inexact, 0.5, 0.0)
    outward = (rule.mode == "up" and side > 0) or (rule.mode == "down" and side < 0)
    return np.where(inexact & outward, 1.0, 0.0)


def chance_of_leaving(rule: RoundingRule, y: FloatArray, side: int) -> FloatArray:
    """Return how often T + y D, 0 < |y| < 1 and T a multiple of D of the sign `side`, is not T.

    At |y| = 1/2 a mode that rounds by the code's parity does so half of the time.
    """
    outward = side * y > 0
    up = _chance_outward(rule, np.where(outward, np.abs(y), 1 - np.abs(y)), side)
    return np.where(outward, up, 1 - up)


@lru_cache(maxsize=64)
def last_bit_cost(rule: RoundingRule, side: int) -> Cost:
    """Return the cost by how many places below D the last bit of X lies, 0 to FINEST."""
    firsts, seconds = np.zeros(FINEST + 1), np.zeros(FINEST + 1)
    for places in range(1, FINEST + 1):
        rest: FloatArray = np.ldexp(np.arange(1.0, 2.0**places, 2.0), -places)
        found = cost_of(rule, rest, side)
        firsts[places], seconds[places] = found.first.mean(), found.second.mean()
    return Cost(frozen(firsts), frozen(seconds))
