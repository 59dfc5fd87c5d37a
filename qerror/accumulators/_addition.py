"""The expected error of one addition to a register, given the laws of what is added.

The register rounds X = T + p to multiples of D(X) = 2^d, d by the binade of X. Where T has no
bits below D, the error is that of rounding p alone, whose values are known. Where it has, the
place of X's last bit says what rounding costs (see `_rounding`): it is the lower one of T's and
p's, and where they are the same, one place higher with probability 1/2, two with 1/4, and so on.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.accumulators._rounding import (
    FINEST,
    Cost,
    chance_of_leaving,
    cost_of,
    last_bit_cost,
)
from qerror.accumulators.accumulator import FloatAccumulator
from qerror.accumulators.terms import EXACT, Terms, lattice_of, weighed
from qerror.rounding import RoundingRule

PARTS = 4  # cells to a binade; a multiple of it in pairs
_COARSE_BELOW = 2.0**-8  # of the largest term's binade: cells there are whole binades
_NOTHING = 1e-300
_BITS = 60  # binades below a sum's largest that are told apart


class Cells(NamedTuple):
    """A law in cells: values that stand for them, masses, and where their last bits are."""

    values: FloatArray
    masses: FloatArray
    kind: IntArray
    """Which row of `last` each cell has."""
    last: FloatArray
    """P(last bit at 2^k or above), by kind and the register's exponents k."""


class Rates(NamedTuple):
    """By cell of T: E[e], E[e^2] and E[p e] of the next addition."""

    first: FloatArray
    second: FloatArray
    cross: FloatArray
    last: FloatArray | None = None
    """P(last bit at 2^k or above) of the sum once it is rounded, by its kind."""


