"""Integer codes: what a quantized array is stored as."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.rounding import as_overflow, as_rounding
from qerror.simulation._chunks import AnyArray, split_blocks
from qerror.simulation._held import holder
from qerror.simulation._kernels import AnyReal
from qerror.simulation._levels import Levels, levels_of
from qerror.simulation.quantize import as_floats, prepare, run, threads_for

MOST_BITS = 16


def encode(
    x: npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    rounding: str = "nearest-even",
    overflow: str = "saturate",
    rng: np.random.Generator | None = None,
    threads: int | None = None,
) -> AnyArray:
    """Return the integer codes of the levels to which `quantize` takes the values.

    Parameters
    ----------
    x, scale, rounding, overflow, rng, threads
        As for `quantize`.
    format : ScalarFormat or str
        Of at most 16 bits.

    Returns
    -------
    ndarray
        Of the shape of `x`. Signed integers and fixed point: int8 or int16, two's complement.
        Everything else: uint8 or uint16; a floating-point code is sign, exponent, mantissa from
        the top, the code of a Codebook is the index of the level in ascending order.

    Raises
    ------
    InvalidValue
        If the format has more than 16 bits, or a value is NaN and no code is.
    InvalidType, InvalidValue
        As for `quantize`.

    Examples
    --------
    >>> encode(np.array([0.5, -1.0, 1e9]), "e4m3")
    array([ 48, 184, 126], dtype=uint8)
    """
    form = as_scalar_format(format)
    mode, beyond = as_rounding(rounding), as_overflow(overflow)
    coder = _coder(form)
    x = as_floats(x)
    workers = threads_for(threads, mode, rng)
    if coder.nan is None and np.isnan(x).any():
        raise InvalidValue(
            f"x holds {int(np.isnan(x).sum()):,} NaN and no code of {form.name} is NaN; "
            "replace them first, for example by np.nan_to_num"
        )
    plan, scales = prepare(levels_of(form), scale, x, (mode, beyond), stored="d")
    unit = plan.unit

    def emit(levels: AnyReal, divisor: Any, out: AnyArray) -> None:
        del divisor
        np.copyto(out, coder.codes(levels, plan.levels, unit), casting="unsafe")

    out = np.empty_like(x, dtype=coder.dtype, subok=False)
    run(plan, x, scales, out, emit=emit, rng=rng, threads=workers)
    return out


def decode(
    codes: npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    dtype: npt.DTypeLike = np.float32,
) -> AnyArray:
    """Return the values that integer codes stand for.

    ``decode(encode(x, f, s), f, s, dtype=x.dtype)`` has the bits of ``quantize(x, f, s)``.

    Parameters
    ----------
    codes : array_like of int
        Any integer dtype.
    format : ScalarFormat or str
        Of at most 16 bits.
    scale : float or array_like
        As for `quantize`.
    dtype : dtype
        float16, float32 or float64.

    Raises
    ------
    InvalidType
        If the codes are no integers or the dtype is none of the three.
    InvalidValue
        If a code is none of the format's.

    Examples
    --------
    >>> decode(np.array([48, 184, 127], np.uint8), "e4m3")
    array([ 0.5, -1. ,  nan], dtype=float32)
    """
    form = as_scalar_format(format)
    coder = _coder(form)
    given = np.asarray(codes)
    if given.dtype.kind not in "iu":
        raise InvalidType(f"codes must be integers, got dtype {given.dtype}")
    target = np.dtype(dtype)
    as_floats(np.empty(0, target))
    index = given.astype(np.int64) - coder.first
    known = (index >= 0) & (index < coder.values.size)
    known[known] = coder.used[index[known]]
    if not known.all():
        raise InvalidValue(
            f"{form.name} has no code {given[~known].flat[0]}; its codes are {coder.listing}"
        )
    return _at_scale(levels_of(form), coder.values, index, scale, target)


def _at_scale(
    levels: Levels, values: FloatArray, index: IntArray, scale: npt.ArrayLike, dtype: np.dtype[Any]
) -> AnyArray:
    """Return values[index] at the scale, rounded as `quantize` rounds them."""
    like = np.broadcast_to(np.zeros((), dtype), index.shape)
    plan, array = prepare(levels, scale, like, (as_rounding("RNE"), as_overflow("saturate")))
    with np.errstate(all="ignore"):
        if array is not None:
            blocks = split_blocks(values[index], array.shape)
            within = tuple(n for count in array.shape for n in (count, 1))
            found: AnyArray = (blocks * array.reshape(within)).reshape(index.shape)
        else:
            found = (values * (plan.unit if plan.scale is None else plan.scale))[index]
        narrow = found.astype(dtype)
    hold = holder(plan, array, dtype)
    if hold is None:
        return narrow
    infinities = np.isinf(values)[index]
    kept = narrow[infinities]
    hold(narrow)
    narrow[infinities] = kept
    return narrow


class _Coder:
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
def _coder(form: ScalarFormat) -> _Coder:
    return _Coder(form)
