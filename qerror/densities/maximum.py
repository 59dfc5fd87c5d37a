"""Quadrature over the largest of n magnitudes: panels for any density, Gauss rules for light tails.

Panels (`maximum_panels`) integrate whatever varies as the density does. Functions that are smooth
over the whole range need far fewer nodes: the Gauss rule of the law itself, by Lanczos on the nodes
of the panels.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, frozen
from qerror.densities.branches import Roots, branch_points
from qerror.densities.density import Density
from qerror.densities.magnitude import MaximumLaw, magnitude_masses
from qerror.densities.maximum_panels import panel_ends
from qerror.densities.quadrature import gauss_rules

_NODES = 16  # of a panel
_LANCZOS = 1e-26  # of the largest weight: smaller ones do not shape the rule
_LEAST_HEAVY = 1e-30  # the same for heavy tails
_AGREES = 2e-14  # relative, of a rule and the panels that it was made from
COUNTS = (24, 18)
"""Nodes of the rules of light tails, and fewer: where those give the same to ten digits, the others
give fourteen."""
_FINEST = 1e-13  # of its end: a panel is no narrower
_UNRESOLVED = 1e-2  # of a measure: float64 is coarse for the largest of many bounded values


class MaximumNodes(NamedTuple):
    """Nodes that cover the magnitudes where the largest of n values can lie."""

    nodes: FloatArray
    """m, ascending."""
    weights: FloatArray
    """dm."""
    log_below: FloatArray
    """log F(m)."""
    density: FloatArray
    """p(m) and p(-m), shape (2, k)."""
    is_whole: bool
    """Whether no point mass takes part of the law."""
    top: float
    """Where the nodes end: a larger maximum is less likely than 1e-20, under a heavy tail 1e-40."""

    def measure(self, k: int) -> FloatArray:
        """Return k F^(k-1) f dm at the nodes: the largest of k values lies there, k <= n."""
        with np.errstate(under="ignore"):
            powers = np.exp((k - 1) * self.log_below) if k > 1 else np.ones(self.nodes.size)
            both: FloatArray = self.density.sum(axis=0)
            found: FloatArray = k * powers * both * self.weights
        # Near the end of a support float64 rounds the nodes by more than a digit of 1 - F: the
        # whole is known better than its parts.
        whole = float(found.sum())
        return found / whole if self.is_whole and abs(whole - 1) < _UNRESOLVED else found


@lru_cache(maxsize=64)
def maximum_nodes(
    density: Density, n: int, extra: tuple[float, ...] = (), branches: tuple[float, ...] = ()
) -> MaximumNodes:
    """Return panels over the continuous part of the law of the largest of n magnitudes.

    Parameters
    ----------
    density : Density
        Of one value; with a continuous part.
    n : int
        How many values.
    extra : tuple of float
        Magnitudes at which what is integrated is not smooth: panels end there.
    branches : tuple of float
        The same, where it varies as a power of the distance on both sides.
    """
    roots = _roots(density, branches)
    low, high = panel_ends(density, n, (*extra, *branches), roots)
    nodes, weights = (part.ravel() for part in roots.nodes(low, high, _NODES))
    return MaximumNodes(
        frozen(nodes),
        frozen(weights),
        frozen(log_cumulative(density, nodes)),
        frozen(_both(density, nodes)),
        not density.atoms().positions.size,
        float(high[-1]) if high.size else 0.0,
    )


def _roots(density: Density, branches: tuple[float, ...]) -> Roots:
    """Return where panels take the root of a distance: the support's end may be singular too."""
    top = max(abs(end) for end in density.support)
    own = branch_points(density, roots=True)
    return Roots(np.array(sorted({*own, *branches, *((top,) if top < math.inf else ())})))


def _both(density: Density, nodes: FloatArray) -> FloatArray:
    """Return p(m) and p(-m)."""
    upper = density.pdf(nodes)
    return np.stack([upper, upper if density.is_symmetric else density.pdf(-nodes)])


def beyond(density: Density, end: float) -> FloatArray:
    """Return int |x|^k p dx beyond end and beyond -end, k = 0, 1, 2, shape (2, 3)."""
    found, nothing, far = np.zeros((2, 3)), np.zeros(1), np.array([math.inf])
    for piece in density.pieces():
        upper = piece.integrals(nothing, np.array([end]), far)
        lower = piece.integrals(nothing, -far, np.array([-end]))
        found[0] += np.concatenate(upper)
        found[1] += np.concatenate(lower) * [1, -1, 1]
    return found


def log_cumulative(density: Density, magnitudes: FloatArray) -> FloatArray:
    """Return log P(|X| <= m) at ascending m, accurate where it is small and where it is near 0."""
    edges = np.concatenate([[0.0], magnitudes, [np.inf]])
    shells = magnitude_masses(density, edges[:-1], edges[1:])
    x, probability = density.atoms()
    np.add.at(shells, np.searchsorted(magnitudes, np.abs(x), "left"), probability)
    return MaximumLaw.of(shells).log_below[:-1]