class Addition:
    """One register that is given terms of one law."""

    def __init__(
        self, terms: Terms, register: FloatAccumulator, most: float, parts: int = PARTS
    ) -> None:
        self.terms, self.parts = terms, parts
        self.rule = register.rule
        form = register.format
        self.mantissa = form.mantissa_bits
        self.least = math.floor(math.log2(form.smallest_normal)) - self.mantissa
        top = math.floor(math.log2(most)) + 1 - self.mantissa
        finest = max(terms.finest, top - _BITS) if terms.finest < EXACT else top
        low = max(min(finest, top), self.least)  # all sums are multiples of 2^low, or nearly
        self.exponents = np.arange(low, max(top, low) + 1)
        self._halves: dict[tuple[int, int], tuple[float, float]] = {}
        self._tabulate()

    def steps_of(self, x: FloatArray) -> IntArray:
        """Return d as an index of `exponents`: x in the register is a multiple of 2^d."""
        low = int(self.exponents[0])
        d = np.maximum(np.frexp(x)[1] - 1 - self.mantissa, self.least)
        d = np.where(x == 0, low, d)
        found: IntArray = np.clip(d - low, 0, self.exponents.size - 1).astype(np.int64)
        return found

    def kinds_of(self, x: FloatArray) -> IntArray:
        """Return the part of a binade that x lies in: so many kinds for every d."""
        part = np.floor((2 * np.abs(np.frexp(x)[0]) - 1) * self.parts)
        kinds: IntArray = np.clip(part, 0, self.parts - 1).astype(np.int64)
        return self.steps_of(x) * self.parts + kinds

    def whole(self, last: FloatArray) -> FloatArray:
        """Return P(last bit at 2^k or above) by kind, 1 for k <= d as rounding to 2^d says."""
        places, kinds = (np.arange(size, dtype=np.int64) for size in last.T.shape)
        return np.where(places <= kinds[:, None] // self.parts, 1.0, last)

    def last_of(self, law: FloatArray) -> FloatArray:
        """Return P(last bit at 2^k or above) by kind, of the masses of T by kind and place."""
        above = np.cumsum(law[:, ::-1], axis=1)[:, ::-1]
        found = np.tile(self.term_last, (len(law), 1))
        present = np.flatnonzero(above[:, 0] > _NOTHING)
        found[present] = above[present] / above[present, :1]
        found[present[-1] + 1 :] = found[present[-1]]
        return self.whole(found)

    def last_of_values(self, values: FloatArray, masses: FloatArray) -> FloatArray:
        """Return P(last bit at 2^k or above) by kind of T, which has these values."""
        size = self.exponents.size
        place = np.clip(lattice_of(values) - self.exponents[0], 0, size - 1)
        law = weighed(self.kinds_of(values) * size + place, masses, size * size * self.parts)
        return self.last_of(law.reshape(-1, size))

    def _tabulate(self) -> None:
        terms, p = self.terms, self.terms.probabilities
        above = (terms.lattice[:, None] >= self.exponents).astype(np.float64)
        above[:, 0] = 1.0
        self.term_last = p @ above
        bins, where = _bins(terms.values, self.parts)
        mass = weighed(where, p, bins)
        mean = weighed(where, p * terms.values, bins) / mass
        last = np.stack([weighed(where, p * each, bins) / mass for each in above.T], axis=1)
        self.cells = Cells(mean, mass, np.arange(bins), last)
        self._exact = {side: self._exact_costs(side) for side in (-1, 1)}

    def _exact_costs(self, side: int) -> FloatArray:
        """Return E[e], E[e^2], E[p e] by d, where T is a multiple of D and X of the sign `side`."""
        p, found = self.terms.probabilities, np.zeros((3, self.exponents.size))
        for i, exponent in enumerate(map(int, self.exponents)):
            cost, step = self.value_costs(exponent, side), side * math.ldexp(1.0, exponent)
            found[0, i], found[1, i] = step * (p @ cost.first), step**2 * (p @ cost.second)
            found[2, i] = step * (p @ (self.terms.values * cost.first))
        return found

    def below(self, i: int, side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return by value of the term whether it is below D = 2^exponents[i], and what T does then.

        How often a multiple T of D, of the sign `side`, stays as it is, and how often it moves by
        one D. Of ties that go to even, even multiples stay and odd ones move: both are 1.
        """
        y = np.ldexp(self.terms.values, -int(self.exponents[i]))
        small = (self.terms.lattice < self.exponents[i]) & (np.abs(y) < 1)
        if self.rule.mode == "to-odd":  # always to the odd neighbour, whatever T is
            small = np.zeros_like(small)
        leave = np.zeros(y.size)
        leave[small] = chance_of_leaving(self.rule, y[small], side)
        stay = np.where(small, 1 - leave, 0.0)
        if self.rule.mode == "nearest-even":
            tied = small & (np.abs(y) == 0.5)
            stay[tied] = leave[tied] = 1.0
        return small.astype(np.float64), stay, leave

    def rests(self, i: int, side: int) -> tuple[float, float, float, float]:
        """Return what a term does to a multiple T of D = 2^exponents[i], of the sign `side`.

        The chances that a term below D lets T stay, that it moves T by D, and that a term above D
        leaves a rest to be rounded that is no tie, and one that is.
        """
        terms, place = self.terms, self.exponents[i]
        small, stay, leave = self.below(i, side)
        large = np.where(terms.lattice < place, 1 - small, 0.0)
        tied = np.where(terms.lattice == place - 1, large, 0.0)
        chances = (float(terms.probabilities @ each) for each in (stay, leave, large - tied, tied))
        return next(chances), next(chances), next(chances), next(chances)

    def half_costs(self, exponent: int, side: int) -> tuple[float, float]:
        """Return what a bit at D/2 adds to E[e], E[e^2] of a sum that a term lifts to D.

        D = 2^exponent.

        Terms lift sums over an edge as often as they are large. Their own bits below D are
        counted without it: two bits at D/2 make a whole D, and below D/2 there is one anyway.
        """
        if (exponent, side) not in self._halves:
            self._halves[exponent, side] = self._half_costs(exponent, side)
        return self._halves[exponent, side]

    def _half_costs(self, exponent: int, side: int) -> tuple[float, float]:
        terms, step = self.terms, math.ldexp(1.0, exponent)
        lift = terms.probabilities * np.maximum(side * terms.values, 0.0)
        if not lift.any():
            return 0.0, 0.0
        places = np.clip(exponent - terms.lattice, 0, FINEST)
        table = last_bit_cost(self.rule, side)
        alone = self.value_costs(exponent, side)
        found: list[float] = []
        for own, mine, unit in zip(table, alone, (side * step, step * step), strict=True):
            both = np.where(places == 0, own[1], np.where(places == 1, own[0], own[places]))
            found.append(unit * float(lift @ (both - mine)) / float(lift.sum()))
        return found[0], found[1]

    def bit_costs(self, own: int, d: IntArray, side: IntArray) -> FloatArray:
        """Return E[e] or E[e^2] of sums by the place of their last bit, and d and sign of each."""
        places = np.clip(d - np.arange(self.exponents.size)[:, None], 0, FINEST)
        step: FloatArray = np.ldexp(1.0, self.exponents[d])
        unit: FloatArray = side * step if own == 0 else step * step
        below, above = (last_bit_cost(self.rule, sign)[own] for sign in (-1, 1))
        found: FloatArray = unit * np.where(side < 0, below[places], above[places])
        return found

    def value_costs(self, exponent: int, side: int) -> Cost:
        """Return E[e] and E[e^2] by the term's value, in units of D, where T is a multiple of D."""
        terms = self.terms
        if terms.exact:
            scaled = side * np.ldexp(terms.values, -exponent)
            return cost_of(self.rule, scaled - np.floor(scaled), side)
        places = np.clip(exponent - terms.lattice, 0, FINEST)
        table = last_bit_cost(self.rule, side)
        return Cost(table.first[places], table.second[places])

    def first(self) -> Rates:
        """Return what the first term costs, which is rounded as it is."""
        values, p = self.terms.values, self.terms.probabilities
        d = self.steps_of(values)
        e, square = np.zeros(values.size), np.zeros(values.size)
        for i in map(int, np.unique(d)):
            for side in (-1, 1):
                at = (d == i) & ((values < 0) if side < 0 else (values >= 0))
                step = side * math.ldexp(1.0, int(self.exponents[i]))
                cost = self.value_costs(int(self.exponents[i]), side)
                e[at], square[at] = step * cost.first[at], step * step * cost.second[at]
        return Rates(*(np.array([p @ each]) for each in (e, square, values * e)))

    def pair(self, t: Cells, p: Cells) -> Rates:
        """Return what adding two laws costs, for all pairs of cells."""
        x = t.values[:, None] + p.values
        d = self.steps_of(x)
        first, second = np.zeros(x.shape), np.zeros(x.shape)
        pairs = t.last, _at(t.last), p.last, _at(p.last)
        for i in map(int, np.unique(d)):
            at_d = d == i
            for side in (-1, 1):
                rows, columns = np.nonzero(at_d & ((x < 0) if side < 0 else (x >= 0)))
                if rows.size:
                    e, square = self._costs(i, side, pairs)
                    place = t.kind[rows], p.kind[columns]
                    first[rows, columns], second[rows, columns] = e[place], square[place]
        cross = first @ (p.masses * p.values)
        return Rates(first @ p.masses, second @ p.masses, cross, self._last_after(x, t, p))

    def _costs(
        self, i: int, side: int, pairs: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, FloatArray]:
        """Return E[e] and E[e^2] for every kind of T and of p, as if D were 2^exponents[i].

        `pairs` are P(last bit at 2^k or above) and P(last bit at 2^k), of T and of p.
        """
        step = 2.0 ** int(self.exponents[i])
        places = np.clip(i - np.arange(i + 1), 0, FINEST)
        t, t_at, p, p_at = (each[:, : i + 1] for each in pairs)
        found: list[FloatArray] = []
        table = last_bit_cost(self.rule, side)
        for own, unit in enumerate((side * step, step * step)):
            cost: FloatArray = unit * table[own][places]
            gain = cost.copy()  # times P(last bit at k or above), summed over k
            gain[1:] -= cost[:-1]
            found.append((t * gain) @ p.T + (t_at * _carried(gain)) @ p_at.T)
        return found[0], found[1]

    def _last_after(self, x: FloatArray, t: Cells, p: Cells) -> FloatArray:
        """Return P(last bit at 2^k or above) of the sums x once they are rounded, by their kind."""
        kind, kinds = self.kinds_of(x), self.exponents.size * self.parts
        rows, columns = t.last.shape[0], p.values.size
        present, of_x = np.unique(kind, return_inverse=True)
        place = (of_x.reshape(x.shape) * rows + t.kind[:, None]) * columns + np.arange(columns)
        mass = np.broadcast_to(t.masses[:, None], x.shape)
        size = present.size * rows * columns
        weight = weighed(place.reshape(-1), mass.reshape(-1), size)
        weight = weight.reshape(present.size, rows, columns) * p.masses
        total = np.maximum(weight.sum(axis=(1, 2)), 1e-300)[:, None]
        p_last = p.last[p.kind]
        above = (weight @ p_last * t.last).sum(axis=1) / total
        t_at, p_at = _at(t.last), _at(p_last)
        same = (weight @ p_at * t_at).sum(axis=1) / total
        for k in range(1, above.shape[1]):
            above[:, k] += same[:, k - 1]
            same[:, k] += same[:, k - 1] / 2
        last = np.tile(self.term_last, (kinds, 1))
        for row, which in zip(above, present, strict=True):
            i = int(which) // self.parts
            halves = row[i - 1] - row[i] if i else 0.0
            fresh, tied = rounded_places(self.rule, row.size - i)
            row[i:] += (1 - row[i] - halves) * fresh + halves * tied
            last[which] = row
        return self.whole(last)

    def quick_rates(self, t: Cells) -> Rates:
        """Return what the next addition costs while T stays in its binade."""
        d, upper = self.steps_of(t.values), t.values >= 0
        return Rates(*np.where(upper, self._exact[1][:, d], self._exact[-1][:, d]))


def rounded_places(rule: RoundingRule, size: int) -> tuple[FloatArray, FloatArray]:
    """Return P(last bit j places above D or higher) of a sum that was rounded to D, j = 0, 1, ...

    First where it had a bit below D/2: it is as often odd as even; then of ties, which a mode may
    send to the even multiple or to the odd one, as to-odd sends all.
    """
    fair: FloatArray = np.ldexp(1.0, -np.arange(size))
    odd = np.where(np.arange(size) == 0, 1.0, 0.0)
    if rule.mode == "to-odd":
        return odd, odd
    return fair, np.concatenate([[1.0], fair])[:size] if rule.mode == "nearest-even" else fair


def _at(last: FloatArray) -> FloatArray:
    """Return P(last bit at 2^k) by kind, from P(last bit at 2^k or above)."""
    found = last.copy()
    found[:, :-1] -= last[:, 1:]
    return found


def _carried(gain: FloatArray) -> FloatArray:
    """Return the sums over k > a of gain[k] 2^-(k - a - 1): what two last bits at a leave."""
    found = np.zeros(gain.size)
    for a in range(gain.size - 2, -1, -1):
        found[a] = gain[a + 1] + found[a + 1] / 2
    return found


def _bins(values: FloatArray, parts: int) -> tuple[int, IntArray]:
    """Return how many cells the values fall into, by sign and part of a binade, and which."""
    fraction, exponent = np.frexp(values)
    part = np.floor((2 * np.abs(fraction) - 1) * parts)
    part[np.abs(values) < _COARSE_BELOW * np.abs(values).max()] = 0
    key = np.sign(values) * (1 + parts * (exponent + 2000) + part) * (values != 0)
    found, where = np.unique(key, return_inverse=True)
    return found.size, where
