"""Single steps of a grid that a limit or the law's centre cuts, on their way through `_lattice`."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray, IntArray, two_product
from qerror.analysis._batch import Batch
from qerror.analysis._runs import Runs
from qerror.analysis._window import NODES, Ends, window_moments
from qerror.densities.smooth_law import SmoothLaw

# A share s of a panel and the nodes that it needs: m leave (4.8/s)^-2m, as in `_lattice`: 1e-22.
_NARROW, _FEW_NODES = 0.06, 6

_Part: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, tuple[IntArray, FloatArray]]
_NONE: tuple[IntArray, FloatArray] = np.empty(0, dtype=np.int64), np.empty(0)


def gathered(
    batch: Batch, owner: IntArray, square: FloatArray, mean: FloatArray, cross: FloatArray
) -> FloatArray:
    """Return int e^2 p, int e p and int x e p per row in units of the spread, shape (3, k)."""
    size = batch.factors.size
    parts = (np.bincount(owner, part, size) for part in (square, mean, cross))
    return np.array(list(parts), dtype=np.float64)


def nothing(batch: Batch) -> FloatArray:
    return np.zeros((3, batch.factors.size))


def odd_sums(odd: Runs, batch: Batch, law: SmoothLaw) -> FloatArray:
    """Sum single intervals that hold the law's centre or a limit inside."""
    if not odd.owner.size:
        return nothing(batch)
    ends = (np.abs(odd.standard(batch.piece, np.full(odd.owner.size, j))) for j in (0.0, 1.0))
    width = np.minimum(*(law.panel_width(z) for z in ends))
    with np.errstate(divide="ignore"):  # a branch point at 0 leaves no width there
        share = odd.spacing(batch.piece) / width
    centre = batch.piece.location
    plain = (odd.near(0.0) > centre) | (odd.near(1.0) < centre)
    plain &= (share <= 1) & (batch.limits is not None)
    sums = nothing(batch)
    narrow = partial(_narrow_parts, count=_nodes_of(share[plain]))
    for at, parts in ((plain, narrow), (~plain, _general_parts)):
        if at.any():
            chosen = odd.at(at)
            for q, first, second, (far, about_0) in parts(chosen, batch):
                cross = -(q / batch.piece.spread) * first - second
                cross[far] = about_0
                sums += gathered(batch, chosen.owner, second, -first, cross)
    return sums


def _nodes_of(share: FloatArray) -> int:
    return _FEW_NODES if share.size and share.max() <= _NARROW else NODES


def _narrow_parts(odd: Runs, batch: Batch, count: int) -> Iterator[_Part]:
    """Yield the levels of both halves of intervals next to a limit, and the moments about them.

    Of intervals within a panel, by so many nodes: no level is far from the density there.
    """
    piece = replace(batch.piece, weight=1.0)
    lower, upper = (Ends(*two_product(odd.factor, odd.start + j * odd.step)) for j in (0.0, 1.0))
    # 53 bits hold no middle, and need not: it is a sum.
    middle = Ends(lower.value, lower.rest + 0.5 * odd.factor * odd.step)
    low, high = (Ends(limit[odd.owner], np.zeros(odd.owner.size)) for limit in batch.limits or ())
    for level, left, right in ((lower, lower, middle), (upper, middle, upper)):
        start = low.where(low.minus(left) > 0, left)
        end = high.where(high.minus(right) < 0, right)
        stop = start.where(end.minus(start) < 0, end)
        first, second = window_moments(piece, level, start, stop, count)
        yield level.value, first / piece.spread, second / piece.spread**2, _NONE


def _general_parts(odd: Runs, batch: Batch) -> Iterator[_Part]:
    """Yield the same of any intervals, and E[x e] of those where it is lost."""
    bare = replace(batch.piece, weight=1.0)
    unit = bare.spread
    limits = batch.limits and (batch.limits.low[odd.owner], batch.limits.high[odd.owner])
    for j, side in ((0.0, 1.0), (1.0, -1.0)):
        q, rest = two_product(odd.factor, odd.start + j * odd.step)
        half = side * 0.5 * odd.factor * odd.step
        left, right = np.minimum(half, 0.0), np.maximum(half, 0.0)
        local = bare.integrals(q, left, right, rest, limits)
        far, about_0 = bare.far_crosses(q, left, right, limits)
        yield q, local.first / unit, local.second / unit / unit, (far, about_0 / unit / unit)
