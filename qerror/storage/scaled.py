"""Quantized tensors of which a checkpoint keeps the codes and their scales as separate tensors.

The codes of ``w`` are called ``w``, ``w_packed`` or ``w_blocks``, their scales ``w_scale``,
``w_scale_inv`` (which multiply too, whatever the name says) or ``w_scales``; what multiplies all
scales is called ``w_scale_2``, what divides them ``w_global_scale``. ModelOpt, compressed-tensors,
DeepSeek and gpt-oss write them so.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple, final

import numpy as np

from qerror._arrays import FloatArray
from qerror.exceptions import QErrorException
from qerror.storage.encodings import FLOATING, Bytes, Plain, Real, Whole
from qerror.storage.tensor import Contents, Fault, StoredTensor

_SCALES = ("_scale_inv", "_scale", "_scales")
_PACKED = ("_packed", "_blocks")
_TIMES, _OVER = "_scale_2", "_global_scale"
_ELEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "F8_E4M3": "e4m3",
        "F8_E5M2": "e5m2",
        "F8_E4M3FNUZ": "e4m3fnuz",
        "F8_E5M2FNUZ": "e5m2fnuz",
        "F6_E2M3": "e2m3",
        "F6_E3M2": "e3m2",
        "F4": "e2m1",
        "I8": "int8",
        "U8": "e2m1",
        "I32": "int4:full",
    }
)
"""The types of codes, and the formats of which they are codes; those of whole numbers if scaled."""

_MX = {
    "e2m1": "mxfp4",
    "e2m3": "mxfp6_e2m3",
    "e3m2": "mxfp6_e3m2",
    "e4m3": "mxfp8_e4m3",
    "e5m2": "mxfp8_e5m2",
}
_STORED = {"BF16": ":scale=bf16", "F16": ":scale=fp16", "F8_E4M3": ":scale=e4m3"}
_POWERS = {"U8", "F8_E8M0"}  # OCP MX 1.0, 5.4.1
_TILE = 128  # rows of a tile where scales fit several: the usual number
_AT_ONCE = 1 << 18  # values at a time, in float64


class Tile(NamedTuple):
    """So many rows and columns share a scale; rows are all axes but the last together."""

    rows: int
    columns: int


class Scheme(NamedTuple):
    """How a tensor is quantized."""

    format: str
    """One that `qerror.parse_format` reads; its blocks have as many values as a tile."""
    tile: Tile | None
    """None where the whole tensor has one scale."""


def joined(contents: Contents) -> tuple[Contents, Mapping[str, Scheme]]:
    """Return a checkpoint whose scaled tensors hold the values that their codes stand for.

    Returns
    -------
    contents : Contents
        Codes that have scales became one tensor of float64 with them, exact but for the division
        by a global scale; a pair that does not fit became a `Fault`. All other tensors are as
        they were.
    schemes : mapping
        How these are quantized, by their names.
    """
    stored = {each.name: each for each in contents.tensors}
    stored |= {each.tensor: each.stored for each in contents.skipped if each.stored is not None}
    found: dict[str, StoredTensor] = {}
    schemes: dict[str, Scheme] = {}
    used: set[str] = set()
    faults: list[Fault] = []
    for name, codes in stored.items():
        pair = _scales_of(name, codes, stored)
        if pair is None:
            continue
        stem, scales = pair
        used |= {name, scales.name, stem + _TIMES, stem + _OVER, f"{stem}_shape"}
        try:
            made = _made(stem, codes, scales, stored)
            found[stem] = made.tensor
            schemes[stem] = made.scheme
        except (ValueError, QErrorException) as error:
            faults.append(Fault(codes.path, name, f"with {scales.name!r}: {error}"))
    kept = tuple(each for each in contents.tensors if each.name not in used)
    return (
        replace(
            contents,
            tensors=(*kept, *found.values()),
            skipped=tuple(each for each in contents.skipped if each.tensor not in used),
            faults=(*contents.faults, *faults),
        ),
        MappingProxyType(schemes),
    )


def _scales_of(
    name: str, codes: StoredTensor, stored: Mapping[str, StoredTensor]
) -> tuple[str, StoredTensor] | None:
    """Return what a tensor of codes is called without its suffix, and its scales."""
    if codes.dtype not in _ELEMENTS:
        return None
    stem = next((name.removesuffix(end) for end in _PACKED if name.endswith(end)), name)
    for end in _SCALES:
        if stem + end in stored and stem + end != name:
            return stem, stored[stem + end]
    return None


class _Made(NamedTuple):
    tensor: StoredTensor
    scheme: Scheme


def _made(
    stem: str, codes: StoredTensor, scales: StoredTensor, stored: Mapping[str, StoredTensor]
) -> _Made:
    if f"{stem}_zero_point" in stored:
        raise ValueError(f"zero points, {stem}_zero_point, are not read")
    shape, bits = _shape(stem, codes, scales, stored)
    tile = _tile(shape, scales.shape)
    if scales.dtype not in _POWERS and (
        scales.dtype not in FLOATING or scales.encoding.values_per_unit > 1
    ):
        raise ValueError(f"scales of type {scales.dtype} are not read")
    factor = _factor(stem, stored)
    values = _Values(codes, scales, shape, tile or Tile(1, 1), bits, factor, tile is None)
    kind = Plain(f"{codes.dtype} x {scales.dtype}", 8, 2.0**-24)
    tensor = StoredTensor(codes.path, stem, shape, kind, 0, piece=values)
    has_factor = stem + _TIMES in stored or stem + _OVER in stored
    return _Made(tensor, Scheme(_format(codes, scales, tile, bits, has_factor), tile))


def _shape(
    stem: str, codes: StoredTensor, scales: StoredTensor, stored: Mapping[str, StoredTensor]
) -> tuple[tuple[int, ...], int]:
    """Return the shape of the values, and the bits of a code."""
    given = codes.shape
    if not given:
        raise ValueError("codes of a single value have no rows")
    if codes.dtype == "U8":  # two codes of four bits in a byte
        *outer, last = given
        if codes.name.endswith("_blocks") and tuple(outer) == scales.shape and outer:
            last *= outer.pop()  # blocks are an axis of their own
        return (*outer, last * 2), 4
    if codes.dtype == "I32":
        place = stored.get(f"{stem}_shape")
        if place is None or place.size != len(given) or not isinstance(place.encoding, Whole):
            raise ValueError(f"packed codes need {stem}_shape, which says how many they are")
        shape = tuple(int(n) for n in place.values().tolist())
        bits = 32 * given[-1] // shape[-1] if shape[-1] > 0 else 0
        if bits not in {4, 8} or shape != (*given[:-1], given[-1] * 32 // bits):
            raise ValueError(f"codes of shape {list(given)} do not hold values of {list(shape)}")
        return shape, bits
    bits = 8 if codes.dtype == "I8" else round(codes.encoding.bits)
    return given, bits


def _tile(shape: tuple[int, ...], scales: tuple[int, ...]) -> Tile | None:
    """Return which values share a scale; None where all do."""
    *outer, columns = shape
    count, rows = math.prod(scales), math.prod(outer)
    if count == 1:
        return None
    if not count or not columns:
        raise ValueError(f"scales of shape {list(scales)} for values of {list(shape)}")
    if count == rows and (len(scales) == 1 or scales[-1] == 1 or scales == shape[:-1]):
        return Tile(1, columns)
    across = scales[-1]
    if count == rows * across and columns % across == 0:
        return Tile(1, columns // across)
    if len(shape) == len(scales) == 2:
        return Tile(_side(rows, scales[0]), _side(columns, across))
    raise ValueError(f"scales of shape {list(scales)} do not fit values of {list(shape)}")


def _side(length: int, parts: int) -> int:
    """Return how long the parts of an axis are, of which the last may be shorter."""
    if -(-length // _TILE) == parts:
        return _TILE
    side = -(-length // parts) if parts else 0
    if not side or -(-length // side) != parts:
        raise ValueError(f"{length:,} values are not cut into {parts:,} tiles of one length")
    if length % parts:
        raise ValueError(f"{length:,} values in {parts:,} tiles: how long they are is not said")
    return side


def _factor(stem: str, stored: Mapping[str, StoredTensor]) -> float:
    """Return what multiplies all scales of a tensor."""
    times = _one(stored[stem + _TIMES]) if stem + _TIMES in stored else 1.0
    over = _one(stored[stem + _OVER]) if stem + _OVER in stored else 1.0
    return times / over


def _one(tensor: StoredTensor) -> float:
    if tensor.size != 1:
        raise ValueError(f"{tensor.name!r} has {tensor.size:,} values, it must be one")
    found = float(tensor.values()[0])
    if not (math.isfinite(found) and found != 0):
        raise ValueError(f"{tensor.name!r} is {found:g}, which scales nothing")
    return found


def _format(
    codes: StoredTensor, scales: StoredTensor, tile: Tile | None, bits: int, has_factor: bool
) -> str:
    element = _ELEMENTS[codes.dtype] if codes.dtype != "I32" else f"int{bits}:full"
    if tile is None:
        return element
    size = tile.rows * tile.columns
    if scales.dtype in _POWERS and element in _MX:
        return _MX[element] + ("" if size == 32 else f":g{size}")
    if scales.dtype == "F8_E4M3" and (element, size) == ("e2m1", 16):
        return "nvfp4:of=tensor" if has_factor else "nvfp4"
    return f"{element}:g{size}{_STORED.get(scales.dtype, '')}"


@final
@dataclass(frozen=True)
class _Values:
    """The products of codes and scales, from one place up to another; it can be sent elsewhere."""

    codes: StoredTensor
    scales: StoredTensor
    shape: tuple[int, ...]
    tile: Tile
    bits: int
    factor: float
    is_one: bool
    """Whether one scale is that of all."""

    @np.errstate(all="ignore")  # NaNs, also signalling ones, and infinities are told as such later
    def __call__(self, start: int, stop: int) -> Bytes:
        found = np.empty(stop - start)
        for first in range(start, stop, _AT_ONCE):
            last = min(first + _AT_ONCE, stop)
            found[first - start : last - start] = self._codes(first, last)
            found[first - start : last - start] *= self._scales(first, last) * self.factor
        return found.view(np.uint8)

    def _codes(self, start: int, stop: int) -> Real:
        kind = self.codes.dtype
        unit = 32 // self.bits if kind == "I32" else 2 if kind == "U8" else 1
        step = math.lcm(unit, self.codes.encoding.values_per_unit)
        first, last = start // step * step, min(-(-stop // step) * step, math.prod(self.shape))
        stored = self.codes.values(first // unit, last // unit)
        if kind == "U8":
            stored = FLOATING["F4"].decode(stored)
        elif kind == "I32":
            words = stored.view(np.uint32)[:, None] >> (
                np.arange(unit, dtype=np.uint32) * np.uint32(self.bits)
            )
            half = 1 << (self.bits - 1)
            stored = (words & np.uint32(2 * half - 1)).astype(np.int64).reshape(-1) - half
        return stored[start - first : stop - first]

    def _scales(self, start: int, stop: int) -> FloatArray | float:
        if self.is_one:
            return float(self._powers(self.scales.values())[0])
        row, column = np.divmod(np.arange(start, stop), self.shape[-1])
        across = -(-self.shape[-1] // self.tile.columns)
        at = row // self.tile.rows * across + column // self.tile.columns
        first = int(at.min())
        found: FloatArray = self._powers(self.scales.values(first, int(at.max()) + 1))[at - first]
        return found

    def _powers(self, stored: Real) -> FloatArray:
        if self.scales.dtype == "U8":  # OCP MX 1.0, 5.4.1: E8M0
            return FLOATING["F8_E8M0"].decode(stored).astype(np.float64)
        return stored.astype(np.float64)
