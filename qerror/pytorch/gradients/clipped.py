"""Uniform steps between learnable ends, with the gradient of the clip."""

from typing import Any

from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.codes import nearest_code, quotient, rounded
from qerror.pytorch.gradients.masks import above, summed


class Clipped(Function):
    """PACT: levels between two learnable ends; the gradient is that of the clip alone.

    Arguments: x, the lower end (a tensor, or None for 0 or minus the upper end), the upper end,
    the smallest and the largest code.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any, x: Tensor, bottom: Tensor | None, top: Tensor, low: float, high: float
    ) -> Tensor:
        """Return the levels."""
        s = quotient(top if bottom is None else top - bottom, high)
        z = None if bottom is None else -rounded(bottom / s, None)
        ctx.save_for_backward(x, bottom, top)
        ctx.low = low
        return nearest_code(x / s, low, high, z) * s

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of x and both ends."""
        (g,) = grad_outputs
        x, bottom, top = ctx.saved_tensors
        over = 1 - above(top - x)  # x >= top
        if bottom is not None:
            under = 1 - above(x - bottom)
        elif ctx.low < 0:
            under = 1 - above(x + top)
        else:
            under = above(-x)  # 0 itself is inside
        dx = g * (1 - over) * (1 - under)
        dtop = summed(g * (over - under if bottom is None and ctx.low < 0 else over), top)
        dbottom = None if bottom is None else summed(g * under, bottom)
        return dx, dbottom, dtop, None, None
