"""Channels that lie on grids of their own: quantized already, each at its own scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray
from qerror.densities.empirical import Empirical
from qerror.fitting.channels import Layout, Parts
from qerror.fitting.lattice import Distinct, Lattice, lattice_of
from qerror.tables import short

_PROBED = 4  # channels that are looked at before all are
_TOGETHER = 1 << 22  # distinct values of channels that are kept while they are counted
_MOST = 1 << 22
_MOST_STEPS = 1024  # of a grid on which a continuous density misleads
_BY_CHANCE = -40.0  # ln of the probability that values lie as near to a grid that is none


@dataclass(frozen=True)
class ChannelLattices:
    """The grids of an array's channels, each of which has one of its own."""

    axis: int
    """Along which the channels lie."""
    dimensions: int
    """How many axes the array has."""
    lattices: tuple[Lattice | None, ...]
    """One a channel; None where all its values are equal."""
    densities: tuple[Empirical, ...]
    """The values of each channel."""

    @property
    def description(self) -> str:
        """The grids in words."""
        found = [each for each in self.lattices if each is not None]
        most = max(each.count for each in found)
        start = f"{len(self.lattices):,} channels along axis {self.axis}, each"
        names = {each.format for each in found}
        if len(names) == 1 and "" not in names:
            scales = _span([each.scale for each in found])
            return f"{start} on levels of {names.pop()} at a scale of its own, {scales}"
        end = f"at most {most:,} distinct values"
        if {each.kind for each in found} == {"uniform"}:
            steps = _span([each.step for each in found])
            return f"{start} on a uniform grid of its own, steps {steps}, {end}"
        return f"{start} on a grid of its own, {end}"

    def spaced(self, most: int) -> list[Empirical]:
        """Return the channels, or so many of them, evenly spaced by their power."""
        ordered = sorted(self.densities, key=lambda each: each.second_moment)
        at = np.unique(np.linspace(0, len(ordered) - 1, most).astype(np.int64))
        return [ordered[i] for i in at.tolist()]

    def whole(self) -> Empirical:
        """Return the values of all channels together."""
        values = np.concatenate([np.asarray(each.values) for each in self.densities])
        counts = np.concatenate([np.asarray(each.counts) for each in self.densities])
        return Empirical(values, counts)


def channel_lattices(parts: Parts, layout: Layout) -> ChannelLattices | None:
    """Return the grids of the channels along an axis, if each has a coarse one.

    Parameters
    ----------
    parts : callable
        Returns the pieces of an array, all of it.
    layout : Layout
        Of the array. Of several axes with such channels the one with the fewest values counts.
    """
    found: list[ChannelLattices] = []
    for axis, probed in _probes(parts, layout).items():
        if not all(map(_is_coarse, probed)) or all(each.values.size < 2 for each in probed):
            continue
        channels = _counted(parts, layout, axis)
        lattices = None if channels is None else _lattices(channels)
        if channels is not None and lattices is not None:
            densities = tuple(Empirical(each.values, each.counts) for each in channels)
            found.append(ChannelLattices(axis, len(layout.shape), lattices, densities))
    return min(found, key=_size, default=None)


def _lattices(channels: Sequence[Distinct]) -> tuple[Lattice | None, ...] | None:
    """Return the grid of each channel, None for one of equal values; None if one has none."""
    found: list[Lattice | None] = []
    for channel in channels:
        lattice = lattice_of(channel)
        if channel.values.size > 1 and not _coarse(lattice, channel):
            return None
        found.append(lattice)
    return tuple(found) if any(found) else None


def _size(found: ChannelLattices) -> int:
    return sum(np.asarray(each.values).size for each in found.densities)


def _is_coarse(channel: Distinct) -> bool:
    return channel.values.size < 2 or _coarse(lattice_of(channel), channel)


