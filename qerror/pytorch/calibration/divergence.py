"""Ranges by the divergence of histograms."""

from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qerror.exceptions import InvalidValue
from qerror.pytorch.calibration.base import Calibration, Range, Target, symmetric

_Counts = npt.NDArray[np.float64]

BINS = 2048
_ABSENT = 1e-4  # counts of a bin that holds data but no level's share


@final
@dataclass(frozen=True)
class KLD(Calibration):
    """The clip whose quantized histogram of abs(x) diverges least from the original.

    2048 bins on [0, max abs(x)]. For every number i of bins kept: P is the histogram with what
    lies beyond added to its last bin; Q deals the kept bins to L levels, floor(j L / i), and
    spreads each level's mean over its bins that are not empty. The i with the least
    KL(P || Q) gives c = i/2048 max abs(x); L = 2^(bits - 1), unsigned 2^bits. Kept bins that are
    all empty have no Q and are passed over: data of one size get that size.

    References
    ----------
    Migacz 2017, 8-bit inference with TensorRT (GTC 2017); Li et al. 2021 (MQBench), section 3.
    """

    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return the clip, shape (rows, 1).

        Raises
        ------
        InvalidValue
            If a zero point is asked for, or the format has more levels than bins.
        """
        levels = 2 ** (target.form.bits - (target.form.grid().min < 0))
        if target.asymmetric:
            raise InvalidValue("KLD chooses a clip, not a zero point; use another calibration")
        if levels > BINS:
            raise InvalidValue(f"KLD has {BINS} bins, fewer than the levels of {target.form.name}")
        found = [_clip(row, levels) for row in rows.abs().cpu().numpy()]
        return torch.tensor(found, dtype=torch.float64, device=rows.device)[:, None]

    def solve(self, statistic: Tensor, target: Target) -> Range:
        """Let the largest level be the clip."""
        return symmetric(statistic[:, 0], target)


def _clip(size: npt.NDArray[np.float64], levels: int) -> float:
    top = float(size.max())
    if top == 0:
        return 0.0
    counts = np.histogram(size, BINS, (0.0, top))[0].astype(np.float64)
    kept = range(levels, BINS + 1)
    divergences = [_divergence(counts, i, levels) for i in kept]
    return kept[int(np.argmin(divergences))] / BINS * top


def _divergence(counts: _Counts, kept: int, levels: int) -> float:
    """Return KL(P || Q) with `kept` bins."""
    inside = counts[:kept]
    if not inside.any():
        return np.inf
    p = inside.copy()
    p[-1] += counts[kept:].sum()
    level = np.arange(kept) * levels // kept
    total = np.bincount(level, inside, levels)
    filled = np.bincount(level, inside > 0, levels)
    mean = np.divide(total, filled, out=np.zeros(levels), where=filled > 0)
    q = np.where(inside > 0, mean[level], 0.0)
    some = p > 0
    p, q = p[some], np.where(q[some] > 0, q[some], _ABSENT)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())
