"""The pairs of extremes over which affine blocks are integrated: nodes, panels, point masses.

For smooth densities with light tails the extremes are nodes of the Gauss rules of their own laws.
With an integer zero point nothing is smooth across the lines on which an extreme meets a level or
a threshold: the extreme further from 0 is then a node of the rule of the largest magnitude, and
the other one lies in panels between those lines. All other densities are integrated by panels.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_ends import Ends, Within, second_growth
from qerror.analysis._affine_larger import larger_nodes, larger_pairs, suits_larger
from qerror.analysis._affine_panels import (
    MOST_CORNERS,
    Lattice,
    by_part,
    marks_of,
    nested,
    panel_nodes,
)
from qerror.densities.density import Density
from qerror.densities.extreme import (
    extreme_edges,
    extreme_rule,
    height_of,
    tail_exponent,
)
from qerror.densities.maximum import log_cumulative, maximum_rule, suits_rule
from qerror.exceptions import TooLarge

_FEW = 16  # values: for blocks of fewer the extremes come near each other
_COUNTS = (18, 24, 32)  # nodes of a Gauss rule
# Of the largest magnitude's, of one law and of mixtures: levels wander through the law of the other
# extreme.
_MANY = (40, 64)
_NEAR = 2e-15
_MOST_PAIRS = 2**23
_FINEST = 1e-13
_SAME = 1e-12  # of their width: extremes that mirror each other
# Shares of all, and the nodes that panels with more than that need.
_GRADES = ((1e-4, 16), (1e-8, 12), (1e-12, 8), (-1.0, 5))


def extreme_pairs(
    density: Density, n: int, lattice: Lattice, *, points_only: bool = False
) -> Iterator[Ends]:
    """Return all pairs l < u (l < 0 < u with an integer zero point), in groups of one kind.

    Or only those with an extreme at a point mass.
    """
    if density.pieces() and not points_only:
        yield from _continuous(density, n, lattice)
    x, probability = density.atoms()
    if not x.size:
        return
    if density.pieces():
        at = x < 0 if lattice.integer else np.ones(x.size, dtype=bool)
        yield from nested(density, n, lattice, x[at], probability[at], points=True)
        mirror = density.affine(-1.0)
        at = x > 0 if lattice.integer else at
        for ends in nested(mirror, n, lattice, -x[at], probability[at], points=True):
            yield ends.mirrored
    yield from _points(x, probability, lattice)


def _continuous(density: Density, n: int, lattice: Lattice) -> Iterator[Ends]:
    """Return pairs of which neither is a point mass; of a pair and its mirror image one."""
    mirror = density.affine(-1.0)
    if lattice.integer and not (_reaches(mirror) and _reaches(density)):
        return
    ruled = None if lattice.integer or marks_of(density).size else _by_rules(density, n)
    if ruled is not None:
        yield ruled
    elif not lattice.integer and suits_larger(density):
        yield from larger_pairs(density, n, lattice)
    elif _is_halved(density, lattice):
        yield from _by_larger(density, n, lattice)
    else:
        low, at_low = _graded(mirror, n, lattice)
        yield from nested(density, n, lattice, -low, at_low, points=False)


def _is_halved(density: Density, lattice: Lattice) -> bool:
    """Tell whether pairs are taken by which extreme is further from 0.

    All that is not smooth must then lie in 0, or at infinity.
    """
    low, high = density.support
    even = low == -high if lattice.integer else density.is_symmetric
    return even and not any(marks_of(density))


def _by_larger(density: Density, n: int, lattice: Lattice) -> Iterator[Ends]:
    """Return the pairs by which extreme is further from 0."""
    mirror, doubled = density.affine(-1.0), 2.0 if density.is_symmetric else 1.0
    low, at_low = _of_larger(mirror, n, lattice)
    yield from nested(density, n, lattice, -low, doubled * at_low, points=False, nearer=True)
    if not density.is_symmetric:
        high, at_high = _of_larger(density, n, lattice)
        for ends in nested(mirror, n, lattice, -high, at_high, points=False, nearer=True):
            yield ends.mirrored


@lru_cache(maxsize=64)
def _of_larger(density: Density, n: int, lattice: Lattice) -> tuple[FloatArray, FloatArray]:
    """Return nodes and p(x) dx of largest values above 0 that all others are nearer to 0 than."""
    if not (lattice.integer and n > _FEW and suits_rule(density, n)):
        if not suits_larger(density):
            return _graded(density, n, lattice)
        nodes = larger_nodes(density, n, lattice.steps)
        return nodes.nodes, nodes.upper
    m, weights = maximum_rule(density, n, _MANY[len(density.pieces()) > 1])
    upper = density.pdf(m)
    share = upper / (upper + density.pdf(-m))
    with np.errstate(under="ignore"):
        return m, weights * share * np.exp(-(n - 1) * log_cumulative(density, m)) / n


@lru_cache(maxsize=64)
def _by_rules(density: Density, n: int) -> Ends | None:
    """Return products of the Gauss rules of both extremes, with as many nodes as give them all.

    None where tails are heavy: levels then wander through the bulk of the values.
    """
    if n <= _FEW or tail_exponent(density) < math.inf:
        return None
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


def _graded(density: Density, n: int, lattice: Lattice) -> tuple[FloatArray, FloatArray]:
    """Return nodes and p(x) dx of panels over the largest value, as many as each one's share."""
    halved = _is_halved(density, lattice)
    floor = 0.0 if lattice.integer or halved else -math.inf
    whole = extreme_edges(density, n)
    if whole[-1] <= floor:
        return np.empty(0), np.empty(0)
    whole = np.append(max(floor, float(whole[0])), whole[whole > floor])
    corners = whole if halved else _corners(density, lattice)
    edges = np.unique(np.concatenate([whole, np.clip(corners, whole[0], whole[-1])]))
    low, high = edges[:-1], edges[1:]
    most = np.full(low.size, _GRADES[0][1])
    panel, x, dx = panel_nodes(low, high, most)
    with np.errstate(under="ignore"):
        weight = np.exp(-height_of(density, x, n)) * density.pdf(x) * dx
        middle = float(whole[whole.size // 2])
        weight *= np.square(x - middle) + np.square(whole[-1] * 1e-9)
    share = np.bincount(panel, weight, low.size)
    least, counts = (np.array(part) for part in zip(*_GRADES, strict=True))
    graded = counts[(share[:, None] <= share.sum() * least).sum(axis=1)]
    needed = np.minimum(graded, by_part(low, high, whole))
    # What is integrated over the other extreme bends more where levels wander through its law.
    needed = needed + needed // 2 if lattice.integer else needed
    _, x, dx = panel_nodes(low, high, needed)
    return x, density.pdf(x) * dx


def _corners(density: Density, lattice: Lattice) -> FloatArray:
    """Return the largest values at which what is integrated over the other extreme bends.

    There the smallest value at which something is not smooth reaches an edge, which is where the
    density itself is not smooth, or ends. It is one at which a threshold meets an edge inside or,
    with an integer zero point, one on the line between two zero points.
    """
    marks = marks_of(density)
    edges = np.array([density.support[0], *marks.tolist()])
    edges = edges[np.isfinite(edges)]
    if lattice.integer:
        edges = np.union1d(edges, 0.0)  # where the other extreme's side ends
    ratio = lattice.steps / (np.arange(lattice.steps) + 0.5)
    if marks.size * edges.size * lattice.steps > MOST_CORNERS:
        marks = marks[:0]
    if not lattice.integer:
        away: FloatArray = np.subtract.outer(edges, np.multiply.outer(marks, ratio)) / (1 - ratio)
        return away.ravel()
    meeting = np.add.outer(edges, np.multiply.outer(np.abs(marks), ratio)).ravel()
    ends = -edges[edges < 0]
    j = np.arange(1, 2 * lattice.steps)
    return np.concatenate([meeting, np.outer(ends, j / (2 * lattice.steps - j)).ravel()])


def _reaches(density: Density) -> bool:
    """Tell whether values above 0 count."""
    return bool(extreme_edges(density, 2)[-1] > 0)


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
    if density.pieces() and density.support[1] > 0 and _reaches(density):
        marks = marks_of(density)
        breaks = np.concatenate(
            [
                (lattice.steps * marks[marks > 0, None] / (np.arange(lattice.steps) + 0.5)).ravel(),
                marks,
            ]
        )
        edges = _positive_edges(density, n)
        inside = breaks[(breaks > edges[0]) & (breaks < edges[-1])]
        ends = np.unique(np.concatenate([edges, inside]))
        _, u, du = panel_nodes(ends[:-1], ends[1:], by_part(ends[:-1], ends[1:], edges))
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
