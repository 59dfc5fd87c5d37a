"""What the array quantizers share at their doors: arrays of floats, destinations, generators."""

from typing import cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import integer
from qerror.exceptions import InvalidType, InvalidValue
from qerror.rounding import Rounding
from qerror.simulation._chunks import AnyArray

DTYPES = ("float16", "float32", "float64")
ENGINES = ("auto", "numpy", "numba")
MOST_THREADS = 256  # a slip of the pen beyond it; every thread has scratch memory of its own


def as_floats(x: npt.ArrayLike) -> AnyArray:
    """Return `x` as an array of float16, float32 or float64, without a copy if it is one."""
    if isinstance(x, np.ma.MaskedArray):
        raise InvalidType(
            "x is a masked array, whose mask quantizing would ignore; pass x.filled(np.nan) or "
            "x.compressed()"
        )
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InvalidType(f"x must be an array of floats: {error}") from None
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise InvalidType(
            f"x must be an array of {', '.join(DTYPES)}, got dtype {array.dtype}; "
            "convert it first: x.astype(np.float32)"
        )
    return array


def destination(out: object, x: AnyArray) -> AnyArray:
    """Return where the result goes: `out` if it fits `x`, or a new array."""
    if out is None:
        return np.empty_like(x, subok=False)
    if not isinstance(out, np.ndarray):
        raise InvalidType(f"out must be a numpy array, got {type(out).__name__}")
    found = cast("AnyArray", out)
    if found.dtype != x.dtype or found.shape != x.shape:
        raise InvalidValue(
            f"out must have the dtype and shape of x, {x.dtype} and {x.shape}, "
            f"got {found.dtype} and {found.shape}"
        )
    if not found.flags.writeable:
        raise InvalidValue("out is read-only; give an array that can be written to")
    return found


def require_rng(rng: object) -> None:
    """Refuse anything but a generator where random numbers are needed."""
    if rng is None:
        raise InvalidValue(
            "stochastic rounding draws random numbers; pass rng=np.random.default_rng(seed)"
        )
    if not isinstance(rng, np.random.Generator):
        raise InvalidType(
            f"rng must be a numpy.random.Generator, got {type(rng).__name__}; "
            "make one by np.random.default_rng(seed)"
        )


def apart(x: AnyArray, out: AnyArray) -> AnyArray:
    """Copy `x` if writing `out` would change values that are still to be read."""
    same = (
        x.shape == out.shape
        and x.strides == out.strides
        and x.__array_interface__["data"][0] == out.__array_interface__["data"][0]
    )
    if same or not np.may_share_memory(x, out):
        return x
    return x.copy()


def require_engine(engine: str) -> None:
    """Refuse what is no engine."""
    if engine not in ENGINES:
        raise InvalidValue(f"engine must be 'auto', 'numpy' or 'numba', got {engine!r}")


def threads_for(threads: object, mode: Rounding, rng: object) -> int:
    """Return the checked number of threads: one where random numbers are drawn in order."""
    checked = 1 if threads is None else integer("threads", threads, 1, MOST_THREADS)
    if mode != "stochastic":
        return checked
    require_rng(rng)
    return 1
