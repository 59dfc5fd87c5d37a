"""Formats ranked on an array, each with a best range for every channel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from qerror._arrays import Immutable
from qerror.densities.empirical import Empirical
from qerror.execution import Progress, silent
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.channels import (
    ChannelScales,
    array_and_axis,
    axis_of,
    channel_density,
    each_channel,
)
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.ranking import Formats, behind, listed
from qerror.optimize.search import best_scale
from qerror.optimize.stored import named
from qerror.storage.source import StoredArray
from qerror.tables import decibels, html_table, short

_SHOWN = 6  # formats in a repr


@dataclass(frozen=True)
class RankedChannels:
    """A format with a best range for every channel, and how it stands among others."""

    format: ScalarFormat
    optima: ChannelScales
    below_best_db: float
    """How far its SQNR over all values lies below the best one's."""


@dataclass(frozen=True, repr=False)
class ChannelRanking(Immutable):
    """Formats from the least mean squared error over all channels to the largest."""

    axis: int
    """Along which the channels lie."""
    shape: tuple[int, ...]
    """Of the array."""
    ranking: tuple[RankedChannels, ...]

    @property
    def best(self) -> RankedChannels:
        """The first of the ranking."""
        return self.ranking[0]

    def __repr__(self) -> str:
        names = ", ".join(
            f"{entry.format.name} {decibels(entry.optima.report.sqnr_db)}"
            for entry in self.ranking[:_SHOWN]
        )
        more = ", ..." if len(self.ranking) > _SHOWN else ""
        return (
            f"<ChannelRanking of {self.shape[self.axis]} channels along axis {self.axis}, SQNR in "
            f"dB: {names}{more}>"
        )

    def _repr_html_(self) -> str:
        header = ("rank", "format", "MSE", "SQNR dB", "dB below")
        body = [
            (
                str(rank),
                entry.format.name,
                short(entry.optima.report.mse),
                decibels(entry.optima.report.sqnr_db),
                decibels(entry.below_best_db),
            )
            for rank, entry in enumerate(self.ranking, start=1)
        ]
        return html_table(repr(self).strip("<>").partition(",")[0], header, body, marked=(0,))


def rank_by_channel(
    formats: Formats,
    x: npt.ArrayLike | StoredArray,
    axis: int = 0,
    *,
    progress: Progress | None = None,
) -> ChannelRanking:
    """Rank formats by their mean squared error, each at the best range of every channel.

    Parameters
    ----------
    formats : sequence of Format or str, or int
        As for `optimal_format`. Fixed point has a fractional length for every channel.
    x : array_like or StoredArray
        The data; one in a file is read channel by channel.
    axis : int
        Along which the channels lie.
    progress : callable, optional
        Called with (done, total) channels.

    Returns
    -------
    ChannelRanking
        Equally good formats keep their order.

    Raises
    ------
    InvalidType
        If `x` is no array of real numbers.
    InvalidValue
        If there is no format or no such axis, or a channel is empty or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from qerror.optimize import rank_by_channel
    >>> x = np.random.default_rng(1).normal(size=(4, 500)) * [[0.1], [1.0], [3.0], [9.0]]
    >>> rank_by_channel(["int8", "5M2E"], x).best.format.name
    '5M2E'
    """
    chosen = [as_scalar_format(form) for form in listed(formats)]
    channels: Iterable[Empirical]
    if isinstance(x, StoredArray):
        shape, axis = x.shape, axis_of(x.shape, axis, named(x))
        channels = (channel_density(each, i, axis) for i, each in enumerate(x.channels(axis)))
    else:
        array, axis = array_and_axis(x, axis)
        shape, channels = array.shape, each_channel(array, axis)
    found = _optima(chosen, channels, shape[axis], progress or silent)
    optima = [
        ChannelScales(form, axis, shape, tuple(each))
        for form, each in zip(chosen, found, strict=True)
    ]
    return ChannelRanking(axis, shape, _ranked(optima))


def _optima(
    formats: Sequence[ScalarFormat], channels: Iterable[Empirical], count: int, tell: Progress
) -> list[list[OptimalScale]]:
    """Return the best ranges of each format, channel by channel."""
    found: list[list[OptimalScale]] = [[] for _ in formats]
    for done, channel in enumerate(channels, start=1):
        for form, optima in zip(formats, found, strict=True):
            optima.append(best_scale(form, channel))
        tell(done, count)
    return found


def _ranked(optima: Sequence[ChannelScales]) -> tuple[RankedChannels, ...]:
    ordered = sorted(optima, key=lambda each: float(f"{each.report.mse:.12e}"))
    least = ordered[0].report.mse
    return tuple(
        RankedChannels(each.format, each, behind(each.report.mse, least)) for each in ordered
    )
