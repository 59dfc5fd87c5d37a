"""ONNX: the initializers of a graph, in the file itself or in others beside it."""

import importlib
import math
from collections import Counter
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.storage.encodings import FLOATING, Bytes, Encoding
from qerror.storage.source import readable
from qerror.storage.tensor import Contents, Fault, Skipped, StoredTensor

_NAMES = {
    "FLOAT": "F32",
    "DOUBLE": "F64",
    "FLOAT16": "F16",
    "BFLOAT16": "BF16",
    "FLOAT8E4M3FN": "F8_E4M3",
    "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ",
    "FLOAT8E5M2": "F8_E5M2",
    "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ",
    "FLOAT8E8M0": "F8_E8M0",
    "FLOAT4E2M1": "F4",
}


def open_onnx(path: Path) -> Contents:
    """List the initializers of a model's graph.

    Raises
    ------
    InvalidValue
        If the file is no model; an initializer that is damaged becomes a `Fault`.
    MissingLibrary
        If the package onnx is not installed.
    """
    initializers = _initializers(path, *_state(path))
    times = Counter(each.name for each in initializers)
    found = Contents()
    for each in initializers:
        try:
            if not isinstance(each.name, str):
                raise ValueError("name: it is no UTF-8")
            if times[each.name] > 1:
                raise ValueError("its name is given twice")
            found += _one(path, each)
        except (ValueError, TypeError, OSError) as error:
            found += Contents(faults=(Fault(path, _readable(each.name), str(error)),))
    return found


def _readable(name: str | bytes) -> str:
    """Return a name as text: the library gives bytes where it is damaged."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _one(path: Path, tensor: Any) -> Contents:
    onnx = _onnx()
    try:
        kind = str(onnx.TensorProto.DataType.Name(tensor.data_type))
    except ValueError:
        raise ValueError(f"data_type: {tensor.data_type} is unknown") from None
    shape = tuple(int(n) for n in tensor.dims)
    if any(n < 0 for n in shape):
        raise ValueError(f"dims: {list(shape)} has a negative length")
    encoding = FLOATING.get(_NAMES.get(kind, ""))
    if encoding is None:
        return Contents(skipped=(Skipped(path, tensor.name, kind),))
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return Contents((_external(path, tensor, shape, encoding),))
    stored = _stored(tensor)
    wanted = encoding.size_of(math.prod(shape))
    if stored.size != wanted:
        raise ValueError(
            f"its data have {stored.size:,} bytes, {kind} of dims {list(shape)} takes {wanted:,}"
        )
    load = partial(_load, path, tensor.name)
    return Contents((StoredTensor(path, tensor.name, shape, encoding, 0, load),))


def _external(path: Path, tensor: Any, shape: tuple[int, ...], encoding: Encoding) -> StoredTensor:
    """Return a tensor whose values lie in another file, which must lie beside the model."""
    given = {each.key: each.value for each in tensor.external_data}
    location = given.get("location", "")
    folder = path.parent.resolve()
    place = (folder / location).resolve()
    if not location or not place.is_relative_to(folder):
        raise ValueError(f"external_data: location {location!r} leads out of the model's folder")
    if not place.is_file():
        raise ValueError(f"external_data: there is no file {location!r}")
    wanted, present = encoding.size_of(math.prod(shape)), place.stat().st_size
    try:
        offset, length = int(given.get("offset", 0)), int(given.get("length", wanted))
    except ValueError:
        raise ValueError("external_data: offset and length must be whole numbers") from None
    if length != wanted:
        raise ValueError(f"external_data: length {length:,}, where {wanted:,} bytes are needed")
    if not 0 <= offset <= present - length:
        raise ValueError(
            f"external_data: offset {offset:,} and {length:,} bytes do not lie in {location!r}, "
            f"which has {present:,}"
        )
    return StoredTensor(path.parent / location, tensor.name, shape, encoding, offset)


def _stored(tensor: Any) -> Bytes:
    """Return the bytes of a tensor that the file holds itself."""
    if tensor.HasField("raw_data"):
        return np.frombuffer(tensor.raw_data, np.uint8)
    values: Any = _onnx().numpy_helper.to_array(tensor)
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.name == "float4_e2m1fn":
        padded = np.zeros(flat.size + flat.size % 2, np.uint8)
        padded[: flat.size] = flat.view(np.uint8)
        packed: Bytes = padded[::2] | (padded[1::2] << np.uint8(4))
        return packed
    return flat.view(np.uint8)


def _load(path: Path, name: str) -> Bytes:
    for each in _initializers(path, *_state(path)):
        if each.name == name:
            return _stored(each)
    raise InvalidValue(f"cannot read {str(path)!r}: the tensor {name!r} has gone")


def _state(path: Path) -> tuple[int, int]:
    with readable(path):
        found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1)
def _initializers(path: Path, size: int, changed: int) -> list[Any]:
    """Return the initializers of a file in a state."""
    del size, changed
    onnx = _onnx()
    errors: Any = importlib.import_module("google.protobuf.message")
    with readable(path):
        try:
            model = onnx.load(str(path), load_external_data=False)
        except errors.DecodeError as error:
            raise ValueError(str(error) or "it cannot be parsed") from None
    if not model.HasField("graph"):
        raise InvalidValue(f"cannot read {str(path)!r}: it holds no graph")
    return list(model.graph.initializer)


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingLibrary(
            "ONNX files need onnx, which is not installed: pip install onnx"
        ) from error
