"""Blocks at a real scale that is proportional to their largest magnitude.

With M the largest of n magnitudes, s = gain M, F the distribution function of |X| and f = F',

    E[phi] = int (n - 1) F^(n-2) f J(m) dm + int F^(n-1) (p(m) phi(m; m) + p(-m) phi(-m; m)) dm,
    J(m) = int_{|x|<m} phi(x; gain m) p(x) dx,

the other values first and the largest one itself second; two values of a block likewise. A point
mass at +-x is a step of its own, between the values below it and itself.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.analysis._block_steps import BlockSums
from qerror.analysis._windows import WindowMoments, Windows
from qerror.densities.branches import branch_points
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent
from qerror.densities.far_maximum import far_node, far_squares, has_slow_squares
from qerror.densities.magnitude import MaximumLaw
from qerror.densities.maximum import (
    COUNTS,
    MaximumNodes,
    MaximumRule,
    beyond,
    heavy_rules,
    is_heavy,
    log_cumulative,
    maximum_nodes,
    maximum_rules,
    suits_rule,
)
from qerror.densities.standard import shape_of
from qerror.grids import Grid

_FEW = 16  # values: for blocks of fewer the law of the maximum reaches down to 0
# Numbers of nodes as COUNTS, for tails heavier than these.
_HEAVY_COUNTS = (
    (2.6, ((88, 64), (144, 112))),
    (4.2, ((80, 60), (112, 88))),
    (7.0, ((52, 40), (80, 60), (112, 88))),
    (math.inf, ((40, 32), (72, 56), (104, 80))),
)
_SETTLED = 1e-11  # of the MSE
_ROUNDING = 4e-16  # of a level: an error of the largest value below it is a rounding of the gain
_SPENT = 1e-40  # of the measure of the maximum


class Edge(NamedTuple):
    """The error of the largest value itself at +m and -m, in units of m."""

    upper: float
    lower: float
    clips: tuple[bool, bool]
    """Whether +m lies above the levels, and -m below them."""

    @property
    def exact(self) -> bool:
        """Whether both ends are levels."""
        return self.upper == 0 and self.lower == 0


def edge_of(grid: Grid, gain: float) -> Edge:
    """Return the errors of the largest value at the scale that it sets."""
    ends = np.array([1.0, -1.0]) / gain
    errors = grid.error_half_even(ends)
    errors = np.where(np.abs(errors) <= _ROUNDING * np.abs(ends), 0.0, errors) * gain
    upper, lower = errors.tolist()
    clips = bool(ends[0] > grid.max and upper), bool(ends[1] < grid.min and lower)
    return Edge(upper, lower, clips)


def absmax_sums(grid: Grid, density: Density, n: int, gain: float) -> BlockSums:
    """Return the expectations for blocks of n values at scale gain times their maximum."""
    edge = edge_of(grid, gain)
    total = BlockSums(np.zeros(6), 0.0, 0.0)
    if density.pieces():
        smooth = edge.exact and n > _FEW and _suits(grid, shape_of(density).density, n - 1)
        ruled = _by_rule(grid, density, n, gain) if smooth else None
        total = ruled or _by_panels(grid, density, n, gain, edge)
    if density.atom_sums.size:
        total = total.plus(_at_points(grid, density, n, gain))
    return total


def _suits(grid: Grid, density: Density, n: int) -> bool:
    """Tell whether a Gauss rule of the largest of n values may serve."""
    if is_heavy(density):
        return not (any(density.kinks) or density.atom_sums.size or _moves_zero(grid))
    return suits_rule(density, n)


def _moves_zero(grid: Grid) -> bool:
    """Tell whether 0 is no level: errors of small values then follow the largest one."""
    return bool(grid.error_half_even(0.0))


def _breaks(
    grid: Grid, density: Density, gain: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the maxima at which a threshold, or the range's end, crosses a kink of the density.

    Those of branch points come apart, second.
    """
    branches = branch_points(density)
    marks = {abs(x) for x in (*density.kinks, *density.atoms().positions.tolist())}
    kinks = sorted(marks.difference(branches))
    return _crossings(grid, density, gain, kinks), _crossings(grid, density, gain, branches)


def _crossings(
    grid: Grid, density: Density, gain: float, marks: Sequence[float]
) -> tuple[float, ...]:
    """Return the maxima at which a threshold, or the range's end, lies at one of the magnitudes."""
    top = max(abs(end) for end in density.support)
    marks = [x for x in marks if 0 < x < top]
    if not marks:
        return ()
    ratios = np.abs(np.concatenate([grid.thresholds, [grid.min, grid.max]])) * gain
    ratios = np.unique(ratios[(ratios > 0) & (ratios < 1)])
    found = np.unique((np.array(marks)[:, None] / ratios).ravel())
    return tuple(found[found < top].tolist())


