"""Blocks by their definitions, one value at a time, in rational arithmetic.

Shares nothing with the simulator. Where a definition divides floats, so does this, by NumPy's
scalars; every decision between levels is taken on fractions.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from qerror.formats import ScalarFormat
from tests.simulation.exact import levels_and_codes, rounded


class Mx(NamedTuple):
    """An MX element: the exponent of its largest binade, largest level, mantissa bits."""

    emax: int
    top: Fraction
    digits: int


# OCP Microscaling Formats 1.0, tables 2 to 6; MXINT8 without its most negative code.
MX = {
    "mxfp4": Mx(2, Fraction(6), 1),
    "mxfp6_e2m3": Mx(2, Fraction(15, 2), 3),
    "mxfp6_e3m2": Mx(4, Fraction(28), 2),
    "mxfp8_e4m3": Mx(8, Fraction(448), 3),
    "mxfp8_e5m2": Mx(15, Fraction(57344), 2),
    "mxint8": Mx(0, Fraction(127, 64), 6),
}
TWO = Fraction(2)
_listed = functools.cache(levels_and_codes)


def binade(x: Fraction) -> int:
    """Return floor(log2 x), exactly."""
    k = x.numerator.bit_length() - x.denominator.bit_length()
    return k if TWO**k <= x else k - 1


def exponent(peak: float, rule: str | float, mx: Mx, kind: Any) -> int:
    """Return the byte of E8M0 for a block whose largest magnitude is `peak`."""
    if not math.isfinite(peak):
        return 255
    m, lowest = Fraction(peak), np.finfo(kind).minexp
    if m == 0:
        return 0
    # As tools do: below the smallest normal number the bits of M count from there.
    place = max(binade(m), lowest)
    k: int
    match rule:
        case "floor":
            k = place - mx.emax if m >= TWO**lowest else -128
        case "ceil":
            if m < TWO**lowest:
                place -= 1
                k = place + 1 - mx.emax
            else:
                k = place + (m != TWO**place) - mx.emax
        case "even":
            place = place if m >= TWO**lowest else lowest
            step = TWO ** (place - mx.digits)
            up = m + step / 2  # half away; what stays below the next power of two is cut
            k = (place + 1 if up >= 2 * TWO**place else place) - mx.emax
            if m < TWO**lowest and up < TWO**lowest:
                k = -128
        case "rceil":
            # A product of floats in tools; test_blocks.py compares it with the exact quotient.
            ratio = Fraction(float(kind(peak) * kind(float(1 / mx.top)))) or TWO**-1080
            k = binade(ratio) + (ratio != TWO ** binade(ratio))
        case _:
            k = binade(m / Fraction(rule))
    most = 254 if rule == "rceil" else 255
    return min(max(k + 127, 0), most)


def mx_block(
    x: Sequence[float], rule: str | float, mx: Mx, element: ScalarFormat, kind: Any
) -> tuple[list[float], int]:
    """Return the values of a block and its byte."""
    peak = math.nan if any(map(math.isnan, x)) else max(map(abs, x))
    code = exponent(peak, rule, mx, kind)
    if code == 255:
        return [math.nan] * len(x), code
    levels, codes = _listed(element)
    scale = TWO ** (code - 127)
    found = [_value(rounded_fraction(Fraction(v) / scale, levels, codes) * scale, kind) for v in x]
    return found, code


def rounded_fraction(exact: Fraction, levels: Sequence[Fraction], codes: Sequence[int]) -> Fraction:
    """Return the nearest level, a tie to the even code, saturated."""
    if exact >= levels[-1]:
        return levels[-1]
    if exact <= levels[0]:
        return levels[0]
    for (low, high), code in zip(itertools.pairwise(levels), codes, strict=False):
        if low <= exact <= high:
            if exact - low != high - exact:
                return low if exact - low < high - exact else high
            return low if code % 2 == 0 else high
    raise AssertionError(exact)


def _value(exact: Fraction, kind: Any) -> float:
    with np.errstate(over="ignore"):
        return float(kind(float(exact)))


def stored_scale(
    peak: Any, divisor: float, tensor: Any, scale_format: ScalarFormat, smallest: float | None
) -> Any:
    """Return the level of the scale format for a peak, a scalar of the working dtype."""
    kind = type(peak)
    wanted = peak / kind(divisor)
    if tensor is not None:
        wanted /= tensor
    if math.isnan(wanted):
        return kind(math.nan)
    if smallest is not None:
        wanted = max(wanted, kind(smallest))
    levels, codes = _listed(scale_format)
    if math.isinf(wanted):
        return kind(float(levels[-1]))
    return kind(float(rounded(float(wanted), levels, codes, "nearest-even")))


def scaled_block(x: Sequence[Any], unit: Any, element: ScalarFormat) -> list[float]:
    """Return levels of x / unit times the unit, each operation in the dtype of both."""
    levels, codes = _listed(element)
    kind = type(unit)
    found: list[float] = []
    for v in x:
        quotient = v / (unit if unit != 0 else kind(1))
        if math.isnan(quotient):
            found.append(math.nan)
            continue
        level = (
            levels[-1 if quotient > 0 else 0]
            if math.isinf(quotient)
            else rounded(float(quotient), levels, codes, "nearest-even")
        )
        found.append(float(kind(float(level)) * unit))
    return found
