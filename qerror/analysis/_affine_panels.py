"""Panels over one extreme of affine blocks for each value of the other one.

They end wherever something is not smooth: at the density's own panels and kinks, where a threshold
between two levels meets a kink or a point mass, and, with an integer zero point, where an extreme
meets a level or a threshold. A panel has as many nodes as its width and its share of all need.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._affine_ends import Ends
from qerror.analysis._affine_flats import masses
from qerror.densities.density import Density
from qerror.densities.extreme import extreme_edges, tail_exponent
from qerror.densities.quadrature import gauss_legendre

# Thresholds times jumps, twice, that panels over the outer extreme are cut at; with more, jumps
# that nothing else serves cost up to 4e-6 of the error.
MOST_CORNERS = 2**9
_MOST_BREAKS = 2**10  # thresholds times marks that panels are cut at
_MOST_CUTS = (2**12, 2**10)  # handled together, of one law with light tails and of others
# Nodes that panels need that are this part of a whole one.
_PARTS = ((0.01, 3), (0.05, 5), (0.25, 8), (0.6, 12), (math.inf, 16))
# Shares of all, and the nodes that panels with more than that need.
_GRADES = ((1e-6, 16), (1e-10, 12), (1e-14, 8), (1e-18, 5), (0.0, 3))
_LITTLE = 1e-21  # of all: panels with less are left out
_FINEST = 1e-14  # of its end: a panel is no narrower


class Lattice(NamedTuple):
    """The levels between two extremes."""

    steps: int
    integer: bool
    """Whether 0 is one of them."""

    def breaks(self, low: FloatArray, marks: FloatArray) -> FloatArray:
        """Return the upper extremes where an integrand is not smooth, a row for each lower one.

        Marks are the places where the density itself is not.
        """
        first, at = low[:, None, None], marks[:, None]
        k = np.arange(self.steps) + 0.5
        if not self.integer:
            found = np.where(at > first, first + self.steps * (at - first) / k, first)
            return found.reshape(low.size, -1)
        at = at[at[:, 0] != 0]
        width = np.where(at > first, self.steps * np.abs(at) / k, 0.0).reshape(low.size, -1)
        j = np.arange(1, 2 * self.steps)
        return np.concatenate([low[:, None] + width, np.outer(-low, (2 * self.steps - j) / j)], 1)


def marks_of(density: Density) -> FloatArray:
    """Return the places inside the support where the density is not smooth."""
    low, high = density.support
    found = np.array([*density.kinks, *density.atoms().positions.tolist()])
    return np.unique(found[(found > low) & (found < high)])


def nested(
    density: Density,
    n: int,
    lattice: Lattice,
    low: FloatArray,
    at_low: FloatArray,
    *,
    points: bool,
    nearer: bool = False,
) -> Iterator[Ends]:
    """Return the pairs of these lower extremes with nodes of panels above each.

    Parameters
    ----------
    density : Density
        Of one value.
    n : int
        How many values share a scale.
    lattice : Lattice
        The levels.
    low, at_low : array of shape (k,)
        The lower extremes, and p(l) dl or their point masses.
    points : bool
        Which of the two it is.
    nearer : bool
        Only the upper extremes that are no further from 0 than the lower one.
    """
    edges, marks = extreme_edges(density, n), marks_of(density)
    if marks.size * lattice.steps > _MOST_BREAKS:
        marks = marks[:0]
    exponent = tail_exponent(density)
    wide = len(density.pieces()) > 1 or exponent < math.inf
    size = max(1, _MOST_CUTS[wide] // (edges.size + (marks.size + 2) * lattice.steps))
    most = 0.0
    for start in range(0, low.size, size):
        at = slice(start, start + size)
        cuts = _cuts(lattice, low[at], edges, marks, nearer)
        row, panel = np.nonzero(np.diff(cuts, axis=1) > _FINEST * np.abs(cuts[:, 1:]))
        a, b = cuts[row, panel], cuts[row, panel + 1]
        most_square = np.square(b - low[at][row])
        if nearer and exponent <= 2:
            most_square = np.minimum(most_square, _of_short(density, lattice, a, b, low[at][row]))
        share = _share(density, n, low[at][row], a, b) * most_square * at_low[at][row]
        most = max(most, float(share.max(initial=0.0)))
        kept = np.flatnonzero(share > _LITTLE * most)
        if not kept.size:
            continue
        row, a, b = row[kept], a[kept], b[kept]
        counts = np.minimum(by_part(a, b, edges), _by_share(share[kept] / most))
        panel, u, du = panel_nodes(a, b, counts)
        of = row[panel]
        yield Ends(low[at][of], u, at_low[at][of], density.pdf(u) * du, points, False)


def _cuts(
    lattice: Lattice, low: FloatArray, edges: FloatArray, marks: FloatArray, nearer: bool
) -> FloatArray:
    """Return where panels end, a row for each lower extreme; some are empty."""
    start = np.maximum(np.maximum(low, 0.0) if lattice.integer else low, edges[0])[:, None]
    stop = np.full((low.size, 1), edges[-1])
    if nearer:
        stop = np.minimum(stop, -low[:, None])
    whole = np.broadcast_to(edges, (low.size, edges.size))
    cuts = np.concatenate([whole, lattice.breaks(low, marks)], axis=1)
    cuts = np.concatenate([start, np.clip(cuts, start, np.maximum(start, stop)), stop], axis=1)
    return np.sort(np.maximum(cuts, start), axis=1)


def _share(density: Density, n: int, low: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return about how likely panels are."""
    t, w = gauss_legendre(3)
    with np.errstate(under="ignore", over="ignore", divide="ignore"):
        mass = (density.pdf(a[:, None] + (b - a)[:, None] * t) @ w) * (b - a)
        within = masses(density, low, b)
        share: FloatArray = mass * within ** (n - 2)
    return share


