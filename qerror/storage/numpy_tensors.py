"""The arrays of NumPy's files as tensors of a checkpoint."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from qerror._arrays import frozen
from qerror.exceptions import InvalidValue
from qerror.storage.encodings import FLOATING, Bytes, names_of_numpy
from qerror.storage.npy import open_npy, read_header
from qerror.storage.npz import open_npz
from qerror.storage.source import StoredArray, readable
from qerror.storage.tensor import Contents, Skipped, StoredTensor


def open_npy_tensor(path: Path) -> Contents:
    """Return the array of a .npy file, named as the file is.

    Raises
    ------
    InvalidValue
        If the file is damaged or holds Python objects.
    """
    array = open_npy(path, None)
    return _contents([array], path.stem)


def open_npz_tensors(path: Path) -> Contents:
    """Return the arrays of a .npz file.

    Raises
    ------
    InvalidValue
        If the file is damaged or holds Python objects.
    """
    return _contents(open_npz(path, None))


def _contents(arrays: list[StoredArray], name: str = "") -> Contents:
    tensors: list[StoredTensor] = []
    skipped: list[Skipped] = []
    for array in arrays:
        called = array.name or name
        encoding = FLOATING.get(names_of_numpy().get(array.dtype.name, ""))
        if encoding is None:
            skipped.append(Skipped(array.path, called, str(array.dtype)))
            continue
        plain = not array.name and not array.fortran_order and array.dtype.isnative
        shape = array.shape
        if plain:
            offset = _offset(array.path)
            tensors.append(StoredTensor(array.path, called, shape, encoding, offset))
        else:
            load = partial(_load, array.path, array.name)
            tensors.append(StoredTensor(array.path, called, shape, encoding, 0, load))
    return Contents(tuple(tensors), tuple(skipped))


def _offset(path: Path) -> int:
    with readable(path), path.open("rb") as file:
        return read_header(file).length


def _load(path: Path, name: str) -> Bytes:
    """Return the bytes of an array in C's order, little-endian."""
    with readable(path):
        found = path.stat()
    return _loaded(path, name, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1)
def _loaded(path: Path, name: str, size: int, changed: int) -> Bytes:
    """Return the bytes of an array of a file in a state; parts of it are asked for one by one."""
    del size, changed
    arrays = [open_npy(path, None)] if not name else open_npz(path, None)
    found = next((each for each in arrays if each.name == name), None)
    if found is None:
        raise InvalidValue(f"cannot read {str(path)!r}: the array {name!r} has gone")
    values = np.ascontiguousarray(found.values())
    return frozen(values.astype(values.dtype.newbyteorder("<")).reshape(-1).view(np.uint8))
