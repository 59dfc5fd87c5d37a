"""Floating point whose largest level and number of mantissa bits learn."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.masks import ScaleRule, summed
from qerror.pytorch.rounders import round_binades


class Floating(Function):
    """Paper 1's quantizer of x with the largest level c and a rounded number of mantissa bits m.

    Further arguments: the scale gamma = c / largest, the grid at scale 1 (`raised`, which takes a
    binade to the constant that rounds in it; `first`, the exponent field of the smallest normal
    level; `largest`, the largest level), `slope`, the factor of dF/dm, whether it is signed, and
    the scale rule.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        x: Tensor,
        c: Tensor,
        m: Tensor | None,
        gamma: Tensor,
        raised: Tensor | int,
        first: Tensor | int,
        largest: Tensor | float,
        slope: Tensor | None,
        signed: bool,
        rule: ScaleRule,
    ) -> Tensor:
        """Return the levels."""
        del m  # what learns; the rest of the grid was made of it
        v = (x.abs() if signed else x.clamp(min=0)) / gamma
        y = round_binades(torch.clamp(v, max=largest), raised, first) * gamma
        y = torch.copysign(y, x) if signed else y
        ctx.save_for_backward(x, c, y, slope)
        ctx.rules = signed, rule
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of x, c and m."""
        (g,) = grad_outputs
        x, c, y, slope = ctx.saved_tensors
        signed, rule = ctx.rules
        _, c_needs, m_needs, *_ = ctx.needs_input_grad
        inside = x.abs() <= c if signed else (x >= 0) & (x <= c)
        dc = dm = None
        error = y - x
        if c_needs:
            dc = summed(g * (y if rule == "exact" else torch.where(inside, error, y)), c) / c
        if m_needs and slope is not None:
            dm = summed(torch.where(inside, g * error, 0.0), slope) * slope
        return torch.where(inside, g, 0.0), dc, dm, None, None, None, None, None, None, None
