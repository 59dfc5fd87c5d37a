"""Rounding by its definition, in rational arithmetic. Shares nothing with the simulator."""

import bisect
import math
from collections.abc import Sequence
from fractions import Fraction

from qerror.formats import Codebook, ExponentOnly, FixedPoint, FloatingPoint, Format, Integer


def levels_and_codes(form: Format) -> tuple[list[Fraction], list[int]]:
    """List the levels in ascending order, each with the number whose parity ties look at."""
    match form:
        case Integer():
            codes = range(form.min_code, form.max_code + 1)
            return [Fraction(code - form.zero_point) for code in codes], list(codes)
        case FixedPoint():
            lowest = 2 ** (form.word_length - 1) - form.symmetric if form.signed else 0
            codes = range(-lowest, 2 ** (form.word_length - form.signed))
            step = Fraction(2) ** -form.fractional_length
            return [code * step for code in codes], list(codes)
        case FloatingPoint():
            return _floating(form)
        case Codebook():
            return [Fraction(value) for value in form.values], list(range(len(form.values)))
        case ExponentOnly():
            codes = range(2**form.exponent_bits - 1)
            return [Fraction(2) ** (code - form.bias) for code in codes], list(codes)
        case _:
            raise NotImplementedError(form)


def _floating(form: FloatingPoint) -> tuple[list[Fraction], list[int]]:
    """By the formula, from zero up to the format's largest value."""
    m = form.mantissa_bits
    whole = math.ceil(form.bias)
    fraction = Fraction(2.0 ** (whole - form.bias))
    magnitudes: list[Fraction] = []
    for code in range(1 << (m + form.exponent_bits)):
        exponent, mantissa = code >> m, code & ((1 << m) - 1)
        significand = Fraction(mantissa, 1 << m) + (exponent > 0)
        value = significand * Fraction(2) ** (max(exponent, 1) - whole) * fraction
        if value > Fraction(form.max_value):
            break
        magnitudes.append(value)
    codes = list(range(len(magnitudes)))
    if not form.signed:
        return magnitudes, codes
    negative = [-value for value in reversed(magnitudes[1:])]
    return negative + magnitudes, list(reversed(codes[1:])) + codes


def rounded(  # noqa: PLR0911 - a table of cases
    x: float, levels: Sequence[Fraction], codes: Sequence[int], mode: str
) -> Fraction:
    """Return the level of a finite x, saturated."""
    exact = Fraction(x)
    if exact >= levels[-1]:
        return levels[-1]
    if exact <= levels[0]:
        return levels[0]
    above = bisect.bisect_left(levels, exact)
    if levels[above] == exact:
        return exact
    low, high = levels[above - 1], levels[above]
    even = low if codes[above - 1] % 2 == 0 else high
    down, up = exact - low, high - exact
    nearest = low if down < up else high
    match mode:
        case "nearest-even":
            return nearest if down != up else even
        case "nearest-away":
            if down != up:
                return nearest
            return even if low + high == 0 else max(low, high, key=abs)
        case "toward-zero":
            if low < 0 < high:  # no level is zero: to the nearest, as documented
                return nearest if down != up else even
            return min(low, high, key=abs)
        case "up":
            return high
        case "down":
            return low
        case _:
            return high if even is low else low
