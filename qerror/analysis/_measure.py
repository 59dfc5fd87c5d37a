"""A density as weighted points: quadrature nodes between all thresholds, and its point masses.

Between two places where the error or the density is not smooth, a Gauss-Legendre rule stands
for the density. Sums over the points are then integrals, of any powers of x and of the error,
and a draw among the points has the moments of a draw of X.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._modes import drawn_atoms
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.exceptions import TooLarge
from qerror.grids import Grid
from qerror.rounding import RoundingRule

_MOST = 2**17  # levels, or thresholds of drawn bits
_MANY = 2**12  # from so many levels on, few nodes do between two of them
_SPREADS = 40.0  # of a light law: nothing is left beyond
_GROWTH = 1.25  # of panels on a tail
_FARTHEST = 1e40  # of the spread: of a power law with an infinite variance, too, enough is inside
_LEAST = 1e-300  # of the density: nothing is left of a piece beyond


class Measure(NamedTuple):
    """Values x, an error that each makes, and its weight; shape (m,) each.

    Where the level is drawn, x stands here twice: once for each level that it may go to.
    """

    x: FloatArray
    error: FloatArray
    weight: FloatArray


def measure_of(grid: Grid, density: Density, rule: RoundingRule) -> Measure:
    """List the points that stand for a density on a grid; the weights add up to 1."""
    if grid.size > _MOST:
        raise TooLarge(
            f"a band needs moments between all levels, and this grid has {grid.size:,} of them, "
            f"more than {_MOST:,}"
        )
    thresholds = _thresholds(grid, rule)
    parts = [_of_piece(thresholds, piece) for piece in density.pieces()]
    atoms = density.atoms()
    x = np.concatenate([atoms.positions, *(nodes for nodes, _ in parts)])
    weight = np.concatenate([atoms.probabilities, *(weights for _, weights in parts)])
    alive = weight > _LEAST
    x, weight = x[alive], weight[alive]
    weight /= weight.sum()
    below, above, share, _ = drawn_atoms(grid, x, rule)
    if rule.mode != "stochastic":
        return Measure(x, np.where(share > 0, above, below), weight)
    both = np.concatenate([weight * (1 - share), weight * share])
    kept = both > 0
    return Measure(np.tile(x, 2)[kept], np.concatenate([below, above])[kept], both[kept])


def _thresholds(grid: Grid, rule: RoundingRule) -> FloatArray:
    """Return the places between levels, and the levels, at which the error may jump."""
    points, gaps = grid.points, np.diff(grid.points)
    parts = 2 if rule.bits is None else rule.parts
    if gaps.size * parts > 2 * _MOST:
        raise TooLarge(
            f"a band under {rule.name} needs moments between {gaps.size * parts:,} thresholds, "
            f"more than {2 * _MOST:,}; take fewer random bits, or 'stochastic'"
        )
    inner = points[:-1, None] + gaps[:, None] * (np.arange(1, parts) / parts)
    return np.concatenate([points, inner.ravel()])


def _of_piece(thresholds: FloatArray, piece: Piece) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights for one piece of the density."""
    low, high = _reach(piece)
    places = np.concatenate([thresholds, _panels(piece)])
    places = np.unique(np.clip(places, low, high))
    edges = np.unique(np.concatenate([[low], places, [high]]))
    nodes, weights = gauss_legendre(8 if thresholds.size > 2 * _MANY else 16)
    width = np.diff(edges)[:, None]
    x = edges[:-1, None] + width * nodes
    return x.ravel(), (piece.pdf(x) * width * weights).ravel()


def _reach(piece: Piece) -> tuple[float, float]:
    """Return where a piece begins and ends, for all that matters."""
    law, at, spread = piece.law, piece.location, piece.spread
    ends: list[float] = []
    for side, limit in ((-1.0, piece.low), (1.0, piece.high)):
        light = math.isinf(law.tail_exponent(side))
        far = at + side * spread * (_far(piece, side) if light else _FARTHEST)
        ends.append(max(limit, far) if side < 0 else min(limit, far))
    return ends[0], ends[1]


def _far(piece: Piece, side: float) -> float:
    """Return how many spreads out a light law is gone."""
    sizes = _SPREADS * np.exp2(np.arange(0.0, 40.0))
    with np.errstate(all="ignore"):
        p = piece.law.pdf(side * sizes)
    gone = p < _LEAST
    return float(sizes[int(np.argmax(gone))]) if gone.any() else float(sizes[-1])


def _panels(piece: Piece) -> FloatArray:
    """Return places between which the law is smooth: narrow ones about its centre and limits."""
    span = math.log(_FARTHEST * 1e12) / math.log(_GROWTH)
    sizes = 1e-12 * np.power(_GROWTH, np.arange(math.ceil(span)))
    even = np.arange(0.0, _SPREADS, 0.25)
    out = np.unique(np.concatenate([sizes, even]))
    centres = [piece.location, *(end for end in (piece.low, piece.high) if math.isfinite(end))]
    kinks = [piece.location + piece.spread * kink for kink in piece.law.kinks]
    around = [c + s * piece.spread * out for c in (*centres, *kinks) for s in (-1.0, 1.0)]
    return np.concatenate([centres, kinks, *around])
