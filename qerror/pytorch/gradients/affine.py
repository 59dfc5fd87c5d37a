"""Uniform steps with a learnable step, zero point and offset."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.gradients.codes import nearest_code, rounded
from qerror.pytorch.gradients.masks import Mask, ScaleRule, between, scale_gradient, summed


class Affine(Function):
    """y = s (clip(Q((x - beta)/s + z), low, high) - z) + beta.

    Arguments: x, s, z, beta (tensors; the last two may be None for 0), low, high, the mask rule,
    the scale rule, and DSQ's (height, k) of the slope, or None for a straight line.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd passes arguments by position
        ctx: Any,
        x: Tensor,
        s: Tensor,
        z: Tensor | None,
        beta: Tensor | None,
        low: float,
        high: float,
        mask: Mask,
        rule: ScaleRule,
        slope: tuple[float, float] | None,
    ) -> Tensor:
        """Return the levels."""
        v = x / s if beta is None else (x - beta) / s
        y = nearest_code(v, low, high, z) * s
        y = y if beta is None else y + beta
        ctx.save_for_backward(x, s, z, beta, y)
        ctx.rules = low, high, mask, rule, slope
        return y

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        """Return the gradients of x, s, z and beta."""
        (g,) = grad_outputs
        x, s, z, beta, y = ctx.saved_tensors
        low, high, mask, rule, slope = ctx.rules
        _, s_needs, z_needs, beta_needs, *_ = ctx.needs_input_grad
        v = (x if beta is None else x - beta) / s
        inside = _inside(v, low, high, z, mask)
        dx = g * inside
        shift = g if rule == "exact" else g - dx  # what an offset of the levels receives
        ds = dz = dbeta = None
        if s_needs and rule != "none":
            level = y if beta is None else y - beta
            ds = summed(scale_gradient(g, inside, y - x, level, rule), s) / s
        if z_needs and z is not None:
            dz = summed(-s * shift, z)
        if beta_needs and beta is not None:
            dbeta = summed(shift, beta)
        dx = dx if slope is None else dx * _slope(v, *slope)
        return dx, ds, dz, dbeta, None, None, None, None, None


def _inside(v: Tensor, low: float, high: float, z: Tensor | None, mask: Mask) -> Tensor:
    ends = (low, high) if z is None else (low - z, high - z)
    if mask in {"open-rounded", "closed-rounded"}:
        v = rounded(v, z)
    return between(v, *ends, closed=mask in {"closed", "closed-rounded"})


def _slope(v: Tensor, height: float, k: float) -> Tensor:
    """Return DSQ's slope in a cell, height sech^2(k (u - 1/2)), at u = v - floor(v)."""
    return height / torch.cosh(k * (v - torch.floor(v) - 0.5)) ** 2
