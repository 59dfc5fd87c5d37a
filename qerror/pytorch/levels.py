"""The levels of a format on tensors: the same bits as `qerror.quantize`, and no gradient.

A value is divided by the scale, rounded in units of the format's own grid, and multiplied back.
"""

import math

import torch
from torch import Tensor

from qerror._arrays import positive_array
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.grids import Grid
from qerror.pytorch.rounders import (
    SINGLE,
    FloatingRounder,
    ListedRounder,
    Rounder,
    UniformRounder,
    layout_of,
)

MOST_LISTED = 1 << 16  # levels that a table may have

NARROW = (torch.float16, torch.bfloat16)


def working(x: Tensor) -> Tensor:
    """Return `x` in the dtype to work in: half precision becomes single.

    Raises
    ------
    InvalidType
        If `x` is no tensor of floating-point numbers.
    """
    if not isinstance(x, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"x must be a torch.Tensor, got {type(x).__name__}")
    if x.dtype in NARROW:
        return x.to(torch.float32)
    if x.dtype not in {torch.float32, torch.float64}:
        raise InvalidType(
            f"x must be a tensor of float16, bfloat16, float32 or float64, got {x.dtype}; "
            "convert it first: x.float()"
        )
    return x


def rounder_of(form: Format | str) -> Rounder:
    """Return what rounds to the levels of a format.

    Raises
    ------
    InvalidValue
        If the format has more than 65,536 levels that follow no rule known here.
    """
    form = as_scalar_format(form)
    grid = form.grid()
    if isinstance(form, FloatingPoint):
        return _floating(form, grid) if form.mantissa_bits else _listed(form, grid)
    if isinstance(form, Integer | FixedPoint):
        return _uniform(form, grid)
    return _listed(form, grid)


def _uniform(form: ScalarFormat, grid: Grid) -> Rounder:
    low, high, step = float(grid.edges[0]), float(grid.edges[-1]), float(grid.steps[0])
    exponent, top = _exponent(step), _exponent(max(-low, high))
    single = (
        max(-low, high) < step * 2.0 ** (SINGLE.digits - 1)
        and SINGLE.lowest < exponent
        and exponent + SINGLE.digits < SINGLE.highest
        and top < SINGLE.highest
    )
    odd = isinstance(form, Integer) and form.zero_point % 2 == 1
    return UniformRounder(low, high, step, odd, grid.factor, single)


def _floating(form: FloatingPoint, grid: Grid) -> Rounder:
    high, step = float(grid.edges[-1]), float(grid.steps.min())
    bits = form.mantissa_bits
    exponent, top = _exponent(step), _exponent(high)
    first = exponent + bits
    single = (
        bits <= SINGLE.digits - 2
        and SINGLE.lowest <= first
        and SINGLE.lowest < exponent
        and max(top, first) - bits + SINGLE.digits < SINGLE.highest
        and top < SINGLE.highest
    )
    low = -high if form.signed else 0.0
    return FloatingRounder(low, high, bits, first, _negative_zero(form), grid.factor, single)


def _negative_zero(form: ScalarFormat) -> bool:
    return (
        isinstance(form, FloatingPoint) and form.signed and form.specials in {"none", "ieee", "fn"}
    )


def _listed(form: ScalarFormat, grid: Grid) -> Rounder:
    if grid.size > MOST_LISTED:
        raise InvalidValue(
            f"{form.name} has {grid.size:,} levels that follow no rule known here; "
            f"at most {MOST_LISTED:,} can be listed"
        )
    points = tuple((grid.base_points + 0.0).tolist())  # adding zero takes the sign of -0 away
    return ListedRounder(points, grid.even_first, _negative_zero(form), grid.factor)


def _exponent(x: float) -> int:
    return math.frexp(x)[1] - 1


