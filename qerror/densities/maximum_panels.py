"""Panels over the magnitudes where the largest of n can lie, for any density.

With H = -(n - 1) log F, F the distribution function of |X|, the law of the largest of n - 1 values
is exp(-H) dH. Panels are halved until each spans a few units of H or a few of log H, and lies
within the density's own panels, so that whatever varies as the density does is integrated to the
last digits.
"""

import math

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.densities.branches import Roots
from qerror.densities.density import Density
from qerror.densities.magnitude import magnitude_masses
from qerror.densities.piece import Piece
from qerror.densities.smooth_law import SmoothLaw

_TALL = 8.0  # of H across a panel where it is above 1: exp(-H) is then one panel's work
_POWERS = 8  # of m: what one panel from 0 on integrates beside the density
_RATIO = 6.0  # of H across a panel below
_WIDEST = 2.2  # the same of m: what panels of a density's tail allow
_MOST = 400  # panels of a tail to begin with
_BOTH = 12.0  # of H across a panel that begins above 1 and ends below
_SPENT = 80.0  # of H: exp(-H) is below 1e-34
_NOTHING = 1e-20  # of H: what lies beyond has this probability, light tails
_NOTHING_LONG = 1e-40  # the same for long tails, whose squares weigh more
_LONG = 2e4  # spreads: light tails that reach farther are as long
_FARTHEST = 1e140  # squares of it, and of errors there, stay within float64
_BESIDE = 1e-8  # relative: as near to a cut float64 tells few places apart
_HALVINGS = 60
_FINEST = 1e-13  # of its end: a panel is no narrower


def panel_ends(
    density: Density, n: int, cuts: tuple[float, ...], roots: Roots
) -> tuple[FloatArray, FloatArray]:
    """Return the lower and the upper ends of panels for the largest of n magnitudes.

    Parameters
    ----------
    density : Density
        Of one value; with a continuous part.
    n : int
        How many values.
    cuts : tuple of float
        Magnitudes at which panels end, besides the density's own.
    roots : Roots
        Where they take the root of a distance as their variable.
    """
    edges = _start(density, cuts)
    for _ in range(_HALVINGS):
        ends = _heights(density, edges, n)
        keep = _holds_some(*ends, density)
        wide = keep & _is_wide(edges, *ends, density, n, roots)
        if not wide.any():
            break
        middle = _middle(edges[:-1][wide], edges[1:][wide])
        at = np.flatnonzero(keep)
        edges = np.unique(np.concatenate([edges[at[0] : at[-1] + 2], middle]))
    else:
        keep = _holds_some(*_heights(density, edges, n), density)
    return edges[:-1][keep], edges[1:][keep]


def _holds_some(above: FloatArray, below: FloatArray, density: Density) -> BoolArray:
    """Tell in which panels the largest value can lie, from H at their ends."""
    least = _NOTHING if all(_is_short(piece) for piece in density.pieces()) else _NOTHING_LONG
    some: BoolArray = (below < _SPENT) & (above > least)
    return some


def _is_short(piece: Piece) -> bool:
    """Tell whether squares end where probability does."""
    law = piece.law
    ends = math.isfinite(piece.low) and math.isfinite(piece.high)
    return ends or (isinstance(law, SmoothLaw) and law.horizon < _LONG)


def _start(density: Density, extra: tuple[float, ...]) -> FloatArray:
    """Return magnitudes between which the density is smooth, from 0 to where nothing is left."""
    pieces = density.pieces()
    top = max(abs(end) for end in density.support)
    # At a point mass F jumps, so that a panel ends there.
    cuts = {abs(x) for x in (*density.kinks, *density.atoms().positions.tolist())}
    found = [0.0, *extra]
    far = 0.0
    for piece in pieces:
        near, spread = abs(piece.location), piece.spread
        law = piece.law
        horizon = law.horizon if isinstance(law, SmoothLaw) else math.inf
        far = max(far, near + spread * min(horizon, _FARTHEST / max(spread, 1.0)))
        widths = spread * _widths(piece)
        found += [near, *(near + widths).tolist(), *np.abs(near - widths).tolist()]
        known = np.abs(piece.location + spread * law.places).tolist()
        found += [x for x in known if all(abs(x - cut) > _BESIDE * cut for cut in cuts)]
    end = min(top, far, _FARTHEST)
    return _apart(sorted({x for x in cuts if x < end} | {end}), [x for x in found if x < end])