def _by_rule(grid: Grid, density: Density, n: int, gain: float) -> BlockSums | None:
    """Integrate a smooth J by the Gauss rule of the largest of n - 1 values.

    None where fewer nodes give something else: J is not smooth enough.
    """
    shape, unit = shape_of(density)
    for counts in _counts(shape):
        rules = [MaximumRule(unit * m, w) for m, w in _rules(shape, n - 1, counts)]
        both = MaximumRule(*(np.concatenate(parts) for parts in zip(*rules, strict=True)))
        sizes = [each.nodes.size for each in rules]
        rule, (moments, at_fewer) = rules[0], _below(grid, density, gain, both).parted(sizes)
        singles = moments.dot(rule.weights)
        square = float(singles[:3].sum())
        if abs(float(at_fewer.square @ rules[1].weights) - square) <= _SETTLED * square:
            break
    else:
        return None
    if grid.is_symmetric and density.is_symmetric:
        return BlockSums(singles, 0.0, 0.0)
    upper, lower = density.pdf(rule.nodes), density.pdf(-rule.nodes)
    with_largest = (upper - lower) / (upper + lower) * rule.nodes * moments.mean
    weights = _weights_of_two(shape, n, counts)
    cross = weights @ (moments.mean * moments.first)
    cross += rule.weights @ with_largest / (n - 1)
    return BlockSums(singles, float(weights @ moments.mean**2), float(cross))


def _counts(density: Density) -> Sequence[tuple[int, int]]:
    """Return nodes to try, many and fewer."""
    if not is_heavy(density):
        return (COUNTS,)
    exponent = tail_exponent(density)
    return next(counts for limit, counts in _HEAVY_COUNTS if exponent <= limit)


@lru_cache(maxsize=256)
def _rules(density: Density, n: int, counts: tuple[int, int]) -> tuple[MaximumRule, ...]:
    """Return the rules of the largest of n values."""
    if not is_heavy(density):
        return maximum_rules(density, n, counts)
    far = far_node(density, maximum_nodes(density, n + 1), n)
    return tuple(
        MaximumRule(np.append(rule.nodes, far.nodes), np.append(rule.weights, far.weights))
        for rule in heavy_rules(density, n, counts, end=far.end)
    )


@lru_cache(maxsize=256)
def _weights_of_two(density: Density, n: int, counts: tuple[int, int]) -> FloatArray:
    """Return the weights of the largest of n - 2 values at the nodes of that of n - 1.

    The laws' ratio is (n - 2) / ((n - 1) F). What two values below m add vanishes with m faster
    than F does, so that the rule serves it as well.
    """
    nodes, weights = _rules(density, n - 1, counts)[0]
    return frozen(weights * ((n - 2) / (n - 1)) * np.exp(-log_cumulative(density, nodes)))


def _below(grid: Grid, density: Density, gain: float, rule: MaximumRule) -> WindowMoments:
    """Return the moments below each node of a rule."""
    below = Windows.below(rule.nodes, np.zeros(rule.nodes.size, dtype=bool))
    return below.moments(grid, density, gain * rule.nodes)


def _by_panels(grid: Grid, density: Density, n: int, gain: float, edge: Edge) -> BlockSums:
    """Integrate over the maximum by panels, whatever the density."""
    breaks = _breaks(grid, density, gain) if n > 1 else ()
    panels = maximum_nodes(density, n, *breaks)
    m, others = panels.nodes, np.zeros(panels.nodes.size)
    if n > 1:
        others = panels.measure(n - 1)
    slow = _moves_zero(grid) and has_slow_squares(density)
    at = np.flatnonzero(others > (0.0 if slow else _SPENT * others.max(initial=0.0)))
    below = Windows.below(m[at], np.zeros(at.size, dtype=bool))
    moments = below.moments(grid, density, gain * m[at])
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        far = far_node(density, panels, max(n - 1, 1))
        singles = moments.dot(others[at] * (m[at] <= far.end))
        singles += largest_alone(density, panels, n, edge)
        if n < 2:
            return BlockSums(singles, 0.0, 0.0)
        if far.nodes.size:
            rule = MaximumRule(far.nodes, far.weights)
            singles += _below(grid, density, gain, rule).dot(far.weights)
        pair = np.exp((n - 2) * panels.log_below[at]) * panels.weights[at] * m[at]
        upper, lower = panels.density[:, at]
        error = 2 * pair @ ((upper * edge.upper + lower * edge.lower) * moments.mean)
        cross = pair @ (
            (upper * edge.upper + lower * edge.lower) * moments.first
            + (upper - lower) * moments.mean
        )
        if n > 2:
            both = panels.measure(n - 2)[at]
            error += both @ moments.mean**2
            cross += both @ (moments.mean * moments.first)
    found = BlockSums(singles, float(error), float(cross))
    return found.plus(_far_squares(grid, density, n, gain, (panels, edge))) if slow else found


