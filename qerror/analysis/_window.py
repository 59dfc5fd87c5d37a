"""Short intervals that a limit or a kink ends: their ends are exact, their nodes few.

An end is a sum of two floats, so that the width of a narrow interval far from zero, and its
distance from its level, keep their digits.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre

NODES = 20  # enough for an interval of two panel widths


class Ends(NamedTuple):
    """A point per interval as the sum of two floats, each of shape (m,)."""

    value: FloatArray
    rest: FloatArray

    @classmethod
    def product(cls, a: float, b: float) -> "Ends":
        """Return one point a b, finite."""
        value = a * b
        rest = float(Fraction(a) * Fraction(b) - Fraction(value))
        return cls(np.array([value]), np.array([rest]))

    @classmethod
    def at(cls, place: float) -> "Ends":
        """Return one point."""
        return cls(np.array([place]), np.zeros(1))

    def minus(self, other: "Ends") -> FloatArray:
        """Return the difference, rounded about once."""
        return (self.value - other.value) + (self.rest - other.rest)


def window_moments(
    piece: Piece, level: Ends, start: Ends, stop: Ends
) -> tuple[FloatArray, FloatArray]:
    """Integrate x - level and its square over [start, stop], which holds no kink of the law.

    No interval may be wider than two of the law's panels; one that is empty or, by the rounding
    of a quotient, turned round by an ulp counts as it stands.
    """
    nodes, weights = gauss_legendre(NODES)
    width = stop.minus(start)
    t = width[:, None] * nodes
    u = start.minus(level)[:, None] + t
    from_centre = (start.value - piece.location) + start.rest
    p = piece.law.pdf((from_centre[:, None] + t) / piece.spread)
    p *= u
    unit = (piece.weight / piece.spread) * width
    first = p @ weights
    p *= u
    return unit * first, unit * (p @ weights)
