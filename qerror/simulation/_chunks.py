"""Walks over arrays of any layout in chunks that stay in the cache, on several threads."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror.simulation._kernels import WorkType

AnyArray: TypeAlias = npt.NDArray[Any]
Chunk: TypeAlias = tuple[AnyArray, AnyArray | None, AnyArray]
"""Values, their scales if these differ, and where the results go."""

CHUNK_BYTES = 1 << 18  # two scratch arrays, values and results fit in 2 MiB of cache


def chunk_size(kind: WorkType) -> int:
    """Return how many values a chunk has."""
    return CHUNK_BYTES // np.dtype(kind).itemsize


def for_each_part(
    work: Callable[[Iterator[Chunk]], None],
    arrays: Chunk,
    size: int,
    threads: int,
) -> None:
    """Call `work` with the chunks of each part, one part a thread.

    Parameters
    ----------
    arrays : (ndarray, ndarray or None, ndarray)
        Values, scales and results, of one shape: the scales are broadcast already.
    size : int
        Values per chunk.
    threads : int
        At least 1.
    """
    x, scale, out = _in_memory_order(*arrays)
    parts = list(_parts(x, scale, out, size, threads))
    if len(parts) < 2:
        for part in parts:
            work(_chunks(*part, size))
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(work, _chunks(*part, size)) for part in parts]:
            done.result()


def _in_memory_order(x: AnyArray, scale: AnyArray | None, out: AnyArray) -> Chunk:
    """Transpose all alike, so that the last axis is the densest; one axis if it can be."""
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    x, out = x.transpose(order), out.transpose(order)
    if scale is not None:
        return x, scale.transpose(order), out
    if x.flags.c_contiguous and out.flags.c_contiguous:
        return x.reshape(-1), None, out.reshape(-1)
    return x, None, out


def _parts(
    x: AnyArray, scale: AnyArray | None, out: AnyArray, size: int, threads: int
) -> Iterator[Chunk]:
    """Cut along the first axis that is long enough, into whole chunks if it is the only one."""
    axis = next((i for i, n in enumerate(x.shape) if n >= threads), None)
    if threads < 2 or axis is None:
        yield x, scale, out
        return
    length = x.shape[axis]
    share = math.ceil(length / threads)
    if x.ndim == 1:
        share = math.ceil(share / size) * size
    for start in range(0, length, share):
        cut = (*[slice(None)] * axis, slice(start, start + share))
        yield x[cut], None if scale is None else scale[cut], out[cut]


def _chunks(x: AnyArray, scale: AnyArray | None, out: AnyArray, size: int) -> Iterator[Chunk]:
    if x.ndim == 1 and scale is None and _is_plain(x) and _is_plain(out):
        for start in range(0, x.size, size):
            yield x[start : start + size], None, out[start : start + size]
        return
    operands = [x, out] if scale is None else [x, out, scale]
    native = [each.dtype.newbyteorder("=") for each in operands]
    reads: list[Any] = ["readonly", "contig", "aligned"]
    writes: list[Any] = ["writeonly", "contig", "aligned"]
    with np.nditer(
        operands,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[reads, writes, reads][: len(operands)],
        op_dtypes=native,
        casting="equiv",
        order="C",
        buffersize=size,
    ) as walk:
        for values, results, *scales in walk:
            yield values, scales[0] if scales else None, results


def _is_plain(array: AnyArray) -> bool:
    return array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative


def split_blocks(array: AnyArray, counts: tuple[int, ...]) -> AnyArray:
    """Return a view in which axis i has become (counts[i], length / counts[i])."""
    shape: list[int] = []
    strides: list[int] = []
    for length, stride, count in zip(array.shape, array.strides, counts, strict=True):
        inside = length // count if count else 0
        shape += [count, inside]
        strides += [stride * inside, stride]
    return np.lib.stride_tricks.as_strided(array, shape, strides)
