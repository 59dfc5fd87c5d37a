"""The register as a Markov chain: its exact law on the terms' lattice, addition by addition.

With T the register, A = T - S its error and X = T + p, rounding is a function of X alone (or a
draw whose chances are), so that the three laws

    P(T = t),    E[A; T = t],    E[A^2; T = t]

are convolved with the terms' law and moved from x to the two levels beside it: by e, E[A^2] takes
2 e E[A; X = x] + e^2 P(X = x) along. Nothing is assumed; ties go to the level that is even.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from qerror._arrays import ComplexArray, FloatArray, IntArray
from qerror.accumulators._levels import Levels, levels_of, moments_of
from qerror.accumulators.accumulator import FloatAccumulator
from qerror.accumulators.terms import Terms, weighed

_DIRECT = 2.0**22  # multiplications of one convolution up to which it is done without transforms
_FAR = 8.0  # standard deviations
_BEYOND = 1e-21  # what is left away at either end
_WIDEST = 2**21  # points of the terms' law
_STEP, _POINT, _LEVEL, _PAIR = 2e5, 150.0, 30.0, 250.0
"""Nanoseconds that an addition takes, a point of its transforms, one to be rounded, and a pair."""
_BUDGET, _MORE, _RARE = 5e8, 1.5e9, 6e9
"""For sums that wander beyond the exact ones, that drift or seldom do, and that hardly ever do."""
_FEW = 4096  # pairs that are listed in any case: they show when T is stuck
_LONGEST = 4096  # additions that may all be rare
_LONG = 64  # additions that are worth the while where there are more
_NOISE = 4 * float(np.finfo(np.float64).eps)


class _Table(NamedTuple):
    """Levels of start, start + 1, ..."""

    start: int
    levels: Levels


class Chain:
    """A register that is given terms one after the other, whose law is followed exactly."""

    def __init__(self, terms: Terms, register: FloatAccumulator) -> None:
        self.unit = math.ldexp(1.0, terms.finest)
        self._terms = terms
        self._steps = np.rint(terms.values / self.unit).astype(np.int64)
        self._first = int(self._steps[0])
        places = self._steps - self._first
        self._law = weighed(places, terms.probabilities, int(places[-1]) + 1)
        self._norm = float(np.linalg.norm(self._law))
        self._rule, self._mantissa = register.rule, register.format.mantissa_bits
        self._least = least_place(terms, register)
        self._known: dict[int, ComplexArray] = {}
        self._table = _Table(0, levels_of(self._rule, np.zeros(1, np.int64), self._mantissa, 0))
        self.start = 0
        self.rows = np.array([[1.0], [0.0], [0.0]])
        """P(T = t), E[A; T = t] and E[A^2; T = t] for t = start, start + 1, ... units."""
        self.step_error = 0.0
        """E[e^2] of the last addition."""
        self.work = 0.0
        """About how many nanoseconds all additions have taken."""
        self.stuck = False
        """Whether no term moves T any more."""

    def advance(self) -> None:
        """Add a term."""
        held = np.flatnonzero(self.rows[0])
        size, width = self.rows.shape[1], self._law.size
        dense = float(work_of(np.array([size]), width)[0])
        pairs = _STEP + _PAIR * held.size * self._steps.size + _POINT * (size + width)
        listed = pairs < dense or held.size * self._steps.size <= _FEW
        self.work += pairs if listed else dense
        if listed:
            self._advance_pairs(held)
        else:
            self._advance_all()

    def leap(self, steps: int) -> None:
        """Add so many terms that do not move T."""
        m0, m1, m2 = self.rows
        mean, variance = steps * self._terms.mean, steps * self._terms.variance
        self.rows = np.stack([m0, m1 - mean * m0, m2 - 2 * mean * m1 + (variance + mean**2) * m0])

    def _advance_pairs(self, held: IntArray) -> None:
        """Add a term by all pairs of values that T and the term have."""
        x = (self.start + held[:, None] + self._steps).reshape(-1)
        levels = levels_of(self._rule, x, self._mantissa, self._least)
        rows = (self.rows[:, held, None] * self._terms.probabilities).reshape(3, -1)
        low = int(min(levels.inner.min(), levels.outer.min()))
        found = np.zeros((3, int(max(levels.inner.max(), levels.outer.max())) - low + 1))
        self.step_error = self._moved(found, low, x, rows, levels)
        before = np.repeat(self.start + held, self._steps.size)
        inner = np.all((levels.inner == before) | (levels.up == 1))
        self.stuck = bool(inner and np.all((levels.outer == before) | (levels.up == 0)))
        self._trim(low, found)

    def _advance_all(self) -> None:
        """Add a term to all values of the lattice at once."""
        rows = self._added()
        first = self.start + self._first
        levels = self._levels(first, first + rows.shape[1] - 1)
        x = first + np.arange(rows.shape[1], dtype=np.int64)
        inexact = np.flatnonzero(levels.outer != x)
        self.step_error = 0.0
        if inexact.size == 0:
            self._trim(first, rows)
            return
        low = min(int(levels.inner[0]), int(levels.outer[0]))
        high = max(int(levels.inner[-1]), int(levels.outer[-1]))
        found = np.zeros((3, high - low + 1))
        found[:, first - low : first - low + x.size] = rows
        found[:, inexact + (first - low)] = 0.0
        some = rows[:, inexact]
        self.step_error = self._moved(found, low, x[inexact], some, levels.at(inexact))
        self._trim(low, found)

    def _added(self) -> FloatArray:
        """Return the laws of T + p."""
        size = self.rows.shape[1] + self._law.size - 1
        found = np.zeros((3, size))
        if min(self.rows.shape[1], self._law.size) * size <= _DIRECT:
            for own, row in zip(found, self.rows, strict=True):
                if row.any():
                    own[:] = np.convolve(row, self._law)
            return found
        length = int(next_fast_len(size, real=True))
        if length not in self._known:
            self._known = {length: _transformed(self._law, length)}
        for own, row in zip(found, self.rows, strict=True):
            if row.any():
                own[:] = irfft(_transformed(row, length) * self._known[length], length)[:size]
                noise = _NOISE * self._norm * float(np.linalg.norm(row))
                own[np.abs(own) < noise] = 0.0
        np.maximum(found[0], 0.0, out=found[0])
        return found

    def _levels(self, low: int, high: int) -> Levels:
        """Return the levels beside the integers from low to high."""
        table = self._table
        if not table.start <= low <= high < table.start + table.levels.up.size:
            more = (high - low) // 2  # so that sums may spread for a while
            x = np.arange(low - more, high + more + 1, dtype=np.int64)
            levels = levels_of(self._rule, x, self._mantissa, self._least)
            table = self._table = _Table(low - more, levels)
        return table.levels.at(slice(low - table.start, high + 1 - table.start))

    def _moved(
        self, found: FloatArray, low: int, x: IntArray, rows: FloatArray, levels: Levels
    ) -> float:
        """Add to `found`, which starts at `low`, what rounding makes of sums x; return E[e^2]."""
        square = 0.0
        for level, chance in ((levels.inner, 1 - levels.up), (levels.outer, levels.up)):
            at = np.flatnonzero(chance)
            error = self.unit * (level[at] - x[at])
            m0, m1, m2 = chance[at] * rows[:, at]
            moved = (m0, m1 + error * m0, m2 + error * (2 * m1 + error * m0))
            for row, weight in enumerate(moved):
                found[row] += np.bincount(level[at] - low, weight, found.shape[1])
            square += float(m0 @ error**2)
        return square

    def _trim(self, start: int, rows: FloatArray) -> None:
        below, above = np.cumsum(rows[0]), np.cumsum(rows[0][::-1])
        first = int(np.searchsorted(below, _BEYOND))
        last = rows.shape[1] - int(np.searchsorted(above, _BEYOND))
        self.rows = np.ascontiguousarray(rows[:, first:last])
        self.start = start + first

    def law(self) -> tuple[FloatArray, FloatArray]:
        """Return the values that T has, and their probabilities."""
        held = np.flatnonzero(self.rows[0])
        values = self.unit * (self.start + held.astype(np.float64))
        return values, self.rows[0, held] / self.rows[0].sum()

    def moments(self) -> tuple[float, float, float, float, float, float]:
        """Return E[T], Var(T), E[A], E[A^2], Cov(A, T) and Cov(A, (T - E[T])^2)."""
        points = self.start + np.arange(self.rows.shape[1], dtype=np.float64)
        return moments_of(self.rows, self.unit * points)


def _transformed(law: FloatArray, length: int) -> ComplexArray:
    found: ComplexArray = rfft(law, length, axis=-1)
    return found


def least_place(terms: Terms, register: FloatAccumulator) -> int:
    """Return k of the register's smallest spacing 2^k, in units of the terms' lattice."""
    smallest = math.floor(math.log2(register.format.smallest_normal))
    return max(smallest - register.format.mantissa_bits - terms.finest, 0)


def work_of(size: FloatArray | IntArray, width: float) -> FloatArray:
    """Return about how many nanoseconds a term of so many points takes to be added to T's."""
    direct = np.minimum(size, width) * (size + width)
    found: FloatArray = _STEP + np.where(direct <= _DIRECT, 3 * direct, _POINT * (size + width))
    return found + _LEVEL * size


def budget(terms: Terms, register: FloatAccumulator, count: int) -> float:
    """Return how many nanoseconds of work a sum is worth to be followed exactly; 0 is none.

    Sums that a few additions would exhaust it for are not: cells serve them as well, unless so
    few of them are rounded that only those far from the mean are.
    """
    unit = 2.0**terms.finest
    width = (terms.values[-1] - terms.values[0]) / unit + 1
    if not terms.exact or width > _WIDEST or terms.largest * count / unit > 2.0**52:
        return 0.0
    mean, spread = abs(terms.mean) / unit, math.sqrt(terms.variance) / unit
    k = np.arange(1.0, min(count, _LONGEST) + 1)
    size = np.minimum(k * width, 2 * _FAR * spread * np.sqrt(k) + width)
    work = np.cumsum(work_of(size, width))
    usual = mean * count + spread * math.sqrt(count)
    edge = 2.0 ** (register.format.mantissa_bits + 1)
    if usual < edge / 2 and count <= k.size and work[-1] < _RARE:
        return _RARE
    most = _MORE if mean > spread or (usual < edge and count <= _LONG) else _BUDGET
    return most if work[min(count, _LONG) - 1] < most else 0.0
