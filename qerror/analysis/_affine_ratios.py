"""Cells of affine rows that lie alike in units of the step: one set of nodes for all of them.

Between its lowest and highest level a row has whole cells; only the halves of its outermost
levels end elsewhere. In units of the step, from the lowest level, the nodes of the whole cells
are the same for every row, so that all moments are products with weights.
"""

from functools import lru_cache

import numpy as np

from qerror._arrays import BoolArray, FloatArray, frozen
from qerror.analysis._affine_rows import Rows
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw

MOST_STEPS = 63  # more of them are narrow: their first moments need exact offsets
_SHARES = np.array([0.005, 0.06, 0.2, 1.0])  # of a panel that half a cell takes up
_COUNTS = (4, 6, 8, 12)
_END_NODES = 12
_ONE = np.ones(1)
_CHUNK = 2**15  # nodes times rows: 256 KiB an array


def _values(piece: Piece, x: FloatArray) -> FloatArray:
    """Return the density where no more than the law's outer product asks for is needed."""
    law = piece.law
    assert isinstance(law, SmoothLaw)
    p = law.pdf_outer(_ONE, piece.standard(x).ravel()).reshape(x.shape)
    p *= piece.weight / piece.spread
    return p


def suits(piece: Piece, rows: Rows) -> bool:
    """Tell whether nodes may be placed without looking at the density."""
    law = piece.law
    smooth = isinstance(law, SmoothLaw) and not law.branch_at_zero and piece.is_whole
    if not (smooth and isinstance(law, SmoothLaw) and rows.steps <= MOST_STEPS):
        return False
    return not law.kink_at_zero or (rows.zero is not None and piece.location == 0)


def alike_moments(piece: Piece, rows: Rows) -> tuple[FloatArray, BoolArray]:
    """Return int e^2 p, int e p, int x e p and int x p between the outermost levels, (4, k).

    Besides, which rows have cells too wide for this: they are left at 0.
    """
    law = piece.law
    assert isinstance(law, SmoothLaw)
    share = _share(piece, law, rows)
    found = np.zeros((4, share.size))
    needed = _SHARES.searchsorted(share)
    for step in range(_SHARES.size):
        at = np.flatnonzero(needed == step)
        if not at.size:
            continue
        nodes, weights = _rule(rows.steps, _COUNTS[step])
        size = max(1, _CHUNK // nodes.size)
        for start in range(0, at.size, size):
            some = at[start : start + size]
            found[:, some] = _weighed(piece, rows.at(some), nodes, weights)
    return found, needed == _SHARES.size


def _weighed(piece: Piece, rows: Rows, nodes: FloatArray, weights: FloatArray) -> FloatArray:
    step = rows.step[:, None]
    x = rows.anchor[:, None] + step * nodes
    p = _values(piece, x)
    square, first, _ = (p @ weights).T
    np.multiply(p, x, out=p)
    _, crossed, mean = (p @ weights).T
    s = rows.step
    found = np.stack([s * s * s * square, -s * s * first, -s * s * crossed, s * mean])
    for side in (False, True):
        found += _end(piece, rows, side)
    return found


def _end(piece: Piece, rows: Rows, upper: bool) -> FloatArray:
    """Add the inner half of the lowest or the highest level, from the limit on."""
    level = rows.top if upper else rows.anchor
    inner = (rows.steps - 0.5 if upper else 0.5) * rows.step + rows.anchor
    outer = np.minimum(rows.high, level) if upper else np.maximum(rows.low, level)
    width = np.maximum(inner - outer if not upper else outer - inner, 0.0)
    low = np.minimum(inner, outer) if upper else outer
    t, w = gauss_legendre(_END_NODES)
    x = low[:, None] + width[:, None] * t
    offset = (low - level)[:, None] + width[:, None] * t
    mass = _values(piece, x) * (width[:, None] * w)
    first = mass * offset
    return np.stack(
        [
            (first * offset).sum(axis=1),
            -first.sum(axis=1),
            -(first * x).sum(axis=1),
            (mass * x).sum(axis=1),
        ]
    )


def _share(piece: Piece, law: SmoothLaw, rows: Rows) -> FloatArray:
    """Return the largest share of a panel of half a step, where the density has anything."""
    unit = rows.step / piece.spread
    ends = np.stack([piece.standard(rows.anchor), piece.standard(rows.top)])
    places = ends[0][:, None] + unit[:, None] * np.arange(rows.steps)
    near = np.minimum(np.abs(places), np.abs(places + unit[:, None]))
    near = np.where((places < 0) & (places + unit[:, None] > 0), 0.0, near)
    share: FloatArray = (
        0.5 * unit / law.panel_width(near).min(axis=1, initial=np.inf, where=near < law.spent)
    )
    return share


@lru_cache(maxsize=64)
def _rule(steps: int, count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes of whole cells, from the lowest level in steps, and weights o^2, o, 1."""
    t, w = gauss_legendre(count)
    level = np.repeat(np.arange(1, steps), 2)
    start = np.tile([-0.5, 0.0], steps - 1)
    offset = (start[:, None] + 0.5 * t).ravel()
    weight = np.tile(0.5 * w, level.size)
    nodes = np.repeat(level, count) + offset
    return frozen(nodes), frozen(
        np.stack([weight * offset * offset, weight * offset, weight], axis=-1)
    )
