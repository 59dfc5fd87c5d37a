"""Safetensors: eight bytes of length, a header in JSON, and the values; also in several files.

The header is read here and not by the library of that name, which gives a damaged file up as a
whole and loads tensors as a whole; its tests compare both.
"""

import json
import math
import reprlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from qerror.exceptions import InvalidValue, QErrorException
from qerror.storage.encodings import FLOATING, WHOLE_BYTES, Encoding, Whole
from qerror.storage.plain import read_json
from qerror.storage.source import readable
from qerror.storage.spans import Span, holes, overlaps
from qerror.storage.tensor import Contents, Fault, Skipped, StoredTensor

Pairs: TypeAlias = list[tuple[str, Any]]

_MOST_HEADER = 100_000_000  # bytes: the library's own limit
_MOST_SIZE = 1 << 62
_METADATA = "__metadata__"


def open_safetensors(path: Path) -> Contents:
    """List the tensors of a file without reading their values.

    Raises
    ------
    InvalidValue
        If the header itself is damaged; a tensor that is damaged becomes a `Fault`.
    """
    with readable(path):
        size, header, start = _header(path)
        length = size - start
    tensors: list[StoredTensor] = []
    skipped: list[Skipped] = []
    faults: list[Fault] = []
    spans: list[Span] = []
    times = Counter(name for name, _ in header)
    for name, entry in header:
        if name == _METADATA:
            continue
        try:
            if times[name] > 1:
                raise ValueError("its name is given twice in the header")
            dtype, shape, (first, last) = _entry(entry, length)
        except ValueError as error:
            faults.append(Fault(path, name, str(error)))
            continue
        spans.append(Span(first, last, name))
        encoding = FLOATING.get(dtype)
        if encoding is None:
            whole = Whole(dtype, WHOLE_BYTES[dtype])
            stored = StoredTensor(path, name, shape, whole, start + first)
            skipped.append(Skipped(path, name, dtype, stored))
        else:
            tensors.append(StoredTensor(path, name, shape, encoding, start + first))
    bad = dict(overlaps(spans))
    for name, other in bad.items():
        faults.append(Fault(path, name, f"data_offsets: it overlaps {other!r}"))
    if not faults:
        for first, last in holes(spans, length):
            reason = f"its bytes {first:,} to {last:,} of values belong to no tensor"
            faults.append(Fault(path, "", reason))
    return Contents(
        tuple(each for each in tensors if each.name not in bad),
        tuple(each for each in skipped if each.tensor not in bad),
        tuple(dict.fromkeys(faults)),
    )


def open_index(path: Path) -> Contents:
    """List the tensors of several files by their index, ``model.safetensors.index.json``.

    Raises
    ------
    InvalidValue
        If the index itself is damaged.
    """
    with readable(path):
        text = path.read_bytes().decode()
    try:
        index: object = read_json(text)
    except InvalidValue as error:
        raise InvalidValue(f"cannot read {str(path)!r}: {error}") from None
    shards = cast("Any", index).get("weight_map") if isinstance(index, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise InvalidValue(f"cannot read {str(path)!r}: it has no 'weight_map' of tensors to files")
    wanted: dict[str, set[str]] = {}
    faults: list[Fault] = []
    for tensor, shard in cast("Mapping[str, object]", shards).items():
        if not isinstance(shard, str) or Path(shard).name != shard:
            faults.append(
                Fault(path, tensor, f"its file {reprlib.repr(shard)} does not lie beside the index")
            )
        else:
            wanted.setdefault(shard, set()).add(tensor)
    found = Contents(faults=tuple(faults))
    for shard, names in sorted(wanted.items()):
        found += _shard(path.parent / shard, names, path)
    return found


def _shard(path: Path, names: set[str], index: Path) -> Contents:
    if not path.is_file():
        reason = f"there is no such file, which {index.name} names for {len(names):,} tensors"
        return Contents(faults=(Fault(path, "", reason),))
    try:
        inside = open_safetensors(path)
    except QErrorException as error:
        return Contents(faults=(Fault(path, "", _reason(error)),))
    present = {each.name for each in inside.tensors}
    present |= {each.tensor for each in inside.skipped} | {each.tensor for each in inside.faults}
    missing = tuple(
        Fault(path, name, f"it is not in the file, where {index.name} has it")
        for name in sorted(names - present)
    )
    return inside + Contents(faults=missing)


def _reason(error: Exception) -> str:
    """Return a message without the path that it begins with."""
    return str(error).partition(": ")[2] or str(error)


def _header(path: Path) -> tuple[int, Pairs, int]:
    """Return the file's size, the header's entries in their order, and where values begin."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(f"it ends after {len(start)} of the 8 bytes of its header's length")
        count = int.from_bytes(start, "little")
        if count > _MOST_HEADER:
            raise ValueError(f"header length {count:,}: at most {_MOST_HEADER:,} are read")
        if count > size - 8:
            raise ValueError(f"header length {count:,}: the file has {size:,} bytes in all")
        text = file.read(count)
    # Pairs, not a mapping: of two entries with one name none may vanish.
    header: object = json.loads(text.decode("utf-8"), object_pairs_hook=_Entries)
    if not isinstance(header, _Entries):
        raise ValueError("its header is no table of tensors")
    return size, header.pairs, 8 + count


class _Entries:
    """A table in JSON, repeated keys included."""

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs

    def mapping(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Return the fields, among which these names must be, once each."""
        times = Counter(name for name, _ in self.pairs)
        for name in names:
            if times[name] != 1:
                raise ValueError(f"{name}: its entry has {times[name]} of them, it must have one")
        return dict(self.pairs)


def _entry(entry: object, length: int) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """Return the type, the shape and the span of a tensor, each checked."""
    if not isinstance(entry, _Entries):
        raise ValueError("its entry is no table")
    fields = entry.mapping(("dtype", "shape", "data_offsets"))
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str):
        raise ValueError(f"dtype: {reprlib.repr(dtype)} is no text")
    encoding, width = FLOATING.get(dtype), WHOLE_BYTES.get(dtype)
    if encoding is None and width is None:
        known = ", ".join([*FLOATING, *WHOLE_BYTES])
        raise ValueError(f"dtype: {reprlib.repr(dtype)} is unknown; known are {known}")
    if not _are_counts(shape):
        raise ValueError(f"shape: {reprlib.repr(shape)} is no list of whole numbers")
    if not _are_counts(offsets) or len(cast("list[int]", offsets)) != 2:
        raise ValueError(f"data_offsets: {reprlib.repr(offsets)} is no pair of whole numbers")
    first, last = cast("list[int]", offsets)
    if not first <= last <= length:
        raise ValueError(f"data_offsets: [{first}, {last}] do not lie in 0..{length}")
    wanted = _bytes(encoding, width, cast("list[int]", shape))
    if last - first != wanted:
        raise ValueError(
            f"data_offsets: [{first}, {last}] hold {last - first:,} bytes, {dtype} of shape "
            f"{shape} takes {wanted:,}"
        )
    return dtype, tuple(cast("list[int]", shape)), (first, last)


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(
        type(n) is int and 0 <= n < _MOST_SIZE for n in cast("list[object]", value)
    )


def _bytes(encoding: Encoding | None, width: int | None, shape: list[int]) -> int:
    size = math.prod(shape)
    try:
        return encoding.size_of(size) if encoding is not None else size * (width or 1)
    except ValueError as error:
        raise ValueError(f"shape: {error}") from None
