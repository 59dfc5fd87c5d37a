"""What every path of the analysis takes and what it gives back."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.densities.piece import Piece


class Limits(NamedTuple):
    """Where X may lie, row by row: low < X < high."""

    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class Batch:
    """One piece of a density on one grid at many scales, a row each."""

    piece: Piece
    factors: FloatArray
    """What multiplies the grid's base points, shape (k,)."""
    mirrored: bool
    """Whether the upper half of a symmetric grid stands for the lower half too."""
    limits: Limits | None
    """The piece's own limits and the row's; None where no row is cut."""

    @classmethod
    def of(cls, piece: Piece, factors: FloatArray, mirrored: bool) -> "Batch":
        """Make the batch whose rows all have the piece's own limits."""
        if piece.is_whole:
            return cls(piece, factors, mirrored, None)
        size = factors.size
        limits = Limits(np.full(size, piece.low), np.full(size, piece.high))
        return cls(piece, factors, mirrored, limits)

    def between(self, low: FloatArray, high: FloatArray) -> "Batch":
        """Return the batch with further limits, one pair a row."""
        low, high = np.maximum(low, self.piece.low), np.minimum(high, self.piece.high)
        return Batch(self.piece, self.factors, self.mirrored, Limits(low, np.maximum(low, high)))

    def halves(self) -> "tuple[Batch, Batch] | None":
        """Return what lies above 0 and the mirror image of what lies below.

        None unless the law is symmetric about 0 and every row has limits on both sides of it.
        """
        if self.limits is None or self.piece.location != 0 or not self.piece.law.symmetric:
            return None
        low, high = self.limits
        if not ((low < 0) & (high > 0)).all():
            return None
        nothing = np.zeros(low.size)
        lower = replace(self.mirror_image(), limits=Limits(nothing, -low))
        return replace(self, limits=Limits(nothing, high)), lower

    def mirror_image(self) -> "Batch":
        """Return the batch of -X, of a law that is symmetric about 0."""
        piece = replace(self.piece, low=-self.piece.high, high=-self.piece.low)
        limits = self.limits and Limits(-self.limits.high, -self.limits.low)
        return replace(self, piece=piece, limits=limits)

    def rows(self, at: slice | IntArray) -> "Batch":
        """Return some of the rows."""
        limits = self.limits and Limits(self.limits.low[at], self.limits.high[at])
        return Batch(self.piece, self.factors[at], self.mirrored, limits)

    @property
    def shift(self) -> float:
        """The piece's location in its own units."""
        return self.piece.location / self.piece.spread


@dataclass(frozen=True, eq=False, slots=True)
class Sums:
    """Expectations per row: arrays of shape (k,), or numbers where they are the same for all.

    Nothing is added to in place: a path returns what it found, and the sums of paths add up.
    """

    rounding: FloatArray | float = 0.0
    """E[e^2] within the grid's range."""
    low: FloatArray | float = 0.0
    """E[e^2] below it."""
    high: FloatArray | float = 0.0
    """E[e^2] above it."""
    mean_error: FloatArray | float = 0.0
    """E[e]."""
    cross: FloatArray | float = 0.0
    """E[X e]."""

    @classmethod
    def joined(cls, size: int, parts: "Iterable[tuple[slice | IntArray, Sums]]") -> "Sums":
        """Put sums of disjoint sets of rows together; rows in no set are zero."""
        values = np.zeros((5, size))
        for at, part in parts:
            for row, value in zip(values, part.figures(), strict=True):
                row[at] = value
        return cls(*values)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(
            _plus(self.rounding, other.rounding),
            _plus(self.low, other.low),
            _plus(self.high, other.high),
            _plus(self.mean_error, other.mean_error),
            _plus(self.cross, other.cross),
        )

    def mirrored(self) -> "Sums":
        """Return the sums of -X on the grid's mirror image."""
        return replace(self, low=self.high, high=self.low, mean_error=-self.mean_error)

    def figures(self) -> tuple[FloatArray | float, ...]:
        """Return the five sums in their order."""
        return self.rounding, self.low, self.high, self.mean_error, self.cross

    def numbers(self) -> Iterator[float]:
        """Yield the five sums of a single row."""
        for value in self.figures():
            yield value.item() if isinstance(value, np.ndarray) else value

    def rows(self, size: int) -> FloatArray:
        """Return the five sums as the rows of an array, shape (5, size)."""
        values = np.empty((5, size))
        for row, value in zip(values, self.figures(), strict=True):
            row[:] = value
        return values


def _plus(a: FloatArray | float, b: FloatArray | float) -> FloatArray | float:
    """Add, at no cost where one of the two is a plain zero."""
    if isinstance(b, float) and not b:
        return a
    return b if isinstance(a, float) and not a else a + b