def _far_squares(
    grid: Grid, density: Density, n: int, gain: float, of: tuple[MaximumNodes, Edge]
) -> BlockSums:
    """Return what all but the largest value, and pairs with one of them, add beyond the panels."""
    panels, edge = of
    m, weights = far_squares(density, panels, n - 1)
    moments = _below(grid, density, gain, MaximumRule(m, weights))
    upper, lower = beyond(density, panels.top)[:, 2].tolist()
    mean = float(moments.mean[0] / m[0])
    error = 2 * (upper * edge.upper + lower * edge.lower) * mean
    error += (n - 2) / (n - 1) * float(weights @ moments.mean**2)
    return BlockSums(moments.dot(weights), error, (upper - lower) * mean)


def largest_alone(density: Density, panels: MaximumNodes, n: int, edge: Edge) -> FloatArray:
    """Return what the largest of n values themselves add to a value's moments, at +m and at -m."""
    m = panels.nodes
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        measure = panels.weights * panels.density
        if n > 1:  # else F^0 is 1 where F is 0 too, below all values
            measure = measure * np.exp((n - 1) * panels.log_below)
        powers = np.stack([measure.sum(axis=1), measure @ m, measure @ (m * m)], axis=1)
    if is_heavy(density) and not edge.exact:
        # Squares may have their mean far beyond where the largest value likely is.
        powers += beyond(density, panels.top)
    return _at_edge(powers, edge)


def _at_edge(powers: FloatArray, edge: Edge) -> FloatArray:
    """Return what they add by the means of m^k, k = 0, 1, 2, at +m and at -m, shape (2, 3)."""
    found = np.zeros(6)
    for (_, first, second), error, sign, clips, place in (
        (powers[0].tolist(), edge.upper, 1.0, edge.clips[0], 2),
        (powers[1].tolist(), edge.lower, -1.0, edge.clips[1], 1),
    ):
        if error:
            found[place if clips else 0] += error * error * second
            found[3] += error * first
            found[4] += sign * error * second
        found[5] += sign * first
    return found


def _at_points(grid: Grid, density: Density, n: int, gain: float) -> BlockSums:
    """Add the blocks whose largest magnitude is that of a point mass."""
    x, _ = density.atoms()
    m = np.unique(np.abs(x))
    m = m[m > 0]
    if not m.size:
        return BlockSums(np.zeros(6), 0.0, 0.0)
    law, chosen = _law_at(density, m, n)
    m = m[chosen]
    never, always = np.zeros(m.size, dtype=bool), np.ones(m.size, dtype=bool)
    inner = Windows.below(m, never).moments(grid, density, gain * m)
    own = Windows(m, m, always, always).moments(grid, density, gain * m)
    singles = inner.dot(law.growth(n - 1)) + own.dot(law.power(n - 1))
    if n < 2:
        return BlockSums(singles, 0.0, 0.0)
    up, grown = law.power(n - 2), law.growth(n - 2)
    error = grown @ inner.mean**2 + up @ (own.mean * (2 * inner.mean + own.mean))
    cross = grown @ (inner.mean * inner.first) + up @ (
        inner.first * own.mean + own.first * (inner.mean + own.mean)
    )
    return BlockSums(singles, float(error), float(cross))


def _law_at(density: Density, m: FloatArray, n: int) -> tuple[MaximumLaw, IntArray]:
    """Return the law of the maximum at the point masses that it can be at, and which they are."""
    edges = np.repeat(m, 2)
    low = np.concatenate([[0.0], edges])
    high = np.concatenate([edges, [np.inf]])
    # Shells alternate: between two magnitudes, without its ends, and one magnitude alone.
    alone = np.arange(low.size) % 2 == 1
    alone[-1] = False
    low_in = alone | (low == 0)
    shells = Windows(low, high, low_in, alone).masses(density)
    law = MaximumLaw.of(shells)
    at = np.flatnonzero(alone)
    likely = law.growth(n)[at] > _SPENT
    chosen = at[likely]
    return (
        MaximumLaw(law.below[chosen], law.log_below[chosen], law.drop[chosen]),
        np.flatnonzero(likely),
    )
