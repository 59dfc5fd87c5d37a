"""The codes of one format: values of codes, and codes of levels."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.formats.integer import Integer
from qerror.simulation._kernels import AnyReal
from qerror.simulation._levels import Levels, levels_of

MOST_BITS = 16  # codes are looked up in a table of all of them


class Coder:
    """The codes of one format: values of codes, and codes of levels."""

    def __init__(self, form: ScalarFormat) -> None:
        if form.bits > MOST_BITS:
            raise InvalidValue(
                f"{form.name} has {form.bits} bits; codes are for formats of at most {MOST_BITS}"
            )
        self.first = 0
        reserved = form.reserved
        self.nan = reserved.nan if reserved else None
        self._levels = levels_of(form)
        self._form = form
        match form:
            case FloatingPoint():
                self._floating(form)
            case Integer():
                self._uniform(form.min_code, form.max_code, form.zero_point, form.signed)
            case FixedPoint():
                self._uniform(form.min_code, form.max_code, 0, form.signed)
            case _:
                self._listed(form)
        last = self.first + self.values.size - 1
        self.listing = f"{self.first}..{last}"

    @property
    def used(self) -> BoolArray:
        """Which codes stand for anything: all of them where one is NaN."""
        return ~np.isnan(self.values) | (self.nan is not None)

    def _uniform(self, low: int, high: int, zero: int, signed: bool) -> None:
        self.first = low
        self.values = (np.arange(low, high + 1, dtype=np.float64) - zero) * self._levels.step
        self._zero = zero
        wide = max(-low - 1, high) >= 1 << (8 - signed)
        self.dtype = np.dtype(f"{'i' if signed else 'u'}{1 + wide}")

    def _floating(self, form: FloatingPoint) -> None:
        self.dtype = _unsigned(form.bits)
        self._sign = form.bits - 1
        self._infinity = form.reserved.infinity
        self.values = _values(form)

    def _listed(self, form: ScalarFormat) -> None:
        self.dtype = _unsigned(form.bits)
        self._points = form.grid().base_points + 0.0  # no -0.0: equal codebooks, equal values
        nan = [] if self.nan is None else [np.nan] * (self.nan + 1 - self._points.size)
        self.values = np.append(self._points, nan)

    def codes(self, levels: AnyReal, unit: Levels, scale: float) -> IntArray:
        """Return the codes of levels in the units of a kernel."""
        match self._form:
            case FloatingPoint():
                return self._floating_codes(levels, unit)
            case Integer() | FixedPoint():
                return (levels.astype(np.float64) / unit.step).astype(np.int64) + self._zero
            case _:
                points = (self._points * scale).astype(levels.dtype)
                codes = np.searchsorted(points, levels)
                if self.nan is not None:
                    codes[np.isnan(levels)] = self.nan
                return codes

    def _floating_codes(self, levels: AnyReal, unit: Levels) -> IntArray:
        size = np.abs(levels.astype(np.float64))
        finite = np.isfinite(size)
        size[~finite] = 0.0
        codes = _magnitudes(size, unit, levels.dtype)
        if self._infinity is not None:
            codes[np.isinf(levels)] = self._infinity
        codes |= np.signbit(levels).astype(np.int64) << self._sign
        if self.nan is not None:
            codes[np.isnan(levels)] = self.nan
        return codes


def _magnitudes(size: FloatArray, unit: Levels, dtype: np.dtype[Any]) -> IntArray:
    """Return exponent and mantissa fields in one: the rank among the levels from zero up."""
    if unit.points:
        points = unit.listed()
        return np.searchsorted(points[points >= 0].astype(dtype), size)
    digits = unit.mantissa_bits or 0
    # Moved so that these subnormals are float64's, its own bits have the fields.
    power = math.frexp(unit.step)[1] - 1
    moved = np.ldexp(size, -1022 - digits - power)
    bits: IntArray = moved.view(np.int64)
    return bits >> (52 - digits)


def _values(form: FloatingPoint) -> FloatArray:
    """Return the value of every code before the format's factor."""
    reserved = form.reserved
    positive = form.grid().base_points
    positive = positive[positive >= 0]
    if positive.size != reserved.largest + 1:
        raise InvalidValue(f"some codes of {form.name} lie below the smallest number of float64")
    values = np.full(1 << (form.bits - form.signed), np.nan)
    values[: positive.size] = positive
    if reserved.infinity is not None:
        values[reserved.infinity] = np.inf
    if not form.signed:
        return values
    negative = -values
    if not reserved.negative_zero:
        negative[0] = np.nan
    return np.concatenate([values, negative])


def _unsigned(bits: int) -> np.dtype[Any]:
    return np.dtype(np.uint8 if bits <= 8 else np.uint16)


@lru_cache(maxsize=32)
def coder_for(form: ScalarFormat) -> Coder:
    """Return the codes of a format."""
    return Coder(form)
