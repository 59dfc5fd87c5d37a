"""Quadrature over the largest of n values themselves, signs and all; their smallest by mirroring.

As in `maximum`, with F the distribution function of X in place of that of |X|: panels are halved
until each spans a few units of H = -(n - 1) log F, or a moderate ratio of it, and lies within the
density's own panels.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, frozen
from qerror.densities.density import Density
from qerror.densities.law import Law
from qerror.densities.quadrature import gauss_legendre, gauss_rule
from qerror.densities.shells import outward_masses
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import TooLarge

_NODES = 16  # of a panel, where a rule is made of them
_TALL = 8.0  # of H across a panel where it is above 1: exp(-H) is then one panel's work
_RATIO = 50.0  # of H across a panel below, where exp(-H) still differs from 1
_ROOM = 0.8  # of the density's panel widths: F^n varies too
_FLAT = 1e-2  # of H: below, the density's own panels serve exp(-H) too
_SPENT = 80.0  # of H: exp(-H) is below 1e-34
_NOTHING = 1e-20  # of H: what lies beyond has this probability
_NOTHING_LONG = 1e-40  # the same where a law is as long as a log-normal: its squares weigh more,
_LONG = 100.0  # which reaches so many standard deviations
_FAINT = 1e-150  # of a density that is known by its values: those near 1e-308 have few digits
_LEAST = 1e-100  # where tails are so heavy that less still counts
_FARTHEST = 1e140  # spreads: squares of it stay within float64
_WIDTHS = np.ldexp(1.0, np.arange(-2, 6))
_OCTAVES = frozen(np.concatenate([-_WIDTHS[::-1], [0.0], _WIDTHS]))
"""Spreads from the centre of a law that knows no places: panels end there."""
_HALVINGS = 60  # of an interval: to the last bit
_FINEST = 1e-13  # of its end: a panel is no narrower
_LANCZOS = 1e-26  # of the largest weight: smaller ones do not shape the rule


def tail_exponent(density: Density) -> float:
    """Return the smaller a of the P(|X| > t) ~ t^-a of both tails; infinite for light ones."""
    return min(
        (
            piece.law.tail_exponent(side)
            for piece in density.pieces()
            for side, end in ((1.0, piece.high), (-1.0, -piece.low))
            if end == math.inf
        ),
        default=math.inf,
    )


def beyond(density: Density, x: FloatArray) -> FloatArray:
    """Return P(X > x), to relative accuracy far out too."""
    return _tail(density, x, 1.0) + density.atom_sums.mass(np.nextafter(x, np.inf), _inf(x))


def below(density: Density, x: FloatArray) -> FloatArray:
    """Return P(X < x), to relative accuracy far out too."""
    return _tail(density, x, -1.0) + density.atom_sums.mass(-_inf(x), np.nextafter(x, -np.inf))


def _inf(x: FloatArray) -> FloatArray:
    return np.full(x.shape, np.inf)


def _tail(density: Density, x: FloatArray, side: float) -> FloatArray:
    """Return the continuous P(side X > side x): the last tail, and intervals from there inwards."""
    values, place = np.unique(side * x, return_inverse=True)
    if not values.size:
        return np.zeros(0)
    total = np.zeros(values.size)
    ends = np.append(values, np.inf)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for piece in density.pieces():
            total += outward_masses(piece, side * values, np.diff(ends), side)
    return np.cumsum(total[::-1])[::-1][place]


@lru_cache(maxsize=128)
def extreme_edges(density: Density, n: int) -> FloatArray:
    """Return the ends of panels over where the largest of n values can lie, ascending.

    Parameters
    ----------
    density : Density
        Of one value; with a continuous part.
    n : int
        How many values.

    Raises
    ------
    TooLarge
        If a law that is known by its values alone has a tail that falls as a power of x.
    """
    exponent = tail_exponent(density)
    edges, least = _start(density), _NOTHING
    if exponent < math.inf:
        # What is integrated grows no faster than the other extreme allows: errors come in pairs.
        share = min(1.0, max(2 - 2 / exponent, 0.0))
        least = max(_NOTHING ** (1 / share) if share > 0.2 else 0.0, _LEAST)
    if any(piece.law.places.size for piece in density.pieces()):  # known by their values alone
        if exponent < math.inf:
            raise TooLarge(
                "the smallest and the largest values of blocks lie too far out for quadrature "
                f"where P(|X| > x) falls as x^-{exponent:g} and the density is known by its values "
                "alone; draw a sample and give it as data: Empirical(x)"
            )
        reached = edges[height_of(density, edges, n) > _NOTHING][-1] - density.mean
        if reached > _LONG * math.sqrt(density.variance):
            least = _NOTHING_LONG
    for _ in range(_HALVINGS):
        height = height_of(density, edges, n)
        keep = (height[1:] < _SPENT) & (height[:-1] > least)
        wide = keep & _is_wide(edges, height, density)
        if not wide.any():
            break
        edges = np.unique(np.concatenate([edges, _middle(edges, wide, density)]))
    else:
        height = height_of(density, edges, n)
        keep = (height[1:] < _SPENT) & (height[:-1] > least)
    at = np.flatnonzero(keep)
    return frozen(edges[at[0] : at[-1] + 2].copy())


def height_of(density: Density, edges: FloatArray, n: int) -> FloatArray:
    """Return H = -(n - 1) log F at the edges; for one value, as for two."""
    above = beyond(density, edges)
    small = above > 0.5
    with np.errstate(divide="ignore"):
        log_below = np.log1p(-np.where(small, 0.0, above))
        at = edges[small]
        rest = below(density, at) + density.atom_sums.mass(at, at)
        log_below[small] = np.log(rest)
    return -max(n - 1, 1) * log_below


def _start(density: Density) -> FloatArray:
    """Return points between which the density is smooth, over all that float64 reaches."""
    low, high = density.support
    found = [*density.kinks, *density.atoms().positions.tolist()]
    ends = [0.0, 0.0]
    for piece in density.pieces():
        law, spread, centre = piece.law, piece.spread, piece.location
        places = _own_places(law)
        if places.size:
            around = (spread * places[[0, -1]]).tolist()
        else:
            horizon = law.horizon if isinstance(law, SmoothLaw) else 64.0
            far = spread * min(horizon, _FARTHEST / max(spread, 1.0))
            around, places = [-far, far], _OCTAVES
        ends = [min(ends[0], centre + around[0]), max(ends[1], centre + around[1])]
        found += (centre + spread * places).tolist()
    start, stop = max(low, ends[0]), min(high, ends[1])
    return np.array(sorted({x for x in found if start < x < stop} | {start, stop}))


def _own_places(law: Law) -> FloatArray:
    """Return the places that a law knows itself, to the first ones beyond its digits."""
    seen = np.flatnonzero(law.pdf(law.places) > _FAINT)
    return law.places[max(seen[0] - 1, 0) : seen[-1] + 2] if seen.size else law.places[:0]


def _is_wide(edges: FloatArray, height: FloatArray, density: Density) -> BoolArray:
    """Tell which panels must be halved."""
    low, high = edges[:-1], edges[1:]
    above, under = np.minimum(height[:-1], 1e300), height[1:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        wide: BoolArray = np.where(
            above > 1, above - under > _TALL, (above > _RATIO * under) & (above > _FLAT)
        )
    for piece in density.pieces():
        if isinstance(piece.law, SmoothLaw):
            at, to = piece.standard(low), piece.standard(high)
            nearest = np.where((at < 0) & (to > 0), 0.0, np.minimum(np.abs(at), np.abs(to)))
            room = piece.spread * piece.law.panel_width(np.minimum(nearest, 1e100))
            wide |= (nearest < piece.law.horizon) & (high - low > _ROOM * room)
    return wide & (high - low > _FINEST * np.maximum(np.abs(low), np.abs(high)))


def _middle(edges: FloatArray, wide: BoolArray, density: Density) -> FloatArray:
    """Return where panels are halved: those far out by their ratio."""
    low, high = edges[:-1][wide], edges[1:][wide]
    spread = max(piece.spread for piece in density.pieces())
    near, far = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    steep = (low * high > 0) & (far > 2 * near) & (near > 8 * spread)
    return np.where(steep, np.sign(low) * np.sqrt(near) * np.sqrt(far), low + 0.5 * (high - low))


class ExtremeRule(NamedTuple):
    """Nodes x and weights dx, or weights of the law, of an integral over the largest value."""

    nodes: FloatArray
    weights: FloatArray


def extreme_nodes(
    density: Density, n: int, count: int = _NODES, low: float = -math.inf
) -> ExtremeRule:
    """Return the nodes and weights dx of all panels, above `low`."""
    edges = extreme_edges(density, n)
    start = max(low, float(edges[0]))
    edges = np.append(start, edges[edges > start])
    t, w = gauss_legendre(count)
    width = np.diff(edges)[:, None]
    return ExtremeRule((edges[:-1, None] + width * t).ravel(), (width * w).ravel())


@lru_cache(maxsize=256)
def extreme_rule(density: Density, n: int, count: int = 18, low: float = -math.inf) -> ExtremeRule:
    """Return a Gauss rule whose weights are p(x) dx, made for the largest of n values.

    It is the Gauss rule of n F^(n-1) p, the law of the largest value, divided by n F^(n-1): what
    is left to integrate is a smooth function times F^(n-1).

    Parameters
    ----------
    density : Density
        Continuous, with all moments.
    n : int
        How many values, at least 2.
    count : int
        Nodes: 18 serve smooth functions to the last digits.
    low : float
        Only values above it count.
    """
    x, dx = extreme_nodes(density, n, low=low)
    with np.errstate(divide="ignore", under="ignore"):
        weights = np.exp(-height_of(density, x, n)) * density.pdf(x) * dx
    keep = weights > _LANCZOS * weights.max()
    nodes, found = gauss_rule(x[keep], weights[keep], count)
    return ExtremeRule(frozen(nodes), frozen(found * np.exp(height_of(density, nodes, n))))
