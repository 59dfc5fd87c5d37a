"""Real factors as integers: a multiplier of 31 bits and a shift to the right.

A factor r > 0 becomes M 2^-n with 2^30 <= M < 2^31, M the nearest integer (ties to even): it is
off by at most 2^-31 of itself. A sum A of int32 times M has at most 62 bits.
"""

import math
from typing import Literal, TypeAlias, get_args

import numpy as np

from qerror._arrays import positive
from qerror.exceptions import InvalidValue
from qerror.integer.arithmetic import INT32, Integers

Rounding: TypeAlias = Literal["once", "twice", "even"]
"""How A M 2^-n becomes an integer.

"once": floor((A M + 2^(n-1)) / 2^n), so to the nearest, ties towards +infinity. TensorFlow Lite
does this where it is built for a single rounding.

"twice", after gemmlowp, TensorFlow Lite's default: h = floor((A M + 2^30) / 2^31), which is to the
nearest with ties towards +infinity; then h 2^-(n - 31) to the nearest, ties away from 0. For n < 31
A is shifted to the left by 31 - n first, here with saturation at int32, and h is the result.

"even": A M 2^-n to the nearest, ties to the even integer, as fake quantization rounds: where scales
are powers of two, ties are many.
"""

ROUNDINGS: tuple[Rounding, ...] = get_args(Rounding)

LEAST_SHIFT, MOST_SHIFT = 17, 62  # factors from 2^-32 to 2^14; a smaller one leaves nothing of A
_DIGITS = 31


def multiplier_of(factor: float) -> tuple[int, int]:
    """Return M and n with M 2^-n the factor, to the nearest.

    A factor below 2^-32, which takes every int32 to 0, gives M = 0.

    Raises
    ------
    InvalidValue
        If the factor is not positive, or 2^14 and more.

    Examples
    --------
    >>> multiplier_of(0.5), multiplier_of(0.3)
    ((1073741824, 31), (1288490189, 32))
    """
    fraction, exponent = math.frexp(positive("a factor of codes", factor))
    multiplier = round(math.ldexp(fraction, _DIGITS))
    if multiplier == 1 << _DIGITS:
        multiplier, exponent = 1 << (_DIGITS - 1), exponent + 1
    shift = _DIGITS - exponent
    if shift < LEAST_SHIFT:
        raise InvalidValue(f"the factor {factor:g} between two scales is 2^14 or more")
    return (multiplier, shift) if shift <= MOST_SHIFT else (0, _DIGITS)


def multiplied(
    accumulator: Integers, multiplier: Integers, shift: Integers, rounding: Rounding = "once"
) -> Integers:
    """Return A M 2^-n as integers, rounded as `Rounding` says.

    Parameters
    ----------
    accumulator : array of int64
        Within the range of int32.
    multiplier, shift : array of int64
        As `multiplier_of` gives them; broadcast against `accumulator`.
    rounding : {"once", "twice", "even"}

    Examples
    --------
    >>> half = np.array(1 << 30), np.array(31)
    >>> multiplied(np.array([-3, -1, 1, 3]), *half).tolist()
    [-1, 0, 1, 2]
    >>> multiplied(np.array([-3, -1, 1, 3]), *half, "twice").tolist()
    [-1, 0, 1, 2]
    >>> multiplied(np.array([-3, -1, 1, 3]), *half, "even").tolist()
    [-2, 0, 0, 2]
    """
    if rounding != "twice":
        product, half = accumulator * multiplier, np.int64(1) << (shift - 1)
        found = (product + half) >> shift
        if rounding == "even":
            found = found - ((product & ((half << 1) - 1) == half) & (found & 1 == 1))
        return found
    left, right = np.maximum(_DIGITS - shift, 0), np.maximum(shift - _DIGITS, 0)
    wide = np.clip(accumulator << left, -INT32 - 1, INT32)
    high = (wide * multiplier + (1 << (_DIGITS - 1))) >> _DIGITS
    return _shifted_away(high, right)


def _shifted_away(values: Integers, shift: Integers) -> Integers:
    """Return values 2^-shift to the nearest, ties away from 0."""
    rest = values & ((np.int64(1) << shift) - 1)
    # Floor is one below the nearest where more than half is left: of negative ones, not at half.
    threshold = (((np.int64(1) << shift) - 1) >> 1) + (values < 0)
    return (values >> shift) + (rest > threshold)
