"""How ranges come from data, by the names that a recipe has for it."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from qerror.pytorch.calibration import (
    KLD,
    MSE,
    Calibration,
    Fitted,
    MeanStd,
    MinMax,
    Norm,
    Optimal,
    Quantile,
    Range,
    Target,
)
from qerror.registry import Registry


@final
@dataclass(frozen=True)
class Unit(Calibration):
    """No range is sought: the scale is 1, and a floating-point format keeps its own bias."""

    def statistic(self, rows: Tensor, target: Target) -> Tensor:
        """Return 1 for every row."""
        del target
        return torch.ones(len(rows), 1, dtype=rows.dtype, device=rows.device)

    def solve(self, statistic: Tensor, target: Target) -> Range:
        """Return the scale 1."""
        scale = target.scale_rule(statistic[:, 0])
        return Range(scale, torch.zeros_like(scale))


CALIBRATIONS: Registry[Calibration] = Registry("calibration", "qerror.pytorch.CALIBRATIONS")
"""The calibrations that a recipe can name."""

for _name, _member in {
    "minmax": MinMax(),
    "quantile": Quantile(),
    "mse": MSE(),
    "optimal": Optimal(),
    "fitted": Fitted(),
    "kld": KLD(),
    "norm": Norm(),
    "mean-std": MeanStd(),
    "unit": Unit(),
}.items():
    CALIBRATIONS.register(_name, _member)