def _apart(cuts: list[float], others: list[float]) -> FloatArray:
    """Join places, ascending, without those that rounding alone keeps apart; cuts stay."""
    edges = np.array(sorted({*cuts, *others}))
    own = np.isin(edges, cuts)
    near = np.diff(edges) <= _FINEST * edges[1:]
    spare = np.zeros(edges.size, dtype=bool)
    spare[1:] = near & ~own[1:]
    spare[:-1] |= near & ~own[:-1] & own[1:]
    chosen: FloatArray = edges[~spare]
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
    count = math.ceil(-math.log(_NOTHING_LONG) / (exponent * math.log(ratio))) + 8
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
        shells, far = magnitude_masses(density, edges, np.append(edges[1:], np.inf)), np.abs(x)
        beyond = np.cumsum(shells[::-1])[::-1]
        above, below = far > edges[:-1, None], far >= edges[1:, None]
        tails = [beyond[:-1] + above @ probability, beyond[1:] + below @ probability]
    with np.errstate(divide="ignore"):
        low, high = (-max(n - 1, 1) * np.log1p(-np.minimum(tail, 1.0)) for tail in tails)
    low[edges[:-1] <= _bottom(density)] = np.inf
    return low, high


def _bottom(density: Density) -> float:
    """Return the smallest magnitude of the support."""
    ends = [(piece.low, piece.high) for piece in density.pieces()]
    ends += [(x, x) for x in density.atoms().positions.tolist()]
    return min(max(low, -high, 0.0) for low, high in ends)


def _is_wide(  # noqa: PLR0917 - panels, by H at their ends
    edges: FloatArray,
    above: FloatArray,
    below: FloatArray,
    density: Density,
    n: int,
    roots: Roots,
) -> BoolArray:
    """Tell which panels must be halved, from H at their ends."""
    low, high = edges[:-1], edges[1:]
    # At the support's end H falls to 0 as a power; elsewhere it is too small for float64.
    some = (below > 0) | (high < max(abs(end) for end in density.support))
    # From where the support begins H is infinite, but few powers of m are one panel's work.
    first, above = np.isinf(above), np.minimum(above, 1e300)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        tall = above - below > _TALL
        steep = above > _RATIO * below
    tall |= (below < 1) & (above > _BOTH * below) & some
    tall, steep = np.where(first, n > _POWERS, tall), np.where(first, False, steep)
    wide: BoolArray = np.where(above > 1, tall, steep & some) | roots.wide(low, high)
    at_root = roots.at(low) | roots.at(high)
    for piece in density.pieces():
        if isinstance(piece.law, SmoothLaw):
            for side in (1.0,) if piece.location == 0 else (1.0, -1.0):
                at = np.abs(side * low - piece.location) / piece.spread
                to = np.abs(side * high - piece.location) / piece.spread
                nearest = np.minimum(at, to)
                if piece.law.root_at_zero:  # the nodes next to it suit it
                    nearest = np.where(at_root, np.maximum(at, to), nearest)
                room = piece.spread * piece.law.panel_width(np.minimum(nearest, 1e100))
                wide |= (nearest < piece.law.horizon) & (high - low > 1.5 * room)
    return wide & (high - low > _FINEST * high)


def _middle(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return where panels are halved: wide ones by their ratio."""
    return np.where((low > 0) & (high > 2 * low), np.sqrt(low) * np.sqrt(high), 0.5 * (low + high))