def is_heavy(density: Density) -> bool:
    """Tell whether a tail falls as a power of x."""
    return any(
        (piece.high == math.inf and piece.law.tail_exponent(1.0) < math.inf)
        or (piece.low == -math.inf and piece.law.tail_exponent(-1.0) < math.inf)
        for piece in density.pieces()
    )


class MaximumRule(NamedTuple):
    """sum w g(m) = E[g(M)] for functions that vary as smoothly as the law itself."""

    nodes: FloatArray
    weights: FloatArray


def maximum_rule(density: Density, n: int, count: int = COUNTS[0]) -> MaximumRule:
    """Return the Gauss rule of the largest of n magnitudes of a density with light tails.

    Parameters
    ----------
    density : Density
        Continuous, with all moments.
    n : int
        How many values, at least 1.
    count : int
        Nodes: 16 serve smooth functions to 1e-14, 24 to the last digit.
    """
    counts = COUNTS if count in COUNTS else (count,)
    return maximum_rules(density, n, counts)[counts.index(count)]


@lru_cache(maxsize=256)
def maximum_rules(density: Density, n: int, counts: tuple[int, ...]) -> tuple[MaximumRule, ...]:
    """Return rules of `maximum_rule` with several numbers of nodes, the largest first."""
    panels = maximum_nodes(density, n + 1)
    weights = panels.measure(n)
    keep = weights > _LANCZOS * weights.max()
    found = gauss_rules(panels.nodes[keep], weights[keep], counts)
    return tuple(MaximumRule(frozen(nodes), frozen(weights)) for nodes, weights in found)


def heavy_rule(
    density: Density, n: int, count: int, growth: float = -1.0, medians: float = 1.0
) -> MaximumRule:
    """Return a Gauss rule of the largest of n magnitudes M in y = asinh(M / c), for heavy tails.

    Polynomials in M have no means there; what varies as smoothly with log M as a power law does is
    integrated by polynomials in y.

    Parameters
    ----------
    density : Density
        Continuous.
    n : int
        How many values, at least 1.
    count : int
        Nodes: 40 serve smooth functions to 1e-14 for tails lighter than t^-4, 64 for t^-2.
    growth : float
        The rule is made for functions that grow as M^growth.
    medians : float
        c in medians of M.
    """
    return heavy_rules(density, n, (count,), growth, medians)[0]


@lru_cache(maxsize=256)
def heavy_rules(
    density: Density,
    n: int,
    counts: tuple[int, ...],
    growth: float = -1.0,
    medians: float = 1.0,
    *,
    end: float = math.inf,
) -> tuple[MaximumRule, ...]:
    """Return rules of `heavy_rule` with several numbers of nodes, the largest first.

    They serve maxima up to an end.
    """
    panels = maximum_nodes(density, n + 1)
    weight = panels.measure(n)
    keep = (weight > _LEAST_HEAVY * weight.max()) & (panels.nodes <= end)
    m: FloatArray = panels.nodes[keep]
    weight = weight[keep]
    share: FloatArray = np.cumsum(weight) / weight.sum()
    unit = medians * float(m[share <= 0.5].max(initial=float(m[0])))
    places: FloatArray = np.arcsinh(m / unit)
    rules: list[MaximumRule] = []
    for y, found in gauss_rules(places, weight * np.exp(growth * places), counts):
        nodes: FloatArray = unit * np.sinh(y)
        rules.append(MaximumRule(frozen(nodes), frozen(found * np.exp(-growth * y))))
    return tuple(rules)


@lru_cache(maxsize=256)
def suits_rule(density: Density, n: int, count: int = COUNTS[0]) -> bool:
    """Tell whether `maximum_rule` serves what varies as smoothly as the density between its kinks.

    Its tails are light, it has no point masses, no kink lies where a threshold of a grid that
    moves with the largest value could cross it, and the rule agrees with the panels on functions
    that are no polynomials.
    """
    if is_heavy(density) or density.atoms().positions.size or not density.pieces():
        return False
    rule, panels = maximum_rule(density, n, count), maximum_nodes(density, n + 1)
    low, high = _FINEST * float(rule.nodes[0]), float(rule.nodes[-1])
    if any(low < abs(x) < high for x in density.kinks):
        return False
    measure, unit = panels.measure(n), float(rule.weights @ rule.nodes)
    for power in (1.5, -1.0):
        by_panels = float(measure @ (unit + panels.nodes) ** power)
        by_rule = float(rule.weights @ (unit + rule.nodes) ** power)
        if abs(by_rule - by_panels) > _AGREES * by_panels:
            return False
    return True
