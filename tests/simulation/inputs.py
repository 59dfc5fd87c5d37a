"""Values that find faults in rounding: every exponent, every tie, and what lies beside them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from qerror.formats import ScalarFormat

Array = npt.NDArray[Any]


def every_exponent(mantissas: int) -> npt.NDArray[np.float32]:
    """Return every sign and exponent of float32, specials too, with so many mantissas each."""
    rng = np.random.default_rng(20240905)
    head = np.arange(512, dtype=np.uint32)[:, None] << np.uint32(23)
    edges = np.array([0, 1, 2, 0x3FFFFF, 0x400000, 0x400001, 0x7FFFFE, 0x7FFFFF], np.uint32)
    # Half of them with few significant bits: these are the levels and ties of small formats.
    few = np.arange(mantissas // 2, dtype=np.uint32) << np.uint32(24 - mantissas.bit_length())
    any_ = rng.integers(0, 1 << 23, mantissas - few.size - edges.size, dtype=np.uint32)
    bits = head | np.concatenate([edges, few, any_])[None, :]
    found: npt.NDArray[np.float32] = bits.reshape(-1).view(np.float32)
    return found


def around_ties(form: ScalarFormat, kind: type[np.floating[Any]], scale: float = 1.0) -> Array:
    """Return every level and midpoint in the dtype, each with its two neighbours."""
    grid = form.grid(scale)
    with np.errstate(over="ignore"):
        exact = np.concatenate([grid.points, grid.thresholds]).astype(kind)
        top = kind(2 * grid.max)
    exact = np.append(exact, [top, -top, kind(0), kind("-0"), kind("inf"), kind("-inf")])
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate(
            [exact, np.nextafter(exact, kind(np.inf)), np.nextafter(exact, kind(-np.inf))]
        )


def same_bits(a: Array, b: Array) -> npt.NDArray[np.bool_]:
    """Compare bit by bit; every NaN equals every other."""
    unsigned = {2: np.uint16, 4: np.uint32, 8: np.uint64}[a.dtype.itemsize]
    assert a.dtype == b.dtype
    same: npt.NDArray[np.bool_] = a.view(unsigned) == b.view(unsigned)
    return same | (np.isnan(a) & np.isnan(b))


def assert_same_bits(got: Array, wanted: Array, x: Array) -> None:
    """Fail with the first few inputs at which the results differ."""
    wrong = ~same_bits(got, wanted)
    cases = zip(x[wrong][:5], got[wrong], wanted[wrong], strict=False)
    shown = [f"{v!r}: {a!r} != {b!r}" for v, a, b in cases]
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} differ: {'; '.join(shown)}"


def without_nan(x: Array) -> Array:
    """Leave NaN out: casting signalling ones warns."""
    return x[~np.isnan(x)]
