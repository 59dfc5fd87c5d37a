"""The scales that whole tensors, or runs of blocks, share."""

from typing import Any, cast

import numpy as np

from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.stored_scales import Amax, StoredScale
from qerror.simulation._block_rows import Task
from qerror.simulation._chunks import AnyArray
from qerror.simulation._kernels import AnyReal


def tensor_rule(form: BlockFormat) -> float | Amax:
    return form.scale.tensor if isinstance(form.scale, StoredScale | FourOverSix) else 1.0


def fixed_scale(tensor: float, kind: type[np.floating[Any]]) -> AnyReal | None:
    return None if tensor == 1 else np.array([tensor], kind)


def tensor_scales(source: AnyArray, form: BlockFormat, task: Task) -> AnyReal | None:
    """Return the tensor scales in memory order, one for each run of blocks that shares one.

    None stands for 1. The blocks lie along the last axis of `source`.
    """
    tensor, kind = tensor_rule(form), task.layout.kind
    if not isinstance(tensor, Amax):
        return fixed_scale(tensor, kind)
    size = tensor.size or source.size
    if size != source.size and (source.shape[-1] % size or not source.size):
        raise InvalidValue(
            f"{size:,} values share a tensor scale: they must be all values of x or divide the "
            f"axis of the blocks, whose length is {source.shape[-1]}; of=tensor takes all"
        )
    if not source.size:
        return None
    rule = cast("StoredScale | FourOverSix", form.scale)
    share = kind(rule.amax_divisor(form.element))
    with np.errstate(all="ignore"):
        runs = np.abs(source.reshape(-1, size)).max(axis=1).astype(kind) / share
    return np.where(runs == 0, kind(1), runs)


def per_block(tensor: AnyArray | None, blocks: int) -> AnyArray | None:
    """Return the tensor scale of every block."""
    if tensor is None:
        return None
    if tensor.size == 1:
        return np.broadcast_to(tensor.reshape(-1), blocks)
    return np.repeat(tensor.reshape(-1), blocks // tensor.size)
