"""The choice of dtype, kernel and scaling for one call."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from qerror._arrays import BoolArray
from qerror.exceptions import InvalidValue
from qerror.rounding import Overflow, Rounding
from qerror.simulation._kernels import (
    DOUBLE,
    SINGLE,
    AnyReal,
    Binade,
    Exact,
    Kernel,
    Layout,
    Uniform,
    WorkType,
    drawn,
    exponents,
)
from qerror.simulation._levels import Levels, is_power_of_two
from qerror.simulation._table import Table


@dataclass(frozen=True)
class Beyond:
    """What becomes of values beyond the range where the format has codes for them."""

    value: float
    mode: Rounding
    low: float
    high: float
    step: float
    first_high: Any
    """The smallest number that overflows."""
    last_low: Any

    def masks(self, v: AnyReal, rng: np.random.Generator | None) -> tuple[BoolArray, BoolArray]:
        """Tell which values overflow upwards and downwards."""
        if self.mode != "stochastic":
            return v >= self.first_high, v <= self.last_low
        u = drawn(rng, v) * self.step
        above: BoolArray = v - self.high > u
        below: BoolArray = self.low - v > u
        return above, below & (self.low < 0)


@dataclass(frozen=True, eq=False)
class Plan:
    """How to quantize chunks: divide by the scale, round, multiply by it."""

    kernel: Kernel
    levels: Levels
    """In the units of the kernel."""
    unit: float
    """The scale that is folded into the levels."""
    scale: Any
    """The scale of every value, if it is one and not folded in: in the kernel's dtype if that
    holds it, for then the product of a level rounds as it does in float64; else in float64."""
    divisor: Any
    """The same in the kernel's dtype."""
    beyond: Beyond | None
    fused: Callable[[AnyReal, Any, AnyReal], None] | None = None
    """All steps in one, if compiled: takes values, scale or scales, and where results go."""

    @property
    def kind(self) -> WorkType:
        """The dtype in which to work."""
        return self.kernel.kind


@lru_cache(maxsize=128)
def plan_for(
    levels: Levels,
    scale: float | tuple[float, float],
    narrowest: Layout,
    stored: str,
    rules: tuple[Rounding, Overflow],
) -> Plan:
    """Choose the quickest kernel that is exact.

    Parameters
    ----------
    scale : float or (float, float)
        One scale, or the smallest and the largest of an array of them; the format's own factor
        included.
    narrowest : Layout
        The narrowest dtype to work in.
    stored : str
        The code of the dtype of the result.
    rules : (str, str)
        The rounding mode and what becomes of overflow.
    """
    mode, overflow = rules
    layouts = [SINGLE, DOUBLE] if narrowest is SINGLE else [DOUBLE]
    if isinstance(scale, float):
        found = _listed(levels, scale, narrowest.kind, mode, stored) or _folded(
            levels, scale, layouts, mode
        )
        if found:
            kernel, scaled = found
            return Plan(
                kernel, scaled, scale, None, None, _beyond(scaled, kernel.kind, mode, overflow)
            )
    extremes = scale if isinstance(scale, tuple) else (scale, scale)
    layouts = [each for each in layouts if _divides(each, levels, extremes)] or [DOUBLE]
    kernel = _kernel(levels, layouts, mode)
    divisor = one = None
    if not isinstance(scale, tuple):
        divisor = kernel.kind(scale)
        # A product in single precision would be rounded again to half.
        exact = float(divisor) == scale and stored != "e"
        one = divisor if exact else np.float64(scale)
    return Plan(kernel, levels, 1.0, one, divisor, _beyond(levels, kernel.kind, mode, overflow))


def _listed(
    levels: Levels, scale: float, kind: WorkType, mode: Rounding, stored: str
) -> tuple[Kernel, Levels] | None:
    """Scale a list of levels itself: its boundaries are then exact for any scale."""
    if not levels.points:
        return None
    points = levels.listed(scale)
    if not (np.diff(points) > 0).all():
        raise InvalidValue(f"scale {scale:g} makes levels of the format coincide in float64")
    scaled = Levels(
        points[0].item(),
        points[-1].item(),
        negative_zero=levels.negative_zero,
        beyond=levels.beyond,
        points=tuple(points.tolist()),
        even_first=levels.even_first,
    )
    return Table(scaled, points, kind, mode, stored), scaled


def _folded(
    levels: Levels, scale: float, layouts: list[Layout], mode: Rounding
) -> tuple[Kernel, Levels] | None:
    """Scale the steps by a power of two: nothing is left to divide by."""
    if not is_power_of_two(scale):
        return None
    step, top = exponents(levels)
    power = math.frexp(scale)[1] - 1
    if step + power < DOUBLE.lowest - DOUBLE.digits or top + power > DOUBLE.highest:
        return None
    scaled = levels.times(scale)
    kernel = _suited(scaled, layouts, mode)
    return (kernel, scaled) if kernel else None


def _kernel(levels: Levels, layouts: list[Layout], mode: Rounding) -> Kernel:
    if levels.points:
        return Table(levels, levels.listed(), np.float64, mode, np.float64)
    kernel = _suited(levels, layouts, mode)
    if kernel is None:
        raise InvalidValue("float64 does not hold the levels of the format at this scale")
    return kernel


def _suited(levels: Levels, layouts: list[Layout], mode: Rounding) -> Kernel | None:
    """Return the first kernel that fits: quick ones in any dtype before the general one."""
    if mode == "nearest-even":
        for layout in layouts:
            for quick in (Uniform, Binade):
                if quick.suits(levels, layout):
                    return quick(levels, layout.kind)
    for layout in layouts:
        if Exact.suits(levels, layout):
            return Exact(levels, layout.kind, mode)
    return None


def _divides(layout: Layout, levels: Levels, scales: tuple[float, float]) -> bool:
    """Tell whether quotients keep full precision down to half of the smallest step."""
    normal = 2.0**layout.lowest <= scales[0] and scales[1] < 2.0**layout.highest
    if levels.points:
        return False  # one scale is folded in; where they differ nothing hurries
    step, top = exponents(levels)
    return normal and step > layout.lowest and top < layout.highest


def _beyond(levels: Levels, kind: WorkType, mode: Rounding, overflow: Overflow) -> Beyond | None:
    """Find where overflow starts; an infinity overflows in every mode."""
    if overflow == "saturate" or levels.beyond is None:
        return None
    step = levels.next_step
    with np.errstate(over="ignore"):
        middle = kind(levels.high + 0.5 * step)
        after = np.nextafter(middle, kind(np.inf))
        past_top = np.nextafter(kind(levels.high), kind(np.inf))
    never = kind(np.inf)
    upward, downward = {
        "nearest-even": (after if levels.top_is_even else middle,) * 2,
        "nearest-away": (middle, middle),
        "toward-zero": (never, never),
        "up": (past_top, never),
        "down": (never, past_top),
        "to-odd": (never, never),
        "stochastic": (never, never),
    }[mode]
    signed = levels.low < 0
    last_low = -downward if signed else kind(np.nan)  # nothing compares with nan
    return Beyond(levels.beyond, mode, levels.low, levels.high, step, upward, last_low)