def quantize(x: Tensor, format: Format | str, scale: float | Tensor = 1.0) -> Tensor:  # noqa: A002
    """Replace every value by a level of a format: `qerror.quantize` for tensors.

    Parameters
    ----------
    x : Tensor
        float16, bfloat16, float32 or float64. Half precision is quantized in float32 and cast
        once.
    format : Format or str
        The format or its name.
    scale : float or Tensor
        Multiplies the levels; positive, and a normal number of the working dtype. One with
        several values must broadcast against `x`. The values of a tensor are not looked at, which
        would wait for the device: where one is not positive, the results have no meaning.

    Returns
    -------
    Tensor
        Of the dtype and shape of `x`, detached. NaN stays NaN.

    Raises
    ------
    InvalidType
        If `x` is no tensor of floating-point numbers.
    InvalidValue
        If a scale that is no tensor is not positive and finite.
    """
    rounder = rounder_of(format)
    wide = working(x)
    if not isinstance(scale, Tensor):
        scale = torch.from_numpy(positive_array("scale", scale))  # pyright: ignore[reportUnknownMemberType]
    with torch.no_grad():
        s = torch.as_tensor(scale, dtype=torch.float64, device=x.device).to(wide.dtype)
        return apply_levels(rounder, wide, s).to(x.dtype)


def apply_levels(rounder: Rounder, x: Tensor, s: Tensor) -> Tensor:
    """Return the levels of x at the scale s, all in float32 or all in float64.

    The same choices as in `qerror.quantize`: a list of levels is scaled itself if one scale
    serves all values; float64 works where float32 cannot hold every step; a factor that float32
    does not hold is multiplied in float64.
    """
    if isinstance(rounder, ListedRounder):
        return _listed_levels(rounder, x, s.to(torch.float64) * rounder.factor).to(x.dtype)
    if rounder.single and rounder.factor == 1:
        return rounder(x / s) * s
    total = s.to(torch.float64) * rounder.factor
    if rounder.single:
        return (rounder(x / total.to(x.dtype)).to(torch.float64) * total).to(x.dtype)
    y = (rounder(x.to(torch.float64) / total) * total).to(x.dtype)
    if math.log2(rounder.high) > layout_of(x.dtype).highest - _ROOM:
        y = torch.where(torch.isinf(y), torch.copysign(_outermost(rounder, total, x.dtype), y), y)
    return y


def _listed_levels(rounder: ListedRounder, x: Tensor, total: Tensor) -> Tensor:
    """Return the nearest of the listed levels; those that the dtype of x does not hold are none."""
    points = torch.tensor(rounder.points, dtype=torch.float64, device=x.device)
    wide = x.to(torch.float64)
    if total.numel() == 1:
        level = rounder.at(wide, points * total.reshape(()))
    else:
        level = rounder.at(wide / total, points) * total
    if math.log2(max(abs(rounder.low), abs(rounder.high), 1.0)) <= SINGLE.highest - _ROOM:
        return level
    held = (points * total[..., None]).to(x.dtype)
    held = torch.where(torch.isfinite(held), held, 0.0).amax(-1).to(torch.float64)
    return torch.where(torch.isinf(level.to(x.dtype)), torch.copysign(held, level), level)


_ROOM = 40
"""Binary orders of magnitude between a format's largest level and the dtype's within which a
scale can bring the former beyond the latter; scales of 2^40 and more are not looked after."""


def _outermost(rounder: Rounder, total: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the largest level, at this scale, that is finite in the dtype."""
    limit = torch.finfo(dtype).max / total
    near = rounder(limit)
    binade = torch.exp2(torch.floor(torch.log2(near)))
    share = 2.0 ** -(getattr(rounder, "mantissa_bits", 0) + 1)
    # Just below the nearest one, in the binade below if that starts one.
    below = rounder(near - binade * torch.where(near == binade, 0.6 * share, 1.2 * share))
    near_fits = torch.isfinite((near * total).to(dtype))
    return (torch.where(near_fits, near, below) * total).to(dtype)
