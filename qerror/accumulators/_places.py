"""Where the last bit of a long sum lies: a diffusion on a mesh fine at binades' edges.

Let v_k(t) be the chance that T = t, the sum of n terms, is no multiple of 2^k. One term ago the
walk was, given T = t, at t - t / n on average (it is a bridge), so that with T's density f

    d v_k / dn = s^2 / 2 v_k'' + (s^2 f' / f - mean) v_k' + what the bits of one term change,

s^2 the terms' variance. In binades of spacing 2^k or above v_k = 0: sums that get there with a
bit at 2^(k-1) lose it, by a rounding of half a spacing. A walk does not stop at the edge but leaps
over it, so that v_k f vanishes by the distance b beyond: v_k f = -b (v_k f)' at the edge, where
b = E[H^2] / (2 E[H]) of the ladder height H. In a steady state the flow is then that of the walk
itself if the terms' tails are exponential, and to the first order in b otherwise.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.accumulators._addition import Addition, rounded_places
from qerror.accumulators._ladder import overshoots
from qerror.accumulators._sums import Mesh
from qerror.accumulators.terms import weighed

Moments: TypeAlias = Callable[[float], tuple[float, float]]
_LOWEST = 2.0  # standard deviations of a term: smaller sums count as of that binade
_CELL, _GROWTH = 0.25, 1.3  # of a standard deviation at the edges; from one cell to the next
_FAR = 10.0  # standard deviations of a sum
_MORE = 6  # places above the largest spacing that are followed too
_STAGE = 1 - math.sqrt(0.5)  # Alexander 1977: two implicit stages, second order, L-stable


class Flow(NamedTuple):
    """How many sums one addition carries over binades' edges with a bit that is lost."""

    exponent: IntArray
    """Of the spacing beyond each edge."""
    where: FloatArray
    rate: FloatArray


class _Edge(NamedTuple):
    """Where the spacing becomes 2^k: k by its row, the sign, the last cell before."""

    row: int
    side: int
    cell: int


class _Operator(NamedTuple):
    """How fast chances go from cell to cell: from the one above, from below, and over edges."""

    up: FloatArray
    down: FloatArray
    out: FloatArray
    """By edge, how fast its cell loses bits, over the share that have them."""
    flow: FloatArray
    """By edge, how many sums leave with them, over that share and the density of sums."""
    growth: FloatArray
    """d log f / dn by cell: terms that move no sum are so much rarer among those that end there."""


