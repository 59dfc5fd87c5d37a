"""Rounding of chunks: each kernel takes values within the range and writes levels.

A kernel receives `v`, a scratch array that it may destroy, and `out`, of the same dtype, which
may not be `v`. NaN passes through. All are exact: a level is returned without rounding error,
and ties go to the even code.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FrozenMapping, IntArray
from qerror.rounding import Rounding
from qerror.simulation._levels import Levels

AnyReal: TypeAlias = npt.NDArray[Any]
WorkType: TypeAlias = type[np.floating[Any]]


@dataclass(frozen=True)
class Layout:
    """How a binary float is made of bits."""

    kind: WorkType
    unsigned: type[np.uint32] | type[np.uint64]
    digits: int
    """Stored bits of the significand."""
    lowest: int
    """Exponent of the smallest normal number."""
    highest: int
    """Exponent of the largest binade."""
    sign: int
    """The bit of the sign."""
    exponent: int
    """The bits of the exponent."""
    smallest: float

    @classmethod
    def of(cls, kind: WorkType, unsigned: type[np.uint32] | type[np.uint64]) -> "Layout":
        """Read the layout of a type off what NumPy knows."""
        info = np.finfo(kind)
        digits, lowest, sign = int(info.nmant), int(info.minexp), 1 << (info.bits - 1)
        return cls(
            kind,
            unsigned,
            digits,
            lowest,
            highest=int(info.maxexp) - 1,
            sign=sign,
            exponent=sign - (1 << digits),
            smallest=math.ldexp(1.0, lowest - digits),
        )


SINGLE = Layout.of(np.float32, np.uint32)
DOUBLE = Layout.of(np.float64, np.uint64)
LAYOUTS: Mapping[WorkType, Layout] = FrozenMapping({np.float32: SINGLE, np.float64: DOUBLE})


class Kernel(ABC):
    """Rounds a chunk to levels."""

    directed = False
    """Whether a value next to zero matters however small it is."""

    def __init__(self, levels: Levels, kind: WorkType) -> None:
        self.kind = kind
        with np.errstate(over="ignore"):
            self.low, self.high = kind(levels.low), kind(levels.high)

    @abstractmethod
    def scratch(self, size: int) -> AnyReal:
        """Return what `round` needs for chunks of up to `size`."""

    @abstractmethod
    def round(
        self, v: AnyReal, out: AnyReal, scratch: AnyReal, rng: np.random.Generator | None
    ) -> None:
        """Write the level of each v into `out`."""


def exponents(levels: Levels) -> tuple[int, int]:
    """Return (k, t): the smallest step is 2^k, the largest magnitude is below 2^(t + 1)."""
    top = max(-levels.low, levels.high)
    return math.frexp(levels.step)[1] - 1, math.frexp(top)[1] - 1


class Uniform(Kernel):
    """(v + C) - C rounds to multiples of the step where C = 1.5 2^digits step.

    The sum lies in a binade whose unit is the step, so adding rounds, to the even sum; an odd
    multiple in C makes that the odd multiple of the step. The difference is exact.
    """

    def __init__(self, levels: Levels, kind: WorkType) -> None:
        super().__init__(levels, kind)
        digits = LAYOUTS[kind].digits
        self.magic = kind((1.5 * 2.0**digits + levels.odd) * levels.step)

    @staticmethod
    def suits(levels: Levels, layout: Layout) -> bool:
        """Tell whether every step of the method is exact in this dtype."""
        step, top = exponents(levels)
        return (
            levels.mantissa_bits is None
            and not levels.points
            and max(-levels.low, levels.high) < levels.step * 2.0 ** (layout.digits - 1)
            and layout.lowest <= step
            and step + layout.digits < layout.highest
            and top < layout.highest
        )

    def scratch(self, size: int) -> AnyReal:
        del size
        return np.empty(0)

    def round(
        self, v: AnyReal, out: AnyReal, scratch: AnyReal, rng: np.random.Generator | None
    ) -> None:
        del scratch, rng
        np.add(v, self.magic, out=out)
        np.subtract(out, self.magic, out=out)


class Binade(Kernel):
    """(v + C) - C with C = 1.5 2^(digits - mantissa_bits) 2^e, 2^e the binade of v.

    The exponent e comes from the bits of v, not below that of the smallest normal level; where
    the format has a negative zero, the sign of v is put back.
    """

    def __init__(self, levels: Levels, kind: WorkType) -> None:
        super().__init__(levels, kind)
        layout = LAYOUTS[kind]
        mantissa_bits = levels.mantissa_bits or 0
        unsigned = layout.unsigned
        step, _ = exponents(levels)
        bias = 1 - layout.lowest
        self.unsigned = unsigned
        self.first = unsigned((step + mantissa_bits + bias) << layout.digits)
        self.last = unsigned(layout.exponent)
        self.exponent = unsigned(layout.exponent)
        # Multiplies a power of two by 1.5 2^(digits - mantissa_bits).
        shift = (layout.digits - mantissa_bits) << layout.digits
        self.raise_by = unsigned(shift | (1 << (layout.digits - 1)))
        self.sign = unsigned(layout.sign) if levels.negative_zero else None

    @staticmethod
    def suits(levels: Levels, layout: Layout) -> bool:
        """Tell whether every step of the method is exact in this dtype."""
        mantissa_bits = levels.mantissa_bits
        if not mantissa_bits:
            return False
        step, top = exponents(levels)
        return (
            mantissa_bits <= layout.digits - 2
            and layout.lowest <= step + mantissa_bits
            and layout.lowest - layout.digits <= step
            and max(top, step + mantissa_bits) - mantissa_bits + layout.digits < layout.highest
        )

    def scratch(self, size: int) -> AnyReal:
        return np.empty(size, self.unsigned)

    def round(
        self, v: AnyReal, out: AnyReal, scratch: AnyReal, rng: np.random.Generator | None
    ) -> None:
        del rng
        bits, magic_bits = v.view(self.unsigned), scratch[: v.size]
        np.bitwise_and(bits, self.exponent, out=magic_bits)
        np.clip(magic_bits, self.first, self.last, out=magic_bits)
        np.add(magic_bits, self.raise_by, out=magic_bits)
        magic = magic_bits.view(self.kind)
        np.add(v, magic, out=out)
        np.subtract(out, magic, out=out)
        if self.sign is not None:
            np.bitwise_and(bits, self.sign, out=bits)
            out_bits = out.view(self.unsigned)
            np.bitwise_or(out_bits, bits, out=out_bits)


class Exact(Kernel):
    """Every mode and every width: v in units of its own step, cut, then one further or not."""

    def __init__(self, levels: Levels, kind: WorkType, mode: Rounding) -> None:
        super().__init__(levels, kind)
        self.mode: Rounding = mode
        self.directed = mode in {"up", "down", "to-odd"}
        self.mantissa_bits = levels.mantissa_bits
        self.odd = levels.odd
        self.negative_zero = levels.negative_zero
        self.step, _ = exponents(levels)

    @staticmethod
    def suits(levels: Levels, layout: Layout) -> bool:
        """Tell whether the dtype holds every level."""
        step, top = exponents(levels)
        digits = levels.mantissa_bits
        return (
            not levels.points
            and layout.lowest - layout.digits <= step
            and top <= layout.highest
            and (top - step if digits is None else digits) <= layout.digits
        )

    def scratch(self, size: int) -> AnyReal:
        del size
        return np.empty(0)

    def round(
        self, v: AnyReal, out: AnyReal, scratch: AnyReal, rng: np.random.Generator | None
    ) -> None:
        del scratch
        unit = self._unit(v)
        y = np.ldexp(v, -unit)
        if self.directed:
            keep_above_zero(y, v)
        inner = np.trunc(y)  # from there the rest is exact, also for negative y
        away = self._goes_away(y, inner, np.abs(y - inner), rng)
        np.add(inner, np.copysign(self.kind(1), y), out=inner, where=away)
        np.ldexp(inner, unit, out=out)
        if self.negative_zero:
            np.copysign(out, v, out=out, where=out == 0)
        else:
            np.add(out, self.kind(0), out=out)

    def _unit(self, v: AnyReal) -> IntArray:
        """Return the exponent of the step at each v."""
        if self.mantissa_bits is None:
            return cast("IntArray", np.int32(self.step))
        _, exponent = np.frexp(v)
        exponent -= 1 + self.mantissa_bits
        unit: IntArray = np.maximum(exponent, self.step, out=exponent)
        return unit

    def _goes_away(
        self, y: AnyReal, inner: AnyReal, rest: AnyReal, rng: np.random.Generator | None
    ) -> BoolArray:
        """Tell which values leave the multiple on the side of zero for the next one out."""
        half = self.kind(0.5)
        away: BoolArray
        match self.mode:
            case "nearest-even":
                away = (rest > half) | ((rest == half) & self._is_odd(inner))
            case "nearest-away":
                away = rest >= half
            case "toward-zero":
                away = np.zeros(y.shape, np.bool_)
            case "up":
                away = (rest > 0) & (y > 0)
            case "down":
                away = (rest > 0) & (y < 0)
            case "to-odd":
                away = (rest > 0) & ~self._is_odd(inner)
            case "stochastic":
                away = drawn(rng, y) < rest
        return away

    def _is_odd(self, multiple: AnyReal) -> BoolArray:
        """Tell which multiples of the step have an odd code."""
        halved = multiple * self.kind(0.5)
        odd: BoolArray = (halved != np.floor(halved)) != self.odd
        return odd


def keep_above_zero(quotient: AnyReal, x: AnyReal) -> None:
    """Make quotients that have underflowed the smallest numbers of their sign."""
    gone = (quotient == 0) & (x != 0)
    if gone.any():
        smallest = np.finfo(quotient.dtype).smallest_subnormal
        quotient[gone] = np.copysign(smallest, x[gone])


class ShortDraws(np.random.Generator):
    """Draws of so many random bits, from the stream of another generator."""

    def __init__(self, rng: np.random.Generator, bits: int) -> None:
        super().__init__(rng.bit_generator)
        self._count = 1 << bits

    def below(self, like: AnyReal) -> AnyReal:
        """Draw the largest numbers of the dtype below 1/N, 2/N, ..., 1, each as likely.

        A share f exceeds such a number as often as floor(N f) / N says.
        """
        steps = self.integers(1, self._count, like.shape, endpoint=True)
        share = np.divide(steps, self._count).astype(like.dtype)
        below: AnyReal = np.nextafter(share, like.dtype.type(0))
        return below


def drawn(rng: np.random.Generator | None, like: AnyReal) -> AnyReal:
    """Draw numbers uniform in [0, 1) in the shape and dtype of `like`."""
    if rng is None:  # the door has checked it
        raise AssertionError("stochastic rounding without a generator")
    if isinstance(rng, ShortDraws):
        return rng.below(like)
    return rng.random(like.shape, like.dtype.type)
