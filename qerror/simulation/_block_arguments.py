"""What functions of blocks accept, checked at their doors."""

from typing import cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.rounding import as_overflow
from qerror.simulation._arguments import as_floats
from qerror.simulation._chunks import AnyArray


def floats_or_bfloat16(x: npt.ArrayLike) -> AnyArray:
    """Return `x` as an array of a dtype that blocks are cut from."""
    if isinstance(x, np.ndarray):
        array = cast("AnyArray", x)
        return array if array.dtype.name == "bfloat16" else as_floats(array)
    return as_floats(x)


def require_saturating(overflow: str) -> None:
    """Refuse conventions of overflow: elements of blocks saturate."""
    if as_overflow(overflow) != "saturate":
        raise InvalidValue("the elements of blocks saturate: overflow must be 'saturate'")


def axis_of(x: AnyArray, form: BlockFormat, axis: int) -> int:
    """Return the axis of the blocks, not negative, or refuse it."""
    if x.ndim == 0:
        raise InvalidValue("blocks lie along an axis; x is a single number")
    axis = integer("axis", axis, -x.ndim, x.ndim - 1) % x.ndim
    if x.shape[axis] % form.block_size:
        raise InvalidValue(
            f"axis {axis} of x has length {x.shape[axis]}, which blocks of {form.block_size} do "
            "not divide; pad it, for example with zeros by np.pad, or choose another block size"
        )
    return axis