class Places:
    """The chances that sums are no multiples of 2^k, by k and by cell of T."""

    def __init__(self, add: Addition, count: int, last: FloatArray) -> None:
        """Start from P(last bit at 2^k or above) by kind of T; sums will have `count` terms."""
        self._add, self._started = add, last
        terms = add.terms
        spread = math.sqrt(terms.variance) or abs(terms.mean) or 1.0
        # terms that do not vary drift: this much lets a mesh carry them
        self._diffusion = max(terms.variance, 1e-6 * spread**2) / 2
        far = abs(terms.mean) * count + _FAR * spread * math.sqrt(count)
        self._bounds = mesh_of_binades(spread, far)
        self._middle = (self._bounds[1:] + self._bounds[:-1]) / 2
        self._width, self._gap = np.diff(self._bounds), np.diff(self._middle)
        lowest = add.steps_of(np.array([_LOWEST * spread]))
        self._steps = np.maximum(add.steps_of(self._middle), lowest)
        beyond = min(int(self._steps.max()) + 1 + _MORE, add.exponents.size)
        self._k = np.arange(int(self._steps.min()) + 1, beyond)
        inside = [np.flatnonzero(self._steps < k) for k in self._k]
        self._cells = [slice(int(each[0]), int(each[-1]) + 1) for each in inside]
        self._edges = [
            _Edge(row, side, at.stop - 1 if side > 0 else at.start)
            for row, at in enumerate(self._cells)
            for side in (-1, 1)
            if at.stop - at.start < self._middle.size  # else the mesh has no such binade
        ]
        self._row, self._side, self._cell = np.array(self._edges, dtype=np.int64).reshape(-1, 3).T
        self._where = self._bounds[self._cell + (self._side > 0)]
        leaps = overshoots(add.cells.values, add.cells.masses)
        self._leap = np.where(self._side > 0, leaps[1], leaps[0])
        self._tabulate()
        rows = last[add.kinds_of(self._middle)].T[self._k]
        self._chances = np.where(self._steps < self._k[:, None], 1 - rows, 0.0)

    def _tabulate(self) -> None:
        """Lay out by cell what one term does to a sum that is a multiple of its spacing."""
        add = self._add
        kinds = [
            (int(i), -1 if x < 0 else 1) for i, x in zip(self._steps, self._middle, strict=True)
        ]
        tables = {kind: add.rests(*kind) for kind in set(kinds)}
        self._stay, self._leave, self._fresh, self._tied = np.array([tables[k] for k in kinds]).T
        self._fall = rounded_places(add.rule, add.exponents.size + 1)
        self._own = add.term_last[self._k]
        self._at = add.term_last[self._k - 1] - self._own
        self._describe()

    def _describe(self) -> None:
        """Take the terms' cumulants, and which part of the variance those with fine bits have."""
        add, terms = self._add, self._add.terms
        centred = (terms.values - terms.mean) / math.sqrt(2 * self._diffusion)
        third, fourth = (float(terms.probabilities @ centred**order) for order in (3, 4))
        self._cumulants = third, fourth - 3
        fine = terms.lattice < add.exponents[:, None]
        mass, power = fine @ terms.probabilities, fine @ (terms.probabilities * centred**2)
        self._part = np.where(mass > 0, power / np.maximum(mass, 1e-300), 1.0)

    def advance(self, steps: float, moments: Moments, law: Mesh) -> Flow:
        """Add terms and return what they carry over edges, per addition.

        `moments` gives T's mean and variance after some of the additions, `law` is T's halfway.
        """
        part = _STAGE * steps
        first, early = self._implicit(self._chances, part, moments(part))
        base = self._chances + (1 / _STAGE - 1) * (first - self._chances)
        self._chances, late = self._implicit(base, part, moments(steps))
        rates = (1 - _STAGE) * early + _STAGE * late
        exponents = self._add.exponents[self._k[self._row]]
        return Flow(exponents, self._where, rates * density_of(law, self._where))

    def _implicit(
        self, base: FloatArray, steps: float, moments: tuple[float, float]
    ) -> tuple[FloatArray, FloatArray]:
        """Return v = base + steps dv/dn at v, and the flow over the edges."""
        from scipy.linalg import solve_banded

        operator = self._operator(*moments)
        v = np.zeros(base.shape)
        carry, below = np.zeros((2, base.shape[1]))
        for row, at in enumerate(self._cells):
            source, decay = self._gain(row, v, carry[at], below[at], operator)
            above, under = operator.up[at].copy(), operator.down[at].copy()
            above[-1] = under[0] = 0.0
            bands = np.zeros((3, above.size))
            bands[0, 1:], bands[2, :-1] = -steps * above[:-1], -steps * under[1:]
            bands[1] = 1 + steps * (decay + above + under)
            solved = solve_banded((1, 1), bands, base[row, at] + steps * source)
            v[row, at] = np.clip(solved, 0.0, 1.0)
            carry = (carry + self._at[row] * (v[row] - below)) / 2
            below = v[row]
        return v, operator.flow * v[self._row, self._cell]

    def _gain(
        self, row: int, v: FloatArray, carry: FloatArray, below: FloatArray, operator: _Operator
    ) -> tuple[FloatArray, FloatArray]:
        """Return a and c of dv_k/dn = a - c v_k by cell, where v is known for smaller k.

        Two numbers of the same last bit have a sum without it: `carry` is what sums and terms of
        one below 2^(k-1) add to the multiples of 2^k; v_k - v_(k-1) of the sums have theirs there.
        """
        at = self._cells[row]
        places = self._k[row] - self._steps[at]  # from the spacing up to 2^k
        growth = operator.growth[at]
        still = 1 - growth
        fine = 1 - growth * (1 - self._part[self._steps[at]])
        stay, leave = still * self._stay[at], still * self._leave[at]
        loss = (1 - self._own[row]) * (1 - growth * (1 - self._part[self._k[row]])) - stay
        source = loss - carry + self._at[row] * below
        source -= fine * self._fresh[at] * self._fall[0][places]
        source -= fine * self._tied[at] * self._fall[1][places]
        nearest = places == 1  # a term that moves a sum by one spacing makes the odd multiples even
        decay = loss + self._at[row] + np.where(nearest, leave, 0.0)
        odd = v[row + 1 - places, np.arange(at.start, at.stop)]
        source -= np.where(nearest, 0.0, leave * odd * 0.5 ** (places - 1.0))
        for edge, out, flow in zip(self._edges, operator.out, operator.flow, strict=True):
            beyond = edge.cell + edge.side
            if edge.row == row:
                decay[edge.cell - at.start] += out
            elif edge.row < row and at.start <= beyond < at.stop:  # they were rounded there
                lost = flow * v[edge.row, edge.cell] / self._width[beyond]
                source[beyond - at.start] -= lost * self._fall[1][row - edge.row]
        return source, decay

    def _operator(self, mean: float, variance: float) -> _Operator:
        """Return the rates where sums have this mean and variance."""
        spread, drift = self._diffusion, self._add.terms.mean
        variance = max(variance, 2 * spread)
        pull = self._pull(self._middle, mean, variance)
        lift = 2 * spread * pull - drift
        between = (lift[1:] + lift[:-1]) / 2 * self._gap / spread
        up, down = np.zeros((2, self._middle.size))
        up[:-1] = spread / (self._width[:-1] * self._gap) * _bernoulli(-between)
        down[1:] = spread / (self._width[1:] * self._gap) * _bernoulli(between)
        away = np.asarray(self._side * drift, dtype=np.float64)
        width = self._width[self._cell]
        outward = spread / self._leap * _bernoulli(np.asarray(-away * self._leap / spread))
        slope = (outward - away) / spread + self._side * self._pull(self._where, mean, variance)
        slope = np.maximum(slope, 0.0)
        share = 1 / (1 + slope * width / 2)  # of v at the edge in the cell's
        speed = np.maximum(spread / width + self._side * lift[self._cell] / 2, 0.0)
        growth = spread * (pull**2 - 1 / variance)
        flow = outward * share
        return _Operator(up, down, speed * slope * share, flow, np.clip(growth, -1.0, 1.0))

    def _pull(self, x: FloatArray, mean: float, variance: float) -> FloatArray:
        """Return f' / f, by Edgeworth's series as far as it is a correction."""
        scale = math.sqrt(variance)
        z = (x - mean) / scale
        few = min(2 * self._diffusion / variance, 1.0)  # one over the count
        third, fourth = self._cumulants
        change = math.sqrt(few) * third * (z**2 - 1) / 2 + few * fourth * (z**3 - 3 * z) / 6
        return (np.clip(change, -np.abs(z) / 3, np.abs(z) / 3) - z) / scale

    def last(self, law: Mesh) -> FloatArray:
        """Return P(last bit at 2^k or above) by kind of T, whose law is given."""
        add, found = self._add, self._started.copy()
        above = np.ones((add.exponents.size, self._middle.size))
        above[self._k] = 1 - self._chances
        for k in range(int(self._steps.min()) + 1 + self._k.size, len(above)):
            above[k] = above[k - 1] / 2
        kinds = add.kinds_of(self._middle)
        masses = np.maximum(np.diff(law.cdf(self._bounds)), 1e-300)
        whole = weighed(kinds, masses, len(found))
        lowest = int(self._steps.min()) * add.parts
        present = np.flatnonzero(whole)
        for kind in present[present >= lowest]:
            of = kinds == kind
            found[kind] = above[:, of] @ masses[of] / whole[kind]
        found[present[-1] + 1 :] = found[present[-1]]
        return add.whole(found)


