"""Files of PyTorch, read as weights alone: nothing that a pickle may name is called."""

import importlib
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.storage.encodings import FLOATING, Bytes
from qerror.storage.source import readable
from qerror.storage.tensor import Contents, Skipped, StoredTensor

_NAMES = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e4m3fnuz": "F8_E4M3FNUZ",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.float8_e5m2fnuz": "F8_E5M2FNUZ",
    "torch.float8_e8m0fnu": "F8_E8M0",
}
_DEEPEST = 32


def open_torch(path: Path) -> Contents:
    """List the tensors of a state dictionary, or of dictionaries and lists in each other.

    Raises
    ------
    InvalidValue
        If the file is damaged, or holds more than weights: objects whose code would run.
    MissingLibrary
        If PyTorch is not installed.
    """
    tensors: list[StoredTensor] = []
    skipped: list[Skipped] = []
    for name, each in _tensors(path, *_state(path)).items():
        encoding = FLOATING.get(_NAMES.get(str(each.dtype), ""))
        dense = str(each.layout) == "torch.strided" and not each.is_quantized
        if encoding is None or not dense:
            skipped.append(Skipped(path, name, str(each.dtype).removeprefix("torch.")))
            continue
        load = partial(_load, path, name)
        tensors.append(StoredTensor(path, name, tuple(each.shape), encoding, 0, load))
    return Contents(tuple(tensors), tuple(skipped))


def _load(path: Path, name: str) -> Bytes:
    """Return the bytes of a tensor; they stay in the file where they lie there side by side."""
    found = _tensors(path, *_state(path)).get(name)
    if found is None:
        raise InvalidValue(f"cannot read {str(path)!r}: the tensor {name!r} has gone")
    torch = _torch()
    flat = found.detach().reshape(-1).contiguous()
    return cast("Bytes", flat.view(torch.uint8).numpy())


def _state(path: Path) -> tuple[int, int]:
    with readable(path):
        found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=1)
def _tensors(path: Path, size: int, changed: int) -> dict[str, Any]:
    """Return the tensors of a file in a state, by their names."""
    del size, changed
    torch = _torch()
    try:
        with readable(path):
            whole = _loaded(torch, path)
    except pickle.UnpicklingError as error:
        reason = str(error).partition("\n")[0]
        raise InvalidValue(
            f"cannot read {str(path)!r}: it holds more than weights, or is damaged ({reason}); "
            "save the state dictionary alone: torch.save(model.state_dict(), file)"
        ) from None
    return dict(_walk(torch, whole, "", 0))


def _loaded(torch: Any, path: Path) -> object:
    how: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    if zipfile.is_zipfile(path):  # those of before 2020 are none, and cannot be mapped
        how["mmap"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual pickles, refused or read all the same
        return torch.load(path, **how)


def _walk(torch: Any, value: object, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in a structure of dictionaries and lists."""
    if isinstance(value, torch.Tensor):
        yield name or "tensor", value
        return
    if depth > _DEEPEST:
        return
    inner: Iterator[tuple[object, object]]
    if isinstance(value, Mapping):
        inner = iter(cast("Mapping[object, object]", value).items())
    elif isinstance(value, list | tuple):
        inner = iter(enumerate(cast("list[object]", value)))
    else:
        return
    for key, each in inner:
        yield from _walk(torch, each, f"{name}.{key}" if name else str(key), depth + 1)


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingLibrary(
            "files of PyTorch need torch, which is not installed: pip install torch"
        ) from error
