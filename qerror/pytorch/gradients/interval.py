"""A learnable interval before uniform steps."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.masks import between, summed


class Interval(Function):
    """QIL's transform: 0 up to c - d, 1 from c + d on, a power of the line between.

    Arguments: x, c, d, the exponent gamma, and whether x has a sign that is put back.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any, x: Tensor, c: Tensor, d: Tensor, gamma: float, signed: bool
    ) -> Tensor:
        """Return the transformed values, in [-1, 1] or [0, 1]."""
        size = x.abs() if signed else x
        ctx.save_for_backward(x, c, d)
        ctx.rules = gamma, signed
        # Clipped before the power, and held at the very ends where rounding would miss them.
        line = torch.clamp(0.5 + (size - c) / (2 * d), 0.0, 1.0)
        line = line if gamma == 1 else line**gamma
        line = torch.where(size <= c - d, 0.0, torch.where(size >= c + d, 1.0, line))
        return torch.copysign(line, x) if signed else line

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of x, c and d; strictly inside, the rest is constant."""
        (g,) = grad_outputs
        x, c, d = ctx.saved_tensors
        gamma, signed = ctx.rules
        size = x.abs() if signed else x
        inside = between(size, c - d, c + d, closed=False)
        slope = inside / (2 * d)
        if gamma != 1:
            line = torch.where(inside > 0, 0.5 + (size - c) / (2 * d), 1.0)
            slope = slope * gamma * line ** (gamma - 1)
        away = g * slope * (torch.sign(x) if signed else 1.0)
        # Infinite values are outside: chosen, so that 0 times infinity does not arise.
        dd = torch.where(inside > 0, away * (size - c) / d, 0.0)
        return g * slope, summed(-away, c), summed(-dd, d), None, None
