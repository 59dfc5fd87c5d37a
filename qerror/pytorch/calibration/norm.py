"""Steps from a norm of the data, as LSQ starts."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from qerror._arrays import positive
from qerror.pytorch.calibration.base import Calibration, Range, Target


@final
@dataclass(frozen=True)
class Norm(Calibration):
    """s = 2 (mean abs(x)^power)^(1/power)/sqrt(p), p the largest code; LSQ's start is power 1.

    With a zero point, z = n - Q(min/s). At 8 bits this has many times the least error: it is a
    start for training, not a range to deploy.

    Parameters
    ----------
    power : float

    References
    ----------
    Esser et al. 2020 (arXiv 1902.08153), section 2.1.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        positive("power", self.power)

    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return the norm and the minimum."""
        del target
        most = rows.abs().amax(1, keepdim=True)
        unit = torch.where(most > 0, most, torch.ones_like(most))  # so that no power underflows
        norm = (rows / unit).abs().pow(self.power).mean(1).pow(1 / self.power)
        return torch.stack([norm * unit[:, 0], rows.amin(1)], 1)

    def merge(self, old: Tensor, count: int, new: Tensor, added: int) -> Tensor | None:
        """Return the norm of the union."""
        total = count + added
        powers = old[:, 0].pow(self.power) * count + new[:, 0].pow(self.power) * added
        norm = (powers / total).pow(1 / self.power)
        return torch.stack([norm, torch.minimum(old[:, 1], new[:, 1])], 1)

    def solve(self, statistic: Tensor, target: Target) -> Range:
        """Return the step; 1 where all values are 0."""
        n, p = target.codes
        scale = 2 * statistic[:, 0] / math.sqrt(p)
        scale = target.scale_rule(torch.where(scale > 0, scale, torch.ones_like(scale)))
        zero = torch.zeros_like(scale)
        if target.asymmetric:
            zero = (n - torch.round(statistic[:, 1].clamp(max=0) / scale)).clamp(n, p)
        return Range(scale, zero)
