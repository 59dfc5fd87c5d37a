"""Uniform runs of a grid at many scales: where they lie, and how limits cut them."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray, two_product
from qerror.densities.piece import Piece
from qerror.grids import Grid

_COUNTED = 2.0**53  # whole numbers up to it are floats


class Segments(NamedTuple):
    """The uniform runs of a grid before its factor, or of its upper half."""

    start: FloatArray
    step: FloatArray
    length: FloatArray


def whole_segments_of(grid: Grid) -> Segments:
    """List a grid's segments."""
    return Segments(grid.edges[:-1], grid.steps, grid.counts.astype(np.float64))


def segments_of(grid: Grid) -> Segments:
    """List a grid's segments, those whose points float64 cannot count in two."""
    start, step, length = whole_segments_of(grid)
    long = np.flatnonzero(length > _COUNTED)
    if not long.size:
        return Segments(start, step, length)
    first = np.floor(0.5 * length[long])
    middle = start[long] + first * step[long]
    rest = np.insert(length, long + 1, length[long] - first)
    rest[long + np.arange(long.size)] = first
    return Segments(np.insert(start, long + 1, middle), np.insert(step, long + 1, step[long]), rest)


def upper_segments_of(grid: Grid) -> Segments | None:
    """List those of the upper half of a symmetric grid; None if 0 is not a point."""
    upper = grid.edges[1:] > 0
    start, step, count = (field[upper] for field in whole_segments_of(grid))
    if start[0] < 0:
        if grid.counts[upper][0] % 2:
            return None
        start = np.append(0.0, start[1:])
        count = np.append(0.5 * count[0], count[1:])
    return Segments(start, step, count)


class Runs(NamedTuple):
    """Uniform runs on the grid, each belonging to one row of a batch.

    Point j of a run, 0 <= j <= length, lies at x = factor (start + j step). In the law's units
    it is z = sign (x - location) / spread; a run with sign -1 counts downwards, so that z >= 0
    once the runs have been cut at the law's centre.
    """

    owner: IntArray
    factor: FloatArray
    start: FloatArray
    step: FloatArray
    length: FloatArray
    sign: FloatArray

    @classmethod
    def of(cls, segments: Segments, factors: FloatArray) -> "Runs":
        """List every segment at every scale, scale by scale."""
        n, k = segments.start.size, factors.size
        return cls(
            np.repeat(np.arange(k), n),
            np.repeat(factors, n),
            np.tile(segments.start, k),
            np.tile(segments.step, k),
            np.tile(segments.length, k),
            np.ones(n * k),
        )

    def at(self, index: BoolArray | IntArray) -> "Runs":
        """Return some of the runs."""
        return Runs(
            self.owner[index],
            self.factor[index],
            self.start[index],
            self.step[index],
            self.length[index],
            self.sign[index],
        )

    def near(self, j: FloatArray | float) -> FloatArray:
        """Return x of point j, rounded: never on the wrong side of a float that x is not at."""
        return self.factor * (self.start + j * self.step)

    def beyond(self, place: FloatArray | float, j: FloatArray | float) -> FloatArray:
        """Return how far point j lies above `place`, in units of x, rounded about once."""
        x, rest = two_product(self.factor, self.start + j * self.step)
        return (x - place) + rest

    def standard(self, piece: Piece, j: FloatArray) -> FloatArray:
        """Return the position of point j in the law's units."""
        if piece.location == 0:
            return self.place(piece, j)
        return self.sign * self.beyond(piece.location, j) / piece.spread

    def place(self, piece: Piece, j: FloatArray) -> FloatArray:
        """Return x of point j in units of the spread, with the sign of the run."""
        return self.sign * self.near(j) / piece.spread

    def spacing(self, piece: Piece) -> FloatArray:
        """Return the step in the law's units."""
        return self.factor * np.abs(self.step) / piece.spread

    def part(self, first: FloatArray, last: FloatArray) -> "Runs":
        """Return the points first..last of each run."""
        return self._replace(start=self.start + first * self.step, length=last - first)

    def reversed(self) -> "Runs":
        """Return the runs counted from their other ends, seen in the law's mirror."""
        return self._replace(
            start=self.start + self.length * self.step, step=-self.step, sign=-self.sign
        )

    def cut_at(self, cut: FloatArray) -> "tuple[Runs, Runs]":
        """Cut ascending runs at x = `cut`; an interval that holds it inside comes out alone."""
        start, stop = self.near(0.0), self.near(self.length)
        # The sign of a rounded product is exact; elsewhere equality has to be looked into.
        hit = (start <= cut) & (stop >= cut) if cut.any() else (start < 0) & (stop > 0)
        if not hit.any():
            return self, self.at(hit)
        found = np.flatnonzero(hit)
        target, place = self.at(found), cut[found]
        inside = (target.beyond(place, 0.0) < 0) & (target.beyond(place, target.length) > 0)
        if not inside.any():
            return self, target.at(inside)
        target, cut = target.at(inside), place[inside]
        others = np.ones(self.owner.size, dtype=bool)
        others[found[inside]] = False
        start = target.beyond(cut, 0.0)
        with np.errstate(divide="ignore"):  # steps below float64's range: clipped below
            j = np.floor(-start / (target.factor * target.step))
        j = np.clip(j, 0, target.length - 1)
        for _ in range(2):  # of 2^53 steps the quotient may be two off, else one
            j -= target.beyond(cut, j) > 0
            j += target.beyond(cut, j + 1) <= 0
        on_point = target.beyond(cut, j) == 0
        next_point = np.where(on_point, j, j + 1)
        lower, upper = target.part(np.zeros(j.size), j), target.part(next_point, target.length)
        interval = target.part(j, next_point).at(~on_point)
        parts = [self.at(others), lower.at(lower.length > 0), upper.at(upper.length > 0)]
        return joined(parts), interval


def joined(parts: list[Runs]) -> Runs:
    """Return the runs of all parts."""
    owner = np.concatenate([part.owner for part in parts])
    rest = (np.concatenate([part[k] for part in parts]) for k in range(1, 6))
    factor, start, step, length, sign = (field.astype(np.float64) for field in rest)
    return Runs(owner, factor, start, step, length, sign)
