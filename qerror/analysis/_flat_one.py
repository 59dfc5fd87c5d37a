"""The single scale of a centred piece on a small grid, by few operations on plain numbers."""

import numpy as np

from qerror.analysis._batch import Batch, Sums
from qerror.analysis._flat_rules import (
    LARGEST,
    Spans,
    nodes_between,
    rule_of,
    share_at,
    spans_of,
)
from qerror.analysis._window import Ends, window_moments
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Cells

_LEAST = 1e-300  # a scale below it, in units of the law, has no place on the ladder


def one_flat_sum(batch: Batch, cells: Cells, law: SmoothLaw) -> Sums | None:
    """Integrate the single row of a piece centred at 0 over the upper cells of a symmetric grid.

    A mirrored batch stands for both halves; another one has limits and is the upper half of
    `Batch.halves`. None if a cell is too wide, or the limit too near 0.
    """
    piece, factor = batch.piece, float(batch.factors[0])
    weight, spread = piece.weight * _share_of(batch), piece.spread
    unit = factor / spread
    if not _LEAST < unit < LARGEST:
        return None
    share = share_at(cells, law, unit)
    if not share:
        return None
    rule, spans, odd = rule_of(cells, share, law.panels_shrink), spans_of(cells), Sums()
    nodes, weights = rule.nodes, rule.pair if batch.mirrored else rule.weights
    if batch.limits is not None:
        high = float(batch.limits.high[0])
        last = int(spans.edges.searchsorted(high / factor)) - 1
        if last < 0:
            return None
        if last < spans.level.size:
            nodes, weights = nodes[: rule.begins[last]], weights[: rule.begins[last]]
            odd = _one_odd(batch, spans, last, high, nodes_between(share))
    p = law.pdf_outer(np.array([unit]), nodes)
    square, lever, *mean = (p @ weights)[0].tolist()
    area = weight * spread * unit * unit
    level = area * spread * unit
    mean_error = area * mean[0] if mean else 0.0
    return Sums(level * square, mean_error=mean_error, cross=level * (lever - square)) + odd


def _share_of(batch: Batch) -> float:
    """Return what part of both halves is asked for: the upper cells weigh for the lower too."""
    return 1.0 if batch.mirrored else 0.5


def _one_odd(batch: Batch, spans: Spans, last: int, high: float, count: int) -> Sums:
    """Integrate what `high` leaves of a span of the single row, by so many nodes."""
    factor = float(batch.factors[0])
    level = Ends.product(factor, float(spans.level[last]))
    edge = Ends.product(factor, float(spans.edges[last]))
    first, square = window_moments(batch.piece, level, edge, Ends.at(high), count)
    weight = float(spans.weight[last]) * _share_of(batch)
    found, lever = weight * float(square[0]), weight * float(first[0])
    mean_error = 0.0 if batch.mirrored else -lever
    return Sums(found, mean_error=mean_error, cross=-lever * float(level.value[0]) - found)
