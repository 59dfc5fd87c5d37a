"""The data themselves as a density."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.densities.atoms import Atoms
from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.piece import Piece
from qerror.densities.prefix_sums import PrefixSums
from qerror.exceptions import InvalidType, InvalidValue

_LARGEST, _SMALLEST = 1e150, 1e-140  # squares, and their roundings, stay within float64
_MOST_EXACT = 2**53  # integers beyond it are rounded by float64


@final
@dataclass(frozen=True, eq=False, repr=False)
class Empirical(Density):
    """The distribution of a sample: each value of an array with its share.

    Every exact figure of this density is then the figure of the sample itself: the MSE is
    ``mean((Q(x) - x)**2)``, with no fit in between. Running sums over the sorted values make
    one scale cost O(levels log n) instead of O(n).

    Parameters
    ----------
    values : array_like
        The data: any shape, any real dtype up to 64 bits (float16, bfloat16, float32, float64,
        integers), also memory-mapped. After construction: the distinct values, ascending, as
        float64. What a masked array hides is left out.
    counts : array_like of int, optional
        How often each entry of `values` occurs; once by default.

    Raises
    ------
    InvalidType
        If the array does not hold real numbers.
    InvalidValue
        If there is no value, one is not finite, or squares of the largest one leave float64.

    Examples
    --------
    >>> import numpy as np
    >>> from qerror import quantization_error
    >>> from qerror.densities import Empirical
    >>> x = np.array([0.2, 1.4, -3.0, 1.4])
    >>> Empirical(x)
    Empirical(4 values, 3 distinct, -3..1.4)
    >>> round(quantization_error("int8", Empirical(x)).mse, 12)
    0.09
    """

    values: npt.ArrayLike
    counts: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        values, counts = _distinct(_numbers(self.values), self.counts)
        values.setflags(write=False)
        counts.setflags(write=False)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "counts", counts)

    def pieces(self) -> tuple[Piece, ...]:
        return ()

    def atoms(self) -> Atoms:
        return self._atoms

    @property
    def size(self) -> int:
        """How many values the sample has."""
        return int(self._counts.sum())

    def _support(self) -> tuple[float, float]:
        return float(self._values[0]), float(self._values[-1])

    @property
    def mean(self) -> float:
        return self.atom_sums.moments[1]

    def _second_moment(self) -> float:
        return self.atom_sums.moments[2]

    @cached_property
    def atom_sums(self) -> PrefixSums:
        """The running sums over the sorted values, weighted by their counts."""
        return PrefixSums(self._values, frozen(self._counts.astype(np.float64)), float(self.size))

    @property
    def _values(self) -> FloatArray:
        return cast("FloatArray", self.values)

    @property
    def _counts(self) -> IntArray:
        return cast("IntArray", self.counts)

    @cached_property
    def _atoms(self) -> Atoms:
        shares = self._counts / self.size
        shares.setflags(write=False)
        return Atoms(self._values, shares)

    @cached_property
    def _ranks(self) -> IntArray:
        """How many values are at or below each distinct one."""
        return frozen(np.cumsum(self._counts))

    def _cdf(self, x: FloatArray) -> FloatArray:
        share: FloatArray = np.append(0, self._ranks) / self.size
        return share[np.searchsorted(self._values, x, "right")]

    def _ppf(self, p: FloatArray) -> FloatArray:
        at = np.searchsorted(self._ranks / self.size, p)
        return self._values[np.minimum(at, self._values.size - 1)]

    def _affine(self, scale: float, shift: float) -> Density:
        return Empirical(scale * self._values + shift, self._counts)

    def _sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        drawn = rng.integers(0, self.size, size)
        return self._values[np.searchsorted(self._ranks, drawn, "right")]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Empirical):
            return NotImplemented
        same = np.array_equal(self._values, other._values)
        return same and np.array_equal(self._counts, other._counts)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self._values.tobytes(), self._counts.tobytes()))

    def __repr__(self) -> str:
        low, high = self.support
        parts = f"{self.size:,} values, {self._values.size:,} distinct, {low:g}..{high:g}"
        return f"Empirical({parts})"


def _numbers(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the data as a flat array of real numbers, in its own dtype."""
    if isinstance(x, np.ma.MaskedArray):
        x = cast("npt.NDArray[Any]", x.compressed())
    try:
        array = np.asarray(x).reshape(-1)
    except (TypeError, ValueError):
        raise InvalidType(
            f"data must be an array of real numbers, got {type(x).__name__}"
        ) from None
    kind, width = array.dtype.kind, array.dtype.itemsize
    # ml_dtypes' bfloat16 and float8 are of kind "V", yet convert to float64 exactly.
    real = kind in "fiu" or (kind == "V" and width <= 2 and np.can_cast(array.dtype, np.float64))
    if not real or width > 8:
        raise InvalidType(
            f"data must be real numbers of at most 64 bits, got dtype {array.dtype}; "
            f"{_advice(array.dtype)}"
        )
    if array.size == 0:
        raise InvalidValue("data need at least one value, got an empty array")
    return array


