"""Any format with a learnable scale."""

from typing import Any

from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.masks import ScaleRule, above, between, scale_gradient, summed
from qerror.pytorch.levels import apply_levels
from qerror.pytorch.rounders import Rounder


class Ranged(Function):
    """y = s level(x / s), for any format.

    Arguments: x, s, a rounder, whether the mask is closed, the scale rule.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any, x: Tensor, s: Tensor, rounder: Rounder, closed: bool, rule: ScaleRule
    ) -> Tensor:
        """Return the levels."""
        y = apply_levels(rounder, x, s)
        ctx.save_for_backward(x, s, y)
        ctx.rules = rounder.low * rounder.factor, rounder.high * rounder.factor, closed, rule
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of x and s."""
        (g,) = grad_outputs
        x, s, y = ctx.saved_tensors
        low, high, closed, rule = ctx.rules
        if low == -high:
            distance = high * s - x.abs()
            inside = 1 - above(-distance) if closed else above(distance)
        else:
            inside = between(x, low * s, high * s, closed=closed)
        ds = None
        if ctx.needs_input_grad[1] and rule != "none":
            ds = summed(scale_gradient(g, inside, y - x, y, rule), s) / s
        return g * inside, ds, None, None, None
