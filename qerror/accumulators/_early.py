"""A sum's early terms: the joint law of T and of the place of its last bit, term by term.

T lies on an even mesh and the terms on one of the same spacing beside it, so that no sum falls on
an edge between binades; each place of the last bit has a law of its own. Laws are added by Fourier
transforms: two last bits at different places leave the lower one, two at one place the next one in
half of all cases, the one after in a quarter, and so on.

Cells of `_opening` tell small sums apart, as it takes while there are few terms; here cells are
narrow near binades' edges, as it takes from then on.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from qerror._arrays import ComplexArray, FloatArray, IntArray
from qerror.accumulators._addition import Addition, Rates, rounded_places
from qerror.accumulators._rounding import FINEST, last_bit_cost
from qerror.accumulators._sums import Mesh
from qerror.accumulators.terms import lattice_of, weighed

_FINENESS = 8  # points to a term's standard deviation, where so many are affordable
_MOST = 2**18  # points of all places' laws together
_FAR = 8.0  # standard deviations of a sum
_RARE = 1e-13  # of T's law, below which transforms say nothing
_LEAST = 1e-300


class _Rounding(NamedTuple):
    """What becomes of the masses by place of sums, rows by place and columns by the sum."""

    kept: FloatArray
    """1 where the place is D's or above."""
    fresh: FloatArray
    """Where sums go that have lost bits, and were no ties."""
    even: FloatArray
    """Where ties go."""
    moved: FloatArray
    """Where odd multiples of D go that move by one D."""
    odd: FloatArray
    """1 at D's own place."""
    tied: IntArray
    """The place of D/2; 0 where there is none."""