def _of_short(
    density: Density, lattice: Lattice, a: FloatArray, b: FloatArray, low: FloatArray
) -> FloatArray:
    """Return about the squared error where 0 is a level and tails have no variance.

    It is that of rounding to 0 all that is nearer to it than a step, and of the nearer extreme.
    """
    spread = max(piece.spread for piece in density.pieces())
    away = np.maximum(np.abs(a), np.abs(b))
    step = np.maximum((b - low) / (lattice.steps * spread), 1.0)
    found: FloatArray = away**2 + spread**2 * step ** (2 - tail_exponent(density))
    return found


def _by_share(share: FloatArray) -> IntArray:
    least, counts = (np.array(x) for x in zip(*_GRADES, strict=True))
    found: IntArray = counts[(share[:, None] <= least).sum(axis=1)]
    return found


def by_part(a: FloatArray, b: FloatArray, edges: FloatArray) -> IntArray:
    """Return how many nodes panels need that are parts of those between the edges."""
    most, counts = (np.array(x) for x in zip(*_PARTS, strict=True))
    at = np.searchsorted(edges, 0.5 * (a + b), "right") - 1
    whole = np.diff(edges)[np.clip(at, 0, edges.size - 2)]
    found: IntArray = counts[np.searchsorted(most, (b - a) / whole)]
    return found


def panel_nodes(
    a: FloatArray, b: FloatArray, counts: IntArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return which panel each node belongs to, nodes, and weights."""
    parts: list[tuple[IntArray, FloatArray, FloatArray]] = []
    for count in np.unique(counts).tolist():
        at = np.flatnonzero(counts == count)
        t, w = gauss_legendre(count)
        width = (b - a)[at, None]
        parts.append((np.repeat(at, count), (a[at, None] + width * t).ravel(), (width * w).ravel()))
    if not parts:
        return np.empty(0, dtype=np.int64), np.empty(0), np.empty(0)
    panel, x, dx = (np.concatenate(part) for part in zip(*parts, strict=True))
    return panel, x, dx
