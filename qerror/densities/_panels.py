"""Intervals on their way to panels: taken apart at 0, folded and cut at the law's breaks."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.densities.law import LocalIntegrals


def width_of(
    start: FloatArray, stop: FloatArray, inner: FloatArray, outer: FloatArray
) -> FloatArray:
    """Return an interval's width from its offsets or its ends, whichever round less."""
    by_offsets = np.maximum(np.abs(start), np.abs(stop)) <= np.maximum(np.abs(inner), np.abs(outer))
    with np.errstate(invalid="ignore"):  # inf - inf in the one not taken
        return np.where(by_offsets, stop - start, outer - inner)


class Part(NamedTuple):
    """Intervals [inner, outer] with offsets start..stop from q; sign -1 for mirrored ones."""

    owner: IntArray
    q: FloatArray
    start: FloatArray
    stop: FloatArray
    inner: FloatArray
    outer: FloatArray
    sign: FloatArray

    def at(self, index: BoolArray | IntArray) -> "Part":
        """Return some of the intervals."""
        return Part(
            self.owner[index],
            self.q[index],
            self.start[index],
            self.stop[index],
            self.inner[index],
            self.outer[index],
            self.sign[index],
        )


class Sums:
    """Running integrals per interval."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._mass, self._first, self._second = np.zeros((3, size))

    def add(self, owner: IntArray, mass: FloatArray, first: FloatArray, second: FloatArray) -> None:
        self._mass += np.bincount(owner, mass, self._size)
        with np.errstate(invalid="ignore"):  # inf - inf: a first moment that does not exist
            self._first += np.bincount(owner, first, self._size)
        self._second += np.bincount(owner, second, self._size)

    def add_signed(self, owner: IntArray, part: LocalIntegrals, sign: FloatArray) -> None:
        self.add(owner, part.mass, sign * part.first, part.second)

    def result(self) -> LocalIntegrals:
        return LocalIntegrals(self._mass, self._first, self._second)


def parts_of(whole: Part, fold: FloatArray) -> Iterator[Part]:
    """Yield what the fold leaves: right of it, left of it down to 0, and below 0 mirrored.

    All have q >= 0, and each part that comes out has 0 <= inner <= outer.
    """
    q, left, right = whole.q, whole.start, whole.stop
    start = np.maximum(left, fold)
    at = (right > start) & (whole.outer > 0)
    if at.any():
        # To the right of q >= 0, or of an interval's start further right, there is no 0.
        inner = np.where(fold > left, q + fold, np.maximum(whole.inner, 0.0))
        yield whole._replace(start=start, inner=inner).at(at)
    top = np.minimum(right, -fold)
    end = np.where(-fold < right, q - fold, whole.outer)
    # By the ends, not by offsets: seen from far off, -q and the offset of x != 0 may be the same.
    inner = np.maximum(whole.inner, 0.0)
    above = (left < top) & (inner < end)
    if above.any():
        yield whole._replace(start=np.maximum(left, -q), stop=top, inner=inner, outer=end).at(above)
    below = (left < top) & (whole.inner < 0)
    if below.any():
        # x = -y mirrors the interval: offsets from -q, and the first moment turns its sign.
        mirrored = Part(
            whole.owner,
            -q,
            np.maximum(q, -top),
            -left,
            np.maximum(-end, 0.0),
            -whole.inner,
            -whole.sign,
        )
        yield mirrored.at(below)


def cut_at(part: Part, wide: BoolArray, breaks: Callable[[float, float], FloatArray]) -> Part:
    """Split the wide intervals at the global breaks, keeping their own ends exact."""
    edges = breaks(float(part.inner[wide].min()), float(part.outer[wide].max()))
    first = np.searchsorted(edges, part.inner, "right")
    last = np.searchsorted(edges, part.outer, "left")
    pieces = np.where(wide, np.maximum(last - first, 0) + 1, 1)
    index = np.repeat(np.arange(pieces.size), pieces)
    rank = np.arange(index.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    padded = np.append(edges, np.inf)
    lower = padded[np.clip(first[index] + rank - 1, 0, edges.size)]
    upper = padded[np.clip(first[index] + rank, 0, edges.size)]
    head, end = rank == 0, rank == pieces[index] - 1
    whole = part.at(index)
    return whole._replace(
        start=np.where(head, whole.start, lower - whole.q),
        stop=np.where(end, whole.stop, upper - whole.q),
        inner=np.where(head, whole.inner, lower),
        outer=np.where(end, whole.outer, upper),
    )
