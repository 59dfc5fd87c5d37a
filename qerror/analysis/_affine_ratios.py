"""Cells of affine rows that lie alike in units of the step: one set of nodes for all of them.

Between its lowest and highest level a row has whole cells; only the halves of its outermost
levels end elsewhere, and with a real offset not even those. In units of the step, from the lowest
level, the nodes are then the same for every row, so that all moments are products with weights.

Where many cells lie on what one panel integrates, the density is interpolated in the panel's nodes
and the weights are the integrals of the sawtooth, and of its square, times the polynomials of the
interpolation: the nodes of a row then do not grow with its levels.
"""

from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray, frozen
from qerror.analysis._affine_rows import Rows
from qerror.densities.piece import Piece
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw

MOST_STEPS = 255  # more of them are narrow: their first moments need exact offsets
MOST_SHARE = 1.0  # of a panel that half a cell takes up
# Cells that share a panel, and the nodes that interpolation to the last digit needs there.
_TOGETHER = (64, 32, 16, 8, 4)
_INTERPOLATED = 24
_WIDE, _WIDE_NODES = 0.5, 24  # half a cell beyond takes up more than a panel with its other half
_NODES = 12
_CELL_NODES = 16  # of the weights of a cell, for polynomials of the interpolation
_ONE = np.ones(1)
_CHUNK = 2**15  # nodes times rows: 256 KiB an array


def suits(piece: Piece, rows: Rows) -> bool:
    """Tell whether nodes may be placed without looking at the density."""
    law = piece.law
    smooth = isinstance(law, SmoothLaw) and not law.branch_at_zero and piece.is_whole
    if not (smooth and isinstance(law, SmoothLaw) and rows.steps <= MOST_STEPS):
        return False
    return not law.kink_at_zero or (rows.zero is not None and piece.location == 0)


