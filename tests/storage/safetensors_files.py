"""Files of safetensors made byte by byte, so that they may be wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np

NAMES = {"float32": "F32", "float64": "F64", "float16": "F16", "int64": "I64", "uint8": "U8"}


def written(path: Path, header: str | bytes, body: bytes, length: int | None = None) -> Path:
    text = header.encode() if isinstance(header, str) else header
    count = len(text) if length is None else length
    path.write_bytes(count.to_bytes(8, "little") + text + body)
    return path


def entries(arrays: dict[str, np.ndarray[Any, Any]]) -> tuple[dict[str, Any], bytes]:
    """Return a header and what it describes; arrays of bytes may be (dtype, shape, bytes)."""
    header: dict[str, Any] = {}
    body = b""
    for name, array in arrays.items():
        content = array.tobytes()
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(content)],
        }
        body += content
    return header, body


def saved(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> Path:
    header, body = entries(arrays)
    return written(path, json.dumps(header), body)
