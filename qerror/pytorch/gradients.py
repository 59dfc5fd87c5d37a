"""Forward levels with hand-written gradients: the pieces that every method is made of.

Each piece is an `autograd.Function` that says where a value counts as inside the range (the mask
rule) and what a parameter of the range receives (the scale rule). With v = x / s in units of the
step, q its level in the same units and g the gradient that comes in:

===================  ====================================================================
rule of the scale    ds
===================  ====================================================================
``residual``         inside g (q - v), outside g q: straight through (LSQ, TQT, paper 1)
``exact``            g q everywhere: the code is held fixed, and so dMSE/ds = (2/s) E[q s e]
``none``             nothing
===================  ====================================================================

Masks are computed as numbers 0 and 1 from the sign of a distance to the ends. A stored bool
would cost the compiled code more than the quantizer itself: its store is scalar on many CPUs.
"""

import math
from typing import Any, Literal, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd import Function

from qerror.pytorch.levels import Rounder, apply_levels, layout_of, round_binades

Mask: TypeAlias = Literal["open", "closed", "open-rounded", "closed-rounded"]
"""Which values are inside: those between the ends, without or with them; of x itself, or after
rounding."""

ScaleRule: TypeAlias = Literal["residual", "exact", "none"]
"""What the scale receives."""


def apply(function: type[Function], *arguments: object) -> Tensor:
    """Return the result of an autograd function, which torch leaves untyped."""
    return cast("Tensor", function.apply(*arguments))  # type: ignore[no-untyped-call]


def above(distance: Tensor) -> Tensor:
    """Return 1 where a number is positive, else 0."""
    return torch.sign(distance).clamp(min=0)


def between(v: Tensor, low: Tensor | float, high: Tensor | float, *, closed: bool) -> Tensor:
    """Return 1 where low < v < high, or low <= v <= high, else 0.

    A difference of two different floats is never 0, so its sign is exact.
    """
    if closed:
        return 1 - above(torch.maximum(low - v, v - high))
    return above(torch.minimum(v - low, high - v))


def summed(gradient: Tensor, like: Tensor) -> Tensor:
    """Return a gradient added up to the shape of the parameter it belongs to."""
    return gradient.sum_to_size(like.shape) if gradient.shape != like.shape else gradient


class Affine(Function):
    """y = s (clip(Q((x - beta)/s + z), low, high) - z) + beta.

    Arguments: x, s, z, beta (tensors; the last two may be None for 0), low, high, the mask rule,
    the scale rule, and DSQ's (height, k) of the slope, or None for a straight line.
    """

    @staticmethod
    def forward(
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
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return the gradients of x, s, z and beta."""
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


def nearest_code(v: Tensor, low: float, high: float, z: Tensor | None) -> Tensor:
    """Return clip(Q(v + z), low, high) - z for an integer z, a tie going to the even code.

    z rides on the constant that rounds, so that v + z is rounded once.
    """
    if z is None:
        return _rounded(torch.clamp(v, low, high), None)
    return _rounded(torch.clamp(v, low - z, high - z), z)


def _rounded(v: Tensor, z: Tensor | None) -> Tensor:
    half = 1.5 * 2.0 ** layout_of(v.dtype).digits
    magic = half if z is None else half + z
    return (v + magic) - magic


def _inside(v: Tensor, low: float, high: float, z: Tensor | None, mask: Mask) -> Tensor:
    ends = (low, high) if z is None else (low - z, high - z)
    if mask in {"open-rounded", "closed-rounded"}:
        v = _rounded(v, z)
    return between(v, *ends, closed=mask in {"closed", "closed-rounded"})


def scale_gradient(
    g: Tensor, inside: Tensor, error: Tensor, level: Tensor, rule: ScaleRule
) -> Tensor:
    """Return each value's share in s ds: the level outside, the error y - x inside."""
    if rule == "exact":
        return g * level
    # Chosen, not multiplied by 0: the error of an infinite value is infinite.
    return g * torch.where(inside > 0, error, level)


def _slope(v: Tensor, height: float, k: float) -> Tensor:
    """Return DSQ's slope in a cell, height sech^2(k (u - 1/2)), at u = v - floor(v)."""
    return height / torch.cosh(k * (v - torch.floor(v) - 0.5)) ** 2


class Ranged(Function):
    """y = s level(x / s), for any format.

    Arguments: x, s, a rounder, whether the mask is closed, the scale rule.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, s: Tensor, rounder: Rounder, closed: bool, rule: ScaleRule
    ) -> Tensor:
        """Return the levels."""
        y = apply_levels(rounder, x, s)
        ctx.save_for_backward(x, s, y)
        ctx.rules = rounder.low * rounder.factor, rounder.high * rounder.factor, closed, rule
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return the gradients of x and s."""
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


class Floating(Function):
    """Paper 1's quantizer of x with the largest level c and a rounded number of mantissa bits m.

    Further arguments: m as an integer, the scale gamma = c / largest, the grid at scale 1
    (`first`, the exponent field of its smallest normal level; `largest`, its largest level),
    `slope`, the factor of dF/dm, whether it is signed, and the scale rule.
    """

    @staticmethod
    def forward(
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
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return the gradients of x, c and m."""
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


class Clipped(Function):
    """PACT: levels between two learnable ends; the gradient is that of the clip alone.

    Arguments: x, the lower end (a tensor, or None for 0 or minus the upper end), the upper end,
    the smallest and the largest code.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, bottom: Tensor | None, top: Tensor, low: float, high: float
    ) -> Tensor:
        """Return the levels."""
        s = (top if bottom is None else top - bottom) / high
        z = None if bottom is None else -_rounded(bottom / s, None)
        ctx.save_for_backward(x, bottom, top)
        ctx.low = low
        return nearest_code(x / s, low, high, z) * s

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return the gradients of x and both ends."""
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


class Interval(Function):
    """QIL's transform: 0 up to c - d, 1 from c + d on, a power of the line between.

    Arguments: x, c, d, the exponent gamma, and whether x has a sign that is put back.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, c: Tensor, d: Tensor, gamma: float, signed: bool) -> Tensor:
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
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return the gradients of x, c and d; strictly inside, the rest is constant."""
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


class RoundThrough(Function):
    """Q(x steps) / steps with the gradient of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, steps: float) -> Tensor:
        """Return the nearest multiples of 1 / steps, a tie going to the even one."""
        del ctx
        return _rounded(x * steps, None) / steps

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        """Hand the gradient on."""
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
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return ln 2 times the value, straight through the ceiling."""
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
    def backward(ctx: Any, g: Tensor) -> Any:
        """Return the gradient times the factor."""
        return g * ctx.factor, None
