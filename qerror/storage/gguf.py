"""GGUF: metadata, a table of tensors, and their values, quantized in blocks or not.

The tables are read here, since the package gguf trusts what it reads; it knows the types, and
decodes their blocks.
"""

import importlib
import math
import struct
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from qerror.exceptions import MissingLibrary
from qerror.storage.encodings import FLOATING, Blocks, Encoding
from qerror.storage.source import readable
from qerror.storage.spans import Span, overlaps
from qerror.storage.tensor import Contents, Fault, Skipped, StoredTensor

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_AXES = 8
_MOST_NAME = 1 << 16  # bytes
_DEEPEST = 4  # lists in lists
_TEXT, _LIST = 8, 9
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value of the metadata's types: numbers and flags."""


class _Entry(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def open_gguf(path: Path) -> Contents:
    """List the tensors of a file; those in blocks are read as what the blocks decode to.

    Raises
    ------
    InvalidValue
        If the tables themselves are damaged; a tensor that is damaged becomes a `Fault`.
    MissingLibrary
        If the package gguf is not installed.
    """
    library = _gguf()
    with readable(path), path.open("rb") as file:
        entries, start, size = _tables(file)
    tensors: list[StoredTensor] = []
    skipped: list[Skipped] = []
    faults: list[Fault] = []
    spans: list[Span] = []
    times = Counter(entry.name for entry in entries)
    for entry in entries:
        try:
            if times[entry.name] > 1:
                raise ValueError("its name is given twice")
            dtype, width, count = _kind(library, entry.kind)
            length = _length(entry, width, count, size - start)
        except ValueError as error:
            faults.append(Fault(path, entry.name, str(error)))
            continue
        spans.append(Span(entry.offset, entry.offset + length, entry.name))
        encoding = _encoding(dtype, width, count)
        if encoding is None:
            skipped.append(Skipped(path, entry.name, dtype))
        else:
            at = start + entry.offset
            tensors.append(StoredTensor(path, entry.name, entry.shape, encoding, at))
    bad = dict(overlaps(spans))
    faults += [Fault(path, name, f"offset: it overlaps {bad[name]!r}") for name in bad]
    return Contents(
        tuple(each for each in tensors if each.name not in bad),
        tuple(each for each in skipped if each.tensor not in bad),
        tuple(faults),
    )


def _gguf() -> Any:
    try:
        return importlib.import_module("gguf")
    except ImportError as error:
        raise MissingLibrary(
            "GGUF files need gguf, which is not installed: pip install gguf"
        ) from error


def _kind(library: Any, kind: int) -> tuple[str, int, int]:
    """Return the name of a type, the bytes of its blocks and the values in one."""
    try:
        known = library.GGMLQuantizationType(kind)
        count, width = library.GGML_QUANT_SIZES[known]
    except (ValueError, KeyError):
        raise ValueError(f"type: {kind} is unknown") from None
    return str(known.name), int(width), int(count)


@lru_cache(maxsize=64)
def _encoding(dtype: str, width: int, count: int) -> Encoding | None:
    """Return how a type is read; None if it holds no real numbers or cannot be decoded."""
    if dtype in FLOATING:
        return FLOATING[dtype]
    if dtype[0] == "I" and dtype[1:].isdecimal():
        return None
    found = Blocks(dtype, width, count)
    try:
        found.decode(np.zeros(width, np.uint8))
    except (NotImplementedError, KeyError):
        return None
    return found


def _length(entry: _Entry, width: int, count: int, room: int) -> int:
    """Return how many bytes a tensor takes, which must lie in the file."""
    row = entry.shape[-1] if entry.shape else 1
    if row % count:
        raise ValueError(f"dimensions: rows of {row:,} are not cut by blocks of {count}")
    length = math.prod(entry.shape) // count * width
    if entry.offset + length > room:
        raise ValueError(
            f"offset: {entry.offset:,} and {length:,} bytes go beyond the file, which holds "
            f"{max(room, 0):,} of values"
        )
    return length


def _tables(file: IO[bytes]) -> tuple[list[_Entry], int, int]:
    """Return the entries of the tensors, where their values begin, and the file's size."""
    size = file.seek(0, 2)
    file.seek(0)
    if file.read(4) != _MAGIC:
        raise ValueError("it does not begin as one")
    read = _reader(file, size)
    (version,) = read("<I")
    if version not in _VERSIONS:
        raise ValueError(f"version {version} is none of {_VERSIONS}")
    tensors, pairs = read("<QQ")
    alignment = 32
    for _ in range(pairs):
        key = _text(file, read, size)
        (kind,) = read("<I")
        if key == "general.alignment" and kind == 4:
            (alignment,) = read("<I")
            if alignment == 0 or alignment % 8:
                raise ValueError(f"general.alignment: {alignment} is no multiple of 8")
        else:
            _skip(file, read, kind, size, 0)
    entries = [_entry(file, read, size) for _ in range(tensors)]
    start = -(-file.tell() // alignment) * alignment
    for entry in entries:
        if entry.offset % alignment:
            raise ValueError(
                f"tensor {entry.name!r}: offset {entry.offset} is no multiple of {alignment}"
            )
    return entries, start, size


def _reader(file: IO[bytes], size: int) -> Callable[[str], tuple[Any, ...]]:
    def read(form: str) -> tuple[Any, ...]:
        wanted = struct.calcsize(form)
        content = file.read(wanted)
        if len(content) < wanted:
            raise ValueError(f"it ends inside its tables, after {size:,} bytes")
        return struct.unpack(form, content)

    return read


def _text(file: IO[bytes], read: Callable[[str], tuple[Any, ...]], size: int) -> str:
    (count,) = read("<Q")
    if count > _MOST_NAME or file.tell() + count > size:
        raise ValueError(f"a name of {count:,} bytes at byte {file.tell():,}")
    return file.read(count).decode("utf-8")


def _skip(
    file: IO[bytes], read: Callable[[str], tuple[Any, ...]], kind: int, size: int, depth: int
) -> None:
    """Go on behind a value of the metadata."""
    if kind in _WIDTHS:
        _forward(file, _WIDTHS[kind], size)
    elif kind == _TEXT:
        _forward(file, read("<Q")[0], size)
    elif kind == _LIST and depth < _DEEPEST:
        inner, count = read("<IQ")
        if inner in _WIDTHS:
            _forward(file, _WIDTHS[inner] * count, size)
            return
        for _ in range(count):
            _skip(file, read, inner, size, depth + 1)
    else:
        raise ValueError(f"metadata of type {kind} at byte {file.tell():,}")


def _forward(file: IO[bytes], count: int, size: int) -> None:
    if file.tell() + count > size:
        raise ValueError(f"metadata of {count:,} bytes at byte {file.tell():,} of {size:,}")
    file.seek(count, 1)


def _entry(file: IO[bytes], read: Callable[[str], tuple[Any, ...]], size: int) -> _Entry:
    name = _text(file, read, size)
    (axes,) = read("<I")
    if axes > _MOST_AXES:
        raise ValueError(f"tensor {name!r}: dimensions: {axes} of them")
    lengths = read(f"<{axes}Q")
    kind, offset = read("<IQ")
    # The first length is that of the values that lie side by side.
    return _Entry(name, tuple(reversed(lengths)), kind, offset)
