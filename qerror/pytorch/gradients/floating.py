"""Floating point whose largest level and number of mantissa bits learn."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.masks import ScaleRule, above, between, scale_gradient, summed
from qerror.pytorch.rounders import round_binades


class Floating(Function):
    """Paper 1's quantizer of x with the largest level c and a rounded number of mantissa bits m.

    Further arguments: m as an integer, the scale gamma = c / largest, the grid at scale 1
    (`first`, the exponent field of its smallest normal level; `largest`, its largest level),
    `slope`, the factor of dF/dm, whether it is signed, and the scale rule.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        x: Tensor,
        c: Tensor,
        m: Tensor | None,
        used: Tensor | int,
        gamma: Tensor,
        first: Tensor | int,
        largest: Tensor | float,
        slope: Tensor | None,
        signed: bool,
        rule: ScaleRule,
    ) -> Tensor:
        """Return the levels."""
        del m  # what learns; `used` is the same as an integer
        v = (x.abs() if signed else x.clamp(min=0)) / gamma
        y = round_binades(torch.clamp(v, max=largest), used, first, positive=True) * gamma
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
        inside = 1 - above(x.abs() - c) if signed else between(x, 0.0, c, closed=True)
        dc = dm = None
        if c_needs:
            dc = summed(scale_gradient(g, inside, y - x, y, rule), c) / c
        if m_needs and slope is not None:
            error = torch.where(inside > 0, y - x, 0.0)
            dm = summed(g * error * slope, slope)
        return g * inside, dc, dm, None, None, None, None, None, None, None
