"""Values counted by their codes, and longer ones by the leading bits of theirs, in one pass."""

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray
from qerror.exceptions import InvalidValue
from qerror.simulation._numba import compiler

Loop: TypeAlias = Callable[..., Any]
Engine: TypeAlias = Literal["auto", "numpy", "numba"]

SHIFT = 12
"""Bits of a float32 that a bin leaves out: bins are 2^-12 to 2^-11 wide, relative to the value."""

BINS = 1 << (32 - SHIFT)
"""How many bins there are: by sign, exponent and the leading 11 bits of the mantissa."""

_PAYS = 1 << 24  # values from which loading the compiled loops is worth while
_LARGEST = float(np.finfo(np.float32).max)
_COUNTED = 1 << 16  # codes at a time, widened: half a megabyte stays in the cache


def engine_for(size: int, engine: Engine = "auto") -> Engine:
    """Return "numba" where it is installed and so many values are worth loading it."""
    if engine != "auto":
        return engine
    return "numba" if size >= _PAYS and find_spec("numba") is not None else "numpy"


def count_units(units: npt.NDArray[Any], counts: IntArray, engine: Engine = "numpy") -> None:
    """Add how often each code occurs to `counts`.

    Parameters
    ----------
    units : ndarray of uint8 or uint16
        The codes, flat.
    counts : ndarray of int64, shape (256,) or (65536,)
        Is changed.
    engine : {"numpy", "numba"}
        The results are the same.

    Raises
    ------
    MissingLibrary
        If numba is asked for and not installed.
    """
    if engine == "numba":
        _loops().units(units, counts)
        return
    wide = np.empty(_COUNTED, np.intp)
    for start in range(0, units.size, _COUNTED):
        part = units[start : start + _COUNTED]
        np.copyto(wide[: part.size], part)
        counts += np.bincount(wide[: part.size], minlength=counts.size)


class Bins(NamedTuple):
    """How often, and where within each bin, values lie; only the bins that have any."""

    keys: IntArray
    counts: IntArray
    first: FloatArray
    """The sum of the distances from the bin's inner edge."""
    second: FloatArray
    """The sum of the squared distances."""

    @classmethod
    def none(cls) -> "Bins":
        """Return no bins."""
        nothing = np.empty(0)
        return cls(nothing.astype(np.int64), nothing.astype(np.int64), nothing, nothing)

    def merged(self, other: "Bins") -> "Bins":
        """Return the bins of both parts' values."""
        keys = np.union1d(self.keys, other.keys)
        counts = np.zeros(keys.size, np.int64)
        first, second = np.zeros(keys.size), np.zeros(keys.size)
        for part in (self, other):
            at = np.searchsorted(keys, part.keys)
            counts[at] += part.counts
            first[at] += part.first
            second[at] += part.second
        return Bins(keys, counts, first, second)


def inner_edges(keys: IntArray) -> FloatArray:
    """Return the end of each bin that is nearer to 0."""
    return (keys.astype(np.uint32) << np.uint32(SHIFT)).view(np.float32).astype(np.float64)


def outer_edges(keys: IntArray) -> FloatArray:
    """Return the end of each bin that is farther from 0."""
    last = (keys.astype(np.uint32) << np.uint32(SHIFT)) | np.uint32((1 << SHIFT) - 1)
    with np.errstate(all="ignore"):
        return last.view(np.float32).astype(np.float64)


class Binned(NamedTuple):
    """One part of a tensor in bins, with what has no place in them."""

    bins: Bins
    nan: int
    infinite: int
    low: float
    high: float
    """The limits of the finite values; inf and -inf without any."""


def bin_values(x: npt.NDArray[Any], engine: Engine = "numpy") -> Binned:
    """Put float32 or float64 values into bins.

    Raises
    ------
    InvalidValue
        If a finite float64 lies beyond float32's range.
    """
    part, nan, infinite = x, 0, 0
    finite = np.isfinite(x)
    if not finite.all():
        nan = int(np.isnan(x).sum())
        infinite = x.size - int(finite.sum()) - nan
        part = x[finite]
    if not part.size:
        return Binned(Bins.none(), nan, infinite, np.inf, -np.inf)
    low, high = float(part.min()), float(part.max())
    if max(high, -low) > _LARGEST:
        raise InvalidValue(
            f"values up to {max(high, -low):g} lie beyond float32's range, {_LARGEST:g}: they "
            "have no bin"
        )
    single = part.astype(np.float32)
    if part.dtype.itemsize == 8:
        # Towards 0, so that no value lies nearer to 0 than its bin does.
        over = np.abs(single.astype(np.float64)) > np.abs(part)
        single[over] = np.nextafter(single[over], np.float32(0))
    counts, first, second = (_compiled if engine == "numba" else _counted)(single, part)
    used = np.flatnonzero(counts)
    bins = Bins(used.astype(np.int64), counts[used], first[used], second[used])
    return Binned(bins, nan, infinite, low, high)


def _counted(
    single: npt.NDArray[np.float32], part: npt.NDArray[Any]
) -> tuple[IntArray, FloatArray, FloatArray]:
    keys = (single.view(np.uint32) >> np.uint32(SHIFT)).astype(np.int64)
    d = part - inner_edges(keys)
    # Both sum in the order of the values, as the compiled loop does.
    first = np.bincount(keys, d, minlength=BINS)
    second = np.bincount(keys, d * d, minlength=BINS)
    counts = np.bincount(keys, minlength=BINS).astype(np.int64)
    return counts, first.astype(np.float64), second.astype(np.float64)


def _compiled(
    single: npt.NDArray[np.float32], part: npt.NDArray[Any]
) -> tuple[IntArray, FloatArray, FloatArray]:
    counts = np.zeros(BINS, np.int64)
    first, second = np.zeros(BINS), np.zeros(BINS)
    _loops().bins(single, part, counts, first, second)
    return counts, first, second


class _Loops(NamedTuple):
    units: Loop
    bins: Loop


@lru_cache(maxsize=1)
def _loops() -> _Loops:
    build = cast("Callable[[Loop], Loop]", compiler())
    shift: Any = np.uint32(SHIFT)

    @build
    def units(codes: Any, counts: Any) -> None:
        # Two tables: equal neighbours need not wait for each other.
        even = np.zeros(counts.size, np.uint32)
        odd = np.zeros(counts.size, np.uint32)
        one = np.uint32(1)
        for i in range(0, codes.size - 3, 4):
            a, b, c, d = codes[i], codes[i + 1], codes[i + 2], codes[i + 3]
            even[a] += one
            odd[b] += one
            even[c] += one
            odd[d] += one
        for i in range(codes.size - codes.size % 4, codes.size):
            even[codes[i]] += one
        for i in range(counts.size):
            counts[i] += np.int64(even[i]) + np.int64(odd[i])

    @build
    def bins(single: Any, part: Any, counts: Any, first: Any, second: Any) -> None:
        keys = single.view(np.uint32)
        for i in range(part.size):
            key = keys[i] >> shift
            edge = np.float64(np.uint32(key << shift).view(np.float32))
            d = np.float64(part[i]) - edge
            counts[key] += 1
            first[key] += d
            second[key] += d * d

    return _Loops(units, bins)
