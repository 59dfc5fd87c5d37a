"""Arrays in files: quantized and measured piece by piece, whatever their size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import positive
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress
from qerror.formats.format import Format
from qerror.formats.names import as_scalar_format
from qerror.simulation.estimate import Figures, figures_of_data
from qerror.simulation.quantize import DTYPES, quantize
from qerror.storage.atomic import replacing
from qerror.storage.npy import StoredArray, container, open_arrays, write_header

AnyArray: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Measured:
    """The errors of a quantizer on data, e = Q(x) - x, means over the finite values.

    Without any finite value they are nan.
    """

    figures: Figures
    size: int
    """Number of finite values."""
    nan: int
    infinite: int
    clipped: tuple[int, int]
    """How many finite values lie below and above the range of the grid."""


def require_floats(arrays: list[StoredArray]) -> list[StoredArray]:
    """Return those that can be quantized; refuse a file without any."""
    floats = [each for each in arrays if each.is_float]
    if not floats:
        kinds = ", ".join(dict.fromkeys(str(each.dtype) for each in arrays)) or "no array"
        path = str(arrays[0].path) if arrays else "the file"
        raise InvalidType(
            f"{path!r} holds {kinds}; quantizing takes {', '.join(DTYPES)}: convert it first, "
            "np.save(file, x.astype(np.float32))"
        )
    return floats


def measure_error(
    array: StoredArray | npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: float = 1.0,
    *,
    rounding: str = "nearest-even",
    rng: np.random.Generator | None = None,
    progress: Progress | None = None,
    keep: Callable[[AnyArray], None] | None = None,
) -> Measured:
    """Quantize data and return the mean errors over its finite values.

    Parameters
    ----------
    array : StoredArray or array_like
        The data; a stored array is read in pieces.
    format, scale, rounding, rng
        As for `quantize`; one scale.
    progress : callable, optional
        Called with (done, total) values.
    keep : callable, optional
        Receives the quantized values piece by piece.

    Raises
    ------
    InvalidValue, InvalidType
        As for `quantize`.

    Examples
    --------
    >>> found = measure_error(np.array([0.25, 1.0, 5.5]), "int4")
    >>> found.figures.mse
    0.10416666666666667
    """
    form, scale = as_scalar_format(format), positive("scale", scale)
    stored = array if isinstance(array, StoredArray) else None
    data = None if stored else np.asarray(array)
    total = stored.size if stored else cast("AnyArray", data).size
    pieces = stored.pieces() if stored else iter([cast("AnyArray", data).reshape(-1)])
    grid = form.grid(scale)
    counts = {"nan": 0, "infinite": 0, "done": 0}

    def errors() -> Iterator[tuple[AnyArray, AnyArray]]:
        for piece in pieces:
            levels = quantize(piece, form, scale, rounding=rounding, rng=rng)
            if keep is not None:
                keep(levels)
            finite = np.isfinite(piece)
            missing = int(np.isnan(piece).sum())
            counts["nan"] += missing
            counts["infinite"] += piece.size - int(finite.sum()) - missing
            x = piece[finite].astype(np.float64)
            yield x, levels[finite].astype(np.float64) - x
            counts["done"] += piece.size
            if progress is not None:
                progress(counts["done"], total)

    figures, size, clipped = figures_of_data(errors(), (grid.min, grid.max))
    return Measured(figures, size, counts["nan"], counts["infinite"], clipped)


def quantize_file(
    source: str | Path,
    target: str | Path,
    format: Format | str,  # noqa: A002 - the field's word
    scale: float = 1.0,
    *,
    rounding: str = "nearest-even",
    rng: np.random.Generator | None = None,
    progress: Progress | None = None,
) -> dict[str, Measured]:
    """Quantize the arrays of a file into another, and measure the errors.

    Works on files larger than memory: values pass through in pieces of 4 MiB. The target
    appears in one step when all is done; a failure leaves what was there. Arrays of a .npz
    file that are not float16, float32 or float64 are copied.

    Parameters
    ----------
    source, target : str or Path
        Both .npy or both .npz; they may be the same file.
    format, scale, rounding, rng
        As for `quantize`; one scale.
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
    arrays = open_arrays(source)
    total = sum(each.size for each in require_floats(arrays))
    finished = 0
    measured: dict[str, Measured] = {}
    with replacing(target) as file, container(file, source) as member:
        for each in arrays:
            with member(each) as out:
                write_header(out, each)
                if not each.is_float:
                    for piece in each.pieces():
                        out.write(np.ascontiguousarray(piece).data)
                    continue
                base = finished
                measured[each.name] = measure_error(
                    each,
                    format,
                    scale,
                    rounding=rounding,
                    rng=rng,
                    progress=_shifted(progress, base, total),
                    keep=lambda levels, out=out: _write(out, levels),  # type: ignore[misc]
                )
                finished += each.size
    return measured


def _shifted(progress: Progress | None, base: int, total: int) -> Progress | None:
    if progress is None:
        return None
    report = progress
    return lambda done, _: report(base + done, total)


def _write(out: IO[bytes], levels: AnyArray) -> None:
    out.write(np.ascontiguousarray(levels).data)
