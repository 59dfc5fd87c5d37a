"""The best range of every channel of an array."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, Immutable, frozen, integer
from qerror.analysis.report import ErrorReport, mean_report
from qerror.densities.empirical import Empirical
from qerror.exceptions import InvalidType, InvalidValue, QErrorException
from qerror.execution import Progress, silent
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.search import best_scale
from qerror.tables import decibels, html_table, place, short


@dataclass(frozen=True, repr=False)
class ChannelScales(Immutable):
    """The best ranges of a format on the channels of an array, one range a channel.

    Iterating yields the channels' `OptimalScale`.
    """

    format: ScalarFormat
    """The format that was scaled."""
    axis: int
    """Along which the channels lie: channel i is ``np.take(x, i, axis)``."""
    shape: tuple[int, ...]
    """Of the array."""
    optima: tuple[OptimalScale, ...]
    """What was found for each channel."""

    @cached_property
    def scale(self) -> FloatArray:
        """The scales, in a shape that `quantize` takes for the array: (1, .., channels, .., 1)."""
        return self._laid([each.scale for each in self.optima])

    @cached_property
    def max_value(self) -> FloatArray:
        """The largest levels, in the same shape."""
        return self._laid([each.max_value for each in self.optima])

    @cached_property
    def report(self) -> ErrorReport[float]:
        """The exact errors of all values together, each channel at its own range."""
        return mean_report([each.report for each in self.optima])

    def __len__(self) -> int:
        return len(self.optima)

    def __iter__(self) -> Iterator[OptimalScale]:
        return iter(self.optima)

    def __repr__(self) -> str:
        low, high = (short(float(end(self.max_value)), 6) for end in (np.min, np.max))
        return (
            f"<ChannelScales of {self.format.name}: {len(self)} channels along axis {self.axis}, "
            f"max_value={low}..{high}, sqnr_db={short(self.report.sqnr_db, 6)}>"
        )

    def _repr_html_(self) -> str:
        header = ("channel", "max value", "bias/scale", "MSE", "SQNR dB")
        body = [
            (
                str(i),
                short(each.max_value, 6),
                place(each.scale, each.bias),
                short(each.report.mse, 6),
                decibels(each.report.sqnr_db),
            )
            for i, each in enumerate(self)
        ]
        return html_table(repr(self).strip("<>"), header, body)

    def _laid(self, values: Sequence[float]) -> FloatArray:
        shape = [1] * len(self.shape)
        shape[self.axis] = len(values)
        return frozen(np.array(values).reshape(shape))


def channels_of(x: npt.ArrayLike, axis: int) -> tuple[Empirical, ...]:
    """Return the values of every channel of an array as densities.

    Parameters
    ----------
    x : array_like
        Real numbers, at least one axis.
    axis : int
        Along which the channels lie; negative ones count from the end.

    Raises
    ------
    InvalidType
        If `x` is no array of real numbers.
    InvalidValue
        If there is no such axis, or a channel is empty or not finite.
    """
    return tuple(each_channel(*array_and_axis(x, axis)))


def array_and_axis(x: npt.ArrayLike, axis: int) -> tuple[npt.NDArray[Any], int]:
    """Return an array and an axis of it, counted from the front; see `channels_of`."""
    if isinstance(x, np.ma.MaskedArray):
        raise InvalidType(
            "x is a masked array, whose channels have different numbers of values; pass "
            "x.filled(0.0), or each channel's x[i].compressed() on its own"
        )
    array: npt.NDArray[Any] = np.asarray(x)
    axis = axis_of(array.shape, axis, "x")
    if not array.size:
        raise InvalidValue(f"x of shape {array.shape} has no values")
    return array, axis


def axis_of(shape: tuple[int, ...], axis: int, what: str) -> int:
    """Return an axis counted from the front; `InvalidValue` if there is none such."""
    if not shape:
        raise InvalidValue(f"channels lie along an axis; {what} is a single number")
    return integer("axis", axis, -len(shape), len(shape) - 1) % len(shape)


def each_channel(array: npt.NDArray[Any], axis: int) -> Iterator[Empirical]:
    """Yield the channels one by one, so that a memory-mapped array is not read as a whole."""
    for i, channel in enumerate(np.moveaxis(array, axis, 0)):
        yield channel_density(channel, i, axis)


def channel_density(values: npt.NDArray[Any], channel: int, axis: int) -> Empirical:
    """Return the values of a channel as a density; what is wrong with them is told with its place.

    Raises
    ------
    InvalidType, InvalidValue
        As `Empirical` does.
    """
    try:
        return Empirical(values)
    except QErrorException as error:
        kind = InvalidType if isinstance(error, InvalidType) else InvalidValue
        raise kind(f"channel {channel} of axis {axis}: {error}") from None


def optimal_channel_scales(
    format: Format | str,  # noqa: A002 - the field's word
    x: npt.ArrayLike,
    axis: int = 0,
    *,
    low: float | None = None,
    high: float | None = None,
    exhaustive: bool = False,
    rounding: str = "nearest-even",
    progress: Progress | None = None,
) -> ChannelScales:
    """Return the range with the least mean squared error for every channel of an array.

    What ``optimal_scale(format, x, axis=axis)`` calls; about 30 ms a channel of 4,096 values.

    Parameters
    ----------
    format, low, high, exhaustive, rounding
        As for `optimal_scale`.
    x : array_like
        The data, of any real dtype.
    axis : int
        Along which the channels lie: 0 for the output channels of PyTorch's weights.
    progress : callable, optional
        Called with (done, total) channels.

    Returns
    -------
    ChannelScales

    Examples
    --------
    >>> import numpy as np
    >>> from qerror.optimize import optimal_channel_scales
    >>> x = np.array([[0.1, -0.5, 0.3], [1.0, -4.0, 2.5]])
    >>> best = optimal_channel_scales("int8", x)
    >>> best.scale.shape, len(best)
    ((2, 1), 2)
    """
    form = as_scalar_format(format)
    array, axis = array_and_axis(x, axis)
    tell, count = progress or silent, array.shape[axis]
    optima: list[OptimalScale] = []
    for channel in each_channel(array, axis):
        optima.append(
            best_scale(form, channel, low=low, high=high, exhaustive=exhaustive, rounding=rounding)
        )
        tell(len(optima), count)
    return ChannelScales(form, axis, array.shape, tuple(optima))
