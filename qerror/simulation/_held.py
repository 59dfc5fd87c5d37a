"""Saturation where the dtype of the result is narrower than the range of the levels.

Values beyond the range go to the largest level that the dtype holds, not to infinity.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from qerror.exceptions import InvalidValue
from qerror.simulation._chunks import AnyArray, split_blocks
from qerror.simulation._levels import Levels
from qerror.simulation._plan import Plan

_LARGEST = {char: float(np.finfo(char).max) for char in "efd"}


def holder(
    plan: Plan, scales: AnyArray | None, dtype: np.dtype[Any]
) -> Callable[[AnyArray], None] | None:
    """Return what replaces infinite results by the outermost levels held; None if all are held.

    Parameters
    ----------
    scales : ndarray or None
        As of `prepare`: None where one scale serves all, which the plan then has.

    Raises
    ------
    InvalidValue
        If the dtype holds no level at one of the scales.
    """
    farthest = max(-plan.levels.low, plan.levels.high)
    one = 1.0 if plan.scale is None else float(plan.scale)
    most = one if scales is None else float(scales.max(initial=0.0))
    if farthest * most <= _LARGEST[dtype.char]:
        return None
    units = [one] if scales is None else np.unique(scales.astype(np.float64)).tolist()
    ends = {
        unit: _ends_held(plan.levels, unit, dtype)
        for unit in units
        if farthest * unit > _LARGEST[dtype.char]
    }
    return partial(_hold, ends=ends, scales=scales)


def _hold(out: AnyArray, ends: dict[float, tuple[float, float]], scales: AnyArray | None) -> None:
    if scales is None:
        (low, high) = next(iter(ends.values()))
        out[out == np.inf] = high
        out[out == -np.inf] = low
        return
    blocks = split_blocks(out, scales.shape)
    within = tuple(n for count in scales.shape for n in (count, 1))
    of_each = np.broadcast_to(scales.astype(np.float64).reshape(within), blocks.shape)
    for unit, (low, high) in ends.items():
        here = of_each == unit
        blocks[here & (blocks == np.inf)] = high
        blocks[here & (blocks == -np.inf)] = low


def _is_held(level: float, unit: float, dtype: np.dtype[Any]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.isfinite(np.float64(level * unit).astype(dtype)))


def _ends_held(levels: Levels, unit: float, dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and the largest result that is finite."""
    if levels.points:
        kept = [point for point in levels.points if _is_held(point, unit, dtype)]
        if not kept:
            raise InvalidValue(f"{dtype} holds no level of the format at this scale; widen x")
        return kept[0] * unit, kept[-1] * unit
    largest = _LARGEST[dtype.char] / unit
    low = _outermost(levels, -levels.low, largest, partial(_is_held, unit=unit, dtype=dtype))
    high = _outermost(levels, levels.high, largest, partial(_is_held, unit=unit, dtype=dtype))
    return -low * unit, high * unit


def _outermost(
    levels: Levels, end: float, largest: float, is_held: Callable[[float], bool]
) -> float:
    """Return the largest multiple of the step, at most `end`, that is held."""
    # The next one above the dtype's largest number may round down to it.
    level = min(end, _multiple(levels, largest) + _step(levels, largest))
    while not is_held(level):
        level = _multiple(levels, math.nextafter(level, 0.0))
    return level


def _step(levels: Levels, size: float) -> float:
    """Return the distance of the levels in the binade of `size`."""
    if levels.mantissa_bits is None:
        return levels.step
    return max(math.ldexp(1.0, math.frexp(size)[1] - 1 - levels.mantissa_bits), levels.step)


def _multiple(levels: Levels, size: float) -> float:
    """Return the largest level that is not above `size`; exact, for steps are powers of two."""
    step = _step(levels, size)
    return math.floor(size / step) * step
