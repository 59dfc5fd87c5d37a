"""The law of |X| and of the largest of many magnitudes, to the last digits at both ends."""

from dataclasses import dataclass

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.densities.shells import outward_masses

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
    total, width = np.zeros(low.size), high - low
    for piece in density.pieces():
        both = piece.is_symmetric
        if both or piece.high > 0:
            total += (2.0 if both else 1.0) * outward_masses(piece, low, width, 1.0)
        if not both and piece.low < 0:
            total += outward_masses(piece, -low, width, -1.0)
    return total


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
