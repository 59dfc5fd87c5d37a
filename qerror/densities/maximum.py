"""Quadrature over the largest of n magnitudes: panels for any density, Gauss rules for light tails.

With H = -(n - 1) log F, F the distribution function of |X|, the law of the largest of n - 1 values
is exp(-H) dH. Panels are halved until each spans a few units of H or a few of log H, and lies
within the density's own panels, so that whatever varies as the density does is integrated to the
last digits. Functions that are smooth over the whole range need far fewer nodes: the Gauss rule of
the law itself, by Lanczos on the nodes of the panels.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, frozen
from qerror.densities.density import Density
from qerror.densities.magnitude import MaximumLaw, magnitude_masses
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre, gauss_rules
from qerror.densities.smooth_law import SmoothLaw

_NODES = 16  # of a panel
_TALL = 8.0  # of H across a panel where it is above 1: exp(-H) is then one panel's work
_POWERS = 8  # of m: what one panel from 0 on integrates beside the density
_RATIO = 6.0  # of H across a panel below
_WIDEST = 2.2  # the same of m: what panels of a density's tail allow
_MOST = 400  # panels of a tail to begin with
_BOTH = 12.0  # of H across a panel that begins above 1 and ends below
_SPENT = 80.0  # of H: exp(-H) is below 1e-34
_NOTHING = 1e-20  # of H: what lies beyond has this probability, light tails
_NOTHING_HEAVY = 1e-40  # the same for heavy tails, whose squares weigh more
_FARTHEST = 1e140  # squares of it, and of errors there, stay within float64
_HALVINGS = 60
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
def maximum_nodes(density: Density, n: int, extra: tuple[float, ...] = ()) -> MaximumNodes:
    """Return panels over the continuous part of the law of the largest of n magnitudes.

    Parameters
    ----------
    density : Density
        Of one value; with a continuous part.
    n : int
        How many values.
    extra : tuple of float
        Magnitudes at which what is integrated is not smooth: panels end there.
    """
    edges = _start(density, extra)
    for _ in range(_HALVINGS):
        ends = _heights(density, edges, n)
        wide = _holds_some(*ends, density) & _is_wide(edges, *ends, density, n)
        if not wide.any():
            break
        middle = _middle(edges[:-1][wide], edges[1:][wide])
        edges = np.unique(np.concatenate([edges, middle]))
    keep = _holds_some(*_heights(density, edges, n), density)
    low, width = edges[:-1][keep], np.diff(edges)[keep]
    t, w = gauss_legendre(_NODES)
    nodes, weights = low[:, None] + width[:, None] * t, width[:, None] * w
    top = max(abs(end) for end in density.support)
    if low.size and low[-1] + width[-1] >= top:
        # In the root of the distance from the support's end, where the density may be singular.
        nodes[-1], weights[-1] = top - width[-1] * t[::-1] ** 2, 2 * width[-1] * (t * w)[::-1]
    nodes, weights = nodes.ravel(), weights.ravel()
    return MaximumNodes(
        frozen(nodes),
        frozen(weights),
        frozen(log_cumulative(density, nodes)),
        frozen(_both(density, nodes)),
        not density.atoms().positions.size,
        float(low[-1] + width[-1]) if low.size else 0.0,
    )


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


def _holds_some(above: FloatArray, below: FloatArray, density: Density) -> BoolArray:
    """Tell in which panels the largest value can lie, from H at their ends."""
    least = _NOTHING_HEAVY if is_heavy(density) else _NOTHING
    some: BoolArray = (below < _SPENT) & (above > least)
    return some


def is_heavy(density: Density) -> bool:
    """Tell whether a tail falls as a power of x."""
    return any(
        (piece.high == math.inf and piece.law.tail_exponent(1.0) < math.inf)
        or (piece.low == -math.inf and piece.law.tail_exponent(-1.0) < math.inf)
        for piece in density.pieces()
    )


def _start(density: Density, extra: tuple[float, ...]) -> FloatArray:
    """Return magnitudes between which the density is smooth, from 0 to where nothing is left."""
    pieces = density.pieces()
    top = max(abs(end) for end in density.support)
    # At a point mass F jumps, so that a panel ends there.
    cuts = [abs(x) for x in (*density.kinks, *density.atoms().positions.tolist(), *extra)]
    found = [0.0, *cuts]
    far = 0.0
    for piece in pieces:
        near, spread = abs(piece.location), piece.spread
        law = piece.law
        horizon = law.horizon if isinstance(law, SmoothLaw) else math.inf
        far = max(far, near + spread * min(horizon, _FARTHEST / max(spread, 1.0)))
        widths = spread * _widths(piece)
        found += [near, *(near + widths).tolist(), *np.abs(near - widths).tolist()]
    end = min(top, far, _FARTHEST)
    edges = np.array(sorted({x for x in found if x < end} | {end}))
    chosen: FloatArray = edges[np.append(np.diff(edges) > _FINEST * edges[1:], True)]
    return chosen


def _widths(piece: Piece) -> FloatArray:
    """Return distances from a law's centre that are good ends of panels, in its own units.

    Where it falls as a power, H does so by the ratio that a panel may span.
    """
    near = np.ldexp(1.0, np.arange(-2, 5))
    exponent = min(piece.law.tail_exponent(side) for side in (1.0, -1.0))
    if not 0 < exponent < math.inf:
        return near
    ratio = min((0.98 * _RATIO) ** (1 / exponent), _WIDEST)
    count = math.ceil(-math.log(_NOTHING_HEAVY) / (exponent * math.log(ratio))) + 8
    return np.concatenate([near, near[-1] * ratio ** np.arange(1, min(count, _MOST))])


def _heights(density: Density, edges: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    """Return H = -(n - 1) log F within each panel at its lower and its upper end, n 2 at least.

    It is as good as cutting panels needs.
    """
    x, probability = density.atoms()
    if density.is_symmetric and not x.size:
        beyond = 2 * density.cdf(-edges)
        tails = [beyond[:-1], beyond[1:]]
    else:
        beyond, far = magnitude_masses(density, edges, np.full(edges.size, np.inf)), np.abs(x)
        above, below = far > edges[:-1, None], far >= edges[1:, None]
        tails = [beyond[:-1] + above @ probability, beyond[1:] + below @ probability]
    with np.errstate(divide="ignore"):
        low, high = (-max(n - 1, 1) * np.log1p(-np.minimum(tail, 1.0)) for tail in tails)
    low[0] = np.inf
    return low, high


def _is_wide(
    edges: FloatArray, above: FloatArray, below: FloatArray, density: Density, n: int
) -> BoolArray:
    """Tell which panels must be halved, from H at their ends."""
    low, high = edges[:-1], edges[1:]
    above = np.minimum(above, 1e300)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tall = above - below > _TALL
        steep = above > _RATIO * below
    # From 0 on H is infinite, but few powers of m are one panel's work.
    first = low == 0
    tall |= (below < 1) & (above > _BOTH * below) & (below > 0)
    tall, steep = np.where(first, n > _POWERS, tall), np.where(first, False, steep)
    wide: BoolArray = np.where(above > 1, tall, steep & (below > 0))
    for piece in density.pieces():
        if isinstance(piece.law, SmoothLaw):
            for side in (1.0,) if piece.location == 0 else (1.0, -1.0):
                at = np.abs(side * low - piece.location) / piece.spread
                to = np.abs(side * high - piece.location) / piece.spread
                nearest = np.minimum(at, to)
                room = piece.spread * piece.law.panel_width(np.minimum(nearest, 1e100))
                # Not the panel at the support's end: its nodes suit a root that is singular there.
                inside = (nearest < piece.law.horizon) & (high < max(map(abs, density.support)))
                wide |= inside & (high - low > 1.5 * room)
    return wide & (high - low > _FINEST * high)


def _middle(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return where panels are halved: wide ones by their ratio."""
    return np.where((low > 0) & (high > 2 * low), np.sqrt(low) * np.sqrt(high), 0.5 * (low + high))


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
