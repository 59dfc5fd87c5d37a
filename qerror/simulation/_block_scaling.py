"""The arithmetic of scale rules on arrays, in the working dtype, as tools do it.

A scaler takes what it needs of each block, its largest magnitude or its extremes, and returns
one scale a block. Single precision serves float16, bfloat16 and float32, double float64.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from qerror.exceptions import InvalidType
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, MinMax, PowerOfTwo
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import ScaleRule, largest
from qerror.formats.stored_scales import StoredScale
from qerror.rounding import as_overflow, as_rounding
from qerror.simulation._chunks import AnyArray
from qerror.simulation._kernels import DOUBLE, AnyReal, Layout
from qerror.simulation._levels import levels_of
from qerror.simulation._plan import plan_for

NAN_BYTE = 255
_BIAS = 127  # of E8M0
_SIGNED: dict[Any, Any] = {np.float32: np.int32, np.float64: np.int64}


class Scaling(NamedTuple):
    """One number a block each, shape (blocks,)."""

    unit: AnyReal
    """What levels are multiplied by."""
    stored: AnyArray
    """The scale as it is stored: a byte of E8M0, a level of the scale format, or the unit."""
    low: AnyReal | None = None
    """What is added after it: a real offset."""
    zero: AnyReal | None = None
    """The zero point."""

    def rows(self, at: slice) -> "Scaling":
        """Return those of some blocks."""
        low, zero = (None if part is None else part[at] for part in self[2:])
        return Scaling(self.unit[at], self.stored[at], low, zero)


Scaler: TypeAlias = Callable[[AnyReal, Any], Scaling]
"""Takes largest magnitudes, or extremes of shape (2, blocks), and tensor scales or None."""


def scalers_for(form: BlockFormat, layout: Layout) -> list[Scaler]:
    """Return how the scales of blocks are found: one way, or the candidates of several."""
    match form.scale:
        case PowerOfTwo():
            return [_power_of_two(form.scale, form, layout)]
        case StoredScale():
            return [_stored(form.scale, form, layout)]
        case FourOverSix():
            return [_stored(rule, form, layout) for rule in form.scale.candidates]
        case Absmax():
            return [_absmax(form.scale, form, layout)]
        case MinMax():
            return [_min_max(form.scale, form, layout)]
        case _:
            raise InvalidType(f"the simulator knows no rule {form.scale!r}")


def magnitudes(values: AnyReal, layout: Layout, scratch: AnyArray) -> AnyReal:
    """Return the largest magnitude of each row; NaN if there is one. Shape (blocks, n)."""
    bits = scratch[: values.size]
    mask = layout.unsigned(layout.sign - 1)
    np.bitwise_and(values.reshape(-1).view(layout.unsigned), mask, out=bits)
    # As integers magnitudes are in order, with infinity and then NaN on top.
    found: AnyReal = _reduced(np.maximum, bits, values.shape[1]).view(layout.kind)
    return found


def extremes(values: AnyReal) -> AnyReal:
    """Return smallest and largest value of each row, NaN if there is one; shape (2, blocks)."""
    flat, n = values.reshape(-1), values.shape[1]
    return np.stack([_reduced(np.minimum, flat, n), _reduced(np.maximum, flat, n)])


def _reduced(best: np.ufunc, flat: AnyArray, n: int) -> AnyArray:
    """Reduce each run of n; by halves as long as it goes, faster than along short rows."""
    while n % 2 == 0:
        flat, n = best(flat[0::2], flat[1::2]), n // 2
    return best.reduce(flat.reshape(-1, n), axis=1) if n > 1 else flat


# ---- powers of two


def _power_of_two(rule: PowerOfTwo, form: BlockFormat, layout: Layout) -> Scaler:
    theta, top, reciprocal = rule.theta_for(form.element), NAN_BYTE, None
    # Thresholds may be subnormal in float32, where the bits of M do not tell its binade. The
    # other rules are what tools do with the bits, there too.
    exact = rule.rule not in {"floor", "ceil", "even"}
    if rule.rule == "rceil":  # M over q is a product in tools, and then rounded up
        theta, top, reciprocal = 0.5, NAN_BYTE - 1, layout.kind(1 / largest(form.element))

    def scaler(peaks: AnyReal, tensor: Any) -> Scaling:
        del tensor
        wide = peaks if reciprocal is None else peaks * reciprocal
        if exact:
            wide = wide.astype(np.float64)
        code = _bytes(wide, theta, rule.takes_edge, top, DOUBLE if exact else layout)
        return Scaling(exponent_units(code, layout), code)

    return scaler


def _bytes(peaks: AnyReal, theta: float, takes_edge: bool, top: int, layout: Layout) -> AnyArray:
    """Return k + 127 where the peak lies between theta 2^k and theta 2^(k + 1).

    Adding to the bits of M what theta's significand lacks to the next power of two carries into
    the exponent exactly where M's significand is not below it.
    """
    significand, exponent = math.frexp(theta)
    place = math.ldexp(2 * significand - 1, layout.digits)
    reach = math.ceil(place) if takes_edge else math.floor(place) + 1
    code: Any = peaks.view(_SIGNED[layout.kind])
    finite = code.size == 0 or code.max() < layout.exponent
    code = code + ((1 << layout.digits) - reach)
    code >>= layout.digits
    code -= exponent + (1 - layout.lowest) - _BIAS
    np.maximum(code, 0, out=code)  # both together: half the time of np.clip
    np.minimum(code, top, out=code)
    if not finite:
        bits: Any = peaks.view(layout.unsigned)
        code[bits >= layout.exponent] = NAN_BYTE
    found: AnyArray = code.astype(np.uint8)
    return found


def exponent_units(code: AnyArray, layout: Layout) -> AnyReal:
    """Return the scales that bytes of E8M0 stand for; 0 is 2^-127, 255 is NaN."""
    bits: Any = code.astype(layout.unsigned)
    bits += layout.unsigned(1 - layout.lowest - _BIAS)
    bits <<= layout.unsigned(layout.digits)
    if layout.lowest > -_BIAS:  # byte 0 is a subnormal
        np.maximum(bits, layout.unsigned(1 << (layout.digits - 1)), out=bits)
    found: AnyReal = bits.view(layout.kind)
    if code.size and code.max() == NAN_BYTE:
        found[code == NAN_BYTE] = np.nan
    return found


# ---- real scales and stored ones


def _stored(rule: StoredScale, form: BlockFormat, layout: Layout) -> Scaler:
    kind = layout.kind
    levels, divisor = levels_of(rule.format), kind(rule.divisor_for(form.element))
    rules = as_rounding("nearest-even"), as_overflow("saturate")
    plan = plan_for(levels, levels.factor, layout, np.dtype(kind).char, rules)
    kernel = plan.kernel

    def scaler(peaks: AnyReal, tensor: Any) -> Scaling:
        wanted = peaks / divisor
        if tensor is not None:
            wanted /= tensor
        if rule.smallest is not None:
            np.maximum(wanted, kind(rule.smallest), out=wanted)
        values = wanted.astype(kernel.kind)
        if plan.divisor is not None:
            values /= plan.divisor
        np.clip(values, kernel.low, kernel.high, out=values)
        found = np.empty_like(values)
        kernel.round(values, found, kernel.scratch(values.size), None)
        if plan.scale is not None:
            found = found * plan.scale
        stored = found.astype(kind, copy=False)
        return Scaling(stored if tensor is None else stored * tensor, stored)

    return scaler


def _absmax(rule: Absmax, form: BlockFormat, layout: Layout) -> Scaler:
    kind = layout.kind
    multiplier, divisor = kind(rule.multiplier), kind(rule.divisor_for(form.element))

    def scaler(peaks: AnyReal, tensor: Any) -> Scaling:
        del tensor
        unit = (peaks if multiplier == 1 else peaks * multiplier) / divisor
        return Scaling(unit, unit)

    return scaler


def _min_max(rule: MinMax, form: BlockFormat, layout: Layout) -> Scaler:
    most = layout.kind(2**form.element.bits - 1)

    def real(ends: AnyReal, tensor: Any) -> Scaling:
        del tensor
        unit = (ends[1] - ends[0]) / most
        return Scaling(unit, unit, low=ends[0])

    def integer(ends: AnyReal, tensor: Any) -> Scaling:
        del tensor
        low, high = np.minimum(ends[0], 0), np.maximum(ends[1], 0)
        unit = (high - low) / most
        zero = np.rint(-low / nonzero(unit))
        return Scaling(unit, unit, zero=zero)

    return real if rule.zero == "real" else integer


def nonzero(unit: AnyReal) -> AnyReal:
    """Return what to divide by: the units, 1 where a unit is 0 and so is every result."""
    return np.where(unit == 0, unit.dtype.type(1), unit)


def is_affine(rule: ScaleRule) -> bool:
    """Tell whether a scaler of this rule wants extremes in place of magnitudes."""
    return isinstance(rule, MinMax)
