"""Integer arithmetic of inference: sums of products, shifts to the nearest, clamps.

A code c of fractional length FL is worth c 2^-FL. All of it is int64 here; a network is refused
where hardware's int32 could overflow.
"""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from qerror.exceptions import InvalidValue

Integers: TypeAlias = npt.NDArray[np.int64]
Overflow: TypeAlias = Literal["wrap", "saturate"]

INT32 = 2**31 - 1
_GONE = 32  # a shift by so many bits leaves nothing of an int32
_WHOLE = 62  # and by so many to the left leaves only 0 within int64


def requantize(accumulator: Integers, shift: int, low: int, high: int) -> Integers:
    """Return codes of `shift` fewer fractional bits, to the nearest, ties to even, clamped.

    Parameters
    ----------
    accumulator : array of int64
        Within the range of int32.
    shift : int
        How many fractional bits go; below 0, how many come.
    low, high : int
        The range of the codes; `low` = 0 is a ReLU.

    Examples
    --------
    >>> requantize(np.array([192, 320, -192, -320, -6475]), 7, -127, 127).tolist()
    [2, 2, -2, -2, -51]
    """
    if shift >= _GONE:
        return np.zeros_like(accumulator)
    if shift <= 0:
        return _shifted_left(accumulator, -shift, low, high)
    found = accumulator >> shift
    rest, half = accumulator & ((1 << shift) - 1), 1 << (shift - 1)
    found = found + ((rest > half) | ((rest == half) & (found & 1 == 1)))
    return _clamped(found, low, high)


def _shifted_left(values: Integers, digits: int, low: int, high: int) -> Integers:
    """Return values 2^digits, clamped: what would pass an end is not shifted."""
    above, below = values > high >> digits, values < -(-low >> digits)
    kept = np.where(above | below, 0, values) << min(digits, _WHOLE)
    found: Integers = np.where(above, high, np.where(below, low, kept))
    return found


def _clamped(values: Integers, low: int, high: int) -> Integers:
    found: Integers = np.clip(values, low, high)
    return found


def windows(
    codes: Integers,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    *,
    dilation: tuple[int, int] = (1, 1),
    fill: int = 0,
) -> Integers:
    """Return the windows of images (n, channels, h, w): (n, channels, out h, out w, kh, kw)."""
    if codes.ndim != 4:
        raise InvalidValue(f"windows are those of images (n, channels, h, w), got {codes.shape}")
    (top, left), (kh, kw) = padding, size
    padded = np.pad(codes, ((0, 0), (0, 0), (top, top), (left, left)), constant_values=fill)
    reach = ((kh - 1) * dilation[0] + 1, (kw - 1) * dilation[1] + 1)
    if reach[0] > padded.shape[2] or reach[1] > padded.shape[3]:
        raise InvalidValue(
            f"a window of {reach[0]} x {reach[1]} is wider than the padded image of "
            f"{padded.shape[2]} x {padded.shape[3]}"
        )
    found = sliding_window_view(padded, reach, (2, 3))
    return found[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def products(
    rows: Integers, weight: Integers, bits: int = 64, overflow: Overflow = "wrap"
) -> Integers:
    """Return rows (n, k) times weight (k, outputs), in an accumulator of so many bits.

    Wrapping depends on the total alone. Saturation depends on the order: products are added one
    after the other, as they lie in a row.
    """
    if bits >= 64:
        return rows @ weight
    high = 2 ** (bits - 1) - 1
    if overflow == "wrap":
        return wrapped(rows @ weight, bits)
    total = np.zeros((rows.shape[0], weight.shape[1]), np.int64)
    for k in range(rows.shape[1]):
        total = np.clip(total + rows[:, k, None] * weight[k], -high - 1, high)
    return total


def wrapped(values: Integers, bits: int) -> Integers:
    """Return integers as two's complement of so many bits keeps them."""
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


def convolved(
    x: Integers,
    weight: Integers,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    bits: int = 64,
    overflow: Overflow = "wrap",
) -> Integers:
    """Return the sums of a convolution, without a bias, in an accumulator of so many bits."""
    outputs, inputs, kh, kw = weight.shape
    each = windows(x, (kh, kw), stride, padding, dilation=dilation)
    if each.shape[1] != inputs * groups:
        raise InvalidValue(f"the weight takes {inputs * groups} channels, got {each.shape[1]}")
    n, _, height, width = each.shape[:4]
    found = np.empty((n, outputs, height, width), np.int64)
    share = outputs // groups
    for group in range(groups):
        part = each[:, group * inputs : (group + 1) * inputs]
        rows = part.transpose(0, 2, 3, 1, 4, 5).reshape(n * height * width, -1)
        chosen = slice(group * share, (group + 1) * share)
        total = products(rows, weight[chosen].reshape(share, -1).T, bits, overflow)
        found[:, chosen] = total.reshape(n, height, width, share).transpose(0, 3, 1, 2)
    return found


def biased(total: Integers, bias: Integers | None, bits: int, overflow: Overflow) -> Integers:
    """Add a bias to sums of shape (n, outputs, ...), in an accumulator of so many bits."""
    if bias is None:
        return total
    found: Integers = total + bias.reshape(1, -1, *(1,) * (total.ndim - 2))
    if bits >= 64:
        return found
    high = 2 ** (bits - 1) - 1
    return wrapped(found, bits) if overflow == "wrap" else _clamped(found, -high - 1, high)


def extreme_sums(
    weight: Integers, bias: Integers | None, low: int, high: int, *, left: int = 0
) -> tuple[int, int]:
    """Return the least and the largest of a layer's sums that factors in low..high can cause.

    Products count 2^left times. Exact whatever the numbers: sums of the positive and of the
    negative weights are within int64, and what they are multiplied with are Python's integers.
    """
    rows = weight.reshape(len(weight), -1)
    shifts = [0] * len(rows) if bias is None else bias.tolist()
    ups, downs = np.maximum(rows, 0).sum(1).tolist(), np.minimum(rows, 0).sum(1).tolist()
    least = min(
        ((up * low + down * high) << left) + b
        for up, down, b in zip(ups, downs, shifts, strict=True)
    )
    most = max(
        ((up * high + down * low) << left) + b
        for up, down, b in zip(ups, downs, shifts, strict=True)
    )
    return least, most
