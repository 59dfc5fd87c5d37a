"""Small helpers on numbers, arrays and values made of them that every floor may use."""

import math
import operator
import reprlib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, cached_property
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from qerror.exceptions import InvalidType, InvalidValue

FloatArray: TypeAlias = npt.NDArray[np.float64]
ComplexArray: TypeAlias = npt.NDArray[np.complex128]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
Array = TypeVar("Array", bound=npt.NDArray[Any])
Itself = TypeVar("Itself")
Key = TypeVar("Key")
Value_co = TypeVar("Value_co", covariant=True)

_QUOTED = 160  # characters of a text in a message
_SPLITTER = 134217729.0  # 2^27 + 1: Veltkamp's constant for 53-bit significands


def _shown(value: object) -> str:
    """Return the start of a value as text, for messages."""
    return reprlib.repr(value)


def real(name: str, value: SupportsFloat) -> float:
    """Return `value` as a finite float, or say which parameter is not one."""
    given: object = value
    if isinstance(value, str | bytes | bool | complex | np.complexfloating):
        raise InvalidType(f"{name} must be a real number, got {_shown(given)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InvalidType(f"{name} must be a real number, got {_shown(value)}") from None
    except OverflowError:
        raise InvalidValue(f"{name} must be below 1.8e308 in size, got a larger number") from None
    if not math.isfinite(number):
        raise InvalidValue(f"{name} must be finite, got {number}")
    return number


def positive(name: str, value: SupportsFloat) -> float:
    """Return `value` as a finite float above zero, or say which parameter is not one."""
    number = real(name, value)
    if number <= 0:
        raise InvalidValue(f"{name} must be positive, got {number:g}")
    return number


def integer(name: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int within [low, high], or say which parameter is not one."""
    try:
        number = operator.index(cast("SupportsIndex", value))
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidType(f"{name} must be an integer, got {reprlib.repr(value)}")
    if not low <= number <= high:
        raise InvalidValue(f"{name} must lie in {low}..{high}, got {reprlib.repr(number)}")
    return number


def quoted(text: str) -> str:
    """Return a text as a message quotes it: of a long one the beginning."""
    return repr(text) if len(text) <= _QUOTED else f"{text[:_QUOTED]!r}..."


def real_array(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return `value` as a float64 array, any shape, of finite numbers."""
    array = numbers(name, value)
    if not np.isfinite(array).all():
        raise InvalidValue(f"{name} must be finite, got {array[~np.isfinite(array)].flat[0]:g}")
    return array


def numbers(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return `value` as a float64 array, any shape, that may hold infinities and nan.

    Nothing is dropped on the way: complex numbers and masked entries are refused.
    """
    if type(value) is np.ndarray and value.dtype.kind == "f":
        return cast("npt.NDArray[Any]", value).astype(np.float64, copy=False)
    array: FloatArray | None = None
    try:
        given = np.asarray(value)
        if given.dtype.kind in "fiuO" or not given.size:
            array = given.astype(np.float64, copy=False)
    except OverflowError:
        raise InvalidValue(f"{name} must be below 1.8e308 in size, got a larger number") from None
    except (TypeError, ValueError):
        pass
    if array is None:
        raise InvalidType(f"{name} must be a number or an array of numbers, got {_shown(value)}")
    unmasked(name, value)
    return array


def whole_numbers(name: str, value: npt.ArrayLike) -> IntArray:
    """Return `value` as a read-only vector of integers; nothing is rounded."""
    try:
        given = np.asarray(value).reshape(-1)
        found = given.astype(np.int64)
        if given.dtype.kind in "iufO" and (found == given).all():
            return read_only(found)
    except (TypeError, ValueError, OverflowError, RuntimeWarning):
        pass
    raise InvalidType(f"{name} must be whole numbers, got {reprlib.repr(value)}")


def unmasked(name: str, value: object) -> None:
    """Refuse an array with masked entries, which would be counted like any others."""
    if np.ma.is_masked(value):
        raise InvalidType(
            f"{name} is a masked array, whose masked entries would be counted: give "
            "x.compressed(), or x.filled(np.nan)"
        )


def positive_array(name: str, value: npt.ArrayLike) -> FloatArray:
    """Return `value` as a float64 array, any shape, of finite positive numbers."""
    one: object = value
    if isinstance(one, float) and 0 < one < math.inf:
        return np.array(one, dtype=np.float64)
    array = numbers(name, value)
    # min and max carry nan along, and no comparison with it holds
    if array.size and not (array.min() > 0 and array.max() < math.inf):
        bad = ~(np.isfinite(array) & (array > 0))
        raise InvalidValue(f"{name} must be finite and positive, got {array[bad].flat[0]:g}")
    return array


def frozen(array: Array) -> Array:
    """Make a new array, which nobody else holds, read-only, and return it."""
    array.setflags(write=False)
    return array


def read_only(array: Array) -> Array:
    """Return a copy of `array` that cannot be written to."""
    copy: Array = np.array(array)  # type: ignore[assignment]  # of the same dtype
    copy.setflags(write=False)
    return copy


class Immutable:
    """A base of frozen dataclasses: a copy is the value itself, unpickling makes it anew.

    Unpickling calls the constructor with the fields, so that the checks are made again, arrays
    are read-only again, and nothing that was only remembered travels along.
    """

    __slots__ = ()

    def __copy__(self: Itself) -> Itself:
        return self

    def __deepcopy__(self: Itself, memo: dict[int, Any]) -> Itself:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        value: Any = self
        if not is_dataclass(value):
            return super().__reduce_ex__(protocol)
        given = (getattr(value, field.name) for field in fields(value) if field.init)
        return type(self), tuple(given)


class FrozenMapping(Mapping[Key, Value_co]):
    """A mapping that nobody can change: it copies, pickles, compares and, unlike a view, hashes."""

    __slots__ = ("_members",)
    _members: dict[Key, Value_co]

    def __init__(self, members: Mapping[Key, Value_co]) -> None:
        object.__setattr__(self, "_members", dict(members))

    def __getitem__(self, key: Key) -> Value_co:
        return self._members[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __hash__(self) -> int:
        return hash(frozenset(self._members.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._members!r})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen: cannot set {name!r}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._members,)

    def __copy__(self: Itself) -> Itself:
        return self

    def __deepcopy__(self: Itself, memo: dict[int, Any]) -> Itself:
        return self


class ArrayValue(Immutable):
    """A base of frozen dataclasses, made with eq=False, some fields of which are arrays.

    The arrays are copied and read-only. Values are equal where all their fields are, element by
    element, nan being equal to nan; equal values have equal hashes.
    """

    def __post_init__(self) -> None:
        for name in self._names():
            value: Any = getattr(self, name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, read_only(cast("npt.NDArray[Any]", value)))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(self) is not type(other):
            return NotImplemented
        return all(_alike(getattr(self, name), getattr(other, name)) for name in self._names())

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(_content(getattr(self, name)) for name in self._names()))

    def _names(self) -> tuple[str, ...]:
        kind: Any = type(self)
        return _compared(kind)


@cache
def _compared(kind: Any) -> tuple[str, ...]:
    """Return the names of the fields by which values of a kind are compared."""
    return tuple(field.name for field in fields(kind) if field.compare)


def _alike(a: object, b: object) -> bool:
    """Compare two fields; nan is equal to nan, and an array only to one of its shape."""
    if isinstance(a, np.ndarray | float) and isinstance(b, np.ndarray | float):
        return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)
    return a == b


def _content(value: Any) -> Hashable:
    """Return what a field is hashed by: 0.0 and -0.0 are equal, and so is every nan."""
    if not isinstance(value, np.ndarray | float):
        return value  # type: ignore[no-any-return]
    array = np.asarray(value) + 0
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.nan, array)
    return array.shape, array.tobytes()


def _split(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """x = high + low with 26-bit halves (Veltkamp); exact below 2^996."""
    shifted = _SPLITTER * x
    high = shifted - (shifted - x)
    return high, x - high


def _is_moderate(x: FloatArray) -> bool:
    """Tell whether the halves of x, and their products with such others, are exact."""
    size = np.abs(x)
    return bool(size.max(initial=0.0) < 1e150 and size.min(initial=1.0, where=size > 0) > 1e-140)


def two_product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (p, r) with a b = p + r exactly (Dekker 1971); shapes broadcast.

    Where the product itself over- or underflows, r is 0.
    """
    p = a * b
    if not (_is_moderate(a) and _is_moderate(b)):
        (ma, ea), (mb, eb) = np.frexp(a), np.frexp(b)
        _, rest = two_product(ma, mb)
        return p, np.where(np.isfinite(p), np.ldexp(rest, ea + eb), 0.0)
    ah, al = _split(a)
    bh, bl = _split(b)
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


def two_sum(a: FloatArray, b: FloatArray | float) -> tuple[FloatArray, FloatArray]:
    """Return (s, r) with a + b = s + r exactly (Knuth 1969); r is 0 where s is infinite."""
    s = a + b
    with np.errstate(invalid="ignore"):
        shadow = s - a
        r = (a - (s - shadow)) + (b - shadow)
    return s, np.where(np.isfinite(s), r, 0.0)


def two_square(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (p, r) with x^2 = p + r exactly, barring over- and underflow."""
    p = x * x
    high, low = _split(x)
    return p, ((high * high - p) + 2 * high * low) + low * low
