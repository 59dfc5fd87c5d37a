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
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.accumulators._addition import Addition, Cells, Rates
from qerror.accumulators._chain import Chain, budget
from qerror.accumulators._early import Early
from qerror.accumulators._opening import Opening
from qerror.accumulators._places import Flow, Places
from qerror.accumulators._sums import Mesh, Sums
from qerror.accumulators._table import Table
from qerror.accumulators._trail import Change, Log, State, Trail
from qerror.accumulators.accumulator import FloatAccumulator
from qerror.accumulators.terms import EXACT, Terms

_OPENING, _EARLY = 8, 64  # additions that are made one by one, in cells and on a mesh
_RATIO = 2 ** (1 / 6)  # of the counts at which rates are taken from there on
_DEPTH = 14  # binades below the spread of T that are told apart
_NOTHING = 1e-14
_FUSED_BITS, _MANY = 64, 256  # places of a fused sum; terms after which they settle
_NO_PLACES = np.ones((0, 0))


Stage: TypeAlias = Opening | Early | Chain | Table | Places


class Walk:
    """A register that is given terms one after the other."""

    def __init__(self, sums: Sums, register: FloatAccumulator, most: int) -> None:
        terms = sums.terms
        self.sums, self.terms, self._register = sums, terms, register
        self.addition = Addition(terms, register, largest_sum(terms, most))

    def after(self, count: int) -> Trail:
        """Return what the sum of `count` terms has gone through."""
        log = Log()
        begun = self._exactly(log, count) or self._opening(log, min(count, _OPENING))
        stage: Stage = begun
        if log.done < min(count, _EARLY):
            stage = self._early(log, min(count, _EARLY), begun)
        if log.done < count:
            stage = self._at_length(log, count, self._last(log, stage))
        state = log.state
        with_sum = state.cross - (state.second - state.error**2)
        return Trail.of(
            log.counts, log.errors, state.error, state.second, with_sum, state.variance,
            self._last(log, stage),
        )  # fmt: skip

    def _exactly(self, log: Log, count: int) -> Chain | Table | None:
        """Make as many additions as are worth following exactly."""
        table = Table.of(self.terms, self._register, count) if count > _EARLY else None
        if table is not None:
            table.add(count)
        if table is not None and table.is_whole:
            log.counts, log.errors = table.counts, table.errors
            log.state, log.done = State(*table.moments()), count
            return table
        most = budget(self.terms, self._register, count)
        if not most:
            return None
        chain = Chain(self.terms, self._register)
        while log.done < count and chain.work < most:
            steps = 1 if not chain.stuck else count - log.done
            if chain.stuck:
                chain.leap(steps)
            else:
                chain.advance()
            log.done += steps
            log.counts.append(float(log.done))
            log.errors.append(chain.step_error)
        log.state = State(*chain.moments())
        return chain

    def _opening(self, log: Log, count: int) -> Opening:
        """Make the first additions."""
        opening = Opening(self.addition, count)
        while log.done < count:
            log.add(self._one(log.state, opening, log.done))
        return opening

    def _early(self, log: Log, count: int, before: Opening | Chain | Table) -> Early:
        """Make the additions after the first ones."""
        early = Early(self.addition, count)
        if isinstance(before, Chain | Table):
            early.take(*before.law())
        else:
            early.follow(before.middle, before.shares.T)
        while log.done < count:
            masses = early.masses(self._law(log.state, log.done))
            log.add(self._change(log.state, early.middle, masses, early.rates()))
            early.advance(masses)
        return early

    def _at_length(self, log: Log, count: int, last: FloatArray) -> Places:
        """Make all other additions, many at a time."""
        places = Places(self.addition, count, last)
        while log.done < count:
            steps = min(count, max(log.done + 1, int(log.done * _RATIO))) - log.done
            log.add(self._many(log.state, places, log.done, steps), steps)
        return places

    def _last(self, log: Log, stage: Stage) -> FloatArray:
        """Return P(last bit at 2^k or above) of T, by kind."""
        if isinstance(stage, Chain | Table):
            return self.addition.last_of_values(*stage.law())
        law = self._law(log.state, log.done)
        return stage.last(law) if isinstance(stage, Places) else stage.last(stage.masses(law))

    def law(self, trail: Trail, count: int) -> Mesh:
        """Return the law of T after `count` terms."""
        mean = count * self.terms.mean + trail.mean
        return moved(self.sums.shape(count), mean, trail.variance)

    def _law(self, state: State, count: float) -> Mesh:
        return moved(self.sums.shape(max(int(count), 1)), state.mean, state.variance)

    def _one(self, state: State, opening: Opening, count: int) -> Change:
        """Return what the next addition changes, and make it."""
        if count == 0:
            change = self._change(state, np.zeros(1), np.ones(1), self.addition.first())
            opening.advance((opening.middle == 0).astype(np.float64))
            return change
        terms = self.terms
        sums = moved(
            self.sums.of(count + 1), state.mean + terms.mean, state.variance + terms.variance
        )
        masses = opening.masses(self._law(state, count))
        rates = opening.rates(masses, opening.masses(sums))
        change = self._change(state, opening.middle, masses, rates)
        opening.advance(masses)
        return change

    def _many(self, state: State, places: Places, count: int, steps: int) -> Change:
        """Return what each of so many additions changes, as of the one halfway."""
        start = self._quick(state, count)
        half = state.plus(start.moments, steps / 2)
        middle = count + steps / 2

        def moments(after: float) -> tuple[float, float]:
            there = state.plus(start.moments, after)
            return there.mean, there.variance

        flow = places.advance(steps, moments, self._law(half, middle))
        # the quick rates take the binade of T for that of the sum: it is T's after the addition
        return self._quick(half, middle, flow)

    def _quick(self, state: State, count: float, flow: Flow | None = None) -> Change:
        add = self.addition
        cells = cells_of(self._law(state, count), add, _NO_PLACES)
        rates = add.quick_rates(cells)
        return self._change(state, cells.values, cells.masses, rates, flow)

    def _change(
        self, state: State, x: FloatArray, m: FloatArray, rates: Rates, flow: Flow | None = None
    ) -> Change:
        """Return what one more addition changes; the flow's errors are those of half a spacing."""
        mean = self.terms.mean
        t = x - state.mean
        e, e2, pe = (float(m @ rate) for rate in rates[:3])
        square = t * t - float(m @ (t * t))
        t_r, bent = (float((m * each) @ rates.first) for each in (t, square))
        if flow is not None:
            there = flow.where - state.mean
            each, squares = self._half_costs(flow)
            errors = flow.rate * each
            e += float(errors.sum())
            e2 += float(flow.rate @ squares)
            t_r += float(errors @ there)
            bent += float(errors @ (there**2 - float(m @ (t * t))))
        slope = state.cross / state.variance if state.variance > 0 else 0.0
        curve = state.bend / max(float(m @ square**2), 1e-300)
        with_a = slope * t_r + curve * bent  # Cov(A, r)
        p_e, var_e = pe - mean * e, e2 - e * e
        moments = State(
            mean + e,
            self.terms.variance + 2 * p_e + var_e + 2 * t_r,
            e,
            e2 + 2 * (state.error * e + with_a),
            with_a + t_r + p_e + var_e,
            bent + 2 * float((m * t) @ (rates.cross - mean * rates.first)),
        )
        return Change(moments, e2)

    def _half_costs(self, flow: Flow) -> tuple[FloatArray, FloatArray]:
        """Return what the bit that is lost adds to E[e] and E[e^2], by edge."""
        sides = np.where(flow.where < 0, -1, 1)
        places = zip(flow.exponent.tolist(), sides.tolist(), strict=True)
        costs = np.array([self.addition.half_costs(*place) for place in places]).reshape(-1, 2)
        return costs[:, 0], costs[:, 1]


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