def alike_moments(piece: Piece, rows: Rows) -> FloatArray:
    """Return int e^2 p, int e p, int x e p and int x p between the outermost levels, (4, k).

    Half a cell of all rows is to take up no more than a panel: `panel_share`.
    """
    law = piece.law
    assert isinstance(law, SmoothLaw)
    found = np.zeros((4, rows.low.size))
    # Groups of rows whose cells take up about as much of a panel, the narrowest first.
    limits = [_WIDE / cells for cells in (*_TOGETHER, 1)]
    needed = np.searchsorted(limits, panel_share(piece, rows))
    for k, together in enumerate((*_TOGETHER, 1, 1)):
        at = np.flatnonzero(needed == k)
        if not at.size:
            continue
        if law.kink_at_zero:
            nodes, weights = _halved_rule(rows.steps)
        else:
            nodes, weights = _rule(rows.steps, together, wide=k == len(limits))
        if rows.zero is None:
            nodes, weights = _with_ends(rows.steps, nodes, weights)
        size = max(1, _CHUNK // max(1, nodes.size))
        for start in range(0, at.size, size):
            some = at[start : start + size]
            found[:, some] = _weighed(piece, rows.at(some), nodes, weights)
    return found


def _weighed(piece: Piece, rows: Rows, nodes: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the four moments of the nodes, x taken from the middle of the levels."""
    law, s = piece.law, rows.step
    assert isinstance(law, SmoothLaw)
    z = np.multiply.outer(s / piece.spread, nodes)
    z += ((rows.anchor - piece.location) / piece.spread)[:, None]
    p = law.pdf_outer(_ONE, z.ravel()).reshape(z.shape)
    square, first, mass, crossed, moved = (p @ weights).T * (piece.weight / piece.spread)
    middle = rows.anchor + 0.5 * rows.steps * s
    found = np.stack(
        [
            s * s * s * square,
            -s * s * first,
            -s * s * (middle * first + s * crossed),
            s * (middle * mass + s * moved),
        ]
    )
    if rows.zero is not None:
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
    t, w = gauss_legendre(_NODES)
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


def _values(piece: Piece, x: FloatArray) -> FloatArray:
    """Return the density where no more than the law's outer product asks for is needed."""
    law = piece.law
    assert isinstance(law, SmoothLaw)
    p = law.pdf_outer(_ONE, piece.standard(x).ravel()).reshape(x.shape)
    p *= piece.weight / piece.spread
    return p


def panel_share(piece: Piece, rows: Rows) -> FloatArray:
    """Return the largest share of a panel of half a step, where the density has anything."""
    size = max(1, _CHUNK // rows.steps)
    parts = [
        _panel_share(piece, rows.at(slice(start, start + size)))
        for start in range(0, rows.low.size, size)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _panel_share(piece: Piece, rows: Rows) -> FloatArray:
    law = piece.law
    assert isinstance(law, SmoothLaw)
    unit = rows.step / piece.spread
    low = piece.standard(rows.anchor)
    places = low[:, None] + unit[:, None] * np.arange(rows.steps)
    near = np.minimum(np.abs(places), np.abs(places + unit[:, None]))
    near = np.where((places < 0) & (places + unit[:, None] > 0), 0.0, near)
    least = law.panel_width(near).min(axis=1, initial=np.inf, where=near < law.spent)
    share: FloatArray = 0.5 * unit / least
    return share


@lru_cache(maxsize=64)
def _rule(steps: int, together: int, *, wide: bool) -> tuple[FloatArray, FloatArray]:
    """Return nodes of the whole cells, and their five weights, some cells to a panel.

    Nodes are in steps from the lowest level. Weights, with o the offset from the nearest level and
    c the place from the middle of all levels, are those of o^2, o, 1, o c and c.
    """
    levels = np.arange(1, steps)
    if not levels.size:
        return frozen(np.empty(0)), frozen(np.empty((0, 5)))
    panels = np.array_split(levels, -(-levels.size // together))
    count = _INTERPOLATED if together > 1 else (_WIDE_NODES if wide else _NODES)
    parts = [_panel(int(at[0]), at.size, count, 0.5 * steps) for at in panels]
    nodes, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return frozen(nodes), frozen(weights)


def _panel(first: int, cells: int, count: int, middle: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of a panel over the cells of some levels from `first` on."""
    nodes, local = _at_zero(cells, count)
    moved = first - middle
    more = np.stack([local[:, 1], local[:, 2]], axis=-1) * moved
    return nodes + first, np.concatenate([local[:, :3], local[:, 3:] + more], axis=1)


@lru_cache(maxsize=64)
def _at_zero(cells: int, count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of a panel over the cells of the levels from 0 on."""
    t, w = gauss_legendre(count)
    u, v = gauss_legendre(_CELL_NODES)
    offset = np.tile(u - 0.5, cells)
    place = np.repeat(np.arange(cells), u.size) + offset
    basis = lagrange((place + 0.5) / cells, t, w) * np.tile(v, cells)[:, None]
    parts = (offset * offset, offset, np.ones(place.size), offset * place, place)
    return frozen(cells * t - 0.5), frozen(np.stack([part @ basis for part in parts], axis=-1))


def lagrange(x: FloatArray, t: FloatArray, w: FloatArray) -> FloatArray:
    """Return the polynomials that are 1 at one Gauss node t on [0, 1] and 0 at the others, at x.

    By their Legendre coefficients, which the Gauss rule integrates exactly.
    """
    degree = t.size - 1
    at, of = (np.polynomial.legendre.legvander(2 * points - 1, degree) for points in (x, t))
    found: FloatArray = (at * (2 * np.arange(t.size) + 1)) @ (of.T * w)
    return found


@lru_cache(maxsize=64)
def _halved_rule(steps: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of the halves of cells, for densities with a kink at a level."""
    t, w = gauss_legendre(_NODES)
    level = np.repeat(np.arange(1, steps), 2)
    start = np.tile([-0.5, 0.0], steps - 1)
    offset = (start[:, None] + 0.5 * t).ravel()
    nodes = np.repeat(level, t.size) + offset
    return frozen(nodes), frozen(
        _moments(offset, nodes - 0.5 * steps, np.tile(0.5 * w, 2 * (steps - 1)))
    )


def _with_ends(steps: int, nodes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Add the inner halves of the outermost levels."""
    t, w = gauss_legendre(_NODES)
    for level, offset in ((0.0, 0.5 * t), (float(steps), -0.5 * t)):
        nodes = np.concatenate([nodes, level + offset])
        more = _moments(offset, level + offset - 0.5 * steps, 0.5 * w)
        weights = np.concatenate([weights, more])
    return nodes, weights


def _moments(offset: FloatArray, centre: FloatArray, weight: FloatArray) -> FloatArray:
    parts = (offset * offset, offset, np.ones(offset.size), offset * centre, centre)
    return np.stack([part * weight for part in parts], axis=-1)
