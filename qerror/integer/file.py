"""Integer networks in files: arrays of integers, and a description as JSON."""

import importlib
import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.integer.arithmetic import Integers
from qerror.integer.layer import Codes, IntegerLayer
from qerror.integer.network import AnyCodes, AnyLayer, IntegerNetwork
from qerror.integer.scaled import ScaledCodes, ScaledLayer
from qerror.storage.atomic import check_writable, write_atomically
from qerror.storage.plain import read_json

FIXED_POINT, SCALED = "qerror.integer-network/1", "qerror.integer-network/2"
SUFFIXES = (".npz", ".safetensors")

_NAME = "network"  # of the description
_DAMAGES = (
    *(KeyError, TypeError, ValueError, AttributeError, EOFError, OverflowError, MemoryError),
    # Of archives that say they are encrypted, of another compression or of one that nobody has.
    *(RuntimeError, NotImplementedError, struct.error, lzma.LZMAError),
)
_ARRAYS = {
    FIXED_POINT: ("weight", "bias"),
    SCALED: ("weight", "weight_zero", "bias", "multiplier", "shift"),
}
_PAIRS = ("window", "stride", "padding", "dilation", "inputs")


def save_network(network: IntegerNetwork, path: str | Path) -> None:
    """Write a network to an .npz or .safetensors file, whole or not at all.

    The description is the array of bytes `network` in the one, the entry `network` of the
    metadata in the other.

    Raises
    ------
    InvalidValue
        If the path ends otherwise, or cannot be written.
    MissingLibrary
        If it is to be safetensors and the library of that name is not installed.
    """
    path = Path(path)
    suffix = checked_suffix(path)
    check_writable(path)
    schema = FIXED_POINT if isinstance(network.input, Codes) else SCALED
    arrays: dict[str, Any] = {}
    for i, layer in enumerate(network.layers):
        for part in _ARRAYS[schema]:
            values = getattr(layer, part)
            if values is not None:
                arrays[f"{i}.{part}"] = _narrow(values)
    described = {
        "schema": schema,
        "input": _listed(network.input),
        "size": list(network.size),
        "layers": [layer.described() for layer in network.layers],
    }
    text = json.dumps(described, indent=1)
    if suffix == ".safetensors":
        content = _safetensors("safetensors.numpy").save(arrays, metadata={_NAME: text})
    else:
        buffer = io.BytesIO()
        arrays[_NAME] = np.frombuffer(text.encode(), np.uint8)
        np.savez_compressed(buffer, **arrays)
        content = buffer.getvalue()
    write_atomically(path, content)


def load_network(path: str | Path) -> IntegerNetwork:
    """Read a network from an .npz or .safetensors file; nothing in it is executed.

    Raises
    ------
    InvalidValue
        If it is no such file, or its description does not fit; the message says what.
    MissingLibrary
        If it is safetensors and the library of that name is not installed.
    """
    path = Path(path)
    try:
        text, found = _read(path)
        described = read_json(text)
        schema = described["schema"]
        if schema not in _ARRAYS:
            raise InvalidValue(f"its schema is {schema!r}, not one of {', '.join(_ARRAYS)}")
        layers = tuple(
            _layer(schema, each, {part: found.get(f"{i}.{part}") for part in _ARRAYS[schema]})
            for i, each in enumerate(described["layers"])
        )
        codes = _codes(schema, described["input"])
        return IntegerNetwork(codes, layers, tuple(described["size"]))
    except InvalidValue as error:
        raise InvalidValue(f"{str(path)!r} holds no integer network: {error}") from None
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidValue(f"cannot read {str(path)!r}: {error}") from None
    except _DAMAGES as error:
        raise InvalidValue(
            f"{str(path)!r} holds no integer network, or a damaged one: {error!r}"
        ) from None


def checked_suffix(path: Path) -> str:
    """Return how a file's name ends, or refuse what is no file of networks or lacks its library."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidValue(f"{str(path)!r} must end in {' or '.join(SUFFIXES)}")
    if suffix == ".safetensors":
        _safetensors("safetensors")
    return suffix


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the description and the arrays."""
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    content = path.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise InvalidValue("it is no .npz file")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        found = {name: np.array(file[name]) for name in file.files}
    return found.pop(_NAME).tobytes().decode(), found


def _read_safetensors(path: Path) -> tuple[str, dict[str, Any]]:
    library = _safetensors("safetensors")
    path.open("rb").close()  # the library's own words for a missing file name no file
    try:
        with library.safe_open(path, framework="numpy") as file:
            described: dict[str, str] = file.metadata() or {}
            return described[_NAME], {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except library.SafetensorError as error:
        raise InvalidValue(f"it is no .safetensors file: {error}") from None


def _safetensors(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingLibrary(
            "networks in .safetensors need the library safetensors, which is not installed: "
            "pip install safetensors, or save to .npz"
        ) from error


def _layer(schema: str, described: Mapping[str, Any], arrays: Mapping[str, Any]) -> AnyLayer:
    values = dict(described)
    for part in _PAIRS:
        values[part] = tuple(values[part])
    for each in arrays.values():
        if each is not None and each.dtype.kind not in "iu":
            raise InvalidValue(f"layer {values['name']!r} has parameters of {each.dtype}")
    values["output"] = _codes(schema, values["output"])
    if schema == FIXED_POINT:
        return IntegerLayer(**values, **arrays)
    values["operands"] = tuple((int(m), int(n)) for m, n in values["operands"])
    return ScaledLayer(**values, **arrays)


def _codes(schema: str, listed: list[Any]) -> AnyCodes:
    return Codes(*listed) if schema == FIXED_POINT else ScaledCodes(*listed)


def _listed(codes: AnyCodes) -> list[float]:
    first = (codes.length,) if isinstance(codes, Codes) else (codes.scale, codes.zero)
    return [*first, codes.low, codes.high]


def _narrow(values: Integers) -> Any:
    """Return integers in the narrowest type that holds them, in one piece as safetensors asks."""
    top = max(abs(int(values.min(initial=0))), abs(int(values.max(initial=0))))
    kinds = (np.int8, np.int16, np.int32, np.int64)
    kind = next(k for k in kinds if top <= np.iinfo(k).max)
    return cast("Any", np.ascontiguousarray(values.astype(kind)))
