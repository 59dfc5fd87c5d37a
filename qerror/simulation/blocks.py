"""The array quantizer of formats whose values share scales in blocks."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from qerror.formats.block import BlockFormat
from qerror.rounding import as_rounding
from qerror.simulation._arguments import apart, destination, require_engine, threads_for
from qerror.simulation._block_arguments import (
    axis_of,
    floats_or_bfloat16,
    require_saturating,
)
from qerror.simulation._block_numba import compiled_rows, compiled_rows_if_possible, pays
from qerror.simulation._block_rows import NumpyRows, Rows, Task, Worker, task_for
from qerror.simulation._chunks import CHUNK_BYTES, AnyArray
from qerror.simulation._kernels import AnyReal
from qerror.simulation._tensor_scales import per_block, tensor_scales

_CHUNK_BYTES = 2 * CHUNK_BYTES  # a pass over rows takes more calls than one over values
_TOGETHER = 4  # chunks whose scales are found in one go: a few dozen calls on short arrays


def quantize_blocks(
    x: npt.ArrayLike,
    form: BlockFormat,
    *,
    axis: int = -1,
    rounding: str = "nearest-even",
    overflow: str = "saturate",
    rng: np.random.Generator | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    engine: str = "auto",
) -> AnyArray:
    """Replace every value by a level of its block, as a real quantizer does.

    Parameters
    ----------
    x : array_like
        float16, bfloat16 (of ml_dtypes), float32 or float64, any shape and memory layout.
    form : BlockFormat
        The format.
    axis : int
        Along which blocks are cut; the block size must divide its length. Nothing is padded:
        a last block with zeros is a choice of whoever stores it.
    rounding, rng, out, threads, engine
        As for `quantize`; the rounding is that of elements, scales keep to their rule.
    overflow : {"saturate"}
        Elements saturate.

    Returns
    -------
    ndarray
        Of the dtype and shape of `x`: levels times scales, rounded once to the dtype, beyond
        whose range they are infinite.

    Raises
    ------
    InvalidType, InvalidValue
        As `quantize`; if the axis does not exist or the block size does not divide it.

    Notes
    -----
    Scales are computed in float32, for float64 values in float64, in the order in which the
    format's card writes them. Powers of two follow from the bits of M, so that they are exact:
    "floor", "ceil" and "even" treat float32's subnormals as tools do, by their bits.

    A block with a NaN or an infinity becomes NaN as a whole. With stored scales an infinity
    saturates the scale and itself; only NaN spreads. A tensor scale carries what is not finite
    to all its blocks. A block of zeros stays one, with the signs that the element format has.
    """
    mode = as_rounding(rounding)
    x = floats_or_bfloat16(x)
    out = destination(out, x)
    require_saturating(overflow)
    require_engine(engine)
    workers = threads_for(threads, mode, rng)
    task = task_for(form, x.dtype, mode)
    axis = axis_of(x, form, axis)
    source = np.moveaxis(apart(x, out), axis, -1)
    target = np.moveaxis(out, axis, -1)
    blocks = np.ascontiguousarray(source).reshape(-1, form.block_size)
    direct = target.flags.c_contiguous
    results = target.reshape(-1, form.block_size) if direct else np.empty_like(blocks)
    tensor = per_block(tensor_scales(source, form, task), blocks.shape[0])
    _run(task, _passes(task, engine, x.size, rng), blocks, tensor, results, workers)
    if not direct:
        np.copyto(target, results.reshape(target.shape))
    return out


def _passes(
    task: Task, engine: str, size: int, rng: np.random.Generator | None
) -> Callable[[int], Rows]:
    """Return what makes the passes over chunks of up to a size."""
    compiled: Rows | None = None
    if engine == "numba":
        compiled = compiled_rows(task)
    elif engine == "auto" and pays(task, size):
        compiled = compiled_rows_if_possible(task)
    return lambda size: compiled or NumpyRows(task, size, rng)


def _run(  # noqa: PLR0917 - one call, its arguments in order
    task: Task,
    make: Callable[[int], Rows],
    blocks: AnyArray,
    tensor: AnyReal | None,
    results: AnyArray,
    threads: int,
) -> None:
    count, n = blocks.shape
    rows = max(1, _CHUNK_BYTES // np.dtype(task.layout.kind).itemsize // n)
    share = math.ceil(count / threads / rows) * rows

    def work(start: int) -> None:
        size = min(rows, count) * n
        worker = Worker(task, make(size), size)
        together = worker.takes_together(blocks, results)
        step = _TOGETHER * rows if together else rows
        with np.errstate(all="ignore"):
            for at in range(start, min(start + share, count), step):
                part = slice(at, min(at + step, start + share))
                scale = None if tensor is None else tensor[part]
                if together:
                    worker.together(blocks[part], scale, results[part], rows)
                else:
                    worker(blocks[part], scale, results[part])

    starts = range(0, count, max(share, 1))
    if len(starts) < 2:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(len(starts)) as pool:
        for done in [pool.submit(work, start) for start in starts]:
            done.result()
