"""Arrays in files: quantized and measured piece by piece, whatever their size."""

import contextlib
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import positive
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats._base import Format
from qerror.simulation._levels import as_format
from qerror.simulation.estimate import Figures, figures_of_data
from qerror.simulation.rounding import DTYPES, quantize

AnyArray: TypeAlias = npt.NDArray[Any]
Progress: TypeAlias = Callable[[int, int], None]

PIECE_BYTES = 1 << 22
SUFFIXES = (".npy", ".npz")


@dataclass(frozen=True)
class StoredArray:
    """An array in a .npy file or a member of a .npz file; its values are read when asked for."""

    path: Path
    name: str
    """The member's name; empty for a .npy file."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran_order: bool

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it can be quantized."""
        return self.dtype.kind == "f" and self.dtype.itemsize <= 8

    def pieces(self) -> Iterator[AnyArray]:
        """Read the values in the order of the file, in pieces of a few megabytes, flat."""
        if not self.size:
            return  # an empty file cannot be mapped
        count = max(PIECE_BYTES // max(self.dtype.itemsize, 1), 1)
        if not self.name:
            flat = np.load(self.path, mmap_mode="r").reshape(-1, order="A")
            for start in range(0, self.size, count):
                yield flat[start : start + count]
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.name}.npy") as file:
            _read_header(file)
            for start in range(0, self.size, count):
                wanted = min(count, self.size - start) * self.dtype.itemsize
                yield np.frombuffer(_read_all(file, wanted, self), self.dtype)


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


def open_arrays(path: str | Path) -> list[StoredArray]:
    """List the arrays of a .npy or .npz file without reading their values.

    Raises
    ------
    InvalidValue
        If the file is missing, is neither, is damaged, or holds Python objects.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidValue(f"cannot read {str(path)!r}: it must be a .npy or .npz file")
    if not path.is_file():
        raise InvalidValue(f"cannot read {str(path)!r}: there is no such file")
    try:
        found = _open_npy(path) if path.suffix.lower() == ".npy" else _open_npz(path)
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise InvalidValue(
            f"cannot read {str(path)!r}: it is damaged or no {path.suffix} file ({error})"
        ) from None
    except PermissionError:
        raise InvalidValue(f"cannot read {str(path)!r}: no permission") from None
    for each in found:
        if each.dtype.hasobject:
            raise InvalidValue(f"cannot read {str(path)!r}: it holds Python objects, not numbers")
    return found


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
    form, scale = as_format(format), positive("scale", scale)
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
    with _replacing(target) as file, _container(file, source) as member:
        for each in arrays:
            with member(each) as out:
                _write_header(out, each)
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


def _open_npy(path: Path) -> list[StoredArray]:
    with path.open("rb") as file:
        shape, fortran_order, dtype = _read_header(file)
        start = file.tell()
    found = StoredArray(path, "", shape, dtype, fortran_order)
    present = path.stat().st_size - start
    if present < found.size * dtype.itemsize and not dtype.hasobject:
        raise ValueError(f"it ends after {present:,} of {found.size * dtype.itemsize:,} bytes")
    return [found]


def _open_npz(path: Path) -> list[StoredArray]:
    found: list[StoredArray] = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as file:
                    header = _read_header(file)
                shape, fortran_order, dtype = header
                found.append(
                    StoredArray(path, name.removesuffix(".npy"), shape, dtype, fortran_order)
                )
    return found


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(file)
    return shape, fortran_order, dtype


def _read_all(file: IO[bytes], wanted: int, array: StoredArray) -> bytes:
    try:
        content = file.read(wanted)
    except (EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidValue(f"cannot read {str(array.path)!r}: it is damaged ({error})") from None
    if len(content) < wanted:
        raise InvalidValue(
            f"cannot read {str(array.path)!r}: the array {array.name!r} ends too early"
        )
    return content


def _write_header(out: IO[bytes], array: StoredArray) -> None:
    header = {
        "shape": array.shape,
        "fortran_order": array.fortran_order,
        "descr": np.lib.format.dtype_to_descr(array.dtype),
    }
    np.lib.format.write_array_header_1_0(out, header)


Member: TypeAlias = Callable[[StoredArray], contextlib.AbstractContextManager[IO[bytes]]]


@contextlib.contextmanager
def _container(file: IO[bytes], source: Path) -> Generator[Member]:
    """Return what opens the place of each array in the target, compressed as in the source."""
    if source.suffix.lower() == ".npy":
        yield lambda _: contextlib.nullcontext(file)
        return
    with zipfile.ZipFile(source) as given:
        methods = {info.filename: info.compress_type for info in given.infolist()}
    with zipfile.ZipFile(file, "w") as archive:

        def member(array: StoredArray) -> contextlib.AbstractContextManager[IO[bytes]]:
            info = zipfile.ZipInfo(f"{array.name}.npy")
            info.compress_type = methods[info.filename]
            return archive.open(info, "w", force_zip64=True)

        yield member


@contextlib.contextmanager
def _replacing(target: Path) -> Generator[IO[bytes]]:
    """Open a temporary file that takes the target's name at the end, or vanishes."""
    target = target.resolve()  # a link keeps pointing to the file that is replaced
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.chmod(_mode_for(target))
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _mode_for(target: Path) -> int:
    """Return the file's permissions, or those that a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
