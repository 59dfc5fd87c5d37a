"""What the methods share: arguments at the door, dtypes, scaled gradients."""

import math
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from qerror._arrays import integer, positive, real
from qerror.exceptions import InvalidValue
from qerror.pytorch.gradients import Affine, Mask, ScaledGradient, ScaleRule, apply
from qerror.pytorch.levels import working
from qerror.pytorch.rounders import DOUBLE, SINGLE

Rule: TypeAlias = Literal["straight-through", "exact"]
Form: TypeAlias = Literal["weight", "activation"]
Number: TypeAlias = Tensor | float

_MOST_CODE = 2.0 ** (DOUBLE.digits - 2)

FLOOR = 2.0**-100
"""What scales and ranges that learn are raised to: nothing is divided by 0, whatever an optimizer
does."""


def with_step(
    x: Tensor, s: Number, low: int, high: int, scale_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Return x and s in the dtype to work in, the gradient of s scaled."""
    wide = wide_codes(x, low, high)
    return wide, scaled(positive_like("s", s, wide), wide, high, scale_gradient)


def affine(  # noqa: PLR0917 - the formula's letters
    x: Tensor,
    wide: Tensor,
    step: Tensor,
    z: Tensor | None,
    beta: Tensor | None,
    codes: tuple[int, int],
    mask: Mask,
    rule: ScaleRule,
    slope: tuple[float, float] | None = None,
) -> Tensor:
    """Return uniform steps with their gradients, in the dtype of x."""
    low, high = float(codes[0]), float(codes[1])
    return apply(Affine, wide, step, z, beta, low, high, mask, rule, slope).to(x.dtype)


def wide_codes(x: Tensor, low: int, high: int) -> Tensor:
    """Return x in a dtype whose rounding constant holds all codes."""
    if not low < high:
        raise InvalidValue(f"low must be below high, got {low} and {high}")
    wide, most = working(x), float(max(abs(low), abs(high), high - low))
    if most > _MOST_CODE:
        raise InvalidValue(f"codes must stay within {_MOST_CODE:.0f}, got {low} .. {high}")
    return wide if most < 2.0 ** (SINGLE.digits - 1) else wide.to(torch.float64)


def like(name: str, value: Number, x: Tensor) -> Tensor:
    """Return a parameter as a tensor in the dtype of x.

    A number is checked; the values of a tensor are not looked at, which would wait for the device.
    """
    if isinstance(value, Tensor):
        return value.to(x.dtype)
    return torch.full((), real(name, value), dtype=x.dtype, device=x.device)


def positive_like(name: str, value: Number, x: Tensor) -> Tensor:
    """Return a parameter that must be above 0 as a tensor in the dtype of x; see `like`."""
    if not isinstance(value, Tensor):
        tiny = torch.finfo(x.dtype).tiny
        if positive(name, value) < tiny:
            raise InvalidValue(f"{name} must be at least {tiny:.3g} for {x.dtype}, got {value:g}")
    return like(name, value, x)


def spread(x: Tensor) -> Tensor:
    """Return the unbiased standard deviation of all values, above 0; one value has none."""
    tiny = torch.finfo(x.dtype).tiny
    return x.std().clamp(min=tiny) if x.numel() > 1 else x.new_full((), tiny)


def scaled(parameter: Tensor, x: Tensor, high: int, wanted: bool) -> Tensor:
    """Return the parameter with its gradient multiplied by 1/sqrt(M high)."""
    if not wanted:
        return parameter
    served = max(x.numel() // max(parameter.numel(), 1), 1)
    return apply(ScaledGradient, parameter, 1 / math.sqrt(served * high))


def fixed_codes(word_length: int, signed: bool) -> tuple[int, int]:
    """Return the smallest and the largest code of F8Net's fixed point."""
    high = 2 ** (integer("word_length", word_length, 1 + signed, 32) - signed) - 1
    return (-high if signed else 0), high


def exponent(length: int | Tensor, x: Tensor) -> Tensor:
    """Return a fractional length as a tensor of integers."""
    return torch.as_tensor(length, dtype=torch.int32, device=x.device)


def power(exponent: Tensor, x: Tensor) -> Tensor:
    """Return 2^exponent in the dtype of x, exact."""
    return torch.ldexp(torch.ones_like(exponent, dtype=x.dtype), exponent)


def scale_rule(rule: str) -> ScaleRule:
    """Return what the scale receives under a rule by name."""
    if rule not in {"straight-through", "exact"}:
        raise InvalidValue(f"rule must be 'straight-through' or 'exact', got {rule!r}")
    return "exact" if rule == "exact" else "residual"


def check_form(form: str) -> None:
    """Refuse what is neither weight nor activation."""
    if form not in {"weight", "activation"}:
        raise InvalidValue(f"form must be 'weight' or 'activation', got {form!r}")
