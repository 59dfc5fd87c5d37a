"""How heavy the tails of a density are: which moments exist."""

import math
from typing import NamedTuple

from qerror.densities.density import Density


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