def _coarse(lattice: Lattice | None, channel: Distinct) -> bool:
    """Tell whether a grid has few points, and is none by chance.

    The values of a channel need not repeat as those of a whole array do: it has few.
    """
    if lattice is None or lattice.is_coarse or lattice.kind != "uniform":
        return lattice is not None and lattice.is_coarse
    x, step = channel.values, lattice.step
    span = float(x[-1] - x[0])
    room = channel.precision * (4 * np.abs(x) + 2 * span)
    chance = float(np.log(np.minimum(2 * room / step, 1.0)).sum())
    return span <= _MOST_STEPS * step and chance < _BY_CHANCE


def _span(values: Sequence[float]) -> str:
    return f"{short(min(values))} to {short(max(values))}"


def _probes(parts: Parts, layout: Layout) -> dict[int, list[Distinct]]:
    """Return a few channels along every axis that may have some."""
    wanted = {
        axis: np.unique(np.linspace(0, layout.shape[axis] - 1, _PROBED).astype(np.int64))
        for axis in layout.axes()
    }
    kept = {axis: list[_Values]() for axis in wanted}
    precision, start = 2.0**-53, 0
    for part in parts():
        precision = _precision(part)
        for axis, channels in wanted.items():
            channel = layout.channels(axis, start, part.size)
            at = np.isin(channel, channels)
            kept[axis].append(_Values(channel[at], part[at].astype(np.float64) + 0.0))
        start += part.size
    return {
        axis: _distinct([_unique(each) for each in values], channels, precision)
        for (axis, channels), values in zip(wanted.items(), kept.values(), strict=True)
    }


class _Values(NamedTuple):
    channel: IntArray
    value: FloatArray


class _Counts(NamedTuple):
    """Distinct values of channels, in the order of both, and how often each occurs."""

    channel: IntArray
    value: FloatArray
    often: IntArray


def _counted(parts: Parts, layout: Layout, axis: int) -> list[Distinct] | None:
    """Return the distinct values of every channel, None if they are too many."""
    waiting, size = list[_Counts](), 0
    precision, start = 2.0**-53, 0
    for part in parts():
        precision = _precision(part)
        channel = layout.channels(axis, start, part.size)
        start += part.size
        waiting.append(_unique(_Values(channel, part.astype(np.float64) + 0.0)))
        size += waiting[-1].value.size
        if size > _TOGETHER:
            waiting = [_merged(waiting)]
            size = waiting[0].value.size
            if size > _MOST:
                return None
    return _distinct(waiting, np.arange(layout.shape[axis]), precision)


def _unique(given: _Values) -> _Counts:
    order = np.lexsort((given.value, given.channel))
    channel, value = given.channel[order], given.value[order]
    return _runs(channel, value, np.ones(value.size, dtype=np.int64))


def _merged(parts: Sequence[_Counts]) -> _Counts:
    channel, value, often = (np.concatenate(each) for each in zip(*parts, strict=True))
    order = np.lexsort((value, channel))
    return _runs(channel[order], value[order], often[order])


def _runs(channel: IntArray, value: FloatArray, often: IntArray) -> _Counts:
    """Join neighbours that are equal."""
    if not value.size:
        return _Counts(channel, value, often)
    new = np.append(True, (channel[1:] != channel[:-1]) | (value[1:] != value[:-1]))
    first = np.flatnonzero(new)
    return _Counts(channel[first], value[first], np.add.reduceat(often, first))


def _distinct(parts: Sequence[_Counts], channels: IntArray, precision: float) -> list[Distinct]:
    found = _merged(parts)
    low = np.searchsorted(found.channel, channels)
    high = np.searchsorted(found.channel, channels, "right")
    return [
        Distinct(found.value[a:b], found.often[a:b], precision)
        for a, b in zip(low.tolist(), high.tolist(), strict=True)
    ]


def _precision(part: npt.NDArray[Any]) -> float:
    return float(np.finfo(part.dtype).eps) / 2 if part.dtype.kind == "f" else 2.0**-53
