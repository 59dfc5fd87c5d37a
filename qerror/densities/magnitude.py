"""The law of |X| and of the largest of many magnitudes, to the last digits at both ends."""

from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import rule_for
from qerror.densities.smooth_law import SmoothLaw

_HALF = 0.5
_LEAST = 1e-320  # keeps quotients by an empty probability finite


def magnitude_masses(density: Density, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return P(low < |X| < high) of the continuous part, by intervals, each to the last digits.

    Parameters
    ----------
    density : Density
        Of X.
    low, high : ndarray, shape (k,)
        0 <= low <= high; `high` may be infinite.
    """
    total, zero, width = np.zeros(low.size), np.zeros(low.size), high - low
    for piece in density.pieces():
        both = piece.is_symmetric
        if both and piece.is_whole and isinstance(piece.law, SmoothLaw):
            total += 2.0 * _shells(piece, piece.law, low, width)
            continue
        if both or piece.high > 0:
            total += (2.0 if both else 1.0) * piece.integrals(low, zero, width).mass
        if not both and piece.low < 0:
            total += piece.integrals(-low, -width, zero).mass
    return total


def _shells(piece: Piece, law: SmoothLaw, low: FloatArray, width: FloatArray) -> FloatArray:
    """Return P(low < X < low + width) of a law about 0, low >= 0.

    A shell that is one panel of the law is integrated, and a wider one is a difference of tails
    of which the farther is much the smaller.
    """
    if law.branch_at_zero:
        return piece.integrals(low, np.zeros(low.size), width).mass
    found = np.zeros(low.size)
    start, span = low / piece.spread, width / piece.spread
    share = span / law.panel_width(start)
    live = start < law.horizon
    at = np.flatnonzero(live & (share <= 1))
    if at.size:
        rule = rule_for(0.5 * float(share[at].max()))
        p = law.pdf(start[at, None] + span[at, None] * rule.nodes)
        found[at] = span[at] * (p @ rule.zeroth)
    at = np.flatnonzero(live & (share > 1))
    if at.size:
        ends, place = np.unique(np.stack([start[at], start[at] + span[at]]), return_inverse=True)
        tails = np.zeros(ends.size)
        inside = ends < law.horizon
        tails[inside] = law.outer(ends[inside]).mass
        near, far = tails[place.reshape(2, -1)]
        found[at] = near - far
    return piece.weight * found


@dataclass(frozen=True, eq=False)
class MaximumLaw:
    """P(|X_1|, ..., |X_n| all < b) at the upper ends b of shells that cover all magnitudes.

    Made from the probabilities of the shells: F is summed from below where it is small and is
    1 less the sum from above where that is small, so that F^n keeps its digits for n up to 1e6
    and more, and differences of such powers are taken by expm1.
    """

    below: FloatArray
    """F(b), shape (k,)."""
    log_below: FloatArray
    """log F(b)."""
    drop: FloatArray
    """log(F(a) / F(b)) <= 0, a the lower end of the shell."""

    @classmethod
    def of(cls, shells: FloatArray) -> "MaximumLaw":
        """Sum the probabilities of consecutive shells; together they are 1."""
        upward = np.cumsum(shells)
        above = np.append(np.cumsum(shells[::-1])[::-1][1:], 0.0)
        small = upward < _HALF
        with np.errstate(divide="ignore"):
            log_below = np.where(small, np.log(upward), np.log1p(-np.minimum(above, 0.75)))
            below = np.where(small, upward, 1 - above)
            drop = np.log1p(-np.minimum(shells / np.maximum(below, _LEAST), 1.0))
        return cls(below, log_below, drop)

    def power(self, n: float) -> FloatArray:
        """Return F(b)^n; 1 for n = 0."""
        if n == 0:
            return np.ones(self.below.shape)
        with np.errstate(under="ignore"):
            return np.exp(n * self.log_below)

    def growth(self, n: float) -> FloatArray:
        """Return F(b)^n - F(a)^n, the probability that the largest of n lies in the shell."""
        if n == 0:
            return np.zeros(self.below.shape)
        with np.errstate(under="ignore"):
            return self.power(n) * -np.expm1(n * self.drop)
