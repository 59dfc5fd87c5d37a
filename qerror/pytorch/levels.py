"""The levels of a format on tensors: the same bits as `qerror.quantize`, and no gradient.

A value is divided by the scale, rounded in units of the format's own grid, and multiplied back.
Rounding adds a constant whose unit in the last place is the step, and takes it away again: the
sum is rounded to nearest even, the difference is exact, and nothing else is needed, neither a
logarithm nor a branch.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.grids import Grid

MOST_LISTED = 1 << 16  # levels that a table may have

NARROW = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Layout:
    """How a binary float is made of bits."""

    integer: torch.dtype
    digits: int
    """Stored bits of the significand."""
    bias: int
    """Of the exponent field."""

    @property
    def exponent(self) -> int:
        """The bits of the exponent field."""
        return (2 * self.bias + 1) << self.digits

    @property
    def lowest(self) -> int:
        """Exponent of the smallest normal number."""
        return 1 - self.bias

    @property
    def highest(self) -> int:
        """Exponent of the largest binade."""
        return self.bias


SINGLE = Layout(torch.int32, 23, 127)
DOUBLE = Layout(torch.int64, 52, 1023)


def layout_of(dtype: torch.dtype) -> Layout:
    """Return the layout of float32 or float64."""
    return DOUBLE if dtype == torch.float64 else SINGLE


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


class Rounder(ABC):
    """Takes values in units of a format's grid to its levels."""

    low: float
    high: float
    factor: float
    """Multiplies every level; 1 but for floating point with a bias that is no integer."""
    single: bool
    """Whether float32 holds every step of the method."""

    @abstractmethod
    def __call__(self, v: Tensor) -> Tensor:
        """Return the level of each value; NaN stays NaN."""


@dataclass(frozen=True)
class UniformRounder(Rounder):
    """Multiples of one step."""

    low: float
    high: float
    step: float
    odd: bool
    """Whether the level 0 has an odd code."""
    factor: float
    single: bool

    def __call__(self, v: Tensor) -> Tensor:
        """Return the level of each value; NaN stays NaN."""
        digits = layout_of(v.dtype).digits
        inside = torch.clamp(v, self.low, self.high)
        if max(-self.low, self.high) >= self.step * 2.0 ** (digits - 1):
            return _round_wide(inside / self.step, self.odd) * self.step
        magic = (1.5 * 2.0**digits + self.odd) * self.step
        return (inside + magic) - magic


def _round_wide(v: Tensor, odd: bool) -> Tensor:
    """Round where the constant would not fit: ties to even, or to odd; one zero, without a sign."""
    near = torch.round(v)
    rest = v - near
    if odd:
        near = torch.where(rest.abs() == 0.5, v + rest, near)
    return torch.where(near == 0, near.abs(), near)


@dataclass(frozen=True)
class FloatingRounder(Rounder):
    """Binades: the step doubles from one to the next, and is constant below the first."""

    low: float
    high: float
    mantissa_bits: int
    first: int
    """Exponent of the smallest normal level."""
    negative_zero: bool
    factor: float
    single: bool

    def __call__(self, v: Tensor) -> Tensor:
        """Return the level of each value; NaN stays NaN."""
        layout = layout_of(v.dtype)
        inside = torch.clamp(v, self.low, self.high)
        first = (self.first + layout.bias) << layout.digits
        if self.mantissa_bits <= layout.digits - 2:
            level = round_binades(inside, self.mantissa_bits, first)
        else:
            level = _round_long(inside, self.mantissa_bits, first)
        return torch.copysign(level, v) if self.negative_zero else level


def round_binades(
    v: Tensor, mantissa_bits: int | Tensor, first: int | Tensor, *, positive: bool = False
) -> Tensor:
    """Round to `mantissa_bits` in every binade from that of the exponent field `first` on.

    The binade 2^e of v is cut out of its bits, and 1.5 2^(e + digits - mantissa_bits) is added
    and taken away; for values of one sign, 1 instead of 1.5 serves. Compiled code keeps the two:
    it does not reassociate.
    """
    layout = layout_of(v.dtype)
    field = v.view(layout.integer) & layout.exponent
    field = torch.clamp(field, min=first)
    half = 0 if positive else 1 << (layout.digits - 1)
    raised = ((layout.digits - mantissa_bits) << layout.digits) + half
    magic = (field + raised).view(v.dtype)
    return (v + magic) - magic


def _round_long(v: Tensor, mantissa_bits: int, first: int) -> Tensor:
    """Round to the last or the last but one bit of the dtype, where 1.5 2^k is too large.

    The constant has the sign of v, so that the sum stays in its binade.
    """
    layout = layout_of(v.dtype)
    field = v.view(layout.integer) & layout.exponent
    raised = (layout.digits - mantissa_bits) << layout.digits
    magic = torch.copysign((torch.clamp(field, min=first) + raised).view(v.dtype), v)
    rounded = (v + magic) - magic
    if mantissa_bits == layout.digits:  # every normal number is a level
        rounded = torch.where(field >= first, v, rounded)
    return torch.where(rounded == 0, rounded.abs(), rounded)


@dataclass(frozen=True)
class ListedRounder(Rounder):
    """Levels listed one by one; a tie goes to the even code."""

    points: tuple[float, ...]
    even_first: bool
    negative_zero: bool
    factor: float
    single: bool = False

    @property
    def low(self) -> float:  # type: ignore[override]  # a property serves
        """The smallest level."""
        return self.points[0]

    @property
    def high(self) -> float:  # type: ignore[override]
        """The largest level."""
        return self.points[-1]

    def __call__(self, v: Tensor) -> Tensor:
        """Return the level of each value; NaN stays NaN."""
        return self.at(v, torch.tensor(self.points, dtype=torch.float64, device=v.device))

    def at(self, x: Tensor, points: Tensor) -> Tensor:
        """Return the nearest of the points, which are the levels at some scale, in float64."""
        rank = torch.bucketize(x, self._bounds(points))
        level = points[rank]
        level = torch.where(torch.isnan(x), x, level)
        return torch.copysign(level, x) if self.negative_zero else level

    def _bounds(self, points: Tensor) -> Tensor:
        """Return for each level but the last the largest number that goes to it.

        a + b = total + rest exactly (Knuth's two-sum), so that a midpoint which float64 does not
        hold is no tie.
        """
        a, b = points[:-1], points[1:]
        total = a + b
        shadow = total - a
        rest = (a - (total - shadow)) + (b - shadow)
        parity = torch.arange(1, len(self.points), device=points.device) % 2
        goes_down = torch.where(rest == 0, (parity == 1) == self.even_first, rest > 0)
        middle = 0.5 * total
        below = torch.nextafter(middle, torch.full_like(middle, -math.inf))
        return torch.where(goes_down, middle, below)


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
        several values must broadcast against `x`.

    Returns
    -------
    Tensor
        Of the dtype and shape of `x`, detached. NaN stays NaN.

    Raises
    ------
    InvalidType
        If `x` is no tensor of floating-point numbers.
    """
    rounder = rounder_of(format)
    wide = working(x)
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
