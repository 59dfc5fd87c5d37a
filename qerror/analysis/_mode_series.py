"""What a rounding mode leaves in a long uniform run: means, and terms at the run's ends.

With u the place of x in its interval of length D, from 0 at the lower level to 1, rounding at a
threshold 1 - s has the error e = D (s - 1/2 - B_1(u + s)), B_n the periodic Bernoulli
polynomials: s = 0 rounds down, 1/2 to the nearest, 1 up. Since B_1^2 = B_2 + 1/12, repeated
integration by parts over a run gives

    int e^2 p = D^2 ((s-1/2)^2 + 1/12) P + sum_k (-1)^k D^(k+3) S_k [p^(k)],
        S_k = 2 B_(k+3)(s) / (k+3)! - 2 (s-1/2) B_(k+2)(s) / (k+2)!
    int e p   = D (s-1/2) P - sum_k (-1)^k D^(k+2) F_k [p^(k)],      F_k = B_(k+2)(s) / (k+2)!

and x e p as the second, with f = x p. Stochastic rounding is the mean over s, uniform in [0, 1],
or in 0, 1/N, ..., (N-1)/N where k = log2 N bits are drawn; the means are rational numbers.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.rounding import RoundingRule

ORDER = 12  # derivatives at the ends of a run, as many as for nearest rounding


@dataclass(frozen=True, eq=False)
class Series:
    """What one rule leaves in each interval of a run, in units of its step."""

    square: float
    """The mean of e^2"""
    mean: float
    """and of e."""
    square_ends: FloatArray
    """(-1)^k S_k"""
    mean_ends: FloatArray
    """and -(-1)^k F_k, k = 0..ORDER."""

    def sided(self, flipped: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, S and F for each run: shape (n,), (order + 1, n) twice."""
        sign = np.where(flipped, -1.0, 1.0)
        odd: BoolArray = np.arange(ORDER + 1) % 2 == 1
        turned = np.where(odd[:, None], 1.0, sign)  # S_k turns its sign where k is even
        other = np.where(odd[:, None], sign, 1.0)  # F_k where it is odd
        squares, means = self.square_ends[:, None] * turned, self.mean_ends[:, None] * other
        return sign * self.mean, squares, means


@lru_cache(maxsize=64)
def series_of(rule: RoundingRule) -> Series:
    """Return the series of rounding toward the start of a run, to the nearest, or drawn."""
    count = None if rule.mode == "stochastic" and rule.bits is None else rule.parts
    bernoulli = _bernoulli(ORDER + 5)

    def plain(n: int) -> Fraction:
        """Return the mean of B_n(s)."""
        if count is None:
            return Fraction(0)
        return bernoulli[n] / Fraction(count) ** n

    def weighted(n: int) -> Fraction:
        """Return the mean of (s - 1/2) B_n(s), by the product of Bernoulli polynomials."""
        whole = bernoulli[n + 1] / (n + 1)
        if count is None:
            return whole
        total = plain(n + 1) + whole  # the term 2k = 0 is B_(n+1)(s) (n + 1) / (n + 1)
        for k in range(2, n + 1, 2):
            total += math.comb(n, k) * bernoulli[k] * plain(n + 1 - k) / (n + 1 - k)
        return total

    squares, means = np.empty(ORDER + 1), np.empty(ORDER + 1)
    for k in range(ORDER + 1):
        f = plain(k + 2) / math.factorial(k + 2)
        s = 2 * plain(k + 3) / math.factorial(k + 3) - 2 * weighted(k + 2) / math.factorial(k + 2)
        squares[k], means[k] = float((-1) ** k * s), float(-((-1) ** k) * f)
    return Series(float(weighted(1) + Fraction(1, 12)), float(plain(1)), squares, means)


def _bernoulli(count: int) -> list[Fraction]:
    """Return B_0 .. B_count, with B_1 = -1/2."""
    found = [Fraction(1)]
    for n in range(1, count + 1):
        total = sum((math.comb(n + 1, k) * found[k] for k in range(n)), Fraction(0))
        found.append(-total / (n + 1))
    return found
