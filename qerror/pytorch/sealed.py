"""Objects of PyTorch in bytes with a checksum, so that damage is found before they are used."""

import hashlib
import io
from typing import Any

import torch

from qerror.exceptions import InvalidValue

_MAGIC = b"qerror sealed 1\n"
_START = len(_MAGIC) + hashlib.sha256().digest_size


def sealed(what: object) -> bytes:
    """Return an object of tensors, numbers, text and containers as bytes."""
    buffer = io.BytesIO()
    torch.save(what, buffer)
    content = buffer.getvalue()
    return _MAGIC + hashlib.sha256(content).digest() + content


def unsealed(data: bytes) -> Any:
    """Return the object.

    Raises
    ------
    InvalidValue
        If the bytes were not made by `sealed`, or are damaged.
    """
    if not data.startswith(_MAGIC):
        raise InvalidValue("it was not written by qerror")
    if hashlib.sha256(data[_START:]).digest() != data[len(_MAGIC) : _START]:
        raise InvalidValue("it is damaged: its checksum differs")
    return torch.load(io.BytesIO(data[_START:]), weights_only=True)
