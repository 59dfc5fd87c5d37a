"""The first terms of a sum: the joint law of T and of the place of its last bit, term by term.

T lies in cells, the term in bins of its own; both are spread evenly there, which gives once and for
all how often a term carries T from cell to cell, and what that costs, by the place of T's last bit.
"""

import itertools
import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.accumulators._addition import Addition, Rates, rounded_places
from qerror.accumulators._sums import Mesh
from qerror.accumulators.terms import weighed

_FINEST = 5  # binades below a term's standard deviation; what is smaller is one cell
_CELLS, _BINS = 8, 4  # to a binade, of T and of the term
_FAR = 9.0  # standard deviations of a sum
_NARROW = 1e-3  # a bin's width over a cell's, at least
_WIDEST = 0.5  # of a cell, in standard deviations of a term
_RARE, _NOTHING = 1e-15, 1e-200


class Opening:
    """A register that is given its first terms, `most` at most."""

    def __init__(self, add: Addition, most: int) -> None:
        self._add = add
        terms = add.terms
        spread = math.sqrt(terms.variance) or abs(terms.mean) or 1.0
        low = math.frexp(spread)[1] - 1 - _FINEST
        far = abs(terms.mean) * most + _FAR * spread * math.sqrt(most)
        top = math.frexp(max(min(terms.largest * most, far), terms.largest))[1]
        self.edges = _refined(
            _edges(low, max(top, low + 1), _CELLS), _WIDEST * spread, 4 * spread * math.sqrt(most)
        )
        self.middle = (self.edges[1:] + self.edges[:-1]) / 2
        self._d = add.steps_of(np.where(self.middle == 0, 2.0**low / 2, self.middle))
        self._side = np.where(self.middle < 0, -1, 1)
        self._bin(low, top)
        self._tabulate()
        self._fall = rounded_places(add.rule, add.exponents.size + 1)
        size = add.exponents.size
        self.shares = np.zeros((self.middle.size, size))
        self.shares[:, -1] = 1.0

    def _bin(self, low: int, top: int) -> None:
        """Sort the terms into bins: masses, ends, and which values have which."""
        values = self._add.terms.values
        bins = np.searchsorted(_edges(low, top + 1, _BINS), values)
        _, self._bin_of = np.unique(bins, return_inverse=True)
        self._bins = int(self._bin_of.max()) + 1
        low_end, high_end = np.full(self._bins, np.inf), np.full(self._bins, -np.inf)
        np.minimum.at(low_end, self._bin_of, values)
        np.maximum.at(high_end, self._bin_of, values)
        self._ends = low_end, high_end

    def _shared(self, weights: FloatArray) -> FloatArray:
        """Return E[weight; bin] by bin, of weights by the term's value."""
        p = self._add.terms.probabilities
        return weighed(self._bin_of, p * weights, self._bins)

    def _tabulate(self) -> None:
        add, terms = self._add, self._add.terms
        size = add.exponents.size
        ways = self._ways()
        place = np.clip(terms.lattice - add.exponents[0], 0, size - 1)
        by_place = np.stack([self._shared(place == k) for k in range(size)])
        drawn = np.stack([self._shared(terms.values * (place == k)) for k in range(size)])
        self._moves = np.ascontiguousarray(np.matmul(by_place, ways).swapaxes(0, 1))
        self._rest = np.cumsum(self._moves[::-1], axis=0)[::-1] - self._moves
        kinds = sorted({(int(i), int(s)) for i, s in zip(self._d, self._side, strict=True)})
        column = np.array(
            [kinds.index((int(i), int(s))) for i, s in zip(self._d, self._side, strict=True)]
        )

        def joined(rows: list[FloatArray]) -> FloatArray:
            found: FloatArray = np.einsum("ibj,bj->ij", ways, np.stack(rows)[column].T)
            return found

        below = [add.below(*kind) for kind in kinds]
        self._small, self._stay, self._leave = (
            joined([self._shared(each[row]) for each in below]) for row in range(3)
        )
        unit = [2.0 ** int(add.exponents[i]) for i, _ in kinds]
        costs = [add.value_costs(int(add.exponents[i]), s) for i, s in kinds]
        first = [s * u * c.first for (_, s), u, c in zip(kinds, unit, costs, strict=True)]
        whole = (
            joined([self._shared(each) for each in first]),
            joined([self._shared(u * u * c.second) for u, c in zip(unit, costs, strict=True)]),
            joined([self._shared(terms.values * each) for each in first]),
        )
        pulls = np.matmul(drawn, ways).swapaxes(0, 1)
        by_bit = [self._add.bit_costs(own, self._d, self._side) for own in (0, 1)]
        first = self._by_place(self._moves, by_bit[0], whole[0]).sum(axis=2).T
        cross = self._by_place(pulls, by_bit[0], whole[2]).sum(axis=2).T
        self._rates = first, cross
        self._squares = self._by_place(self._moves, by_bit[1], whole[1])
        self._carried = self._moves.sum(axis=0)

    def _ways(self) -> FloatArray:
        """Return how often T of one cell and a term of one bin have a sum in another cell."""
        a, b = self.edges[:-1, None], self.edges[1:, None]
        wide = np.maximum(self._ends[1] - self._ends[0], _NARROW * (b - a))
        c = (self._ends[1] + self._ends[0]) / 2 - wide / 2

        def ramp(y: FloatArray) -> FloatArray:
            return np.maximum(y, 0.0) ** 2 / 2

        below = np.ones((a.size, self._bins, self.edges.size))
        below[:, :, 0] = 0.0
        for j, x in enumerate(self.edges[1:-1], start=1):
            near, far = x - a - c, x - b - c
            below[:, :, j] = ramp(near) - ramp(far) - ramp(near - wide) + ramp(far - wide)
            below[:, :, j] /= (b - a) * wide
        return np.diff(below, axis=2)

    def _by_place(self, moves: FloatArray, costs: FloatArray, whole: FloatArray) -> FloatArray:
        """Return what terms cost by the place of T's last bit, its cell and the sum's.

        `whole` is what they cost where T is a multiple of D.
        """
        found = np.empty(moves.shape)
        finer, coarser = np.zeros(whole.shape), moves.sum(axis=0)
        carried = np.zeros(costs.shape)  # by the place of two bits whose sum has its last one above
        for k in range(len(moves) - 2, -1, -1):
            carried[k] = (costs[k + 1] + carried[k + 1]) / 2
        for k, here in enumerate(moves):
            coarser = coarser - here
            cost = finer + coarser * costs[k] + here * carried[k]
            found[k] = np.where(k < self._d, cost, whole)
            finer = finer + here * costs[k]
        return found

    def start(self) -> FloatArray:
        """Let T be one term that nothing has rounded; return its masses by cell."""
        terms, size = self._add.terms, self._add.exponents.size
        inner = self.edges[1:-1]
        cell = np.searchsorted(inner, terms.values, side="right")
        place = np.clip(terms.lattice - self._add.exponents[0], 0, size - 1)
        law = weighed(cell * size + place, terms.probabilities, self.middle.size * size)
        law = law.reshape(self.middle.size, size)
        masses: FloatArray = law.sum(axis=1)
        self.shares = law / np.maximum(masses, _NOTHING)[:, None]
        return masses

    def masses(self, law: Mesh) -> FloatArray:
        """Return how often T lies in each cell."""
        below = law.cdf(self.edges)
        below[0], below[-1] = 0.0, 1.0
        return np.diff(below)

    def rates(self, masses: FloatArray, sums: FloatArray) -> Rates:
        """Return what the next addition costs, by cell of T.

        `masses` and `sums` are those of T and of T with the term: evenly spread cells make a few
        too many large sums, which are put right.
        """
        first, cross = ((self.shares * each).sum(axis=1) for each in self._rates)
        law = masses * self.shares.T
        reached = masses @ self._carried
        squares = np.matmul(law[:, None], self._squares).sum(axis=(0, 1))
        excess = np.where(reached > _RARE, reached / np.maximum(sums, _RARE), 1.0)
        second = float(squares @ (1 / np.maximum(excess, 0.5)))
        return Rates(first, np.full(first.shape, second), cross)

    def advance(self, masses: FloatArray) -> None:
        """Add a term to T, of these masses by cell."""
        law = masses[:, None] * self.shares
        size = law.shape[1]
        above = np.cumsum(law[:, ::-1], axis=1)[:, ::-1] - law
        pairs = np.stack([law.T, above.T], axis=1)  # place, own or above, cell
        own, more = np.matmul(pairs, self._moves).swapaxes(0, 1)
        found = np.matmul(law.T[:, None], self._rest)[:, 0] + more
        carry = np.zeros(self.middle.size)
        for k in range(size):  # two last bits at one place leave the next one in half of all cases
            found[k] += carry
            carry = (carry + own[k]) / 2
        found[-1] += 2 * carry  # the last place stands for all beyond
        below = self._small, self._stay, self._leave
        kept = np.stack([law.T @ each if each.any() else 0.0 * found for each in below])
        for d in map(int, np.unique(self._d)):
            at = self._d == d
            found[:, at] = self._rounded(found[:, at], d, kept[:, :, at])
        total = found.sum(axis=0)
        self.shares = np.where(total > _NOTHING, found / np.maximum(total, _NOTHING), self._end()).T

    def _rounded(self, found: FloatArray, d: int, kept: FloatArray) -> FloatArray:
        """Return the masses by place of sums that are rounded to the place d.

        `kept` are the masses of those whose term was below D, by T's place: all of them, and
        where T stays as it is and where it moves by D, as `Addition.below` tells them apart.
        """
        size = len(found) - d
        inexact, tied = found[:d].sum(axis=0), found[d - 1] if d else np.zeros(found.shape[1])
        small, stay, leave = kept[0, d:].sum(axis=0), kept[1, d + 1 :], kept[2, d]
        others = np.maximum(inexact - small, 0.0)
        tied = np.minimum(tied, others)
        fresh, even = (-np.diff(fall[:size], append=0.0)[:, None] for fall in self._fall)
        new = (others - tied) * fresh + tied * even
        new[1:] += stay
        if size > 1:
            fair = 0.5 ** np.arange(1.0, size)
            fair[-1] *= 2
            new[1:] += leave * fair[:, None]
            new[0] += small - stay.sum(axis=0) - leave
        else:
            new[0] += small
        return np.concatenate([np.zeros((d, found.shape[1])), found[d:] + new])

    def _end(self) -> FloatArray:
        """Return places of sums that hardly occur: as if a term had brought all of their bits."""
        size = self._add.exponents.size
        above = np.append(self._add.term_last, 0.0)
        places = np.arange(size + 1)[:, None]
        above = np.where(places <= self._d, 1.0, above[:, None])
        return -np.diff(above, axis=0)

    def last(self, masses: FloatArray) -> FloatArray:
        """Return P(last bit at 2^k or above) by kind of T, of these masses by cell."""
        add = self._add
        kinds, size = add.kinds_of(self.middle), add.exponents.size
        above = np.cumsum(self.shares[:, ::-1], axis=1)[:, ::-1]
        found = np.tile(add.term_last, (size * add.parts, 1))
        masses = np.maximum(masses, _NOTHING)
        for kind in np.unique(kinds):
            of = kinds == kind
            found[kind] = masses[of] @ above[of] / masses[of].sum()
        found[kinds.max() + 1 :] = found[kinds.max()]
        return add.whole(found)


def _refined(edges: FloatArray, widest: float, far: float) -> FloatArray:
    """Return bounds of cells that are no wider than that between -far and far."""
    found: list[FloatArray] = []
    for a, b in itertools.pairwise(map(float, edges)):
        near = max(a, -b, 0.0) < far
        parts = max(math.ceil((b - a) / widest - 1e-9), 1) if near else 1
        found.append(a + (b - a) * np.arange(parts) / parts)
    return np.append(np.concatenate(found), edges[-1])


def _edges(low: int, top: int, parts: int) -> FloatArray:
    """Return bounds of parts of binades from 2^low to 2^top, of either sign; 0 has one cell."""
    parts_of = 1 + np.arange(parts, dtype=np.float64) / parts
    sizes = np.append(np.outer(np.ldexp(1.0, np.arange(low, top)), parts_of).reshape(-1), 2.0**top)
    return np.concatenate([-sizes[::-1], sizes])
