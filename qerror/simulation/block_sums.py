"""What formats that share scales in blocks do to a tensor, part by part: sums that add up."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.formats.block import BlockFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.stored_scales import Amax, StoredScale
from qerror.simulation._numba import PAYS_UNLOADED, compiler
from qerror.simulation.blocks import quantize_blocks

Real: TypeAlias = npt.NDArray[Any]
Loop: TypeAlias = Callable[..., Any]
Sums: TypeAlias = Callable[[Real, Real], tuple[float, float]]

_AT_ONCE = 1 << 18  # values quantized at a time: values and levels stay in the cache
_CHUNK = 1 << 16  # values of one sum: the sums of many are added exactly
_LANES = 64  # partial sums of a chunk


class BlockSums(NamedTuple):
    """Sums over the finite values of a part whose block is finite too."""

    noise: float
    """Of e^2."""
    power: float
    """Of x^2."""
    size: int
    spoiled: int
    """How many finite values share a block with others that are not."""


def at_largest(form: BlockFormat, amax: float) -> BlockFormat:
    """Return the format with the tensor scale that the largest magnitude of a tensor sets.

    A format whose scales follow from their own blocks, or runs of them, is returned as it is.
    """
    rule = form.scale
    if not isinstance(rule, StoredScale | FourOverSix) or rule.tensor != Amax():
        return form
    single = np.float32(amax) / np.float32(rule.amax_divisor(form.element))
    return replace(form, scale=replace(rule, tensor=float(single) if single > 0 else 1.0))


def shared_length(form: BlockFormat) -> int:
    """Return how many neighbours belong together: a block, or those under one tensor scale."""
    rule = form.scale
    if isinstance(rule, StoredScale | FourOverSix) and isinstance(rule.tensor, Amax):
        return math.lcm(form.block_size, rule.tensor.size or 1)
    return form.block_size


def block_sums(x: Real, form: BlockFormat, engine: str = "auto") -> BlockSums:
    """Quantize whole blocks of float32 or float64 values and return the sums of their errors.

    Parameters
    ----------
    x : ndarray
        Flat; its length is a multiple of `shared_length`.
    form : BlockFormat
        At the tensor scale of `at_largest`, if it has one.
    engine : {"auto", "numpy", "numba"}
        As for `quantize`.
    """
    sums = _summing(engine, x.size)
    noise: list[float] = []
    power: list[float] = []
    size = spoiled = 0
    length = shared_length(form)
    step = max(_AT_ONCE // length, 1) * length
    results = np.empty(min(step, x.size), x.dtype)
    for start in range(0, x.size, step):
        part = x[start : start + step].reshape(-1, length)
        levels = results[: part.size].reshape(part.shape)
        quantize_blocks(part, form, engine=engine, out=levels)
        for values, to in _chunks(part.reshape(-1), levels.reshape(-1)):
            kept, found = values.size, sums(values, to)
            if not math.isfinite(found[0] + found[1]):
                inside = np.isfinite(values)
                both = inside & np.isfinite(to)
                kept, found = int(both.sum()), sums(values[both], to[both])
                spoiled += int(inside.sum()) - kept
            noise.append(found[0])
            power.append(found[1])
            size += kept
    return BlockSums(math.fsum(noise), math.fsum(power), size, spoiled)


def difference_sums(x: Real, y: Real) -> BlockSums:
    """Return the sums of (y - x)^2 and x^2 over the values where both are finite.

    Parameters
    ----------
    x, y : ndarray of float32 or float64
        Flat, of one size.
    """
    noise: list[float] = []
    power: list[float] = []
    size = 0
    for values, to in _chunks(x, y):
        kept, found = values.size, _sums(values, to)
        if not math.isfinite(found[0] + found[1]):
            both = np.isfinite(values) & np.isfinite(to)
            kept, found = int(both.sum()), _sums(values[both], to[both])
        noise.append(found[0])
        power.append(found[1])
        size += kept
    return BlockSums(math.fsum(noise), math.fsum(power), size, x.size - size)


def _chunks(x: Real, levels: Real) -> Iterator[tuple[Real, Real]]:
    for start in range(0, x.size, _CHUNK):
        yield x[start : start + _CHUNK], levels[start : start + _CHUNK]


def _summing(engine: str, size: int) -> Sums:
    """Return what sums e^2 and x^2 of a chunk, compiled or not: the same bits."""
    compiled = engine == "numba" or (engine == "auto" and size >= PAYS_UNLOADED)
    return _compiled_sums() if compiled else _sums


def _sums(x: Real, levels: Real) -> tuple[float, float]:
    """Sum in lanes, in the order of the values: no number of threads changes that."""
    rows = -(-x.size // _LANES)
    wide = np.zeros(rows * _LANES)
    e = np.zeros(rows * _LANES)
    with np.errstate(all="ignore"):  # signalling NaNs too
        wide[: x.size] = x
        np.subtract(levels, wide[: x.size], out=e[: x.size])
        e *= e
        wide *= wide
        lanes = [np.add.reduce(each.reshape(-1, _LANES), axis=0) for each in (e, wide)]
    return _joined(lanes[0]), _joined(lanes[1])


def _joined(lanes: FloatArray) -> float:
    """Add the lanes; not finite where one of them is not."""
    total = float(lanes.sum())
    return math.fsum(lanes.tolist()) if math.isfinite(total) else math.nan


@lru_cache(maxsize=1)
def _compiled_sums() -> Sums:
    build = cast("Callable[[Loop], Loop]", compiler())

    @build
    def lanes(x: Any, levels: Any, noise: Any, power: Any) -> None:
        width = noise.size
        rows = x.size // width
        for i in range(rows):
            for j in range(width):
                v = np.float64(x[i * width + j])
                e = np.float64(levels[i * width + j]) - v
                noise[j] += e * e
                power[j] += v * v
        for j in range(x.size - rows * width):
            v = np.float64(x[rows * width + j])
            e = np.float64(levels[rows * width + j]) - v
            noise[j] += e * e
            power[j] += v * v

    def sums(x: Real, levels: Real) -> tuple[float, float]:
        noise, power = np.zeros(_LANES), np.zeros(_LANES)
        lanes(x, levels, noise, power)
        return _joined(noise), _joined(power)

    return sums
