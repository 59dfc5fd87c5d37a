"""The arithmetic of block scales on tensors: bit by bit that of `qerror.quantize`.

A scaler takes what it needs of each block, its largest magnitude or its extremes, in the dtype
to work in, and returns numbers of shape (blocks, 1).
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, MinMax, PowerOfTwo
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import largest
from qerror.formats.stored_scales import Amax, StoredScale
from qerror.pytorch.levels import apply_levels, rounder_of
from qerror.pytorch.rounders import DOUBLE, Layout, layout_of

_NAN_BYTE = 255
_BIAS = 127  # of E8M0
_BY_BITS = {"floor", "ceil", "even"}  # what tools do with the bits of M, subnormals too


class Scaling(NamedTuple):
    """One number a block each, shape (blocks, 1)."""

    unit: Tensor
    """What levels are multiplied by."""
    low: Tensor | None = None
    """What is added after it: a real offset."""
    zero: Tensor | None = None
    """The zero point."""


Scaler: TypeAlias = Callable[[Tensor, Tensor | None], Scaling]
"""Takes the blocks, shape (blocks, size), and their tensor scales or None."""


def scalers_of(form: BlockFormat) -> list[Scaler]:
    """Return how the scales of blocks are found: one way, or the candidates of several."""
    match form.scale:
        case PowerOfTwo():
            return [_power_of_two(form.scale, form)]
        case StoredScale():
            return [_stored(form.scale, form)]
        case FourOverSix():
            return [_stored(rule, form) for rule in form.scale.candidates]
        case Absmax():
            return [_absmax(form.scale, form)]
        case MinMax():
            return [_min_max(form.scale, form)]
        case _:
            raise InvalidType(f"no rule {form.scale!r} is known for tensors")


def nonzero(unit: Tensor) -> Tensor:
    """Return what to divide by: the units, 1 where a unit is 0 and so is every result."""
    return torch.where(unit == 0, 1.0, unit)


def _peaks(x: Tensor) -> Tensor:
    """Return the largest magnitude of each block, NaN if there is one."""
    return x.abs().amax(1, keepdim=True)


# ---- powers of two


def _power_of_two(rule: PowerOfTwo, form: BlockFormat) -> Scaler:
    theta, top, divisor = rule.theta_for(form.element), _NAN_BYTE, 0.0
    if rule.rule == "rceil":  # M over q is a product in tools, and then rounded up
        theta, top, divisor = 0.5, _NAN_BYTE - 1, largest(form.element)

    def scaler(x: Tensor, tensor: Tensor | None) -> Scaling:
        del tensor
        peaks = _peaks(x)
        if divisor:
            # The factor is rounded to the dtype of x before it multiplies.
            peaks = peaks * torch.tensor(1 / divisor, dtype=x.dtype, device=x.device)
        if rule.rule not in _BY_BITS:
            peaks = peaks.to(torch.float64)
        return Scaling(_units(_bytes(peaks, theta, rule.takes_edge, top), layout_of(x.dtype)))

    return scaler


def _bytes(peaks: Tensor, theta: float, takes_edge: bool, top: int) -> Tensor:
    """Return k + 127 where the peak lies between theta 2^k and theta 2^(k + 1).

    Adding to the bits of M what theta's significand lacks to the next power of two carries into
    the exponent exactly where M's significand is not below it.
    """
    layout = layout_of(peaks.dtype)
    significand, exponent = math.frexp(theta)
    place = math.ldexp(2 * significand - 1, layout.digits)
    reach = math.ceil(place) if takes_edge else math.floor(place) + 1
    # Compiled code may give a NaN a sign, and comparing bits would take it for a small number.
    bits = peaks.view(layout.integer) & (layout.exponent | ((1 << layout.digits) - 1))
    code = (bits + ((1 << layout.digits) - reach)) >> layout.digits
    code = torch.clamp(code - (exponent + layout.bias - _BIAS), 0, top)
    return torch.where(bits >= layout.exponent, _NAN_BYTE, code).to(torch.int32)


def _units(code: Tensor, layout: Layout) -> Tensor:
    """Return the scales that bytes of E8M0 stand for; 0 is 2^-127, 255 is NaN."""
    bits = (code.to(layout.integer) + (layout.bias - _BIAS)) << layout.digits
    if layout.lowest > -_BIAS:  # byte 0 is a subnormal
        bits = torch.clamp(bits, min=1 << (layout.digits - 1))
    kind = torch.float64 if layout is DOUBLE else torch.float32
    return torch.where(code == _NAN_BYTE, math.nan, bits.view(kind))


# ---- real scales and stored ones


def _stored(rule: StoredScale, form: BlockFormat) -> Scaler:
    rounder, divisor = rounder_of(rule.format), rule.divisor_for(form.element)

    def scaler(x: Tensor, tensor: Tensor | None) -> Scaling:
        wanted = _peaks(x) / _like(divisor, x)
        wanted = wanted if tensor is None else wanted / tensor
        if rule.smallest is not None:
            wanted = torch.clamp(wanted, min=rule.smallest)
        stored = apply_levels(rounder, wanted, _like(1.0, x))
        return Scaling(stored if tensor is None else stored * tensor)

    return scaler


def _absmax(rule: Absmax, form: BlockFormat) -> Scaler:
    divisor = rule.divisor_for(form.element)

    def scaler(x: Tensor, tensor: Tensor | None) -> Scaling:
        del tensor
        peaks = _peaks(x)
        if rule.multiplier != 1:
            peaks = peaks * _like(rule.multiplier, x)
        return Scaling(peaks / _like(divisor, x))

    return scaler


def _min_max(rule: MinMax, form: BlockFormat) -> Scaler:
    most = float(2**form.element.bits - 1)

    def real(x: Tensor, tensor: Tensor | None) -> Scaling:
        del tensor
        low = x.amin(1, keepdim=True)
        return Scaling((x.amax(1, keepdim=True) - low) / _like(most, x), low=low)

    def integer(x: Tensor, tensor: Tensor | None) -> Scaling:
        del tensor
        low = torch.clamp(x.amin(1, keepdim=True), max=0)
        unit = (torch.clamp(x.amax(1, keepdim=True), min=0) - low) / _like(most, x)
        return Scaling(unit, zero=torch.round(-low / nonzero(unit)))

    return real if rule.zero == "real" else integer


def _like(value: float, x: Tensor) -> Tensor:
    """Return a number rounded to the dtype of x."""
    return torch.full((), value, dtype=x.dtype, device=x.device)


# ---- scales of tensors


def tensor_scaler_of(form: BlockFormat) -> Callable[[Tensor], Tensor | None]:
    """Return what finds the tensor scale of every block, shape (blocks, 1) or (1, 1).

    It takes values with the blocks along the last axis; None stands for 1. It raises
    InvalidValue if the values that share one are not all, nor divide that axis.
    """
    rule = form.scale
    if not isinstance(rule, StoredScale | FourOverSix) or rule.tensor == 1:
        return lambda _: None
    if not isinstance(rule.tensor, Amax):
        fixed = rule.tensor
        return lambda source: _like(fixed, source).reshape(1, 1)
    wanted, divisor, block = rule.tensor.size, rule.amax_divisor(form.element), form.block_size

    def scaler(source: Tensor) -> Tensor:
        size = wanted or source.numel()
        if size != source.numel() and source.shape[-1] % size:
            raise InvalidValue(
                f"{size:,} values share a tensor scale: they must be all values of x or divide "
                f"the axis of the blocks, whose length is {source.shape[-1]}; of=tensor takes all"
            )
        runs = nonzero(_peaks(source.reshape(-1, size)) / _like(divisor, source))
        return runs.expand(-1, size // block).reshape(-1, 1)

    return scaler
