"""Probabilities of many intervals of a law at once, each to the last digits."""

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.piece import Piece
from qerror.densities.quadrature import by_nodes, rule_for
from qerror.densities.smooth_law import SmoothLaw

_FEW = 256  # intervals: more of them are grouped by the nodes that they need
_HALF = 0.5  # of an interval: what nodes are chosen by


def outward_masses(piece: Piece, start: FloatArray, width: FloatArray, side: float) -> FloatArray:
    """Return the probabilities of intervals from `start` on, in the direction of side * infinity.

    Parameters
    ----------
    piece : Piece
        Of a density.
    start, width : ndarray, shape (k,)
        Finite ends, and widths that may be infinite.
    side : {1.0, -1.0}
        Which way.
    """
    law, nothing = piece.law, np.zeros(start.size)
    if not _is_plain(piece):
        left, right = (nothing, width) if side > 0 else (-width, nothing)
        return piece.integrals(start, left, right).mass
    assert isinstance(law, SmoothLaw)
    low, span = side * (start - piece.location) / piece.spread, width / piece.spread
    if low.min(initial=0.0) >= 0:
        return piece.weight * shells(law, low, span)
    high, found = low + span, np.zeros(start.size)
    at = np.flatnonzero(high > 0)
    if at.size:
        inner = np.maximum(low[at], 0.0)
        found[at] = shells(law, inner, np.where(low[at] >= 0, span[at], high[at]))
    at = np.flatnonzero(low < 0)
    if at.size:
        inner = np.maximum(-high[at], 0.0)
        found[at] += shells(law, inner, np.where(high[at] <= 0, span[at], -low[at]))
    return piece.weight * found


def _is_plain(piece: Piece) -> bool:
    law = piece.law
    smooth = isinstance(law, SmoothLaw) and law.symmetric and not law.branch_at_zero
    return smooth and piece.is_whole


def shells(law: SmoothLaw, low: FloatArray, width: FloatArray) -> FloatArray:
    """Return P(low < Z < low + width) of a law, low >= 0.

    An interval that is one panel of the law is integrated, and a wider one is a difference of tails
    of which the farther is much the smaller.
    """
    found = np.zeros(low.size)
    share = width / law.panel_width(low)
    live = low < law.horizon
    at = np.flatnonzero(live & (share <= 1))
    if at.size > _FEW:
        for nodes, weights, some in by_nodes(_HALF * share[at]):
            found[at[some]] = _integrated(law, low[at[some]], width[at[some]], nodes, weights)
    elif at.size:
        rule = rule_for(_HALF * float(share[at].max()))
        found[at] = _integrated(law, low[at], width[at], rule.nodes, rule.zeroth)
    at = np.flatnonzero(live & (share > 1))
    if at.size:
        ends, place = np.unique(np.stack([low[at], low[at] + width[at]]), return_inverse=True)
        tails, inside = np.zeros(ends.size), ends < law.horizon
        tails[inside] = law.outer(ends[inside]).mass
        near, far = tails[place.reshape(2, -1)]
        found[at] = near - far
    return found


def _integrated(
    law: SmoothLaw, low: FloatArray, width: FloatArray, nodes: FloatArray, weights: FloatArray
) -> FloatArray:
    return width * (law.pdf(low[:, None] + width[:, None] * nodes) @ weights)
