"""Integer codes: what a quantized array is stored as."""

from typing import Any

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_format, as_scalar_format
from qerror.rounding import as_overflow, as_rounding, as_rule
from qerror.simulation._arguments import as_floats, threads_for
from qerror.simulation._chunks import AnyArray, split_blocks
from qerror.simulation._coder import coder_for
from qerror.simulation._held import holder
from qerror.simulation._kernels import AnyReal, ShortDraws
from qerror.simulation._levels import Levels, levels_of
from qerror.simulation.block_codes import (
    BlockCodes,
    as_block_codes,
    decode_blocks,
    encode_blocks,
)
from qerror.simulation.quantize import prepare, refuse_axis, refuse_scale, run


def encode(
    x: npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    axis: int | None = None,
    rounding: str = "nearest-even",
    overflow: str = "saturate",
    rng: np.random.Generator | None = None,
    threads: int | None = None,
) -> Any:
    """Return the integer codes of the levels to which `quantize` takes the values.

    Parameters
    ----------
    x, scale, axis, rounding, overflow, rng, threads
        As for `quantize`.
    format : Format or str
        Of at most 16 bits.

    Returns
    -------
    ndarray
        Of the shape of `x`. Signed integers and fixed point: int8 or int16, two's complement.
        Everything else: uint8 or uint16; a floating-point code is sign, exponent, mantissa from
        the top, the code of a Codebook is the index of the level in ascending order. For a
        `BlockFormat` a `BlockCodes`: codes, scales and what else is stored.

    Raises
    ------
    InvalidValue
        If the format has more than 16 bits, or a value is NaN and no code is.
    InvalidType, InvalidValue
        As for `quantize`.

    Examples
    --------
    >>> encode(np.array([0.5, -1.0, 1e9]), "e4m3")
    array([ 48, 184, 126], dtype=uint8)
    """
    form = as_format(format)
    if isinstance(form, BlockFormat):
        refuse_scale(form, scale)
        axis = -1 if axis is None else axis
        return encode_blocks(x, form, axis=axis, rounding=rounding, overflow=overflow, rng=rng)
    refuse_axis(form, axis)
    form = as_scalar_format(form)
    (mode, bits), beyond = as_rule(rounding), as_overflow(overflow)
    coder = coder_for(form)
    x = as_floats(x)
    workers = threads_for(threads, mode, rng)
    if rng is not None and bits is not None:
        rng = ShortDraws(rng, bits)
    if coder.nan is None and np.isnan(x).any():
        raise InvalidValue(
            f"x holds {int(np.isnan(x).sum()):,} NaN and no code of {form.name} is NaN; "
            "replace them first, for example by np.nan_to_num"
        )
    plan, scales = prepare(levels_of(form), scale, x, (mode, beyond), stored="d")
    unit = plan.unit

    def emit(levels: AnyReal, divisor: Any, out: AnyArray) -> None:
        del divisor
        np.copyto(out, coder.codes(levels, plan.levels, unit), casting="unsafe")

    out = np.empty_like(x, dtype=coder.dtype, subok=False)
    run(plan, x, scales, out, emit=emit, rng=rng, threads=workers)
    return out


def decode(
    codes: npt.ArrayLike | BlockCodes,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    axis: int | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> AnyArray:
    """Return the values that integer codes stand for.

    ``decode(encode(x, f, s), f, s, dtype=x.dtype)`` has the bits of ``quantize(x, f, s)``.

    Parameters
    ----------
    codes : array_like of int, or BlockCodes
        Any integer dtype; for a `BlockFormat` what `encode` returns.
    format : Format or str
        Of at most 16 bits.
    scale, axis
        As for `quantize`.
    dtype : dtype
        float16, float32 or float64; for a `BlockFormat` also bfloat16.

    Raises
    ------
    InvalidType
        If the codes are no integers or the dtype is none of the three.
    InvalidValue
        If a code is none of the format's.

    Examples
    --------
    >>> decode(np.array([48, 184, 127], np.uint8), "e4m3")
    array([ 0.5, -1. ,  nan], dtype=float32)
    """
    form = as_format(format)
    if isinstance(form, BlockFormat):
        refuse_scale(form, scale)
        return decode_blocks(
            as_block_codes(codes), form, axis=-1 if axis is None else axis, dtype=dtype
        )
    refuse_axis(form, axis)
    form = as_scalar_format(form)
    coder = coder_for(form)
    given = np.asarray(codes)
    if given.dtype.kind not in "iu":
        raise InvalidType(f"codes must be integers, got dtype {given.dtype}")
    target = np.dtype(dtype)
    as_floats(np.empty(0, target))
    index = given.astype(np.int64) - coder.first
    known = (index >= 0) & (index < coder.values.size)
    known[known] = coder.used[index[known]]
    if not known.all():
        raise InvalidValue(
            f"{form.name} has no code {given[~known].flat[0]}; its codes are {coder.listing}"
        )
    return _at_scale(levels_of(form), coder.values, index, scale, target)


def _at_scale(
    levels: Levels, values: FloatArray, index: IntArray, scale: npt.ArrayLike, dtype: np.dtype[Any]
) -> AnyArray:
    """Return values[index] at the scale, rounded as `quantize` rounds them."""
    like = np.broadcast_to(np.zeros((), dtype), index.shape)
    plan, array = prepare(levels, scale, like, (as_rounding("RNE"), as_overflow("saturate")))
    with np.errstate(all="ignore"):
        if array is not None:
            blocks = split_blocks(values[index], array.shape)
            within = tuple(n for count in array.shape for n in (count, 1))
            found: AnyArray = (blocks * array.reshape(within)).reshape(index.shape)
        else:
            found = (values * (plan.unit if plan.scale is None else plan.scale))[index]
        narrow = found.astype(dtype)
    hold = holder(plan, array, dtype)
    if hold is None:
        return narrow
    infinities = np.isinf(values)[index]
    kept = narrow[infinities]
    hold(narrow)
    narrow[infinities] = kept
    return narrow
