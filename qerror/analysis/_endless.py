"""Rounding far out in formats that reach the ends of float64, under tails that are powers.

Beyond some 2^200 spreads a Student-t density is the power x^-(nu + 1), and every binade of a
floating-point format is the one before it times 2. So its part of E[e^2] and of E[X e] is that of
the one before times 2^(2 - nu): a geometric series, where the squares themselves leave float64.
"""

import math
from dataclasses import replace

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._batch import Batch, Sums
from qerror.densities.law import Law
from qerror.densities.student_t import StandardStudentT
from qerror.grids import Grid

_POWER, _FAR = 2.0**200, 2.0**400  # spreads: whence a tail is a power, and where squares get large
_HEAVY = 2.25  # lighter tails are nothing where squares leave float64


def first_of_the_series(grid: Grid, batch: Batch) -> int | None:
    """Return the edge from which a grid's binades form a geometric series; None for no need."""
    law, piece = batch.piece.law, batch.piece
    highest = float(grid.edges[-1]) * float(batch.factors.max()) / piece.spread
    if not (batch.mirrored and batch.limits is None and highest > _FAR and _tail(law) < _HEAVY):
        return None
    least = _POWER * piece.spread / float(batch.factors.min())
    first = int(np.searchsorted(grid.edges, least))
    edges, steps = grid.edges[first:], grid.steps[first:]
    doubled = edges.size > 2 and (edges[1:-1] == 2 * edges[:-2]).all()
    return first if doubled and (steps[1:] == 2 * steps[:-1]).all() else None


def near_part(grid: Grid, batch: Batch, first: int) -> tuple[Grid, Batch]:
    """Return the grid up to an edge, and the batch cut there."""
    inner = slice(grid.edges.size - 1 - first, first + 1)
    edges = grid.edges[inner]
    parts = slice(inner.start, first)
    cut = Grid(edges, grid.steps[parts], grid.counts[parts])
    ends = batch.factors * edges[-1]
    return cut, batch.between(-ends, ends)


def far_parts(grid: Grid, batch: Batch, first: int) -> list[tuple[Grid, Batch, float]]:
    """Return one binade and the last one, moved down to it, and how often each counts."""
    edges, steps, counts = grid.edges[first:], grid.steps[first:], grid.counts[first:]
    whole = steps.size - 1
    low = edges[0]
    top = math.ldexp(float(edges[-1]), -whole)
    ratio = (2 - _tail(batch.piece.law)) * math.log(2.0)
    with np.errstate(over="ignore"):
        series = float(np.expm1(whole * ratio) / np.expm1(ratio)) if ratio else float(whole)
        last = float(np.exp(whole * ratio))
    return [
        (*_between(batch, float(low), float(edges[1]), steps[:1], counts[:1]), 2 * series),
        (*_between(batch, float(low), top, steps[:1], counts[-1:]), 2 * last),
    ]


def _between(
    batch: Batch, low: float, high: float, steps: FloatArray, counts: IntArray
) -> tuple[Grid, Batch]:
    grid = Grid(np.array([low, high]), steps, counts)
    one_sided = replace(batch, mirrored=False)
    return grid, one_sided.between(batch.factors * low, batch.factors * high)


def times(sums: Sums, factor: float) -> Sums:
    """Return what counts so often of E[e^2] and E[X e]; E[e] vanishes by symmetry.

    What float64 does not hold is nan, which is refused: infinite it is not.
    """
    rounding = np.asarray(sums.rounding) * factor
    return Sums(np.where(np.isinf(rounding), math.nan, rounding), cross=sums.cross * factor)


def _tail(law: Law) -> float:
    """Return the power of a Student-t's tail; that of other laws may set in anywhere."""
    return law.nu if isinstance(law, StandardStudentT) else math.inf
