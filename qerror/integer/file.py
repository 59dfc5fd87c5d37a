"""Integer networks in files: arrays of integers, and a description as JSON."""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from qerror.exceptions import InvalidValue
from qerror.integer.arithmetic import Integers
from qerror.integer.layer import Codes, IntegerLayer
from qerror.integer.network import IntegerNetwork
from qerror.storage.atomic import write_atomically

SCHEMA = "qerror.integer-network/1"


def save_network(network: IntegerNetwork, path: str | Path) -> None:
    """Write a network to an .npz file, whole or not at all."""
    arrays: dict[str, Any] = {}
    for i, layer in enumerate(network.layers):
        for part in ("weight", "bias"):
            values = getattr(layer, part)
            if values is not None:
                arrays[f"{i}.{part}"] = _narrow(values)
    described = {
        "schema": SCHEMA,
        "input": [network.input.length, network.input.low, network.input.high],
        "size": list(network.size),
        "layers": [layer.described() for layer in network.layers],
    }
    text = json.dumps(described, indent=1).encode()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, network=np.frombuffer(text, np.uint8), **arrays)
    write_atomically(Path(path), buffer.getvalue())


def load_network(path: str | Path) -> IntegerNetwork:
    """Read a network from an .npz file; nothing in it is executed.

    Raises
    ------
    InvalidValue
        If it is no such file, or its description does not fit; the message says what.
    """
    try:
        content = Path(path).read_bytes()
        if not zipfile.is_zipfile(io.BytesIO(content)):
            raise InvalidValue("it is no .npz file")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = {name: np.array(file[name]) for name in file.files}
        described = json.loads(found.pop("network").tobytes())
        if described["schema"] != SCHEMA:
            raise InvalidValue(f"its schema is {described['schema']!r}, not {SCHEMA!r}")
        layers = tuple(
            _layer(each, found.get(f"{i}.weight"), found.get(f"{i}.bias"))
            for i, each in enumerate(described["layers"])
        )
        return IntegerNetwork(Codes(*described["input"]), layers, tuple(described["size"]))
    except InvalidValue as error:
        raise InvalidValue(f"{str(path)!r} holds no integer network: {error}") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise InvalidValue(f"cannot read {str(path)!r}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, EOFError) as error:
        raise InvalidValue(
            f"{str(path)!r} holds no integer network, or a damaged one: {error!r}"
        ) from None


def _layer(
    described: Mapping[str, Any], weight: Integers | None, bias: Integers | None
) -> IntegerLayer:
    values = dict(described)
    for part in ("window", "stride", "padding", "dilation", "inputs"):
        values[part] = tuple(values[part])
    for each in (weight, bias):
        if each is not None and each.dtype.kind not in "iu":
            raise InvalidValue(f"layer {values['name']!r} has parameters of {each.dtype}")
    values["output"] = Codes(*values["output"])
    return IntegerLayer(**values, weight=weight, bias=bias)


def _narrow(values: Integers) -> Any:
    """Return integers in the narrowest type that holds them."""
    top = max(abs(int(values.min(initial=0))), abs(int(values.max(initial=0))))
    kinds = (np.int8, np.int16, np.int32, np.int64)
    return cast("Any", values.astype(next(k for k in kinds if top <= np.iinfo(k).max)))
