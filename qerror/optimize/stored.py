"""Ranges for the arrays of files: one for an array, or one for each of its channels."""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, frozen
from qerror.analysis.decibels import decibels_above
from qerror.analysis.single import quantization_error
from qerror.densities.empirical import Empirical, require_squares
from qerror.execution import Progress, silent
from qerror.formats.format import ScalarFormat
from qerror.optimize.channels import ChannelScales, axis_of, channel_density
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.scale import optimal_scale
from qerror.optimize.search import best_scale
from qerror.storage.source import StoredArray

Rule: TypeAlias = Literal["best", "absmax"]
"""The range with the least mean squared error, or up to the largest magnitude."""

MOST_WEIGHED = 1 << 24
"""Values of an array up to which `cost_of` looks for the best range."""


class Cost(NamedTuple):
    """What a scale loses against the best one."""

    loss_db: float
    best: OptimalScale


def scales_of(
    form: ScalarFormat,
    array: StoredArray,
    rule: Rule,
    axis: int | None = None,
    *,
    rounding: str = "nearest-even",
    progress: Progress | None = None,
) -> float | FloatArray:
    """Return the scale of a stored array by a rule, or those of its channels.

    Values that are not finite have no part in it; where none but zeros is left the scale is 1.

    Parameters
    ----------
    form : ScalarFormat
        What is scaled.
    array : StoredArray
        The data. For the best range of all values it is read as a whole, for those of channels
        channel by channel.
    rule : {"best", "absmax"}
        As in `Rule`.
    axis : int, optional
        Along which the channels lie; without it the array has one scale.
    rounding : str
        For which the range is to be the best.
    progress : callable, optional
        Called with (done, total) channels.

    Returns
    -------
    float, or ndarray of shape (1, .., channels, .., 1)

    Raises
    ------
    InvalidValue
        If there is no such axis, no level of the format is positive, or squares of the values
        leave float64.
    """
    form.scale_for(1.0)
    if axis is None:
        if rule == "absmax":
            peaks = [_absmax(piece) for piece in array.pieces()]
            return _scale_for(form, max(peaks, default=0.0))
        return _best_scale(form, array.values(), rounding)
    axis = axis_of(array.shape, axis, named(array))
    tell, count = progress or silent, array.shape[axis]
    found: list[float] = []
    for channel in array.channels(axis):
        best = rule == "best"
        found.append(
            _best_scale(form, channel, rounding) if best else _scale_for(form, _absmax(channel))
        )
        tell(len(found), count)
    shape = [1] * len(array.shape)
    shape[axis] = count
    return frozen(np.array(found, dtype=np.float64).reshape(shape))


def best_of_channels(
    form: ScalarFormat,
    array: StoredArray,
    axis: int,
    *,
    exhaustive: bool = False,
    rounding: str = "nearest-even",
    progress: Progress | None = None,
) -> ChannelScales:
    """Return the best range of every channel of a stored array, read channel by channel.

    Parameters
    ----------
    form, axis, exhaustive, rounding, progress
        As for `optimal_channel_scales`.
    array : StoredArray
        The data, all of it finite.

    Raises
    ------
    InvalidValue
        If there is no such axis, or a channel is not finite.
    """
    axis = axis_of(array.shape, axis, named(array))
    tell, count = progress or silent, array.shape[axis]
    optima: list[OptimalScale] = []
    for i, channel in enumerate(array.channels(axis)):
        values = channel_density(channel, i, axis)
        optima.append(best_scale(form, values, exhaustive=exhaustive, rounding=rounding))
        tell(len(optima), count)
    return ChannelScales(form, axis, array.shape, tuple(optima))


def named(array: StoredArray) -> str:
    """Return what a message calls an array of a file."""
    return f"array {array.name!r}" if array.name else repr(str(array.path))


def has_values(array: StoredArray) -> bool:
    """Return whether a value of an array is finite."""
    return any(bool(np.isfinite(piece).any()) for piece in array.pieces())


def cost_of(
    form: ScalarFormat, array: StoredArray, scale: float, rounding: str = "nearest-even"
) -> Cost | None:
    """Return by how many dB a scale lies below the best one, and that one.

    None where the array is larger than `MOST_WEIGHED`, no scale is better than another, or the
    format has no positive level.
    """
    if array.size > MOST_WEIGHED or form.max_value <= 0:
        return None
    x = _finite(array.values())
    if not x.any():
        return None
    sample = Empirical(x)
    best = optimal_scale(form, sample, rounding=rounding)
    here = quantization_error(form, sample, scale, rounding=rounding)
    if not here.mse > best.report.mse:
        return Cost(0.0, best)
    return Cost(decibels_above(here.mse, best.report.mse), best)


def _best_scale(form: ScalarFormat, x: npt.NDArray[Any], rounding: str) -> float:
    finite = _finite(x)
    if not finite.any():
        return 1.0
    return optimal_scale(form, Empirical(finite), rounding=rounding).scale


def _scale_for(form: ScalarFormat, peak: float) -> float:
    require_squares(peak)
    return form.scale_for(peak) if peak > 0 else 1.0


def _absmax(x: npt.NDArray[Any]) -> float:
    return float(np.abs(_finite(x)).max(initial=0.0))


def _finite(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = x.reshape(-1)
    kept = np.isfinite(flat)
    return flat if kept.all() else flat[kept]
