"""Best ranges along a parameter: between two full searches the minima are followed."""

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.densities.density import Density
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import ScalarFormat
from qerror.optimize._brackets import followed
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.scale import optimal_scale
from qerror.optimize.search import best_of, search_octaves

_FAR = 16  # values from one full search to the next
_MANY = 24  # minima: more come from ripples, which move too fast to be followed
_SAME = 0.3  # of ln s, less than half an octave: minima of two neighbours that are one
_ALONE = 1.0  # likewise, where there is but one minimum
_OCTAVES = 4.5  # factor about the ranges of both neighbours, for powers of two
_FEW = 3  # values that are not parted again
_UNSURE = 0.17  # of ln s, a quarter of an octave: how far one may have moved that one neighbour has
_MOVED, _LEAST_MOVE = 0.5, 1e-4  # how far from its expected place a minimum is looked for
_WIDER = 8.0  # times as wide a reach, where the minimum was not in it
_TRIES = 3  # then the whole interval is searched


@dataclass(frozen=True, eq=False)
class Tracked:
    """The best ranges of one format along a parameter of a density, value by value.

    `at` searches in full where it has no neighbours on both sides. Between two it expects the
    minima where theirs lead, and closes in on each; where one is not found there, it searches in
    full again.
    """

    form: ScalarFormat
    _values: list[float] = field(default_factory=list[float])
    _found: list[OptimalScale] = field(default_factory=list[OptimalScale])

    def prepare(self, values: Sequence[float], density: Callable[[float], Density]) -> None:
        """Search in full at so many of the values that the minima can be followed between them."""
        for first in range(0, len(values) - 1, _FAR):
            self._prepare(values[first : first + _FAR + 1], density)

    def _prepare(self, values: Sequence[float], density: Callable[[float], Density]) -> None:
        left, right = (self.at(value, density(value)) for value in (values[0], values[-1]))
        if len(values) > _FEW and not _can_follow(left, right):
            middle = len(values) // 2
            self._prepare(values[: middle + 1], density)
            self._prepare(values[middle:], density)

    def at(self, value: float, density: Density) -> OptimalScale:
        """Return the best range on the density at a value of the parameter."""
        i = bisect(self._values, value)
        if i and self._values[i - 1] == value:
            return self._found[i - 1]
        best = None
        if 0 < i < len(self._values):
            share = (value - self._values[i - 1]) / (self._values[i] - self._values[i - 1])
            best = _between(self.form, density, self._found[i - 1], self._found[i], share)
        best = best or optimal_scale(self.form, density)
        self._values.insert(i, value)
        self._found.insert(i, best)
        return best


def _between(
    form: ScalarFormat, density: Density, left: OptimalScale, right: OptimalScale, share: float
) -> OptimalScale | None:
    """Return the best range between two known ones; None where it cannot be followed."""
    if not density.pieces() or not math.isfinite(density.second_moment):
        return None
    if isinstance(form, FixedPoint):
        ends = sorted((left.max_value, right.max_value))
        found = search_octaves(form, density, (ends[0] / _OCTAVES, ends[1] * _OCTAVES))
        return None if found.at_edge else found
    places = _expected(left, right, share)
    if places is None:
        return None
    minima = _found_at(form, density, *places)
    if minima is None:
        return None
    low, high = zip(left.searched, right.searched, strict=True)
    interval = min(low), max(high)
    return best_of(form, density, *minima, math.nan, math.inf, interval)


def _can_follow(left: OptimalScale, right: OptimalScale) -> bool:
    return isinstance(left.format, FixedPoint) or _expected(left, right, 0.5) is not None


def _expected(
    left: OptimalScale, right: OptimalScale, share: float
) -> tuple[FloatArray, FloatArray, BoolArray] | None:
    """Return ln s of the expected minima, how far off each may be, and which are sure.

    One that only a single neighbour has may be there or not. None if they cannot be expected.
    """
    if any(each.at_edge or len(each.local_minima) > _MANY for each in (left, right)):
        return None
    a, b = (np.log([m.scale for m in each.local_minima]) for each in (left, right))
    partner = np.argmin(np.abs(a[:, None] - b), axis=1)
    back = np.argmin(np.abs(a[:, None] - b), axis=0)
    gap = b[partner] - a
    same = _ALONE if a.size == b.size == 1 else _SAME
    both = (np.abs(gap) < same) & (back[partner] == np.arange(a.size))
    if not both.any():
        return None
    alone = np.ones(b.size, dtype=bool)
    alone[partner[both]] = False
    off = _MOVED * share * (1 - share) * np.abs(gap[both]) + _LEAST_MOVE
    maybe = np.concatenate([a[~both], b[alone]])
    return (
        np.concatenate([a[both] + share * gap[both], maybe]),
        np.concatenate([off, np.full(maybe.size, max(off.max(), _UNSURE))]),
        np.arange(off.size + maybe.size) < off.size,
    )


def _found_at(
    form: ScalarFormat, density: Density, places: FloatArray, reach: FloatArray, sure: BoolArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return the scales and the MSE of the minima near these places, or None if one is not."""
    for _ in range(_TRIES):
        found = followed(form, density, places, reach, sure)
        if found is not None:
            return found
        reach = np.minimum(_WIDER * reach, _SAME / 2)
    return None
