"""What a quantizer needs to know of a format: steps, range, parity of codes."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from qerror._arrays import FloatArray
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.formats.integer import Integer

MOST_LISTED = 1 << 16  # levels that a table may have


@dataclass(frozen=True)
class Levels:
    """The levels of a format before its factor: multiples of `step`, or a list.

    All numbers are exact. Around zero the levels are all multiples of `step` = 2^k. With
    `mantissa_bits` the step doubles in every binade above 2^(k + mantissa_bits + 1).
    """

    low: float
    high: float
    step: float = 1.0
    mantissa_bits: int | None = None
    """None for uniform levels."""
    odd: bool = False
    """Whether the level 0 has an odd code."""
    factor: float = 1.0
    """Multiplies every level; 1 but for biases that are no integers."""
    negative_zero: bool = False
    beyond: float | None = None
    """What the format's conventions make of values beyond the range: inf, nan, None to saturate."""
    points: tuple[float, ...] = ()
    """The levels one by one where steps do not describe them."""
    even_first: bool = True
    """For listed levels: whether the first has an even code."""

    @property
    def next_step(self) -> float:
        """The distance from the largest level to the one that would follow it."""
        if self.points:
            return self.high  # listed floating-point levels are powers of two
        if self.mantissa_bits is None:
            return self.step
        _, exponent = math.frexp(self.high)
        return max(math.ldexp(1.0, exponent - 1 - self.mantissa_bits), self.step)

    @property
    def top_is_even(self) -> bool:
        """Whether the largest level has an even code."""
        if self.points:
            return (len(self.points) % 2 == 1) == self.even_first
        return (self.high / self.next_step % 2 == 1) == self.odd

    def times(self, power_of_two: float) -> "Levels":
        """Return the levels multiplied by a power of two, which must be exact."""
        return replace(
            self,
            low=self.low * power_of_two,
            high=self.high * power_of_two,
            step=self.step * power_of_two,
        )

    def listed(self, scale: float = 1.0) -> FloatArray:
        """Return the listed levels times `scale`."""
        return np.array(self.points) * scale


@lru_cache(maxsize=256)
def levels_of(form: ScalarFormat) -> Levels:
    """Return the levels of a format of any family."""
    match form:
        case Integer():
            low, high = form.min_code - form.zero_point, form.max_code - form.zero_point
            return Levels(float(low), float(high), odd=form.zero_point % 2 == 1)
        case FixedPoint():
            step = math.ldexp(1.0, -form.fractional_length)
            return Levels(form.min_code * step, form.max_code * step, step)
        case FloatingPoint() if form.mantissa_bits:
            return _with_conventions(_floating(form), form)
        case _:
            return _with_conventions(_listed(form), form)


def _floating(form: FloatingPoint) -> Levels:
    grid = form.grid()
    high = float(grid.edges[-1])  # exact: the factor, which need not be, stands apart
    return Levels(
        -high if form.signed else 0.0,
        high,
        float(grid.steps.min()),
        form.mantissa_bits,
        factor=grid.factor,
    )


def _with_conventions(levels: Levels, form: ScalarFormat) -> Levels:
    """Add what lies beyond the range, and whether there is a negative zero."""
    codes = form.reserved
    if codes is None:
        return levels
    nan = None if codes.nan is None else math.nan
    beyond = nan if codes.infinity is None else math.inf
    return replace(levels, beyond=beyond, negative_zero=codes.negative_zero)


def _listed(form: ScalarFormat) -> Levels:
    grid = form.grid()
    if grid.size > MOST_LISTED:
        raise InvalidValue(
            f"{form.name} has {grid.size:,} levels that follow no rule known to the simulator; "
            f"it takes at most {MOST_LISTED:,}"
        )
    # Equal codebooks may differ in the sign of zero; adding zero takes it away.
    points = tuple((grid.base_points + 0.0).tolist())
    return Levels(
        points[0], points[-1], factor=grid.factor, points=points, even_first=grid.even_first
    )


def is_power_of_two(x: float) -> bool:
    """Tell whether x > 0 is one."""
    return math.frexp(x)[0] == 0.5
