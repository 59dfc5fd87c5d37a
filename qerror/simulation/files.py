"""Arrays in files, quantized into other files piece by piece, whatever their size."""

from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress
from qerror.formats.format import Format
from qerror.simulation._arguments import DTYPES
from qerror.simulation.measure import Measured, measure_error
from qerror.storage.atomic import replacing
from qerror.storage.files import open_arrays
from qerror.storage.npy import write_header
from qerror.storage.npz import rewrite_npz
from qerror.storage.source import StoredArray

AnyArray: TypeAlias = npt.NDArray[Any]
Scales: TypeAlias = npt.ArrayLike | Mapping[str, npt.ArrayLike]


def require_floats(arrays: list[StoredArray]) -> list[StoredArray]:
    """Return those that can be quantized; refuse a file without any.

    Raises
    ------
    InvalidType
        If no array is of a type that can be quantized.
    """
    floats = [each for each in arrays if each.is_float]
    if not floats:
        kinds = ", ".join(dict.fromkeys(str(each.dtype) for each in arrays)) or "no array"
        path = str(arrays[0].path) if arrays else "the file"
        raise InvalidType(
            f"{path!r} holds {kinds}; quantizing takes {', '.join(DTYPES)}: {_advice(arrays)}"
        )
    return floats


def _advice(arrays: list[StoredArray]) -> str:
    """Say what turns the arrays into floats."""
    widths = {each.dtype.itemsize for each in arrays if each.dtype.kind == "V"}
    if 2 in widths:
        return (
            "two bytes without a type are mostly bfloat16: name it, dtype='bfloat16' or "
            "--dtype bfloat16, or widen x: "
            "(x.view(np.uint16).astype(np.uint32) << 16).view(np.float32)"
        )
    if 1 in widths:
        return (
            "one byte without a type is mostly a float8: name it, such as dtype='float8_e4m3fn' or "
            "--dtype float8_e4m3fn, or save x.astype(np.float32)"
        )
    return "convert it first, np.save(file, x.astype(np.float32))"


def quantize_file(
    source: str | Path,
    target: str | Path,
    format: Format | str,  # noqa: A002 - the field's word
    scale: Scales = 1.0,
    *,
    axis: int | None = None,
    rounding: str = "nearest-even",
    rng: np.random.Generator | None = None,
    dtype: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Measured]:
    """Quantize the arrays of a file into another, and measure the errors.

    Works on files larger than memory: values pass through in pieces of 4 MiB, but for block
    formats, which take each array as a whole. The target appears in one step when all is done; a
    failure leaves what was there. Every other member of a .npz file is copied whole: arrays that
    are not float16, float32 or float64, files that are no arrays, and arrays hidden by a later one
    of the same name.

    Parameters
    ----------
    source, target : str or Path
        Both .npy or both .npz; they may be the same file.
    format, axis, rounding, rng
        As for `quantize`.
    scale : array_like or mapping of array_like
        One for all arrays, as for `quantize`, or one for each by its name ("" in a .npy file).
    dtype : str, optional
        As for `open_arrays`; what is read as a narrow type is written as float32.
    progress : callable, optional
        Called with (done, total) values.

    Returns
    -------
    dict
        By the name of the array ("" in a .npy file) what was measured.

    Raises
    ------
    InvalidValue, InvalidType
        If the source cannot be read or holds nothing to quantize, or the kinds of file differ.
    OSError
        If the target cannot be written, for example for lack of space.
    """
    source, target = Path(source), Path(target)
    if source.suffix.lower() != target.suffix.lower():
        raise InvalidValue(
            f"{str(target)!r} must end in {source.suffix}, as {str(source)!r} does: both hold "
            "the same arrays"
        )
    floats = require_floats(open_arrays(source, dtype=dtype))
    total = sum(each.size for each in floats)
    measured: dict[str, Measured] = {}
    done = 0

    def write(array: StoredArray, out: IO[bytes]) -> None:
        nonlocal done
        write_header(out, array)
        measured[array.name] = measure_error(
            array,
            format,
            _scale_of(scale, array),
            axis=axis,
            rounding=rounding,
            rng=rng,
            progress=_shifted(progress, done, total),
            keep=lambda levels: _write(out, levels),
        )
        done += array.size

    with replacing(target) as file:
        if source.suffix.lower() == ".npy":
            write(floats[0], file)
        else:
            rewrite_npz(file, source, floats, write)
    return measured


def _scale_of(scale: Scales, array: StoredArray) -> npt.ArrayLike:
    if not isinstance(scale, Mapping):
        return scale
    if array.name not in scale:
        raise InvalidValue(f"there is no scale for the array {array.name!r}")
    return scale[array.name]


def _shifted(progress: Progress | None, base: int, total: int) -> Progress | None:
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(base + done, total)


def _write(out: IO[bytes], levels: AnyArray) -> None:
    out.write(np.ascontiguousarray(levels).data)
