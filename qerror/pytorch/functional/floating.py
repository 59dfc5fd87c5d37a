"""Paper 1: floating point with a learnable range and format."""

import math
from typing import Any

import torch
from torch import Tensor

from qerror._arrays import integer, real
from qerror.exceptions import InvalidValue
from qerror.pytorch.functional.shared import Number, Rule, like, positive_like, scale_rule
from qerror.pytorch.gradients import Floating, RoundThrough, apply, quotient
from qerror.pytorch.levels import working
from qerror.pytorch.rounders import DOUBLE, SINGLE, Layout, layout_of, raised_by

_WIDEST_EXPONENT = 10
_WIDEST_SINGLE = 7
"""Exponent bits of the widest grids whose normal levels are normal numbers of float64, float32."""


def fp(
    x: Tensor,
    c: Number,
    mantissa_bits: Number,
    *,
    bits: int = 8,
    signed: bool = True,
    rule: Rule = "straight-through",
) -> Tensor:
    """Quantize to floating point with a learnable largest level and number of mantissa bits.

    Levels are those of the format with m mantissa and E = bits - 1 - m exponent bits, no code
    reserved, scaled so that the largest is c. m is `mantissa_bits` rounded (half to even,
    straight through) and clamped to 1 .. bits - 2.

    Parameters
    ----------
    x : Tensor
    c : Tensor or float
        The largest level, positive. The values of a tensor are not looked at: where one is 0, below
        0 or NaN, so are the levels without meaning.
    mantissa_bits : Tensor or float
        A tensor may learn.
    bits : int
        Of a code with its sign: 3 .. 12 if `mantissa_bits` is a tensor. Unsigned levels are those
        of the signed format that are not negative.
    signed : bool
    rule : {"straight-through", "exact"}
        dF/dc inside: (F - x)/c as in the paper, or F/c, which makes the gradient of the mean
        squared error its true derivative.

    Returns
    -------
    Tensor
        F(x), of the dtype and shape of `x`.

    Notes
    -----
    Inside means abs(x) <= c, the ends included. There dF/dx = 1 and, with the straight-through
    rule, dF/dc = (F - x)/c; outside they are 0 and sign(x). dF/dm = (F - x) ln 2 (2^E ln 2 -
    1/(2^(m+1) - 1) - 1) inside, else 0.

    References
    ----------
    Kuzmin et al. 2022, equations 8 to 12 and appendix H.
    """
    receives = scale_rule(rule)
    bits = integer("bits", bits, 3, 64)
    learns = isinstance(mantissa_bits, Tensor)
    m: Tensor | int = 0
    if not isinstance(mantissa_bits, Tensor):
        m = min(max(round(real("mantissa_bits", mantissa_bits)), 1), bits - 2)
    widest = (bits - 2, bits - 2) if learns else (int(m), bits - 1 - int(m))
    wide = _wide_enough(x, *widest)
    layout = layout_of(wide.dtype)
    rounded: Tensor | None = None
    if isinstance(mantissa_bits, Tensor):
        # Widened first: half precision does not hold the constant that rounds.
        rounded = torch.clamp(
            apply(RoundThrough, like("mantissa_bits", mantissa_bits, wide), 1.0), 1, bits - 2
        )
        m = rounded.detach().to(layout.integer)
    first, largest = _grid(m, bits - 1 - m, layout)
    slope = None if isinstance(m, int) else _mantissa_slope(m, bits - 1 - m, wide.dtype)
    limit = positive_like("c", c, wide)
    gamma = quotient(limit.detach(), largest)
    if isinstance(c, float | int):
        gamma = like("c", c / largest, wide)  # one rounding to the dtype, as in `qerror.quantize`
    raised = raised_by(m, layout, positive=True)
    grid = (_stored(each) for each in (gamma, raised, first, largest, slope))
    arguments = (wide, limit, rounded, *grid, signed, receives)
    return apply(Floating, *arguments).to(x.dtype)


def _stored(value: Tensor | float | None) -> Any:
    """Return a number of the grid such that compiled code computes it once.

    It would compute it anew for every few values of x; a strided view makes it store the number.
    """
    return value.as_strided(value.shape, value.stride()) if isinstance(value, Tensor) else value


def _wide_enough(x: Tensor, mantissa_bits: int, exponent_bits: int) -> Tensor:
    """Return x in a dtype that holds every step on a grid of this width."""
    wide = working(x)
    if exponent_bits > _WIDEST_EXPONENT or mantissa_bits > DOUBLE.digits - 2:
        raise InvalidValue(
            f"fp works with at most {_WIDEST_EXPONENT} exponent and {DOUBLE.digits - 2} mantissa "
            f"bits, got up to {exponent_bits} and {mantissa_bits}; use fewer bits, or a number "
            "for mantissa_bits"
        )
    single = exponent_bits <= _WIDEST_SINGLE and mantissa_bits <= SINGLE.digits - 2
    return wide if single else wide.to(torch.float64)


def _grid(
    m: Tensor | int, exponent_bits: Tensor | int, layout: Layout
) -> tuple[Tensor | int, Tensor | float]:
    """Return the exponent field of the smallest normal level at bias 2^(E - 1), and the largest.

    The largest, (2 - 2^-m) 2^(2^E - 1 - bias), is put together from its bits: exact for a tensor.
    """
    if isinstance(m, int):
        bias = 2 ** (int(exponent_bits) - 1)
        largest = math.ldexp(2 - 2.0**-m, bias - 1)
        return (1 - bias + layout.bias) << layout.digits, largest
    one = torch.ones_like(m)
    bias_ = one << (exponent_bits - 1)
    ones = ((one << m) - 1) << (layout.digits - m)
    field = ((bias_ - 1 + layout.bias) << layout.digits) | ones
    dtype = torch.float64 if layout is DOUBLE else torch.float32
    return (1 - bias_ + layout.bias) << layout.digits, field.view(dtype)


def _mantissa_slope(m: Tensor, exponent_bits: Tensor, dtype: torch.dtype) -> Tensor:
    """Return (dF/dm)/(F - x) = ln 2 (2^E ln 2 - 1/(2^(m+1) - 1) - 1)."""
    one = torch.ones_like(m)
    power = (one << exponent_bits).to(dtype)
    codes = ((one << (m + 1)) - 1).to(dtype)
    return math.log(2) * (power * math.log(2) - 1 / codes - 1)
