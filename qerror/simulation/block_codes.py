"""What block-scaled arrays are stored as: codes and scales, and the way back."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import MinMax, PowerOfTwo
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.stored_scales import Amax, StoredScale, scale_levels
from qerror.rounding import as_rounding
from qerror.simulation._arguments import require_rng
from qerror.simulation._block_arguments import (
    axis_of,
    floats_or_bfloat16,
    require_saturating,
)
from qerror.simulation._block_rows import NumpyRows, Task, Worker, task_for, unit_of
from qerror.simulation._block_scaling import Scaling, exponent_units
from qerror.simulation._chunks import AnyArray
from qerror.simulation._coder import coder_for
from qerror.simulation._kernels import AnyReal
from qerror.simulation._tensor_scales import (
    fixed_scale,
    per_block,
    tensor_rule,
    tensor_scales,
)


class BlockCodes(NamedTuple):
    """What a block-scaled array is stored as; along the axis of the blocks lie n values."""

    codes: AnyArray
    """The elements' codes, of the shape of the array. Elements of 4 bits lie two to a byte along
    the axis, the first in the lower four bits; a last one alone has zeros above it."""
    scales: AnyArray
    """One a block: bytes of E8M0, codes of the scale format, or real scales."""
    offsets: AnyArray | None = None
    """Of affine blocks: the level of code 0, or integer zero points."""
    tensor: AnyArray | None = None
    """Tensor scales, one for each run of blocks that shares one, in memory order."""


def as_block_codes(codes: object) -> BlockCodes:
    """Return what `encode` returns for blocks, given as such or as a tuple of its parts."""
    if isinstance(codes, BlockCodes):
        return codes
    if isinstance(codes, tuple):
        parts = cast("Sequence[Any]", codes)
        if 2 <= len(parts) <= 4:
            return BlockCodes(*parts)
    raise InvalidType(
        "the codes of blocks come with their scales: BlockCodes(codes, scales), as encode returns"
    )


def encode_blocks(
    x: npt.ArrayLike,
    form: BlockFormat,
    *,
    axis: int = -1,
    rounding: str = "nearest-even",
    overflow: str = "saturate",
    rng: np.random.Generator | None = None,
) -> BlockCodes:
    """Return the codes of the elements and the scales to which `quantize_blocks` takes an array.

    Parameters
    ----------
    x, form, axis, rounding, overflow, rng
        As for `quantize_blocks`; elements of at most 16 bits.

    Returns
    -------
    BlockCodes
        A block that is not finite has the scale NaN and codes 0.

    Raises
    ------
    InvalidType, InvalidValue
        As `quantize_blocks`; if a scale is NaN and no code of its format is.
    """
    mode = as_rounding(rounding)
    x = floats_or_bfloat16(x)
    require_saturating(overflow)
    if mode == "stochastic":
        require_rng(rng)
    task, axis = task_for(form, x.dtype, mode), axis_of(x, form, axis)
    source = np.moveaxis(x, axis, -1)
    blocks = np.ascontiguousarray(source).reshape(-1, form.block_size)
    tensor = tensor_scales(source, form, task)
    rows = NumpyRows(task, blocks.size, rng)
    worker = Worker(task, rows, blocks.size)
    with np.errstate(all="ignore"):
        values = worker.values(blocks)
        scaling = worker.scaling(values, per_block(tensor, blocks.shape[0]))
        codes = _element_codes(task, rows.levels(values, scaling), scaling)
    per_axis = (*source.shape[:-1], source.shape[-1] // form.block_size)
    scales, offsets = (
        None if part is None else np.moveaxis(part.reshape(per_axis), -1, axis)
        for part in (_scale_codes(form, scaling), _offsets(scaling))
    )
    packed = pack(codes.reshape(source.shape)) if form.element.bits == 4 else codes
    stored = packed.reshape(*source.shape[:-1], -1) if packed.size else packed
    fixed = tensor if isinstance(tensor_rule(form), Amax) else None
    return BlockCodes(np.moveaxis(stored, -1, axis), cast("AnyArray", scales), offsets, fixed)


def _element_codes(task: Task, levels: AnyReal, scaling: Scaling) -> AnyArray:
    coder = coder_for(task.form.element)
    whole = np.where(np.isnan(levels), levels.dtype.type(0), levels)
    if isinstance(task.form.scale, MinMax):
        zero = 0 if scaling.zero is None else np.nan_to_num(scaling.zero)[:, None]
        return (whole + zero).astype(coder.dtype)
    return coder.codes(whole.reshape(-1), task.plan.levels, 1.0).astype(coder.dtype)


def _scale_codes(form: BlockFormat, scaling: Scaling) -> AnyArray:
    """Return what is stored of the scales."""
    if not isinstance(form.scale, StoredScale | FourOverSix):
        return scaling.stored
    coder = coder_for(form.scale.format)
    levels, codes = scale_levels(form.scale.format)
    unknown = np.isnan(scaling.stored)
    index = np.searchsorted(levels.astype(scaling.stored.dtype), np.nan_to_num(scaling.stored))
    found = codes[np.minimum(index, codes.size - 1)]
    if unknown.any():
        if coder.nan is None:
            raise InvalidValue(
                f"{int(unknown.sum()):,} blocks hold NaN, and no scale in {form.scale.format.name} "
                "is; replace them first, for example by np.nan_to_num"
            )
        found[unknown] = coder.nan
    return found.astype(np.uint8 if form.scale.format.bits <= 8 else np.uint16)


def _offsets(scaling: Scaling) -> AnyArray | None:
    if scaling.zero is None:
        return scaling.low
    zero = np.nan_to_num(scaling.zero)
    return zero.astype(np.uint8 if zero.max(initial=0) < 256 else np.uint32)


def decode_blocks(
    coded: BlockCodes,
    form: BlockFormat,
    *,
    axis: int = -1,
    dtype: npt.DTypeLike = np.float32,
) -> AnyArray:
    """Return the values that codes and scales stand for.

    ``decode_blocks(encode_blocks(x, f), f, dtype=x.dtype)`` has the bits of
    ``quantize_blocks(x, f)``.

    Parameters
    ----------
    coded : BlockCodes
        Codes and scales, and what else the format stores.
    form : BlockFormat
        The format.
    axis : int
        Along which the blocks lie.
    dtype : dtype
        float16, bfloat16, float32 or float64.

    Raises
    ------
    InvalidType, InvalidValue
        If the parts are no codes of the format or do not fit each other.
    """
    target = np.dtype(dtype)
    floats_or_bfloat16(np.empty(0, target))
    task = task_for(form, target, "nearest-even")
    n = form.block_size
    scales = np.moveaxis(np.asarray(coded.scales), axis, -1)
    given = np.moveaxis(np.asarray(coded.codes), axis, -1)
    length = scales.shape[-1] * n
    packed = form.element.bits == 4
    if given.shape != (*scales.shape[:-1], (length + 1) // 2 if packed else length):
        raise InvalidValue(
            f"codes of shape {np.shape(coded.codes)} do not go with scales of shape "
            f"{np.shape(coded.scales)} in blocks of {n} along axis {axis}"
        )
    codes = unpack(given, length) if packed else given
    if packed and coder_for(form.element).first < 0:
        codes = (codes.astype(np.int8) ^ 8) - 8  # two's complement
    with np.errstate(all="ignore"):
        scaling = _scaling_of(coded, task, scales.reshape(-1), axis)
        levels = _levels_of_codes(task, codes.reshape(-1, n), scaling)
        unit = unit_of(scaling, task.levels)[:, None]
        found = (levels * unit).astype(task.layout.kind)
        if scaling.low is not None:
            found += scaling.low[:, None]
    return np.moveaxis(found.astype(target).reshape(codes.shape), -1, axis)


def _scaling_of(coded: BlockCodes, task: Task, stored: AnyArray, axis: int) -> Scaling:
    """Return the scales that are stored, of blocks in memory order."""
    rule, layout = task.form.scale, task.layout
    if isinstance(rule, PowerOfTwo):
        return Scaling(exponent_units(_codes_within(stored, 256, "E8M0"), layout), stored)
    if isinstance(rule, StoredScale | FourOverSix):
        coder = coder_for(rule.format)
        values = coder.values[_codes_within(stored, coder.values.size, rule.format.name)]
        unit = values.astype(layout.kind)
        tensor = (
            coded.tensor if isinstance(rule.tensor, Amax) else fixed_scale(rule.tensor, layout.kind)
        )
        spread = per_block(tensor, stored.size)
        if spread is not None:
            unit = unit * spread
        return Scaling(unit, stored)
    unit = stored.astype(layout.kind)
    if not isinstance(rule, MinMax):
        return Scaling(unit, unit)
    if coded.offsets is None:
        raise InvalidValue(f"{task.form.name} stores an offset for each block; there are none")
    offsets = np.moveaxis(np.asarray(coded.offsets), axis, -1).reshape(-1).astype(layout.kind)
    real = rule.zero == "real"
    return Scaling(unit, unit, low=offsets if real else None, zero=None if real else offsets)


def _levels_of_codes(task: Task, codes: AnyArray, scaling: Scaling) -> AnyReal:
    coder = coder_for(task.form.element)
    index = codes.astype(np.int64) - coder.first
    known = (index >= 0) & (index < coder.values.size)
    known[known] = coder.used[index[known]]
    if not known.all():
        raise InvalidValue(
            f"{task.form.element.name} has no code {codes[~known].flat[0]}; its codes are "
            f"{coder.listing}"
        )
    levels = coder.values[index].astype(task.plan.kind)
    return levels if scaling.zero is None else levels - scaling.zero[:, None]


def _codes_within(codes: AnyArray, count: int, name: str) -> AnyArray:
    if codes.dtype.kind not in "iu":
        raise InvalidType(f"scales must be codes of {name}, got dtype {codes.dtype}")
    if codes.size and not (codes.min() >= 0 and codes.max() < count):
        raise InvalidValue(f"scales must be codes of {name}, 0..{count - 1}")
    return codes


def pack(codes: AnyArray) -> AnyArray:
    """Put codes of 4 bits two to a byte along the last axis, the first in the lower half."""
    nibbles = codes.astype(np.uint8) & 15
    if nibbles.shape[-1] % 2:
        nibbles = np.concatenate([nibbles, np.zeros_like(nibbles[..., :1])], axis=-1)
    packed: AnyArray = nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)
    return packed


def unpack(packed: AnyArray, length: int) -> AnyArray:
    """Return the codes of bytes along the last axis, `length` of them."""
    halves = np.stack([packed & 15, packed >> 4], axis=-1)
    return halves.reshape(*packed.shape[:-1], 2 * packed.shape[-1])[..., :length]