def _advice(dtype: np.dtype[Any]) -> str:
    """Say what turns data of a type that is refused into numbers."""
    if dtype.kind == "V" and dtype.names is not None:
        return f"give one of its fields, such as x[{dtype.names[0]!r}]"
    if dtype.kind == "V" and dtype.itemsize == 2:
        return (
            "two bytes without a type are mostly bfloat16: x.view(ml_dtypes.bfloat16), or "
            "(x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)"
        )
    if dtype.kind == "V" and dtype.itemsize == 1:
        return "one byte without a type is mostly a float8: x.view(ml_dtypes.float8_e4m3fn)"
    if dtype.kind == "c":
        return "give the parts, x.real and x.imag"
    return "convert them first: x.astype(np.float64)"


def _distinct(x: npt.NDArray[Any], counts: object) -> tuple[FloatArray, IntArray]:
    """Return the distinct values, ascending, and how often each occurs."""
    if counts is None:
        values, found = _sixteen_bits(x) if x.dtype.itemsize <= 2 else _sorted(x)
    else:
        values, found = _counted(_float64(x), counts)
    _require_finite(x, values)
    require_squares(max(abs(float(values[0])), abs(float(values[-1]))))
    return values, found


def require_squares(top: float) -> None:
    """Refuse data whose largest magnitude is so far from 1 that its squares leave float64.

    Raises
    ------
    InvalidValue
        Above 1e150, and below 1e-140 but for 0.
    """
    if top > _LARGEST or 0 < top < _SMALLEST:
        raise InvalidValue(
            f"the largest magnitude of the data is {top:g}: squares leave float64 "
            "(1e-308 to 1e308); choose other units"
        )


def _sixteen_bits(x: npt.NDArray[Any]) -> tuple[FloatArray, IntArray]:
    """Count every bit pattern: two bytes or one have few."""
    code = np.uint8 if x.dtype.itemsize == 1 else np.uint16
    counts = np.bincount(np.ascontiguousarray(x).view(code), minlength=0)
    used = np.flatnonzero(counts)
    values = _float64(used.astype(code).view(x.dtype))
    order = np.argsort(values, kind="stable")
    return _merged(values[order], counts[used][order])


def _sorted(x: npt.NDArray[Any]) -> tuple[FloatArray, IntArray]:
    """Sort in the data's own dtype, and count runs of equal values."""
    values = np.sort(x)
    last = np.flatnonzero(np.append(values[1:] != values[:-1], True))
    counts = np.diff(last, prepend=-1).astype(np.int64)
    return _merged(_float64(values[last]), counts)


def _merged(values: FloatArray, counts: IntArray) -> tuple[FloatArray, IntArray]:
    """Make -0.0 zero, and one of both zeros."""
    values = values + 0.0
    twice = np.flatnonzero(values[1:] == values[:-1])
    if twice.size:
        counts = counts.copy()
        counts[twice + 1] += counts[twice]
        return np.delete(values, twice), np.delete(counts, twice)
    return values, counts


def _counted(x: FloatArray, counts: object) -> tuple[FloatArray, IntArray]:
    given = np.asarray(counts)
    if given.dtype.kind == "f" and (given == np.floor(given)).all():
        given = given.astype(np.int64)  # the numbers of a parsed text are floats
    if given.dtype.kind not in "iu" or given.shape != x.shape:
        raise InvalidType(f"counts must be {x.size} integers, one for each value")
    if not (given > 0).all():
        raise InvalidValue(f"counts must be positive, got {given.min()}")
    values, place = np.unique(x + 0.0, return_inverse=True)
    total = np.zeros(values.size, dtype=np.int64)
    np.add.at(total, place, given.astype(np.int64))
    return values, total


def _float64(x: npt.NDArray[Any]) -> FloatArray:
    """Convert without rounding."""
    if x.dtype.kind in "iu" and x.dtype.itemsize == 8:
        top = max(abs(int(x.min())), abs(int(x.max())))
        if top > _MOST_EXACT:
            raise InvalidValue(
                f"integers beyond 2^53 have no exact float64, got {top}; divide them first"
            )
    return x.astype(np.float64)


def _require_finite(x: npt.NDArray[Any], values: FloatArray) -> None:
    """Refuse nan and infinities, which sorting has moved to the ends."""
    if math.isfinite(values[0]) and math.isfinite(values[-1]):
        return
    wide = x.astype(np.float64)
    missing, infinite = int(np.isnan(wide).sum()), int(np.isinf(wide).sum())
    raise InvalidValue(
        f"data must be finite: {missing:,} of {x.size:,} values are nan and {infinite:,} are "
        "infinite; drop or replace them first: x[np.isfinite(x)]"
    )


_EXAMPLE: Sequence[float] = (-1.75, -0.5, 0.0, 0.125, 0.125, 0.3, 1.0, 2.5)
DENSITIES.register(
    "empirical",
    Family(Empirical, Empirical(_EXAMPLE), "values of a sample, each with its share"),
)
