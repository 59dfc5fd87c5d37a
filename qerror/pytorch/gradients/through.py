"""Operations whose gradient passes straight through, or is scaled."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.codes import quotient, rounded


class RoundThrough(Function):
    """Q(x steps) / steps with the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: float) -> Tensor:
        """Return the nearest multiples of 1 / steps, a tie going to the even one."""
        del ctx
        return quotient(rounded(x * steps, None), steps)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Hand the gradient on."""
        (g,) = grad_outputs
        del ctx
        return g, None


class Replaced(Function):
    """Other values in place of x, with the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor) -> Tensor:
        """Return y."""
        del ctx, x
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Hand the gradient on."""
        (g,) = grad_outputs
        del ctx
        return g, None


class PowerOfTwo(Function):
    """2^ceil(t), whose gradient is that of 2^t at the rounded t: ln 2 times the value."""

    @staticmethod
    def forward(ctx: Any, t: Tensor) -> Tensor:
        """Return the power, exact."""
        y = torch.ldexp(torch.ones_like(t), torch.ceil(t).to(torch.int32))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return ln 2 times the value, straight through the ceiling."""
        (g,) = grad_outputs
        (y,) = ctx.saved_tensors
        return g * y * math.log(2)


class ScaledGradient(Function):
    """A parameter whose gradient is multiplied by a number."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, factor: float) -> Tensor:
        """Return the parameter."""
        ctx.factor = factor
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradient times the factor."""
        (g,) = grad_outputs
        return g * ctx.factor, None


class AtLeast(Function):
    """The larger of a parameter and a floor; the gradient passes, so that it can come back."""

    @staticmethod
    def forward(ctx: Any, parameter: Tensor, floor: float) -> Tensor:
        """Return the parameter, raised to the floor."""
        del ctx
        return parameter.clamp(min=floor)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Hand the gradient on."""
        del ctx
        return grad_outputs[0], None
