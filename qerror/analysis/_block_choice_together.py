"""Choices of the scale over many steps of one shape, found together.

In units of their scale many steps are the same: those of scales a power of two apart, and those
of the same stored scales below other tensor scales. Where the density is symmetric about 0 and
smooth but there, all such steps share intervals and gains; only the density is their own. Products
of characteristic functions settle most of them. Where gains are few multiples of one number, and
where intervals of one gain keep products from falling, sums on lattices do. What neither settles is
left to `choice`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._block_choice import (
    LAST,
    SETTLED,
    Choice,
    choice,
    excess_of,
    hopeless,
    limits_of,
    sure_sign,
)
from qerror.analysis._block_choice_lattice import Lattice, extrapolated, mass_of
from qerror.analysis._block_choice_nodes import (
    NO_GAIN,
    Nodes,
    Problem,
    panels,
    places_of,
    unit_columns,
)
from qerror.analysis._block_choice_products import between, four_places, log1p
from qerror.analysis._block_choice_shapes import Shape, is_plain, shape_key, still_share
from qerror.analysis._block_frequencies import Complex, chebyshev_moments, frequencies
from qerror.analysis._block_steps import BlockSums

_MOST = 64  # steps at a time
_SPAN = 4.0  # between the scales of steps whose nodes are shared
_FIGURES = 6  # of a symmetric density: what two values give is 0
_POWERS = np.array([0, 2, 2, 2, 1, 2, 0, 0, 0, 0])  # of the scale, of ten figures
_FEWEST = 12  # values whose products fall fast enough
_COARSE = 64  # gains: lattices of so few are tried first
_ROUNDING = 1e-15  # of a step's probability
_ALMOST = 100.0  # times what is allowed: the best of all lattices


class Ask(NamedTuple):
    """One step, and how exact its choice must be: the arguments of `choice`."""

    problem: Problem
    tolerance: float
    log_below: tuple[float, float] | None
    settled: float | None = None

    @property
    def allowed(self) -> tuple[float, float]:
        """Of the squared error, and of a probability."""
        return self.tolerance, SETTLED if self.settled is None else self.settled

    @property
    def chance(self) -> float:
        """The probability of the step."""
        if self.log_below is None:
            return 1.0
        low, high = self.log_below
        n = self.problem.n
        return math.exp(n * high) * -math.expm1(n * (low - high))


def choices(asked: Sequence[Ask]) -> list[Choice]:
    """Return what `choice` does for each."""
    found: dict[int, Choice | None] = {}
    for rows in _alike(asked):
        found |= {rows[k]: one for k, one in together([asked[row] for row in rows]).items()}
    return [found.get(k) or _alone(ask, retry=k in found) for k, ask in enumerate(asked)]


def _alone(ask: Ask, *, retry: bool) -> Choice:
    return choice(ask.problem, ask.tolerance, ask.log_below, None if retry else ask.settled)


def _alike(asked: Sequence[Ask]) -> list[list[int]]:
    """Return the steps of one shape that can be found together, by their scales."""
    shapes: dict[tuple[object, ...], list[int]] = {}
    for k, ask in enumerate(asked):
        # Beside many zeros few values move: more of them is left to extrapolation.
        exactly = ask.settled is None and still_share(ask.problem) > 0
        if is_plain(ask.problem) and not exactly:
            shapes.setdefault(shape_key(ask.problem), []).append(k)
    return [sorted(rows, key=lambda row: asked[row].problem.step.six) for rows in shapes.values()]


class _Shared(NamedTuple):
    """Nodes that all steps share, ascending."""

    gain: FloatArray
    weights: FloatArray
    """Of each column, in units of the scale; (nodes, 6)."""
    mass: FloatArray
    """Of each step at the nodes, (steps, nodes)."""
    places: tuple[int, int, int, int]

    @classmethod
    def of(cls, shape: Shape, reach: float) -> "_Shared":
        """Place nodes up to t = reach."""
        problem, cells, scales = shape.problem, shape.cells, shape.scales
        x, dx, cell, _ = panels(problem, cells, shape.unit, reach, scales)
        mass = mass_of(problem, (scales, shape.shares), x, dx)
        gain = problem.gain_of(cells.six[cell] - x, cells.four[cell] - x) / shape.unit
        gain = np.where(np.abs(gain) > NO_GAIN, np.clip(gain, -1.0, 1.0), 0.0)
        weights = unit_columns(problem, cells, cell, x)[:, :_FIGURES]
        if zero := still_share(problem):
            x, gain = np.append(0.0, x), np.append(0.0, gain)
            weights = np.concatenate([np.eye(1, _FIGURES), weights])
            mass = np.concatenate([zero * shape.shares[:, None], mass], axis=1)
        return cls(gain, weights, mass, places_of(problem, x))

    def nodes(self, row: int) -> Nodes:
        """Return those of one step."""
        columns = np.zeros((self.gain.size, 9))
        columns[:, :_FIGURES] = self.weights * self.mass[row, :, None]
        nothing: BoolArray = np.zeros(self.gain.size, dtype=bool)
        return Nodes(self.gain, columns, nothing, nothing, self.places)

    def columns(self) -> FloatArray:
        """Return (nodes, steps * 6)."""
        found = self.mass.T[:, :, None] * self.weights[:, None, :]
        return found.reshape(self.gain.size, -1)


def together(asked: Sequence[Ask]) -> dict[int, Choice | None]:
    """Return the choices of steps of one shape.

    Those that this way is not tried for are missing, those that it does not settle None.
    """
    shape = None
    if all(is_plain(ask.problem) for ask in asked):
        shape = Shape.of([ask.problem for ask in asked])
    if shape is None:
        return {}
    lattice = Lattice.of(shape.problem, shape.cells)
    fine = shape.problem.n >= _FEWEST and (lattice is None or lattice.span > _COARSE)
    found: dict[int, Choice | None] = {}
    for rows in _similar(shape.scales):
        own = shape.rows(rows)
        some: list[Ask] = [asked[row] for row in rows.tolist()]
        each: dict[int, Choice | None] = {}
        if fine and own.falls and all(ask.log_below for ask in some):
            each = _by_frequencies(own.cut(), some)
            left = [k for k, one in each.items() if one is None]
        else:
            left = list(range(rows.size))
        if lattice and left:
            more = _by_lattice(lattice, own.rows(np.array(left)), [some[k] for k in left])
            each |= {left[k]: one for k, one in more.items()}
        found |= {int(rows[k]): one for k, one in each.items()}
    return found


def _similar(scales: FloatArray) -> list[IntArray]:
    """Return the rows of similar scales, some at a time."""
    order = np.argsort(scales, kind="stable")
    found: list[IntArray] = []
    while order.size:
        count = int(np.count_nonzero(scales[order] <= _SPAN * scales[order[0]]))
        found.append(order[: min(count, _MOST)])
        order = order[min(count, _MOST) :]
    return found


def _by_lattice(lattice: Lattice, shape: Shape, asked: Sequence[Ask]) -> dict[int, Choice | None]:
    """Return those choices that sums on lattices settle, as far as rounding allows."""
    units = shape.scales[:, None] ** _POWERS
    floor = _ROUNDING * np.array([ask.chance for ask in asked])
    allowed = [
        (max(ask.tolerance, least * scale * scale), max(ask.settled or 0.0, least))
        for ask, least, scale in zip(asked, floor.tolist(), shape.scales.tolist(), strict=True)
    ]
    found: dict[int, Choice | None] = dict.fromkeys(range(len(asked)))
    excess, wanted = np.full(len(asked), _ALMOST), np.ones(len(asked), dtype=bool)
    for totals, bounds in extrapolated(lattice, shape.scales, shape.shares, wanted):
        for row in np.flatnonzero(wanted).tolist():
            beyond = excess_of(bounds[row] * units[row], allowed[row])
            if beyond < excess[row]:
                excess[row], found[row] = beyond, _choice_of(totals[row] * units[row])
        wanted &= excess > 1
        if not wanted.any():
            break
    return found


def _by_frequencies(shape: Shape, asked: Sequence[Ask]) -> dict[int, Choice | None]:
    """Return those choices that products of characteristic functions settle."""
    n, rows, excess = shape.problem.n, np.arange(len(asked)), np.zeros(len(asked))
    found: dict[int, Choice | None] = {}
    logs = np.array([ask.log_below for ask in asked])
    for limit in limits_of(n):
        shared = _Shared.of(shape.rows(rows), limit)
        if not found:
            below = shared.mass[:, : shared.places[0]].any(axis=1)
            unsure = [not sure_sign(shared.nodes(k), n) for k in range(rows.size)]
            some = np.flatnonzero(below & np.array(unsure))
            rows, shared = rows[some], shared._replace(mass=shared.mass[some])
            found = dict.fromkeys(rows.tolist())
        if not rows.size:
            break
        totals, rest = _by_limit(shared, n, limit, logs[rows])
        left: list[bool] = []
        for row, total, beyond in zip(rows.tolist(), totals, rest, strict=True):
            last, unit = float(excess[row]), shape.scales[row] ** _POWERS
            excess[row] = excess_of(beyond * unit, asked[row].allowed)
            if excess[row] <= 1:
                found[row] = _choice_of(total * unit)
            left.append(excess[row] > 1 and not hopeless(float(excess[row]), last))
        rows = rows[left]
        if not rows.size:
            break
    return found


def _choice_of(total: FloatArray) -> Choice:
    sums = BlockSums(np.append(total[1:6], 0.0), 0.0, 0.0)
    return Choice(sums, float(total[0]), float(total[8] - total[9]))


def _by_limit(
    shared: _Shared, n: int, limit: float, logs: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the ten figures of each step, in units of its scale, and what is left beyond."""
    table, count = frequencies(n, limit), shared.mass.shape[0]
    ends, columns = sorted(set(shared.places)), shared.columns()
    moments = chebyshev_moments(shared.gain, columns, table.terms, ends)
    turned = table.turned(moments).reshape(len(ends), -1, count, _FIGURES)
    side = np.sign(shared.gain)[:, None]
    sides = np.stack([_up_to(columns * (side == sign), ends) for sign in (-1, 0, 1)])
    sides = sides.reshape(3, len(ends), count, _FIGURES)

    def part(k: int, *, first: bool) -> FloatArray:
        at = ends.index(shared.places[k])
        whole = sides[:, at].sum(axis=0)
        log = logs[:, k // 3] if k in {0, 3} else np.log(whole[:, 0])
        return _remaining(whole, turned[at], sides[1, at], log, n, first=first)

    remaining = between(four_places(shared.places, part))
    share = (2 / math.pi) * table.weights / table.nodes
    exact = np.stack([_exact(sides[:, ends.index(place)], n) for place in shared.places])
    totals = between(exact) + np.tensordot(share, remaining, (0, 0))
    return totals, np.abs(remaining[-LAST:]).max(axis=0) / n


def _up_to(columns: FloatArray, ends: Sequence[int]) -> FloatArray:
    """Return the sums of rows up to each end."""
    edges = [0, *ends]
    found = [columns[a:b].sum(axis=0) for a, b in pairwise(edges)]
    return np.cumsum(np.stack(found), axis=0)


def _exact(sides: FloatArray, n: int) -> FloatArray:
    """Return the figures of blocks with at most one value that gains anything; (steps, 8).

    `sides` are the sums of values that lose, gain nothing, and gain. A tie keeps the first scale.
    """
    still, sign = sides[1], sides[2] - sides[0]
    found = np.zeros((still.shape[0], 8))
    found[:, :_FIGURES] = still[:, :1] * (sign - still) + (n - 1) * still * sign[:, :1]
    found *= still[:, :1] ** (n - 2)
    return found


def _remaining(
    whole: FloatArray, turned: Complex, still: FloatArray, log: FloatArray, n: int, *, first: bool
) -> FloatArray:
    """Return the imaginary parts that are divided by t, less what is known; (t, steps, 8)."""
    found = np.zeros((*turned.shape[:2], 8))
    with np.errstate(divide="ignore"):
        power = np.exp((n - 2) * (log + log1p(turned[..., 0] / whole[:, 0])))
    figures = 1 if first else _FIGURES
    phi = whole[:, :figures] + turned[..., :figures]
    known = still[:, :1] * phi.imag + (n - 1) * still[:, :figures] * phi[..., :1].imag
    found[..., :figures] = np.imag(phi * (phi[..., :1] * power[..., None]))
    found[..., :figures] -= still[:, :1] ** (n - 2) * known
    return found