class Early:
    """A register that has been given a few terms and is given more, `most` at most."""

    def __init__(self, add: Addition, most: int) -> None:
        self._add = add
        self._lay(most)
        self._d = add.steps_of(self.middle)
        self._side = np.where(self.middle < 0, -1, 1)
        kinds = np.unique(np.stack([self._d, self._side], axis=1), axis=0)
        self._kinds = [(int(i), int(side)) for i, side in kinds]
        self._tabulate()
        self._lay_rounding()
        self.shares = self._end()

    def _lay(self, most: int) -> None:
        """Lay out T's mesh, and the terms' beside it, each shared by its two neighbours."""
        add, terms = self._add, self._add.terms
        spread = math.sqrt(terms.variance) or abs(terms.mean) or 1.0
        least, largest = float(terms.values[0]), float(terms.values[-1])
        drift, wide = most * terms.mean, _FAR * spread * math.sqrt(most)
        low = min(max(most * least, min(drift, 0.0) - wide + least), least, 0.0)
        high = max(min(most * largest, max(drift, 0.0) + wide + largest), largest, 0.0)
        step = 2.0 ** math.floor(math.log2(spread / _FINENESS))
        while (high - low) / step * add.exponents.size > _MOST:
            step *= 2
        first, last = math.floor(low / step) - 1, math.ceil(high / step) + 1
        self.middle = step * (np.arange(first, last, dtype=np.float64) + 0.5)
        self.edges = step * np.arange(first, last + 1, dtype=np.float64)
        place = terms.values / step
        left = np.floor(place).astype(np.int64)
        self._origin = min(int(left[0]), 0)
        self._left, self._share = left - self._origin, place - left
        self._width = max(int(self._left[-1]) + 2, 1 - self._origin)
        self._length = int(next_fast_len(self.middle.size + self._width - 1, real=True))
        self._place = np.clip(terms.lattice - add.exponents[0], 0, add.exponents.size - 1)

    def _laid(self, weights: FloatArray) -> FloatArray:
        """Return the terms' probabilities, times weights, on the mesh."""
        each = self._add.terms.probabilities * weights
        found = weighed(self._left, each * (1 - self._share), self._width)
        return found + weighed(self._left + 1, each * self._share, self._width)

    def _by_place(self, weights: FloatArray) -> ComplexArray:
        """Return the transforms of E[weight; p] by the place of the last bit."""
        size = self._add.exponents.size
        return self._transformed(
            np.stack([self._laid(weights * (self._place == k)) for k in range(size)])
        )

    def _transformed(self, laid: FloatArray) -> ComplexArray:
        found: ComplexArray = rfft(laid, self._length, axis=-1)
        return found

    def _back(self, product: ComplexArray, shift: int) -> FloatArray:
        """Return what a transform is of, from the mesh point `shift` below on."""
        found: FloatArray = np.roll(irfft(product, self._length, axis=-1), shift, axis=-1)
        return found[..., : self.middle.size]

    def _tabulate(self) -> None:
        """Lay out what an addition costs, by the place of T's last bit and T."""
        terms = self._add.terms
        ones = np.ones(terms.values.size)
        self._terms = self._by_place(ones)
        self._higher = _higher(self._terms)
        self._costs = (
            self._expected(0, self._terms, ones),
            self._expected(1, self._terms, ones),
            self._expected(0, self._by_place(terms.values), terms.values),
        )

    def _expected(self, own: int, laws: ComplexArray, weights: FloatArray) -> FloatArray:
        """Return E[w e] or E[w e^2] by the place of T's last bit and T, w a weight of the term."""
        seen = np.conj(self._transformed(self._add.bit_costs(own, self._d, self._side)))
        carried = np.zeros_like(seen)
        for k in range(len(seen) - 2, -1, -1):
            carried[k] = (seen[k + 1] + carried[k + 1]) / 2
        total = _higher(laws) * seen + laws * (carried - seen) + np.cumsum(laws * seen, axis=0)
        for i, side in self._kinds:
            total[i:] += self._mended(own, i, side, weights)
        return self._back(np.conj(total), -self._origin)

    def _mended(self, own: int, i: int, side: int, weights: FloatArray) -> ComplexArray:
        """Return what sums of a kind cost more if T is a multiple of D than by terms' last bits."""
        add = self._add
        exponent = int(add.exponents[i])
        step = math.ldexp(1.0, exponent)
        unit = side * step if own == 0 else step * step
        places = np.clip(i - self._place, 0, FINEST)
        by_bit = last_bit_cost(add.rule, side)[own][places]
        more = unit * (add.value_costs(exponent, side)[own] - by_bit)
        here = ((self._d == i) & (self._side == side)).astype(np.float64)
        return self._transformed(self._laid(weights * more)) * np.conj(self._transformed(here))

    def _lay_rounding(self) -> None:
        add, d = self._add, self._d
        size = add.exponents.size
        places = np.arange(size)[:, None]
        fresh, even = (-np.diff(fall, append=0.0) for fall in rounded_places(add.rule, size + 1))
        fair = np.append(0.0, 0.5 ** np.arange(1.0, size + 1))
        above = np.maximum(places - d, 0)
        fresh, even, fair = (
            _whole(np.where(places >= d, each[above], 0.0)) for each in (fresh, even, fair)
        )
        self._rounding = _Rounding(
            (places >= d).astype(np.float64), fresh, even, fair,
            (places == d).astype(np.float64), np.maximum(d - 1, 0),
        )  # fmt: skip
        p = add.terms.probabilities
        chances = {kind: [float(p @ each) for each in add.below(*kind)] for kind in self._kinds}
        kinds = zip(d.tolist(), self._side.tolist(), strict=True)
        self._small, self._stay, self._leave = np.array([chances[kind] for kind in kinds]).T

    def follow(self, where: FloatArray, shares: FloatArray) -> None:
        """Take over places by T, `shares` of shape (places, T), T in ascending order."""
        cell = np.clip(np.searchsorted(where, self.middle), 1, where.size - 1)
        nearer = cell - (self.middle - where[cell - 1] < where[cell] - self.middle)
        self.shares = shares[:, nearer]

    def take(self, where: FloatArray, masses: FloatArray) -> None:
        """Take over T's law as it is: values and their masses."""
        size, low = self._add.exponents.size, int(self._add.exponents[0])
        cells = self.middle.size
        cell = np.clip(np.searchsorted(self.edges, where, side="right") - 1, 0, cells - 1)
        place = np.clip(lattice_of(where) - low, 0, size - 1)
        law = weighed(place * cells + cell, masses, size * cells)
        self._share_out(law.reshape(size, cells))

    def _share_out(self, law: FloatArray) -> None:
        total = law.sum(axis=0)
        known = total > _RARE * total.max()
        self.shares = np.where(known, law / np.maximum(total, _LEAST), self._end())

    def masses(self, law: Mesh) -> FloatArray:
        """Return how often T lies at each point."""
        below = law.cdf(self.edges)
        below[0], below[-1] = 0.0, 1.0
        return np.diff(below)

    def rates(self) -> Rates:
        """Return what the next addition costs, by T."""
        first, second, cross = (np.einsum("ki,ki->i", self.shares, each) for each in self._costs)
        return Rates(first, second, cross)

    def advance(self, masses: FloatArray) -> None:
        """Add a term to T, of these masses."""
        law = masses * self.shares
        own = self._transformed(law)
        product = own * self._higher + _higher(own) * self._terms
        same = own * self._terms
        carry = np.zeros(product.shape[1], dtype=np.complex128)
        for k in range(len(product)):
            product[k] += carry
            carry = (carry + same[k]) / 2
        product[-1] += 2 * carry  # the last place stands for all beyond
        self._share_out(self._rounded(np.maximum(self._back(product, self._origin), 0.0), law))

    def _rounded(self, found: FloatArray, law: FloatArray) -> FloatArray:
        """Return the masses by place of sums once they are rounded, and of T before.

        Of terms below D: they let a multiple T of D stay as it is, place and all, or move it by
        one D, as `Addition.below` tells.
        """
        to = self._rounding
        kept = found * to.kept
        inexact = found.sum(axis=0) - kept.sum(axis=0)
        tied = np.where(self._d > 0, found[to.tied, np.arange(found.shape[1])], 0.0)
        small = self._small * (law * to.kept).sum(axis=0)
        others = np.maximum(inexact - small, 0.0)
        tied = np.minimum(tied, others)
        kept += to.fresh * (others - tied) + to.even * tied
        if self._small.any():
            stay = self._stay * (law * (to.kept - to.odd))
            leave = self._leave * (law * to.odd).sum(axis=0)
            kept += stay + to.moved * leave + to.odd * (small - stay.sum(axis=0) - leave)
        return kept

    def _end(self) -> FloatArray:
        """Return places of sums that hardly occur: as if a term had brought all of their bits."""
        above = np.append(self._add.term_last, 0.0)
        places = np.arange(above.size)[:, None]
        found: FloatArray = -np.diff(np.where(places <= self._d, 1.0, above[:, None]), axis=0)
        return found

    def last(self, masses: FloatArray) -> FloatArray:
        """Return P(last bit at 2^k or above) by kind of T, of these masses."""
        add, law = self._add, masses * self.shares
        kinds, size = add.kinds_of(self.middle), add.exponents.size
        rows = [weighed(kinds, each, size * add.parts) for each in law]
        return add.last_of(np.stack(rows, axis=1))


def _higher(laws: ComplexArray) -> ComplexArray:
    """Return the sums over higher places."""
    found: ComplexArray = np.cumsum(laws[::-1], axis=0)[::-1] - laws
    return found


def _whole(chances: FloatArray) -> FloatArray:
    """Return chances by place whose last place has all that is left."""
    chances[-1] += np.maximum(1 - chances.sum(axis=0), 0.0)
    return chances
