"""Branch points: where a density, or what is integrated beside it, varies as a power of a distance.

An arcsine density grows as 1 / sqrt(d) towards its ends, a generalized Gaussian turns as d^beta at
its centre. Panels of a quadrature end there and take their nodes in the root of the distance.
"""

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw

_NEAR = 1e-12  # relative: ends of panels that are as near are the same
_BESIDE = 2.0  # of the distance to a branch point: a panel beside it may be as wide
_NARROW = 1e-3  # of their place: in wider panels the rounding of nodes does not count
_COARSE = 0.1  # the same of those at a root
_ACROSS = 1.0  # the same of one in the root of the distance to another


def branch_points(density: Density, *, roots: bool = False) -> tuple[float, ...]:
    """Return the magnitudes at which the density varies as a power of the distance.

    Parameters
    ----------
    density : Density
        With a continuous part.
    roots : bool
        Only where nodes in the root of the distance serve the density itself.
    """
    found = {abs(x) for piece in density.pieces() for x in _branches(piece, roots=roots)}
    return tuple(sorted(found))


def _branches(piece: Piece, *, roots: bool) -> list[float]:
    law = piece.law
    if roots and isinstance(law, SmoothLaw) and not law.root_at_zero:
        return []
    places = (piece.location + piece.spread * z for z in law.branches)
    return [x for x in places if piece.low <= x <= piece.high]


class Roots:
    """Magnitudes at which panels take the root of the distance as their variable."""

    def __init__(self, marks: FloatArray) -> None:
        """Take ascending magnitudes."""
        self._marks = marks

    def _gaps(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the distances to the next mark below and above, but for those at x itself."""
        padded = np.concatenate([[-np.inf], self._marks, [np.inf]])
        room = _NEAR * np.abs(x)
        below = padded[np.searchsorted(self._marks, x - room, "left")]
        above = padded[np.searchsorted(self._marks, x + room, "right") + 1]
        return x - below, above - x

    def at(self, x: FloatArray) -> BoolArray:
        """Tell which x are marks."""
        if not self._marks.size:
            return np.zeros(x.shape, dtype=bool)
        room = _NEAR * np.abs(x)
        found: BoolArray = np.searchsorted(self._marks, x - room, "left") < np.searchsorted(
            self._marks, x + room, "right"
        )
        return found

    def wide(self, low: FloatArray, high: FloatArray) -> BoolArray:
        """Tell which panels have a root at both ends, or lie too near to another one."""
        if not self._marks.size:
            return np.zeros(low.shape, dtype=bool)
        first, last = self.at(low), self.at(high)
        nearest = np.minimum(self._gaps(low)[0], self._gaps(high)[1])
        limit = np.where(first | last, _ACROSS, _BESIDE) * nearest
        return (first & last) | (high - low > limit)

    def nodes(self, low: FloatArray, high: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
        """Return nodes and weights of panels, a row each; none has a root at both ends.

        Nodes are rounded, which may be much of a narrow panel, or of the distance from a root:
        weights are then those of the rounded ones.
        """
        t, w = gauss_legendre(count)
        width = (high - low)[:, None]
        nodes, weights = low[:, None] + width * t, width * w
        rows = np.flatnonzero(high - low < _NARROW * high)
        if rows.size:
            inside = (nodes[rows] - low[rows, None]) / width[rows]
            weights[rows] = width[rows] * _interpolating(inside, w)
        for at, end, side in ((self.at(low), low, 1.0), (self.at(high), high, -1.0)):
            if at.any():
                nodes[at], weights[at] = _at_root(end[at, None], side * width[at], count)
        return nodes, weights


def _at_root(root: FloatArray, span: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights between roots and root + span, a row each: dm = 2 t |span| dt."""
    t, w = gauss_legendre(count)
    nodes = root + span * (t if span[0, 0] > 0 else t[::-1]) ** 2
    # The density may be infinite at the root itself.
    nodes = np.where(nodes == root, np.nextafter(root, root + span), nodes)
    t = np.sqrt(np.maximum((nodes - root) / span, 0.0))
    rows = np.abs(span[:, 0]) < _COARSE * root[:, 0]
    weights = np.broadcast_to(w, t.shape).copy()
    weights[rows] = _interpolating(t[rows], w)
    return nodes, 2 * np.abs(span) * t * weights


def _interpolating(t: FloatArray, near: FloatArray) -> FloatArray:
    """Return the weights at nodes near those of a Gauss rule that integrate as many powers.

    They are those given where nodes coincide.
    """
    x, count = 2 * t - 1, t.shape[-1]
    p = np.ones((count, *x.shape))
    p[1] = x
    for k in range(1, count - 1):  # DLMF 18.9.1
        p[k + 1] = ((2 * k + 1) * x * p[k] - k * p[k - 1]) / (k + 1)
    rows = p.transpose(1, 0, 2)
    found = np.broadcast_to(near, t.shape).copy()
    distinct = (np.diff(np.sort(t, axis=-1)) > 0).all(axis=-1)
    wanted = np.eye(count)[0] - rows[distinct] @ near
    found[distinct] += np.linalg.solve(rows[distinct], wanted[..., None])[..., 0]
    return found
