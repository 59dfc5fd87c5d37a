"""Which tensors of a checkpoint are analysed, and whether whole or channel by channel."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from qerror.checkpoints.patterns import fits, require_match
from qerror.exceptions import InvalidValue
from qerror.storage.tensor import Contents, Fault, StoredTensor

_CHANNEL, _GROUP = "channel", "group:"
_MOST = 1 << 20  # rows of a table


def selected(contents: Contents, only: Sequence[str]) -> Contents:
    """Return the tensors whose names fit one of the patterns; all without any.

    Raises
    ------
    InvalidValue
        If a pattern fits no tensor.
    """
    names = [each.name for each in contents.tensors]
    for pattern in only if names else ():
        require_match(pattern, names)
    if not only:
        return contents
    tensors = tuple(
        each for each in contents.tensors if any(fits(pattern, each.name) for pattern in only)
    )
    return replace(contents, tensors=tensors, skipped=(), faults=chosen_faults(contents, only))


def chosen_faults(contents: Contents, only: Sequence[str]) -> tuple[Fault, ...]:
    """Return the faults of files, and of tensors whose names fit a pattern; all without any."""
    return tuple(
        each
        for each in contents.faults
        if not only or not each.tensor or any(fits(pattern, each.tensor) for pattern in only)
    )


def cut(contents: Contents, by: str | None) -> Contents:
    """Return the channels or groups of every tensor, each a tensor of its own.

    Parameters
    ----------
    by : str, optional
        "channel", along the first axis; "group:N", N neighbours along the last; whole tensors
        without it. A tensor of fewer than two axes has no channels and stays whole.

    Raises
    ------
    InvalidValue
        If `by` is neither, or there would be more than 2^20 of them.
    """
    if by is None:
        return contents
    length = _group_length(by)
    rows = sum(_count(each, length) for each in contents.tensors)
    if rows > _MOST:
        raise InvalidValue(
            f"{by!r} would give {rows:,} rows, more than {_MOST:,}; choose fewer tensors by "
            "patterns of their names (only)"
        )
    tensors: list[StoredTensor] = []
    faults: list[Fault] = []
    for each in contents.tensors:
        try:
            tensors += [*_pieces(each, length)]
        except ValueError as error:
            faults.append(Fault(each.path, each.name, f"{by}: {error}"))
    return replace(contents, tensors=tuple(tensors), faults=(*contents.faults, *faults))


def _group_length(by: str) -> int:
    """Return the number of values in a group; 0 for channels.

    Raises
    ------
    InvalidValue
        If the text is neither.
    """
    if by == _CHANNEL:
        return 0
    number = by.removeprefix(_GROUP)
    if by.startswith(_GROUP) and number.isascii() and number.isdecimal() and 0 < int(number) < 1e9:
        return int(number)
    raise InvalidValue(f"rows are by 'channel' or 'group:N', such as 'group:128'; got {by!r}")


def _count(tensor: StoredTensor, length: int) -> int:
    if not length:
        return tensor.shape[0] if len(tensor.shape) > 1 else 1
    last = tensor.shape[-1] if tensor.shape else 1
    return tensor.size // last * -(-last // length) if last else 0


def _pieces(tensor: StoredTensor, length: int) -> Iterator[StoredTensor]:
    if length:
        return _groups(tensor, length)
    return _channels(tensor) if len(tensor.shape) > 1 else iter([tensor])


def _channels(tensor: StoredTensor) -> Iterator[StoredTensor]:
    inner = tensor.shape[1:]
    size = math.prod(inner)
    for i in range(tensor.shape[0]):
        yield tensor.part(f"{tensor.name}[{i}]", i * size, inner)


def _groups(tensor: StoredTensor, length: int) -> Iterator[StoredTensor]:
    shape = tensor.shape or (1,)
    outer, last = shape[:-1], shape[-1]
    for row, place in enumerate(np.ndindex(*outer)):
        before = "".join(f"{i}," for i in place)
        for start in range(0, last, length):
            stop = min(start + length, last)
            name = f"{tensor.name}[{before}{start}:{stop}]"
            yield tensor.part(name, row * last + start, (stop - start,))
