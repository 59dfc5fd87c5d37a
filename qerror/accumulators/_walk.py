"""Sums one after the other: the moments of the register, of its error, and of both together.

With T the register and A = T - S its error after k additions, r(T) = E[e | T] the expected error
of the next one, and E[A | T] taken as quadratic in T:

    d E[A] = E[r]                     d E[A^2] = E[e^2] + 2 E[A r]
    d Cov(A, T) = Cov(A, r) + Cov(T, r) + E[p e] - E[p] E[e] + Var(e)
    d Cov(A, T'^2) = Cov(r, T'^2) + 2 E[T' (E[p e | T] - E[p] r)],  T' = T - E[T]
    d Var(T) = Var(p) + 2 (E[p e] - E[p] E[e]) + Var(e) + 2 Cov(T, r)

T has the shape of the exact sum's law at its own mean and variance, so a register that swallows
its terms slows down as it does. Rounding to nearest makes r vanish on symmetric terms, and then
only the sum over k of E[e_k^2] is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import ArrayValue, FloatArray, IntArray, frozen
from qerror.accumulators._addition import Addition, Cells, rounded_places
from qerror.accumulators._sums import Mesh, Sums
from qerror.accumulators.accumulator import FloatAccumulator
from qerror.accumulators.terms import EXACT, Terms, weighed

_WHOLE = 20  # additions that are followed one by one
_PAIRED = 20  # and those that are looked at for all pairs of cells of T and of the term
_RATIO = 2 ** (1 / 6)  # of the counts at which rates are taken from there on
_DEPTH = 14  # binades below the spread of T that are told apart
_BINADES, _PLACES = 7, 8  # of T that are told apart when its last bits are followed
_RARE, _NOTHING = 1e-7, 1e-14
_FUSED_BITS, _MANY = 64, 256  # places of a fused sum; terms after which they settle
_ZERO = np.zeros(1), np.ones(1), np.zeros(1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Trail(ArrayValue):
    """What happens along a sum of n terms."""

    counts: FloatArray
    """Terms added so far, at places up to n."""
    step_errors: FloatArray
    """E[e^2] of the addition that leads there."""
    mean: float
    """E[A] at the end."""
    second: float
    """E[A^2]."""
    with_sum: float
    """Cov(A, S), S the exact sum."""
    variance: float
    """Var(T)."""
    last: FloatArray
    """P(last bit at 2^k or above) of T, by kind."""

    @classmethod
    def of(  # noqa: PLR0917 - as the fields are
        cls,
        counts: Sequence[float],
        errors: Sequence[float],
        mean: float,
        second: float,
        with_sum: float,
        variance: float,
        last: FloatArray,
    ) -> "Trail":
        """Make a trail of lists."""
        places, steps = (frozen(np.array(each)) for each in (counts, errors))
        return cls(places, steps, mean, second, with_sum, variance, last)


class State(NamedTuple):
    """Moments of T and A after some additions."""

    mean: float
    variance: float
    error: float
    second: float
    cross: float
    """Cov(A, T)."""
    bend: float
    """Cov(A, (T - E[T])^2)."""

    def plus(self, change: "State", steps: float = 1.0) -> "State":
        """Return the state after `steps` such changes."""
        return State(*(a + steps * b for a, b in zip(self, change, strict=True)))


class Change(NamedTuple):
    """What one addition changes."""

    moments: State
    step_error: float
    last: FloatArray | None
    cells: Cells
    moves: FloatArray | None
    edges: FloatArray
    """The density of |T| where D doubles."""


class Walk:
    """A register that is given terms one after the other."""

    def __init__(self, sums: Sums, register: FloatAccumulator, most: int) -> None:
        terms = sums.terms
        self.sums, self.terms = sums, terms
        self.register = register
        self.addition = Addition(terms, register, largest_sum(terms, most))

    def after(self, count: int) -> Trail:
        """Return what the sum of `count` terms has gone through."""
        state = State(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        last = np.ones((1, self.addition.exponents.size))
        counts: list[float] = []
        errors: list[float] = []
        done = 0
        while done < count:
            after = done + 1 if done < _WHOLE else min(count, max(done + 1, int(done * _RATIO)))
            steps = after - done
            change = self._change(state, last, done)
            if steps > 1:
                # T before an addition; of the quick rates, which take its binade for X's, after it
                half = (steps - 1) / 2 if done < _PAIRED else steps / 2
                change = self._change(state.plus(change.moments, half), last, done + half)
            state = _possible(state.plus(change.moments, steps))
            last = self._last(last, change, steps)
            done = after
            counts.append(float(done))
            errors.append(change.step_error)
        with_sum = state.cross - (state.second - state.error**2)
        return Trail.of(counts, errors, state.error, state.second, with_sum, state.variance, last)

    def law(self, trail: Trail, count: int) -> Mesh:
        """Return the law of T after `count` terms."""
        mean = count * self.terms.mean + trail.mean
        return moved(self.sums.shape(count), mean, trail.variance)

    def _change(self, state: State, last: FloatArray, count: float) -> Change:
        """Return what one more addition changes; `last`: of T, P(last bit >= 2^k) by its d."""
        add, terms = self.addition, self.terms
        law = moved(self.sums.shape(max(int(count), 1)), state.mean, state.variance)
        cells: Cells
        if count < 2:
            cells = add.rounded_cells if count else Cells(*_ZERO, last)
        else:
            cells = cells_of(law, add, last)
        each = count < _PAIRED
        rates = add.pair(cells) if each else add.quick_rates(cells)
        t, m = cells.values - state.mean, cells.masses
        e, e2, pe = (float(m @ rate) for rate in rates[:3])
        edges = np.zeros(0) if each else self._edge_densities(law)
        if not each:
            e2 += float(edges @ add.crossings(last))
        t_r = float((m * t) @ rates.first)
        slope = state.cross / state.variance if state.variance > 0 else 0.0
        square = t * t - float(m @ (t * t))
        bent = float((m * square) @ rates.first)
        curve = state.bend / max(float(m @ square**2), 1e-300)
        with_a = slope * t_r + curve * bent  # Cov(A, r)
        p_e, var_e = pe - terms.mean * e, e2 - e * e
        moments = State(
            terms.mean + e,
            terms.variance + 2 * p_e + var_e + 2 * t_r,
            e,
            e2 + 2 * (state.error * e + with_a),
            with_a + t_r + p_e + var_e,
            bent + 2 * float((m * t) @ (rates.cross - terms.mean * rates.first)),
        )
        return Change(moments, e2, rates.last, cells, rates.moves, edges)

    def _last(self, last: FloatArray, change: Change, steps: int) -> FloatArray:
        """Return P(T's last bit at 2^k or above) by d after more additions.

        In a larger binade T loses bits, terms give it new ones, and it takes those that it has
        to smaller binades. How often it moves follows from the density at the binades' edges.
        """
        if change.last is not None and steps == 1:
            return change.last
        add = self.addition
        size = add.exponents.size
        d = add.steps_of(change.cells.values)
        mass = weighed(d, change.cells.masses, size)
        top = int(np.flatnonzero(mass > _RARE)[-1])
        low = max(top - _BINADES + 1, 0)
        mass = np.maximum(mass[low : top + 1], 1e-300)
        moves = self._moves(change)[low : top + 1, low : top + 1] / mass[:, None]
        moves += np.diag(np.maximum(1 - moves.sum(axis=1), 0.0))
        chain = place_chain(add, low, moves / moves.sum(axis=1)[:, None])
        places = np.arange(_PLACES + 1)
        last = last.reshape(size, add.parts, size).mean(axis=1)
        above = np.stack(
            [
                np.append(last[low + i, low + i :], last[low + i, -1] * 0.5 ** (places + 1))[
                    : _PLACES + 1
                ]
                for i in range(mass.size)
            ]
        )
        at = -np.diff(above, axis=1, append=0.0) * mass[:, None]
        at = (at.reshape(-1) @ np.linalg.matrix_power(chain, steps)).reshape(at.shape)
        above = np.cumsum(at[:, ::-1], axis=1)[:, ::-1] / at.sum(axis=1)[:, None]
        found = np.ones((size, size))
        for i in range(size):
            row = above[min(max(i - low, 0), mass.size - 1)]
            far = np.arange(size - i)
            found[i, i:] = row[np.minimum(far, _PLACES)] * 0.5 ** np.maximum(far - _PLACES, 0)
        return np.repeat(found, add.parts, axis=0)

    def _moves(self, change: Change) -> FloatArray:
        """Return the mass that goes from one binade to another, but not what stays."""
        if change.moves is not None:
            return change.moves
        flow = change.edges * self.addition.lift
        return np.diag(flow[1:], 1) + np.diag(flow[1:], -1)

    def _edge_densities(self, law: Mesh) -> FloatArray:
        """Return the density of |T| where D becomes 2^d, by d."""
        add = self.addition
        edges = np.ldexp(1.0, add.exponents + add.mantissa)
        width = 0.5 * np.minimum(law.step, edges)
        found = np.zeros(edges.size)
        for side in (-1, 1):
            found += law.cdf(side * edges + width) - law.cdf(side * edges - width)
        return np.where(add.exponents > add.least, found / (2 * width), 0.0)


def place_chain(add: Addition, low: int, moves: FloatArray) -> FloatArray:
    """Return how T's binade and the place of its last bit move with one addition.

    States are (binade, places above D), the last place for all beyond; `low` is the first
    binade's exponent as an index, `moves` the chances to go from one binade to another.
    """
    count, size = moves.shape[0], _PLACES + 1
    fresh, tied = (-np.diff(above, append=0.0) for above in rounded_places(add.rule, size))
    chain = np.zeros((count, size, count, size))
    for i in range(count):  # where the sum lies
        kernel = _places_within(add, low + i, fresh, tied)
        coarse = float(add.term_last[low + i])
        half = coarse * tied + (1 - coarse) * fresh  # T has a bit of half the new D
        for k in range(count):  # where T lies: its bits are k - i places higher
            place = np.arange(size) + k - i
            rows = np.where(place[:, None] == -1, half, fresh)
            here = place >= 0
            rows[here] = kernel[np.minimum(place[here], _PLACES)]
            chain[k, :, i] = moves[k, i] * rows
    return chain.reshape(count * size, count * size)


def _places_within(add: Addition, i: int, fresh: FloatArray, tied: FloatArray) -> FloatArray:
    """Return how the place of T's last bit moves while it is a multiple of D = 2^exponents[i]."""
    size = _PLACES + 1
    term = np.append(add.term_last[i:], np.zeros(size + 1))[: size + 1]
    halves = float(add.term_last[i - 1] - term[0]) if i else 0.0
    kernel = np.tile((1 - term[0] - halves) * fresh + halves * tied, (size, 1))
    at = term[:-1] - term[1:]
    for j in range(size - 1):
        kernel[j, :j] += at[:j]
        kernel[j, j + 1 :] += at[j] * _geometric(size - j - 1)
        kernel[j, j] += term[j + 1]
    kernel[-1, :-1] += at[:-1]
    kernel[-1, -1] += term[-2]
    return kernel


def _geometric(size: int) -> FloatArray:
    """Return 1/2, 1/4, ..., the last one for all that follow."""
    return -np.diff(np.append(0.5 ** np.arange(size, dtype=np.float64), 0.0))


def largest_sum(terms: Terms, count: int) -> float:
    """Return a bound that hardly any sum of `count` terms exceeds."""
    far = count * abs(terms.mean) + 40 * math.sqrt(count * terms.variance)
    return max(min(count * terms.largest, max(far, terms.largest)), 1e-300)


def moved(mesh: Mesh, mean: float, variance: float) -> Mesh:
    """Return a law of this shape with another mean and variance."""
    own_mean, own_variance = mesh.moments
    ratio = math.sqrt(max(variance, 0.0) / own_variance) if own_variance > 0 else 1.0
    ratio = ratio or 1e-12
    return Mesh(mean + ratio * (mesh.start - own_mean), ratio * mesh.step, mesh.mass)


def cells_of(law: Mesh, add: Addition, last: FloatArray) -> Cells:
    """Return a register's law in cells of one D each; `last`: P(last bit >= 2^k) by d."""
    mean, variance = law.moments
    spread = math.sqrt(variance)
    far = max(abs(law.start), abs(law.start + law.step * law.mass.size), 2.0**-1000)
    top, bottom = math.frexp(far)[1], math.frexp(math.hypot(mean, spread))[1] - _DEPTH
    binades = np.ldexp(1.0, np.arange(min(bottom, top), top))
    size = np.append(np.outer(binades, 1 + np.arange(add.parts) / add.parts).reshape(-1), 2.0**top)
    near = mean + spread * np.linspace(-6, 6, 61)
    edges = np.unique(np.concatenate([-size, size, near]))  # of binades' parts, and others
    below = law.cdf(edges)
    masses = np.diff(below, prepend=0.0, append=1.0)
    middle = (edges[1:] + edges[:-1]) / 2
    values = np.concatenate([[edges[0]], middle, [edges[-1]]])
    kept = masses > 0
    values, masses = values[kept], masses[kept]
    return Cells(values, masses / masses.sum(), add.kinds_of(values), last)


def block_terms(law: Mesh, add: Addition, last: FloatArray) -> Terms:
    """Return the sums of blocks as terms: cells, each with every place of its last bit."""
    cells = cells_of(law, add, last)
    return _placed(cells.values, cells.masses, last[cells.kind], add.exponents)


def fused_terms(sums: Sums, count: int) -> Terms:
    """Return exact sums of `count` products as terms."""
    law, terms = sums.of(count), sums.terms
    exponents = terms.finest + np.arange(_FUSED_BITS)
    last = np.array([terms.probabilities[terms.lattice >= k].sum() for k in exponents])
    at, above = -np.diff(last, append=0.0), last
    for _ in range(count - 1 if count < _MANY else _MANY):  # as in an addition, unrounded
        same = at * -np.diff(last, append=0.0)
        above = above * last
        carry = 0.0
        for k in range(1, above.size):
            carry = carry / 2 + same[k - 1]
            above[k] += carry
        at = -np.diff(above, append=0.0)
    kept = law.mass > _NOTHING
    values, masses = law.points[kept], law.mass[kept]
    return _placed(values, masses, np.tile(above, (values.size, 1)), exponents)


def _placed(values: FloatArray, masses: FloatArray, last: FloatArray, places: IntArray) -> Terms:
    """Return values with each place of their last bit that they may have."""
    at = -np.diff(last, axis=1, append=0.0) * masses[:, None]
    rows, columns = np.nonzero(at > _NOTHING)
    lattice = np.where(values[rows] == 0, EXACT, places[columns])
    chance = at[rows, columns]
    return Terms(values[rows], chance / chance.sum(), lattice, exact=False)


def _possible(state: State) -> State:
    """Return a state whose variance is none below zero, as a long step may leave it."""
    return state._replace(variance=max(state.variance, 0.0), second=max(state.second, 0.0))
