"""NumPy's own files: .npy and .npz, read and written piece by piece."""

import contextlib
import math
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror.exceptions import InvalidValue

AnyArray: TypeAlias = npt.NDArray[Any]

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


def write_header(out: IO[bytes], array: StoredArray) -> None:
    """Write the header of a .npy file for an array like this one."""
    header = {
        "shape": array.shape,
        "fortran_order": array.fortran_order,
        "descr": np.lib.format.dtype_to_descr(array.dtype),
    }
    np.lib.format.write_array_header_1_0(out, header)


Member: TypeAlias = Callable[[StoredArray], contextlib.AbstractContextManager[IO[bytes]]]


@contextlib.contextmanager
def container(file: IO[bytes], source: Path) -> Generator[Member]:
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
