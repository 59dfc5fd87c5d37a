"""A tensor in a file: where its values stand, read part by part; and what could not be read."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from qerror.exceptions import InvalidValue
from qerror.storage.encodings import Bytes, Encoding, Real
from qerror.storage.source import readable


@dataclass(frozen=True)
class StoredTensor:
    """Values of a floating-point type in a file; it can be sent to another process.

    Parameters
    ----------
    path : Path
        The file that holds the values.
    name : str
        Of the tensor.
    shape : tuple of int
    encoding : Encoding
        How its values are stored.
    offset : int
        The byte of the file, or of what `load` returns, where they begin.
    load : callable, optional
        Returns all stored bytes of a tensor that no region of the file holds as they are, such
        as one in a compressed archive.
    piece : callable, optional
        Returns the bytes of the values from one place up to another, where they are made of
        several tensors.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    encoding: Encoding
    offset: int = 0
    load: Callable[[], Bytes] | None = field(default=None, repr=False, compare=False)
    piece: Callable[[int, int], Bytes] | None = field(default=None, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How many bytes they take."""
        return self.encoding.size_of(self.size)

    @property
    def dtype(self) -> str:
        """The name of the type."""
        return self.encoding.name

    def stored(self, start: int, stop: int) -> Bytes:
        """Return the bytes of the values from `start` up to `stop`, whole units of them.

        The file is mapped for this part alone, so that no more than that is in memory.

        Raises
        ------
        InvalidValue
            If the file has become shorter, or may not be read.
        """
        first, last = self.encoding.size_of(start), self.encoding.size_of(stop)
        if last == first:
            return np.empty(0, np.uint8)
        if self.piece is not None:
            before = self.offset // self.encoding.bytes_per_unit * self.encoding.values_per_unit
            return self.piece(before + start, before + stop)
        if self.load is not None:
            return self.load()[self.offset + first : self.offset + last]
        with readable(self.path):
            return np.memmap(self.path, np.uint8, "r", self.offset + first, (last - first,))

    def part(self, name: str, start: int, shape: tuple[int, ...]) -> "StoredTensor":
        """Return neighbouring values from `start` on as a tensor of its own.

        Raises
        ------
        ValueError
            If they begin or end within bytes that others share.
        """
        self.encoding.size_of(math.prod(shape))
        offset = self.offset + self.encoding.size_of(start)
        return replace(self, name=name, shape=shape, offset=offset)

    def values(self, start: int = 0, stop: int | None = None) -> Real:
        """Return the values from `start` up to `stop`, flat, as float32 or float64."""
        return self.encoding.decode(self.stored(start, self.size if stop is None else stop))


@dataclass(frozen=True)
class Fault:
    """A tensor, or a whole file, that is damaged."""

    path: Path
    """Of the file."""
    tensor: str
    """Empty for the file as a whole."""
    reason: str
    """What is wrong with it."""

    def __str__(self) -> str:
        what = f" tensor {self.tensor!r}:" if self.tensor else ""
        return f"{str(self.path)!r}:{what} {self.reason}"


@dataclass(frozen=True)
class Skipped:
    """A tensor that holds no floating-point numbers."""

    path: Path
    """Of the file."""
    tensor: str
    """By its name in the file."""
    dtype: str
    """As the file names it."""
    stored: StoredTensor | None = field(default=None, repr=False, compare=False)
    """Its whole numbers, which may be codes; None where they are not read."""


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds."""

    tensors: tuple[StoredTensor, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    faults: tuple[Fault, ...] = ()

    def __add__(self, other: "Contents") -> "Contents":
        return Contents(
            self.tensors + other.tensors,
            self.skipped + other.skipped,
            self.faults + other.faults,
        )

    def checked(self, *, strict: bool) -> "Contents":
        """Return itself; refuse any fault if `strict`.

        Raises
        ------
        InvalidValue
            With the first fault.
        """
        if strict and self.faults:
            raise InvalidValue(f"cannot read {self.faults[0]}")
        return self
