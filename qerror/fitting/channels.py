"""Channels of different spread: one shape of density, a scale for each channel."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray, read_only
from qerror.densities.density import Density
from qerror.densities.mixture import Mixture
from qerror.densities.truncated import Truncated

Parts: TypeAlias = Callable[[], Iterator[npt.NDArray[Any]]]

_LEAST_VALUES = 16  # in a channel, so that its spread is known at all
_MOST_CHANNELS = 1 << 16  # a longer axis holds values, not channels
_LEAST_GAIN = 2e-3  # of log-likelihood a value: spreads that differ by less predict the same
_CLASSES = 12  # of spread, to which the channels are joined where they are more


@dataclass(frozen=True)
class Layout:
    """Where the values of an array stand when its pieces are read one after the other."""

    shape: tuple[int, ...]
    """Of the array."""
    fortran_order: bool = False
    """Whether its first axis varies fastest."""

    def axes(self) -> list[int]:
        """Return the axes along which there may be channels."""
        size = math.prod(self.shape)
        return [
            axis
            for axis, count in enumerate(self.shape)
            if 2 <= count <= _MOST_CHANNELS and size // count >= _LEAST_VALUES
        ]

    def channels(self, axis: int, start: int, count: int) -> IntArray:
        """Return the channels of `count` values from the one at `start`."""
        inner = math.prod(self.shape[:axis] if self.fortran_order else self.shape[axis + 1 :])
        place = np.arange(start, start + count, dtype=np.int64)
        return place // inner % self.shape[axis]


@dataclass(frozen=True)
class ChannelSpread:
    """Channels that share a density's shape and differ in their spread.

    Channel c is distributed as ``shape.affine(spread[c])``.
    """

    axis: int
    """Along which the channels lie."""
    dimensions: int
    """How many axes the array has."""
    spread: FloatArray
    """One a channel; channels without any spread have 0."""
    shares: FloatArray
    """Which part of all values lies in each channel."""
    shape: Density
    """The density at spread 1."""
    family: str
    """Its name."""
    log_likelihood: float
    """Natural logarithm, over the values that are no point masses, at all spreads."""
    parameters: int
    """Number of fitted parameters, the spreads among them."""
    limits: tuple[float, float]
    """The least and the largest value over its channel's spread."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "spread", read_only(self.spread))
        object.__setattr__(self, "shares", read_only(self.shares))

    @property
    def ratio(self) -> float:
        """The largest spread over the smallest."""
        positive = self.spread[self.spread > 0]
        return float(positive.max() / positive.min())

    @property
    def predictive_shape(self) -> Density:
        """The shape, cut to the limits of the data where it has no variance."""
        if math.isfinite(self.shape.second_moment):
            return self.shape
        return Truncated(self.shape, *self.limits)

    def classes(self) -> tuple[FloatArray, FloatArray]:
        """Return a few spreads that stand for all, and their shares; second moments are kept."""
        used = self.spread > 0
        spread, share = self.spread[used], self.shares[used]
        order = np.argsort(spread)
        spread, share = spread[order], share[order]
        groups = np.array_split(np.arange(spread.size), min(_CLASSES, spread.size))
        shares = np.array([share[group].sum() for group in groups])
        squares = np.array([(share[group] * spread[group] ** 2).sum() for group in groups])
        return np.sqrt(squares / shares), shares / shares.sum()

    def mixture(self, shape: Density | None = None) -> Density:
        """Return the density of a value of any channel: a mixture of scales."""
        spreads, shares = self.classes()
        base = self.shape if shape is None else shape
        parts = [base.affine(each) for each in spreads.tolist()]
        return Mixture(parts, shares.tolist()) if len(parts) > 1 else parts[0]


@dataclass(frozen=True)
class Candidate:
    """An axis along which spreads differ, before a shape is fitted."""

    axis: int
    spread: FloatArray
    counts: IntArray
    gain: float
    """Of log-likelihood against one spread for all, by Laplace's measure."""

    @property
    def log_spread(self) -> float:
        """The sum of the logarithms of the spreads over all values."""
        used = self.counts > 0
        return float(self.counts[used] @ np.log(self.spread[used]))


def likely_channels(parts: Parts, layout: Layout, excluded: Sequence[float]) -> Candidate | None:
    """Return the axis whose channels differ most in spread, if that is more than chance makes.

    Parameters
    ----------
    parts : callable
        Returns the pieces of an array, all of it.
    layout : Layout
        Of the array.
    excluded : sequence of float
        Values that are point masses and have no part in a spread.
    """
    axes = layout.axes()
    if not axes:
        return None
    sums = {axis: np.zeros(layout.shape[axis]) for axis in axes}
    counts = {axis: np.zeros(layout.shape[axis], dtype=np.int64) for axis in axes}
    start = 0
    for part in parts():
        size = np.abs(part.astype(np.float64))
        kept = ~np.isin(part, excluded) if excluded else np.ones(part.size, dtype=bool)
        for axis in axes:
            channel = layout.channels(axis, start, part.size)[kept]
            sums[axis] += np.bincount(channel, size[kept], minlength=layout.shape[axis])
            counts[axis] += np.bincount(channel, minlength=layout.shape[axis])
        start += part.size
    found = [_candidate(axis, sums[axis], counts[axis]) for axis in axes]
    best = max(found, key=lambda each: each.gain - each.spread.size)
    values = int(best.counts.sum())
    worth = best.gain > max(2 * best.spread.size, _LEAST_GAIN * values)
    return best if worth else None


def _candidate(axis: int, sums: FloatArray, counts: IntArray) -> Candidate:
    used = (counts > 0) & (sums > 0)
    counts = np.where(used, counts, 0)
    spread = np.where(used, sums / np.maximum(counts, 1), 0.0)
    total = int(counts.sum())
    if not total:
        return Candidate(axis, spread, counts, -math.inf)
    whole = float((spread * counts).sum()) / total
    logs = float(counts[used] @ np.log(spread[used]))
    return Candidate(axis, spread, counts, total * math.log(whole) - logs)


def normalised(
    parts: Parts, layout: Layout, found: Candidate, excluded: Sequence[float]
) -> Iterator[FloatArray]:
    """Yield the values that are no point masses, each over its channel's spread."""
    start = 0
    for part in parts():
        channel = layout.channels(found.axis, start, part.size)
        start += part.size
        kept = found.spread[channel] > 0
        if excluded:
            kept &= ~np.isin(part, excluded)
        yield part[kept].astype(np.float64) / found.spread[channel[kept]]
