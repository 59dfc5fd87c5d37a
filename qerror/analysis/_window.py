"""Short intervals that a limit or a kink ends: their ends are exact, their nodes few.

An end is a sum of two floats, so that the width of a narrow interval far from zero, and its
distance from its level, keep their digits.
"""

from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre

NODES = 20  # enough for an interval of two panel widths


class Ends(NamedTuple):
    """A point per interval as the sum of two floats, each of shape (m,)."""

    value: FloatArray
    rest: FloatArray

    @classmethod
    def product(cls, a: float, b: float) -> "Ends":
        """Return one point a b, finite; by whole numbers, whose quotient is rounded once."""
        value = a * b
        (na, da), (nb, db), (nv, dv) = (x.as_integer_ratio() for x in (a, b, value))
        rest = (na * nb * dv - nv * da * db) / (da * db * dv)
        return cls(np.array([value]), np.array([rest]))

    @classmethod
    def at(cls, place: float) -> "Ends":
        """Return one point."""
        return cls(np.array([place]), np.zeros(1))

    def where(self, chosen: BoolArray, others: "Ends") -> "Ends":
        """Return these points where they are chosen, else the others."""
        value = np.where(chosen, self.value, others.value)
        return Ends(value, np.where(chosen, self.rest, others.rest))

    def minus(self, other: "Ends") -> FloatArray:
        """Return the difference, rounded about once."""
        return (self.value - other.value) + (self.rest - other.rest)


def window_moments(
    piece: Piece, level: Ends, start: Ends, stop: Ends, count: int = NODES
) -> tuple[FloatArray, FloatArray]:
    """Integrate x - level and its square over [start, stop], which holds no kink of the law.

    No interval may be wider than what `count` nodes serve, by default two of the law's panels;
    one that is empty or, by the rounding of a quotient, turned round by an ulp counts as it stands.
    """
    nodes, weights = gauss_legendre(count)
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
