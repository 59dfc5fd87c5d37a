"""How heavy the tails of a density are: which moments exist."""

import math
from typing import NamedTuple

import numpy as np

from qerror.densities.density import Density
from qerror.densities.piece import Piece

_FAR = 1e40  # in units of the law: a power law shows its exponent there, all others are gone


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
    """Return the tail exponents, read off the density of each piece far out."""
    low, high = math.inf, math.inf
    for piece in density.pieces():
        if piece.weight > 0:
            low = min(low, _exponent(piece, -1.0) if piece.low == -math.inf else math.inf)
            high = min(high, _exponent(piece, 1.0) if piece.high == math.inf else math.inf)
    return Tails(low, high)


def _exponent(piece: Piece, side: float) -> float:
    with np.errstate(all="ignore"):
        near, far = piece.law.pdf(side * np.array([_FAR, 4 * _FAR]))
    if not (near > 0 and far > 0):
        return math.inf
    exponent = -math.log(far / near) / math.log(4.0) - 1
    # Rounded: whether the fourth moment of t(4) exists must not hang on the last bit.
    return round(exponent, 6)
