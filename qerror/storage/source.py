"""Where the values of an array come from: named, shaped, read piece by piece."""

import contextlib
import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror.exceptions import InvalidValue, QErrorException
from qerror.storage.narrow import NARROW

AnyArray: TypeAlias = npt.NDArray[Any]

PIECE_BYTES = 1 << 22
"""How much is read at a time."""

_GROUP_BYTES = 1 << 26  # of channels that lie scattered in a file: each group goes through it once

_FAULTS = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, EOFError, ArithmeticError),
    *(SyntaxError, MemoryError, RecursionError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(tokenize.TokenError, AssertionError),
)
"""What Python's own readers raise on a damaged or hostile file."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file; its values are read when asked for."""

    path: Path
    """Of the file."""
    name: str
    """The member's name; empty for a .npy file."""
    shape: tuple[int, ...]
    """Of the array."""
    dtype: np.dtype[Any]
    """Of the pieces."""
    fortran_order: bool
    """Whether its first axis varies fastest."""
    read: Callable[[int], Iterator[AnyArray]] = field(repr=False, compare=False)
    """Reads stored items flat, in the order of the file, so many at a time."""
    narrow: str | None = None
    """The narrow format that the items are read as, such as "bfloat16"; they become float32."""
    mapped: Callable[[], AnyArray] | None = field(default=None, repr=False, compare=False)
    """Maps the stored items into memory, flat; None where the file does not hold them as such."""

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        """Whether it can be quantized."""
        return self.dtype.kind == "f" and self.dtype.itemsize <= 8

    @property
    def is_real(self) -> bool:
        """Whether it holds real numbers of at most 64 bits, so that its values can be counted."""
        return self.dtype.kind in "fiu" and self.dtype.itemsize <= 8

    def pieces(self) -> Iterator[AnyArray]:
        """Read the values in the order of the file, in pieces of a few megabytes, flat.

        Raises
        ------
        InvalidValue
            If the file turns out to be damaged.
        """
        if not self.size:
            return  # an empty file cannot be mapped
        count = max(PIECE_BYTES // max(self.dtype.itemsize, 1), 1)
        with readable(self.path):
            for piece in self.read(count):
                yield self._decoded(piece)

    def channels(self, axis: int) -> Iterator[AnyArray]:
        """Read the channels along an axis one after the other, each in its own shape.

        One at a time where they lie so in the file, in groups of some 64 MB where a .npy file
        scatters them, and from the whole array otherwise.

        Parameters
        ----------
        axis : int
            From 0 to the number of axes less 1.

        Raises
        ------
        InvalidValue
            If the file turns out to be damaged.
        """
        count = self.shape[axis]
        own = self.shape[:axis] + self.shape[axis + 1 :]
        order: Literal["C", "F"] = "F" if self.fortran_order else "C"
        slower = self.shape[axis + 1 :] if self.fortran_order else self.shape[:axis]
        if not self.size:
            yield from (np.empty(own, self.dtype) for _ in range(count))
        elif math.prod(slower) == 1:
            with readable(self.path):
                for piece in self.read(self.size // count):
                    yield self._decoded(piece).reshape(own, order=order)
        else:
            yield from self._scattered(axis, order)

    def _scattered(self, axis: int, order: Literal["C", "F"]) -> Iterator[AnyArray]:
        """Read channels whose values lie apart in the file, group by group."""
        if self.mapped is None:
            yield from np.moveaxis(self.values(), axis, 0)
            return
        with readable(self.path):
            along = np.moveaxis(self.mapped().reshape(self.shape, order=order), axis, 0)
        size = max(_GROUP_BYTES * len(along) // along.nbytes, 1)
        for start in range(0, len(along), size):
            yield from self._decoded(np.ascontiguousarray(along[start : start + size]))

    def _decoded(self, stored: AnyArray) -> AnyArray:
        return stored if self.narrow is None else NARROW[self.narrow].decode(stored)

    def values(self) -> AnyArray:
        """Read the whole array, in its shape.

        Raises
        ------
        InvalidValue
            If the file turns out to be damaged.
        """
        pieces = [np.ascontiguousarray(piece) for piece in self.pieces()]
        flat = np.concatenate(pieces) if pieces else np.empty(0, self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran_order else "C")


@contextlib.contextmanager
def readable(path: Path) -> Generator[None]:
    """Turn whatever a damaged or hostile file raises into one message with its path.

    Raises
    ------
    InvalidValue
        If the file is not what its suffix says, or may not be read.
    """
    try:
        yield
    except QErrorException:
        raise
    except PermissionError:
        raise InvalidValue(f"cannot read {str(path)!r}: no permission") from None
    except (*_FAULTS, OSError) as error:
        reason = str(error).splitlines()[0][:_REASON] if str(error) else type(error).__name__
        raise InvalidValue(
            f"cannot read {str(path)!r}: not a valid {path.suffix.lower()} file ({reason})"
        ) from None


_REASON = 200  # characters of a reason: some readers quote what they read
