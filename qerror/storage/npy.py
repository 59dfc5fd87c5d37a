"""NumPy's .npy: the header read without trusting it, the values piece by piece."""

import ast
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import numpy as np

from qerror.exceptions import InvalidValue
from qerror.storage.narrow import NARROW
from qerror.storage.source import AnyArray, StoredArray, readable

Reader: TypeAlias = Callable[[int], Iterator[AnyArray]]

MAGIC = b"\x93NUMPY"
_MOST_HEADER = 10_000  # characters: NumPy's own limit
_MOST_BYTES = 1 << 62


@dataclass(frozen=True)
class Header:
    """What stands before the values of a .npy file."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    length: int
    """Bytes before the first value."""

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def total(self) -> int:
        """Bytes of header and values together."""
        return self.length + self.size * self.dtype.itemsize


def read_header(file: IO[bytes]) -> Header:
    """Read the header of a .npy file and check every part of it.

    Raises
    ------
    ValueError
        If it is none; `readable` turns it, and what the parser raises, into a message.
    """
    start = file.read(8)
    if start[:6] != MAGIC:
        raise ValueError("it does not begin as one")
    major = start[6] if len(start) == 8 else 0
    if major not in {1, 2, 3}:
        raise ValueError(f"version {major} of the format is unknown")
    width = 2 if major == 1 else 4
    count = int.from_bytes(file.read(width), "little")
    if count > _MOST_HEADER:
        raise ValueError(f"its header has {count:,} characters, at most {_MOST_HEADER:,} are read")
    text = file.read(count)
    if len(text) < count:
        raise ValueError("it ends inside its header")
    return _header(text.decode("utf-8" if major == 3 else "latin-1"), 8 + width + count)


def _header(text: str, length: int) -> Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in text that is refused anyway
        parsed: object = ast.literal_eval(text.strip())
    fields = cast("dict[str, object]", parsed)
    if not isinstance(parsed, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise ValueError("its header does not name descr, fortran_order and shape")
    shape, order = fields["shape"], fields["fortran_order"]
    sizes = cast("tuple[int, ...]", shape)
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError("its shape is no tuple of whole numbers")
    if type(order) is not bool:
        raise ValueError("its order is neither True nor False")
    dtype = _dtype(fields["descr"])
    if max(math.prod(sizes), 1) * max(dtype.itemsize, 1) > _MOST_BYTES:
        raise ValueError("its shape is larger than any file")
    return Header(sizes, order, dtype, length)


def _dtype(described: object) -> np.dtype[Any]:
    if isinstance(described, str) and described[1:] == "f1":
        return np.dtype("V1")  # how ml_dtypes' float8 types are saved; NumPy itself has none
    return np.lib.format.descr_to_dtype(cast("Any", described))


def open_npy(path: Path, narrow: str | None) -> StoredArray:
    """Return the array of a .npy file, which must hold one array and nothing else."""
    with readable(path), path.open("rb") as file:
        header = read_header(file)
        _refuse_objects(path, header.dtype)
        present = file.seek(0, 2)
        if present < header.total:
            raise ValueError(f"it ends after {present:,} of {header.total:,} bytes")
        if present > header.total:
            file.seek(header.total)
            _refuse_more(path, file.read(len(MAGIC)), present - header.total)

    def mapped() -> AnyArray:
        return np.memmap(path, header.dtype, "r", header.length, (header.size,))

    def read(count: int) -> Iterator[AnyArray]:
        flat = mapped()
        for start in range(0, header.size, count):
            yield flat[start : start + count]

    return replace(stored(path, "", header, read, narrow), mapped=mapped)


def _refuse_objects(path: Path, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise InvalidValue(f"cannot read {str(path)!r}: it holds Python objects, not numbers")


def _refuse_more(path: Path, begin: bytes, size: int) -> None:
    what = "a second array" if begin == MAGIC else f"{size:,} bytes"
    raise InvalidValue(
        f"cannot read {str(path)!r}: {what} after its first array; save each array in a file of "
        "its own, or all in one .npz"
    )


def stored(path: Path, name: str, header: Header, read: Reader, narrow: str | None) -> StoredArray:
    """Return an array by its header, read as a narrow type if its items are as wide as that."""
    dtype = header.dtype
    _refuse_objects(path, dtype)
    known = NARROW.get(narrow or "")
    is_narrow = known is not None and dtype.kind in "Vu" and dtype.itemsize == known.itemsize
    return StoredArray(
        path,
        name,
        header.shape,
        np.dtype(np.float32) if is_narrow else dtype,
        header.fortran_order,
        read,
        narrow if is_narrow else None,
    )


def write_header(out: IO[bytes], array: StoredArray) -> None:
    """Write the header of a .npy file for an array like this one."""
    header = {
        "shape": array.shape,
        "fortran_order": array.fortran_order,
        "descr": np.lib.format.dtype_to_descr(array.dtype),
    }
    np.lib.format.write_array_header_1_0(out, header)