def mesh_of_binades(spread: float, far: float) -> FloatArray:
    """Return cells' bounds from beyond -far to far: every binade's edges, fine near them."""
    found, low = [0.0], 0.0
    top = math.frexp(far)[1] + 1
    for exponent in range(math.frexp(_LOWEST * spread)[1] - 1, top):
        high = math.ldexp(1.0, exponent)
        half = [0.0]
        step = _CELL * spread
        while half[-1] + step < (high - low) / 2:
            half.append(half[-1] + step)
            step *= _GROWTH
        found += [low + each for each in half[1:]]
        found += [high - each for each in reversed(half)]
        low = high
    bounds = np.array(found)
    return np.concatenate([-bounds[:0:-1], bounds])


def density_of(law: Mesh, where: FloatArray) -> FloatArray:
    """Return the density of a law at some places other than 0."""
    width = np.minimum(law.step, np.abs(where)) / 2
    return np.asarray((law.cdf(where + width) - law.cdf(where - width)) / (2 * width))


def _bernoulli(x: FloatArray) -> FloatArray:
    """Return x / (e^x - 1), 1 at 0."""
    x = np.clip(x, -700.0, 700.0)
    small = np.abs(x) < 1e-8
    return np.where(small, 1 - x / 2, x / np.expm1(np.where(small, 1.0, x)))
