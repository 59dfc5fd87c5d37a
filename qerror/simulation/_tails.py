"""How heavy the tails of a density are: which moments exist."""

import math
from typing import NamedTuple

import numpy as np

from qerror.densities.density import Density
from qerror.exceptions import InvalidValue

_CUT = 1e-4  # probability that a heavy tail loses for the truncated figures
_CUT_SAMPLES = 300  # or as much as leaves so many samples beyond


class Tails(NamedTuple):
    """The exponents a with P(X < -t), P(X > t) ~ t^-a: moments of order a and above are infinite.

    Infinite where the tail falls faster than any power.
    """

    low: float
    high: float

    @property
    def heaviest(self) -> float:
        """The smaller of the two."""
        return min(self)


def tails_of(density: Density) -> Tails:
    """Return the tail exponents: those of the heaviest pieces that no limit ends."""
    low, high = math.inf, math.inf
    for piece in density.pieces():
        if piece.weight > 0:
            low = min(low, piece.law.tail_exponent(-1.0) if piece.low == -math.inf else math.inf)
            high = min(high, piece.law.tail_exponent(1.0) if piece.high == math.inf else math.inf)
    return Tails(low, high)


def cut_of(density: Density, tails: Tails, size: int) -> tuple[float, float] | None:
    """Return the interval that leaves out what has no fourth moment, or None."""
    if tails.heaviest > 4:
        return None
    share = min(max(_CUT, _CUT_SAMPLES / size), 0.05)
    low, high = density.ppf(np.array([share, 1 - share])).tolist()
    low = low if tails.low <= 4 else -math.inf
    high = high if tails.high <= 4 else math.inf
    if not low < high:
        raise InvalidValue("the density is too narrow to cut its heavy tails off")
    return low, high
