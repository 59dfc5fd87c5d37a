"""The pairs of extremes over which affine blocks are integrated: nodes, panels, point masses.

For light-tailed smooth densities the extremes are nodes of the Gauss rules of their own laws. Else
the larger one is integrated by panels for each smaller one, which end wherever something is not
smooth: at the density's own panels and kinks, where a threshold between two levels meets a kink or
a point mass, and, with an integer zero point, where an extreme meets a level or a threshold.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.analysis._affine_ends import Ends, Within, second_growth
from qerror.densities.density import Density
from qerror.densities.extreme import (
    extreme_edges,
    extreme_nodes,
    extreme_rule,
    height_of,
    tail_exponent,
)
from qerror.densities.quadrature import gauss_legendre
from qerror.exceptions import TooLarge

_FEW = 16  # values: for blocks of fewer the extremes come near each other
_COUNTS = (18, 24, 32)  # nodes of a Gauss rule
_NEAR = 2e-15
_MOST_BREAKS = 2**10  # thresholds times marks that panels are cut at
_MOST_PAIRS = 2**23
_FINEST = 1e-13
_SAME = 1e-12  # of their width: extremes that mirror each other
_LITTLE = 1e-19  # of the largest share of a pair
# Shares of all, and the nodes that panels with more than that need.
_GRADES = ((1e-4, 16), (1e-8, 12), (1e-12, 8), (-1.0, 5))
# Nodes that panels need that are this part of a whole one.
_SHARES = ((0.01, 3), (0.05, 5), (0.25, 8), (0.6, 12), (math.inf, 16))


class Lattice(NamedTuple):
    """The levels between two extremes."""

    steps: int
    integer: bool
    """Whether 0 is one of them."""

    def breaks(self, low: float, marks: FloatArray) -> FloatArray:
        """Return the upper extremes at which an integrand is not smooth, the lower one given."""
        k = np.arange(self.steps) + 0.5
        if not self.integer:
            return (low + self.steps * (marks[marks > low, None] - low) / k).ravel()
        width = (self.steps * np.abs(marks[(marks > low) & (marks != 0), None]) / k).ravel()
        j = np.arange(1, 2 * self.steps)
        return np.concatenate([low + width, -low * (2 * self.steps - j) / j])


def extreme_pairs(density: Density, n: int, lattice: Lattice) -> Iterator[Ends]:
    """Return all pairs l < u (l < 0 < u with an integer zero point), in groups of one kind."""
    if density.pieces():
        yield _continuous(density, n, lattice)
    x, probability = density.atoms()
    if not x.size:
        return
    if density.pieces():
        at = x < 0 if lattice.integer else np.ones(x.size, dtype=bool)
        yield _nested(density, n, lattice, x[at], probability[at], True)
        mirror = density.affine(-1.0)
        at = x > 0 if lattice.integer else at
        yield _nested(mirror, n, lattice, -x[at], probability[at], True).mirrored
    yield from _points(x, probability, lattice)


def marks_of(density: Density) -> FloatArray:
    """Return the places inside the support where the density is not smooth."""
    low, high = density.support
    found = np.array([*density.kinks, *density.atoms().positions.tolist()])
    return np.unique(found[(found > low) & (found < high)])


def _continuous(density: Density, n: int, lattice: Lattice) -> Ends:
    """Return pairs of which neither is a point mass."""
    marks = marks_of(density)
    light = tail_exponent(density) == math.inf and n > _FEW
    mirror = density.affine(-1.0)
    floor = 0.0 if lattice.integer else -math.inf
    if n > _FEW and not marks.size and not lattice.integer:
        return _by_rules(density, n) if light else _by_panels(density, n)
    if light and not marks[marks != 0].size and _reaches(mirror, floor):
        rule = extreme_rule(mirror, n, _COUNTS[-1], floor)
        return _nested(density, n, lattice, -rule.nodes, rule.weights, False)
    if not _reaches(mirror, floor):
        nothing = np.empty(0)
        return Ends(nothing, nothing, nothing, nothing, False, False)
    low, dx = extreme_nodes(mirror, n, low=floor)
    return _nested(density, n, lattice, -low, density.pdf(-low) * dx, False)


@lru_cache(maxsize=64)
def _by_rules(density: Density, n: int) -> Ends:
    """Return products of the Gauss rules of both extremes, with as many nodes as give them all."""
    mirror = density.affine(-1.0)
    for count in _COUNTS:
        lower, upper = extreme_rule(mirror, n, count), extreme_rule(density, n, count)
        low, high = (x.ravel() for x in np.meshgrid(-lower.nodes, upper.nodes, indexing="ij"))
        at_low, at_high = (
            x.ravel() for x in np.meshgrid(lower.weights, upper.weights, indexing="ij")
        )
        ends = _pairs(density, low, high, at_low, at_high)
        if (
            count == _COUNTS[-1]
            or abs(second_growth(Within.of(density, ends), ends, n).sum() - 1) < _NEAR
        ):
            return ends
    raise AssertionError  # the last count returns


def _pairs(
    density: Density, low: FloatArray, high: FloatArray, at_low: FloatArray, at_high: FloatArray
) -> Ends:
    """Return those that are pairs; of a pair and its mirror image one, with both weights."""
    keep = high > low
    if density.is_symmetric:
        centre = low + high
        keep &= centre > -_SAME * (high - low)
        at_low = np.where(centre > _SAME * (high - low), 2 * at_low, at_low)
    return Ends(low[keep], high[keep], at_low[keep], at_high[keep], False, False)


@lru_cache(maxsize=16)
def _by_panels(density: Density, n: int) -> Ends:
    """Return products of panels over both extremes, with fewer nodes where little is left."""
    mirror = density.affine(-1.0)
    upper = _graded(density, n)
    lower = upper if density.is_symmetric else _graded(mirror, n)
    low, high = (x.ravel() for x in np.meshgrid(-lower[0], upper[0], indexing="ij"))
    at_low, at_high = (x.ravel() for x in np.meshgrid(lower[1], upper[1], indexing="ij"))
    found = _pairs(density, low, high, at_low, at_high)
    share = second_growth(Within.of(density, found), found, n) * (found.high - found.low) ** 2
    kept = np.flatnonzero(share > _LITTLE * share.max(initial=0.0))
    low, high, at_low, at_high = (x[kept] for x in found[:4])
    return Ends(low, high, at_low, at_high, False, False)


def _graded(density: Density, n: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and p(x) dx of panels over the largest value, as many as each one's share."""
    edges = extreme_edges(density, n)
    middle = float(edges[edges.size // 2])
    whole = extreme_nodes(density, n)
    per = whole.nodes.size // (edges.size - 1)
    with np.errstate(under="ignore"):
        weight = np.exp(-height_of(density, whole.nodes, n)) * density.pdf(whole.nodes)
        weight *= whole.weights * (np.square(whole.nodes - middle) + np.square(edges[-1] * 1e-9))
    share = weight.reshape(-1, per).sum(axis=1)
    share = share / share.sum()
    nodes: list[FloatArray] = []
    weights: list[FloatArray] = []
    upper = math.inf
    for lower, count in _GRADES:
        at = np.flatnonzero((share <= upper) & (share > lower))
        upper = lower
        t, w = gauss_legendre(count)
        width = np.diff(edges)[at, None]
        nodes.append((edges[:-1][at, None] + width * t).ravel())
        weights.append((width * w).ravel())
    x = np.concatenate(nodes)
    return x, density.pdf(x) * np.concatenate(weights)


def _reaches(density: Density, floor: float) -> bool:
    """Tell whether values above `floor` count."""
    return bool(extreme_edges(density, 2)[-1] > floor)


def _nested(  # noqa: PLR0917 - the lower extremes and what they lie in
    density: Density,
    n: int,
    lattice: Lattice,
    low: FloatArray,
    at_low: FloatArray,
    points: bool,
) -> Ends:
    """Return the pairs of these lower extremes with nodes of panels above each."""
    edges, marks = extreme_edges(density, n), marks_of(density)
    if marks.size * lattice.steps > _MOST_BREAKS:
        marks = marks[:0]
    rows: list[tuple[FloatArray, ...]] = []
    for one, weight in zip(low.tolist(), at_low.tolist(), strict=True):
        start = max(one, 0.0) if lattice.integer else one
        breaks = np.concatenate([edges, lattice.breaks(one, marks)])
        start = max(start, float(edges[0]))
        if start >= edges[-1]:
            continue
        inside = breaks[(breaks > start) & (breaks < edges[-1])]
        panels = np.unique(np.concatenate([[start], inside, edges[-1:]]))
        u, du = _panel_nodes(panels, edges)
        rows.append((np.full(u.size, one), u, np.full(u.size, weight), du))
    if not rows:
        nothing = np.empty(0)
        return Ends(nothing, nothing, nothing, nothing, points, False)
    first, u, weights, du = (np.concatenate(part) for part in zip(*rows, strict=True))
    return Ends(first, u, weights, density.pdf(u) * du, points, False)


def _panel_nodes(panels: FloatArray, edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights: as many as a panel needs that is part of a wider one."""
    width = np.diff(panels)
    whole = np.diff(edges)[np.clip(np.searchsorted(edges, panels[:-1], "right") - 1, 0, None)]
    share = width / whole
    nodes: list[FloatArray] = []
    weights: list[FloatArray] = []
    lower = -1.0
    for upper, count in _SHARES:
        at: BoolArray = (share > lower) & (share <= upper)
        lower = upper
        if at.any():
            t, w = gauss_legendre(count)
            nodes.append((panels[:-1][at, None] + width[at, None] * t).ravel())
            weights.append((width[at, None] * w).ravel())
    return np.concatenate(nodes), np.concatenate(weights)


def _points(x: FloatArray, probability: FloatArray, lattice: Lattice) -> Iterator[Ends]:
    """Return the pairs of point masses, a group for some lower ones."""
    if x.size * (x.size - 1) // 2 > _MOST_PAIRS:
        raise TooLarge(
            f"the extremes of a block can be any two of {x.size:,} values, too many pairs to sum "
            f"over; give at most 4,096 distinct values, or simulate: estimate_error"
        )
    last = np.searchsorted(x, 0.0) if lattice.integer else x.size
    first_high = np.searchsorted(x, 0.0, "right") if lattice.integer else 0
    step = max(1, 2**18 // x.size)
    for start in range(0, int(last), step):
        i, j = np.meshgrid(
            np.arange(start, min(start + step, int(last))),
            np.arange(first_high, x.size),
            indexing="ij",
        )
        apart = j > i
        i, j = i[apart], j[apart]
        yield Ends(x[i], x[j], probability[i], probability[j], True, True)


def one_sided(density: Density, n: int, lattice: Lattice) -> tuple[Ends, ...]:
    """Return the largest values above 0 of blocks without a value below: the other extreme is 0.

    Their lower ends are all 0 and carry no weight; a group of nodes and one of point masses.
    """
    groups: list[Ends] = []
    if density.pieces() and density.support[1] > 0 and _reaches(density, 0.0):
        marks = marks_of(density)
        breaks = np.concatenate(
            [
                (lattice.steps * marks[marks > 0, None] / (np.arange(lattice.steps) + 0.5)).ravel(),
                marks,
            ]
        )
        edges = _positive_edges(density, n)
        inside = breaks[(breaks > edges[0]) & (breaks < edges[-1])]
        u, du = _panel_nodes(np.unique(np.concatenate([edges, inside])), edges)
        zero = np.zeros(u.size)
        groups.append(Ends(zero, u, zero, density.pdf(u) * du, False, False))
    x, probability = density.atoms()
    at = x > 0
    if at.any():
        zero = np.zeros(int(at.sum()))
        groups.append(Ends(zero, x[at], zero, probability[at], False, True))
    return tuple(groups)


def _positive_edges(density: Density, n: int) -> FloatArray:
    """Return panels from 0 on: those of one value and of the largest of n together."""
    edges = np.unique(np.concatenate([extreme_edges(density, 2), extreme_edges(density, n)]))
    edges = np.append(0.0, edges[edges > 0])
    chosen: FloatArray = edges[np.append(True, np.diff(edges) > _FINEST * edges[1:])]
    return chosen
