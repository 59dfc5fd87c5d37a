"""A register of few levels: its chain as matrices, so that many additions are one.

For one addition let M0 = P(T' = j | T = i), and M1, M2 the same with e and e^2 as weights. Two
stretches of additions, M and N, make (M0 N0, M1 N0 + M0 N1, M2 N0 + 2 M1 N1 + M0 N2), which doubles
a stretch in six products of matrices.
"""

import math

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.accumulators._chain import least_place
from qerror.accumulators._levels import levels_of, moments_of
from qerror.accumulators.accumulator import FloatAccumulator
from qerror.accumulators.terms import Terms, weighed

_MOST_LEVELS = 320
_SHARE = 8  # a stretch is at most the count so far over this
_WIDEST = 2.0**52
_BEYOND = 1e-20  # of sums, at the last levels


class Table:
    """A register whose levels are all listed."""

    def __init__(self, terms: Terms, register: FloatAccumulator, levels: IntArray) -> None:
        self._levels = levels
        self._unit = math.ldexp(1.0, terms.finest)
        self._steps = [self._one(terms, register)]
        self._squares = self._steps[0][2].sum(axis=1)
        self.rows = np.zeros((3, levels.size))
        self.rows[0, levels.size // 2] = 1.0
        """P(T = t), E[A; T = t] and E[A^2; T = t] by level."""
        self.counts: list[float] = []
        self.errors: list[float] = []
        """E[e^2] of the additions that lead to `counts`."""

    @classmethod
    def of(cls, terms: Terms, register: FloatAccumulator, count: int) -> "Table | None":
        """Return a table, unless the register has too many levels on the way to such a sum.

        Where rounding goes away from zero sums may go beyond all levels, see `is_whole`.
        """
        most = terms.largest * count / 2.0**terms.finest
        mantissa, least = register.format.mantissa_bits, least_place(terms, register)
        # an addition of at least half a spacing may be made a whole one; others may be, too
        more = 2 if register.rule.is_nearest or register.rule.mode == "toward-zero" else 6
        top = max(math.ceil(math.log2(max(most, 1.0))) + more - least - mantissa, 1)
        if not terms.exact or most > _WIDEST or 2**mantissa * (top + 1) > _MOST_LEVELS / 2:
            return None
        return cls(terms, register, _levels(mantissa, least, top))

    def _one(self, terms: Terms, register: FloatAccumulator) -> FloatArray:
        """Return what one addition does: P, E[e] and E[e^2] by level before and after."""
        steps = np.rint(terms.values / self._unit).astype(np.int64)
        x = self._levels[:, None] + steps
        rule, mantissa = register.rule, register.format.mantissa_bits
        found = levels_of(rule, x.reshape(-1), mantissa, least_place(terms, register))
        size = self._levels.size
        before = np.repeat(np.arange(size) * size, steps.size)
        p = np.tile(terms.probabilities, size)
        matrix = np.zeros((3, size * size))
        for level, chance in ((found.inner, 1 - found.up), (found.outer, found.up)):
            after = np.clip(np.searchsorted(self._levels, level), 0, size - 1)
            error = self._unit * (level - x.reshape(-1))
            weights = (p * chance, p * chance * error, p * chance * error**2)
            moved = [weighed(before + after, each, size * size) for each in weights]
            matrix += np.stack(moved)
        return matrix.reshape(3, size, size)

    def add(self, count: int) -> None:
        """Add so many terms, to 0."""
        done = 0
        while done < count:
            many = min(max(done // _SHARE, 1), max(count - 1 - done, 1))
            power = many.bit_length() - 1
            while len(self._steps) <= power:
                self._steps.append(_joined(self._steps[-1], self._steps[-1]))
            self.counts.append(done + 1.0)
            self.errors.append(float(self.rows[0] @ self._squares))
            self.rows = _joined(self.rows[:, None], self._steps[power])[:, 0]
            done += 1 << power

    @property
    def is_whole(self) -> bool:
        """Whether no sum has come to the last levels."""
        return float(self.rows[0, [0, -1]].sum()) < _BEYOND

    def law(self) -> tuple[FloatArray, FloatArray]:
        """Return the values that T has, and their probabilities."""
        held = np.flatnonzero(self.rows[0])
        values = self._unit * self._levels[held].astype(np.float64)
        return values, self.rows[0, held] / self.rows[0].sum()

    def moments(self) -> tuple[float, float, float, float, float, float]:
        """Return E[T], Var(T), E[A], E[A^2], Cov(A, T) and Cov(A, (T - E[T])^2)."""
        return moments_of(self.rows, self._unit * self._levels.astype(np.float64))


def _joined(first: FloatArray, then: FloatArray) -> FloatArray:
    """Return what two stretches of additions do, one after the other."""
    (a0, a1, a2), (b0, b1, b2) = first, then
    return np.stack([a0 @ b0, a1 @ b0 + a0 @ b1, a2 @ b0 + 2 * (a1 @ b1) + a0 @ b2])


def _levels(mantissa: int, least: int, binades: int) -> IntArray:
    """Return a register's levels of both signs, in units; `binades` of them are normal."""
    fine = np.arange(2**mantissa, dtype=np.int64)
    parts = [fine, *((fine + 2**mantissa) << k for k in range(binades))]
    found = np.concatenate(parts) << least
    return np.concatenate([-found[:0:-1], found])
