"""Checkpoints: files of tensors, whatever wrote them, and folders of such files."""

import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, cast

from qerror.exceptions import InvalidValue, MissingLibrary, QErrorException
from qerror.storage.tensor import Contents, Fault

Opener: TypeAlias = Callable[[Path], Contents]

_INDEX = ".safetensors.index.json"
_READERS: Mapping[str, tuple[str, str]] = {
    ".safetensors": ("safetensors", "open_safetensors"),
    ".gguf": ("gguf", "open_gguf"),
    ".onnx": ("onnx", "open_onnx"),
    ".pt": ("torch_file", "open_torch"),
    ".pth": ("torch_file", "open_torch"),
    ".bin": ("torch_file", "open_torch"),
    ".ckpt": ("torch_file", "open_torch"),
    ".npy": ("numpy_tensors", "open_npy_tensor"),
    ".npz": ("numpy_tensors", "open_npz_tensors"),
}

CHECKPOINT_SUFFIXES = (*_READERS, _INDEX)
"""The ends of names that `open_checkpoint` knows."""


def open_checkpoint(path: str | Path) -> Contents:
    """List the tensors of a checkpoint without reading their values.

    Parameters
    ----------
    path : str or Path
        A .safetensors file or the index of several, .gguf, .onnx, a file of PyTorch, .npy, .npz,
        or a folder that holds any of them.

    Returns
    -------
    Contents
        The tensors of floating-point types; the names of the others; and what is damaged. In a
        folder, tensors of one name in several files are called ``file:name``.

    Raises
    ------
    InvalidValue
        If there is no such file, its suffix is unknown, or it is damaged as a whole.
    MissingLibrary
        If the library that reads this kind of file is not installed.
    """
    path = Path(path)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InvalidValue(f"cannot read {str(path)!r}: there is no such file")
    opener = _opener(path)
    if opener is None:
        known = " ".join(CHECKPOINT_SUFFIXES)
        raise InvalidValue(f"cannot read {str(path)!r}: its suffix is none of {known}")
    return _told_apart(opener(path))


def _opener(path: Path) -> Opener | None:
    if path.name.lower().endswith(_INDEX):
        module, name = "safetensors", "open_index"
    elif path.suffix.lower() in _READERS:
        module, name = _READERS[path.suffix.lower()]
    else:
        return None
    return cast("Opener", getattr(importlib.import_module(f"qerror.storage.{module}"), name))


def _folder(folder: Path) -> Contents:
    """Open every file of a folder; an index stands for the files that it names."""
    files = sorted(each for each in folder.iterdir() if each.is_file())
    indices = [each for each in files if each.name.lower().endswith(_INDEX)]
    listed = [each for each in files if _opener(each) is not None]
    if indices:
        listed = [
            each for each in listed if each in indices or each.suffix.lower() != ".safetensors"
        ]
    if not listed:
        known = " ".join(CHECKPOINT_SUFFIXES)
        raise InvalidValue(f"cannot read {str(folder)!r}: no file in it ends in {known}")
    found = Contents()
    for each in listed:
        try:
            found += open_checkpoint(each)
        except MissingLibrary:
            raise
        except QErrorException as error:
            reason = str(error).removeprefix(f"cannot read {str(each)!r}: ")
            found += Contents(faults=(Fault(each, "", reason),))
    return _told_apart(found)


def _told_apart(found: Contents) -> Contents:
    """Put the file before the names that several tensors have."""
    times = Counter(each.name for each in found.tensors)
    tensors = tuple(
        each if times[each.name] == 1 else replace(each, name=f"{each.path.name}:{each.name}")
        for each in found.tensors
    )
    return replace(found, tensors=tensors)
