"""Rounding in units of a format's own grid: what all levels on tensors come from.

A constant whose unit in the last place is the step is added and taken away again: the sum is
rounded to nearest even, the difference is exact, and nothing else is needed, neither a logarithm
nor a branch.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor


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
            raised = raised_by(self.mantissa_bits, layout)
            level = round_binades(inside, raised, first)
        else:
            level = _round_long(inside, self.mantissa_bits, first)
        return torch.copysign(level, v) if self.negative_zero else level


def round_binades(v: Tensor, raised: int | Tensor, first: int | Tensor) -> Tensor:
    """Round the mantissa in every binade from that of the exponent field `first` on.

    The binade 2^e of v is cut out of its bits, and `raised` makes of it the constant that is
    added and taken away. Compiled code keeps the two: it does not reassociate.
    """
    layout = layout_of(v.dtype)
    field = v.view(layout.integer) & layout.exponent
    magic = (torch.clamp(field, min=first) + raised).view(v.dtype)
    return (v + magic) - magic


@overload
def raised_by(mantissa_bits: int, layout: Layout, *, positive: bool = ...) -> int: ...
@overload
def raised_by(mantissa_bits: Tensor, layout: Layout, *, positive: bool = ...) -> Tensor: ...


def raised_by(
    mantissa_bits: int | Tensor, layout: Layout, *, positive: bool = False
) -> int | Tensor:
    """Return what takes the bits of 2^e to those of 1.5 2^(e + digits - mantissa_bits).

    For values of one sign, 1 instead of 1.5 serves.
    """
    half = 0 if positive else 1 << (layout.digits - 1)
    return ((layout.digits - mantissa_bits) << layout.digits) + half


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
        rank = torch.bucketize(x.contiguous(), self._bounds(points))
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
        place = torch.arange(1, len(self.points), device=points.device)
        goes_down = torch.where(rest == 0, place % 2 == int(self.even_first), rest > 0)
        middle = 0.5 * total
        below = torch.nextafter(middle, torch.full_like(middle, -math.inf))
        return torch.where(goes_down, middle, below)
