"""What a rule over the largest value of a tensor leaves of four-over-six beside point masses.

Blocks of values from point masses and of values that gain nothing, with at most one other, change
their choice abruptly, or with a kink, where the sum of their gains is 0 or an end of the other's.
Between the largest values at which a scale meets a point mass its gain, in units of the scale, is
linear in 1 / A: those places are known. Everything else of these blocks is smooth in A, so that
its values at the nodes of a rule are interpolated to panels that end there.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_choice import Choice
from qerror.analysis._block_choice_law import GainLaw
from qerror.analysis._block_choice_nodes import (
    NO_GAIN,
    Problem,
    cells_of,
    columns_of_points,
    largest_gain,
    nodes_of,
    places_of,
    points_of,
)
from qerror.analysis._block_choice_products import between
from qerror.analysis._block_steps import BlockSums
from qerror.densities.density import Density
from qerror.densities.maximum import log_cumulative
from qerror.densities.quadrature import gauss_legendre

_ORDER = 8  # nodes between neighbouring places
_MOST = 300  # numbers of values at each point mass
_MOST_KINDS = 3
_RARE = 1e-13  # blocks of such numbers
_FIGURES = 6
_ROUNDING = 1e-13  # of the largest value: intervals that roundings of their ends make


class Run(NamedTuple):
    """Nodes of the largest value between places where a step is not smooth."""

    places: FloatArray
    weights: FloatArray
    problems: tuple[Problem, ...]
    edges: FloatArray
    """Ends of panels that resolve the law of the largest value."""
    factor: float
    """What that law is multiplied by."""


class _Node(NamedTuple):
    """Blocks of one step at one largest value."""

    law: GainLaw | None
    unit: float
    """Of the law, in units of gains in the scale's own."""
    still: FloatArray
    """Columns of values that gain nothing, below each place; (4, 9)."""
    points: FloatArray
    """Columns of point masses at each magnitude; (k, 4, 9)."""

    @classmethod
    def of(cls, problem: Problem, marks: FloatArray) -> "_Node | None":
        """Describe them; None if intervals have other exact gains."""
        cells = cells_of(problem)
        if cells is None:
            return None
        unit = largest_gain(problem, cells)
        gains = cells.gain(problem, 0.0), cells.gain(problem, 1.0)
        wide = np.diff(cells.cuts) > _ROUNDING * cells.cuts[-1]
        flat = wide & (np.abs(gains[1] - gains[0]) <= NO_GAIN * unit)
        if not unit or np.any(np.abs(gains[0][flat]) > NO_GAIN * unit):
            return None
        nodes = nodes_of(problem, cells, unit, 1.0)
        flat_columns = np.where(((nodes.gain == 0) & ~nodes.point)[:, None], nodes.columns, 0.0)
        still = np.stack([flat_columns[:place].sum(axis=0) for place in nodes.places])
        points = np.zeros((marks.size, 4, 9))
        x, mass = points_of(problem)
        order = np.argsort(np.abs(x), kind="stable")
        x, mass = x[order], mass[order]
        _, _, columns, _ = columns_of_points(problem, x, mass)
        for place, count in enumerate(places_of(problem, np.abs(x))):
            for k, mark in enumerate(marks.tolist()):
                points[k, place] = columns[:count][np.abs(x[:count]) == mark].sum(axis=0)
            still[place] += columns[:count][x[:count] == 0].sum(axis=0)
        law = GainLaw.of(problem, cells, unit)
        return cls(law, unit / _unit_of(problem), still, points)

    def factors(self, n: int, counts: IntArray, *, still: bool) -> FloatArray:
        """Return the probability of so many values at each point mass, and five weighed ones.

        All others gain nothing; of n - 1 values but the last, or of all; (6, 4, rows of counts).
        """
        m = n if still else n - 1
        each = np.concatenate([self.still[None], self.points])[..., :_FIGURES].transpose(2, 1, 0)
        rest = m - counts.sum(axis=1, keepdims=True)
        found = np.zeros((_FIGURES, 4, counts.shape[0]))
        every = np.append(rest, counts, axis=1)
        found[0] = _weights(each[0], every)
        for k in range(every.shape[1]):
            less = every.copy()
            less[:, k] -= 1
            found[1:] += each[1:, :, k, None] * _weights(each[0], less)
        return found

    def figures(self, n: int, factors: FloatArray, y: FloatArray, *, still: bool) -> FloatArray:
        """Return ten figures of blocks of such values, and of one other; (y, 10).

        `factors` are those of each y, (6, 4, y); the sign of a sum y is part of what they weigh.
        """
        found = np.zeros((4, y.size, 8))
        if still:
            found[..., :_FIGURES] = (factors * np.sign(y)).transpose(1, 2, 0)
        elif self.law is not None:
            signs = self.law.signed(y / self.unit).transpose(1, 0, 2)
            whole = factors[0]
            found[..., 0] = n * whole * signs[..., 0]
            found[..., 1:_FIGURES] = whole[..., None] * signs[..., 1:_FIGURES]
            more = factors[1:].transpose(1, 2, 0)
            found[..., 1:_FIGURES] += (n - 1) * more * signs[..., :1]
        return between(found)


def _unit_of(problem: Problem) -> float:
    """Return what gains are multiples of while the step moves."""
    return problem.step.six ** (1 if problem.error == "mae" else 2)


