"""Networks of integers by their definition: Python's integers and fractions, value by value."""

import itertools
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from math import floor
from typing import Any

import numpy as np

from qerror.integer import IntegerLayer, IntegerNetwork, ScaledLayer

_MOST = 2**31 - 1
Values = dict[tuple[int, ...], int]
"""Numbers by their indices."""


def clamp(value: int, low: int, high: int) -> int:
    """Return a number within its ends."""
    return max(low, min(high, value))


def away(value: Fraction) -> int:
    """Return the nearest integer, ties away from 0."""
    return floor(value + Fraction(1, 2)) if value >= 0 else -floor(-value + Fraction(1, 2))


def times(value: int, multiplier: int, shift: int, rounding: str) -> int:
    """Return A M 2^-n as an integer, as the three ways of rounding are defined."""
    exact = Fraction(value * multiplier, 2**shift)
    if rounding == "even":
        return round(exact)
    if rounding == "once":
        return floor(exact + Fraction(1, 2))
    wide = clamp(value << max(31 - shift, 0), -(2**31), _MOST)
    high = floor(Fraction(wide * multiplier, 2**31) + Fraction(1, 2))
    return away(Fraction(high, 2 ** max(shift - 31, 0)))


def traced(network: IntegerNetwork, codes: Any) -> dict[str, Any]:
    """Return the codes of every layer."""
    found = {"": np.asarray(codes, object)}
    for layer in network.layers:
        given = [found[name] for name in layer.inputs]
        worth: Any = [network.codes[name] for name in layer.inputs]
        step: Callable[..., Any] = _shifted if isinstance(layer, IntegerLayer) else _scaled
        found[layer.name] = step(layer, given, worth)
    return {name: values.astype(np.int64) for name, values in found.items() if name}


def _shifted(layer: IntegerLayer, given: list[Any], worth: list[Any]) -> Any:
    length = worth[0].length
    if layer.kind == "add":
        length = max(each.length for each in worth)
        a, b = (x * 2 ** (length - each.length) for x, each in zip(given, worth, strict=True))
        total = np.clip(np.clip(a, -_MOST, _MOST) + np.clip(b, -_MOST, _MOST), -_MOST, _MOST)
    elif layer.kind == "average":
        total, length = _pooled(layer, given[0], sum), length + layer.shift
    else:
        total = _total(layer, given[0], None)
        length += layer.weight_length if layer.weight is not None else 0
    if layer.raw:
        return total
    factor, out = Fraction(2) ** (layer.output.length - length), layer.output
    return _each(total, lambda value, _: clamp(round(value * factor), out.low, out.high))


def _scaled(layer: ScaledLayer, given: list[Any], worth: list[Any]) -> Any:
    if layer.kind in {"largest", "flatten"}:
        return _total(layer, given[0], None)
    factors = [x - each.zero for x, each in zip(given, worth, strict=True)]
    if layer.kind == "add":
        total = sum(
            _each(x * 2**layer.left, partial(_aligned, factor=factor, rounding=layer.rounding))
            for x, factor in zip(factors, layer.operands, strict=True)
        )
    elif layer.kind == "average":
        total = _pooled(layer, factors[0], sum)
    else:
        total = _total(layer, factors[0], layer.weight_zero)
    m, n = layer.multiplier.tolist(), layer.shift.tolist()
    out = layer.output

    def finish(value: int, channel: int) -> int:
        k = channel if len(m) > 1 else 0
        return clamp(times(value, m[k], n[k], layer.rounding) + out.zero, out.low, out.high)

    return _each(total, finish)


def _aligned(value: int, _: int, *, factor: tuple[int, int], rounding: str) -> int:
    return times(value, *factor, rounding)


def _each(values: Any, call: Callable[[int, int], int]) -> Any:
    found = np.empty_like(values)
    for index in np.ndindex(values.shape):
        found[index] = call(int(values[index]), index[1])
    return found


def _total(layer: Any, x: Any, zero: Any) -> Any:
    """Return sums of products with the bias; of other layers what they take from a tensor."""
    if layer.kind == "flatten":
        return x.reshape(len(x), -1)
    if layer.kind == "largest":
        return _pooled(layer, x, max)
    if layer.weight is None:
        return x
    weight = layer.weight.astype(object)
    if zero is not None:
        weight = weight - zero.astype(object).reshape(-1, *(1,) * (weight.ndim - 1))
    if layer.kind == "linear":
        weight, x = weight[:, :, None, None], x[:, :, None, None]
    total = np.zeros((len(x), len(weight), *_sizes(layer, x.shape, weight.shape[2:])), object)
    share = len(weight) // layer.groups
    left = getattr(layer, "left", 0)
    for n, o, i, j in np.ndindex(total.shape):
        for c in range(weight.shape[1]):
            for (y, z), (a, b) in _window(layer, x.shape, weight.shape[2:], i, j):
                total[n, o, i, j] += (
                    x[n, o // share * weight.shape[1] + c, y, z] * weight[o, c, a, b]
                )
        total[n, o, i, j] <<= left
        total[n, o, i, j] += 0 if layer.bias is None else int(layer.bias[o])
    return total[:, :, 0, 0] if layer.kind == "linear" else total


def _pooled(layer: Any, x: Any, take: Callable[..., int]) -> Any:
    found = np.zeros((*x.shape[:2], *_sizes(layer, x.shape, layer.window)), object)
    for n, c, i, j in np.ndindex(found.shape):
        places = _window(layer, x.shape, layer.window, i, j)
        found[n, c, i, j] = take(x[n, c, y, z] for (y, z), _ in places)
    return found


def _sizes(layer: Any, shape: Any, size: Any) -> list[int]:
    return [
        (shape[2 + k] + 2 * layer.padding[k] - layer.dilation[k] * (size[k] - 1) - 1)
        // layer.stride[k]
        + 1
        for k in (0, 1)
    ]


def _window(
    layer: Any, shape: Any, size: Any, i: int, j: int
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the places of an image under a window, and those in the window; padding has none."""
    for a, b in itertools.product(range(size[0]), range(size[1])):
        y = i * layer.stride[0] + a * layer.dilation[0] - layer.padding[0]
        z = j * layer.stride[1] + b * layer.dilation[1] - layer.padding[1]
        if 0 <= y < shape[2] and 0 <= z < shape[3]:
            yield (y, z), (a, b)