def _weights(masses: FloatArray, counts: IntArray) -> FloatArray:
    """Return the probabilities of so many values of each kind, 0 where any number is below 0."""
    some = np.maximum(counts, 0)
    logs = np.append(0.0, np.cumsum(np.log(np.arange(1, int(some.sum(axis=1).max()) + 1))))
    ways = np.exp(logs[some.sum(axis=1)] - logs[some].sum(axis=1))
    powers = np.prod(masses[:, None, :] ** some, axis=2)
    found: FloatArray = np.where((counts >= 0).all(axis=1), ways * powers, 0.0)
    return found


def correction(density: Density, size: int, run: Run) -> Choice | None:
    """Return what the nodes of a run leave of blocks with at most one value of no exact gain."""
    marks = np.unique(np.abs(density.atoms().positions))
    first = run.problems[0]
    marks = marks[(marks > 0) & (marks < first.step.high)]
    if not (0 < marks.size <= _MOST_KINDS and first.step.six):
        return None
    if math.comb(first.n + marks.size, marks.size) > _MOST:
        return None
    found = [_Node.of(problem, marks) for problem in run.problems]
    nodes = [node for node in found if node is not None]
    if len(nodes) < len(found):
        return None
    lines = _lines(run, marks)
    total = np.zeros(10)
    for still in (True, False):
        total += _left(density, size, run, nodes, lines, still=still)
    sums = BlockSums(np.append(total[1:_FIGURES], 0.0), 0.0, 0.0)
    return Choice(sums, float(total[0]), float(total[8] - total[9]))


def _numbers(kinds: int, most: int) -> IntArray:
    """Return all numbers of values at each point mass, some at least; (rows, kinds)."""
    each = itertools.product(range(most + 1), repeat=kinds)
    some = [counts for counts in each if 0 < sum(counts) <= most]
    return np.array(some, dtype=np.int64).reshape(-1, kinds)


def _lines(run: Run, marks: FloatArray) -> FloatArray:
    """Return the gains of point masses as lines in 1 / A, in units of the scale; (2, marks)."""
    low, high = run.edges[[0, -1]]
    places = low + np.array([0.25, 0.75]) * (high - low)
    one = run.problems[0]
    gains: list[FloatArray] = []
    for place in places.tolist():
        # In units of the scale of the first node, a mark moves.
        ratio = run.places[0] / place
        gain = one.gain(marks * ratio) / _unit_of(one)
        gains.append(np.where(np.abs(gain) > NO_GAIN, gain, 0.0))
    slope = (gains[1] - gains[0]) / (1 / places[1] - 1 / places[0])
    return np.stack([gains[0] - slope / places[0], slope])


def _left(
    density: Density,
    size: int,
    run: Run,
    nodes: Sequence[_Node],
    lines: FloatArray,
    *,
    still: bool,
) -> FloatArray:
    """Return the ten figures over the panels between places of kinks less those of the nodes."""
    n, middle = run.problems[0].n, nodes[len(nodes) // 2]
    ends = np.zeros(1)
    if not still and middle.law is not None:
        ends = np.append(ends, -middle.law.edges * middle.unit)
    kinds: list[IntArray] = []
    cuts: list[FloatArray] = []
    numbers = _numbers(lines.shape[1], n - (not still))
    if not numbers.size:
        return np.zeros(10)
    likely = middle.factors(n, numbers, still=still)[0, 3] > _RARE
    for counts in numbers[likely & (numbers @ lines[1] != 0)]:
        at, slope = lines @ counts
        with np.errstate(divide="ignore"):
            kinks = slope / (ends - at)
        kinks = kinks[(kinks > run.edges[0]) & (kinks < run.edges[-1])]
        if kinks.size:
            kinds.append(counts)
            cuts.append(np.unique(np.concatenate([run.edges, kinks])))
    if not kinds:
        return np.zeros(10)
    counts = np.stack(kinds)
    t, w = gauss_legendre(_ORDER)
    width = np.concatenate([np.diff(edges) for edges in cuts])[:, None]
    low = np.concatenate([edges[:-1] for edges in cuts])[:, None]
    places, weights = (low + width * t).ravel(), (width * w).ravel()
    kind = np.repeat(np.arange(len(kinds)), [_ORDER * (edges.size - 1) for edges in cuts])
    ordered, index = np.unique(places, return_inverse=True)
    logs = log_cumulative(density, ordered)[index]
    chance = density.pdf(places) + density.pdf(-places)
    weights = weights * run.factor * size * np.exp((size - 1) * logs) * chance
    at, slope = lines @ counts.T
    total = np.zeros(10)
    every = np.arange(len(kinds))
    for k, node in enumerate(nodes):
        factors = node.factors(n, counts, still=still)
        rows = np.append(kind, every)
        y = at[rows] + slope[rows] / np.append(places, np.full(every.size, run.places[k]))
        each = np.append(
            weights * _lagrange(run.places, k, places), np.full(every.size, -run.weights[k])
        )
        total += each @ node.figures(n, factors[..., rows], y, still=still)
    return total


def _lagrange(nodes: FloatArray, k: int, x: FloatArray) -> FloatArray:
    others = np.delete(nodes, k)
    found: FloatArray = np.prod((x[:, None] - others) / (nodes[k] - others), axis=1)
    return found
