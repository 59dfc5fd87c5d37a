"""Ranges for the arrays of files: one for an array, or one for each of its channels."""

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, frozen, integer
from qerror.analysis.decibels import decibels_above
from qerror.analysis.single import quantization_error
from qerror.densities.empirical import Empirical
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.format import ScalarFormat
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.scale import optimal_scale
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
        The data. For the best range, and for channels, it is read as a whole.
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
        If there is no such axis, or no level of the format is positive.
    """
    form.scale_for(1.0)
    if axis is None:
        if rule == "absmax":
            peaks = [_absmax(piece) for piece in array.pieces()]
            return _scale_for(form, max(peaks, default=0.0))
        return _best_scale(form, array.values(), rounding)
    if not array.shape:
        name = f"array {array.name!r}" if array.name else repr(str(array.path))
        raise InvalidValue(f"channels lie along an axis; {name} is a single number")
    axis = integer("axis", axis, -len(array.shape), len(array.shape) - 1) % len(array.shape)
    tell = progress or silent
    found: list[float] = []
    channels = np.moveaxis(array.values(), axis, 0)
    for channel in channels:
        best = rule == "best"
        found.append(
            _best_scale(form, channel, rounding) if best else _scale_for(form, _absmax(channel))
        )
        tell(len(found), len(channels))
    shape = [1] * len(array.shape)
    shape[axis] = len(channels)
    return frozen(np.array(found, dtype=np.float64).reshape(shape))


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
    return form.scale_for(peak) if peak > 0 else 1.0


def _absmax(x: npt.NDArray[Any]) -> float:
    return float(np.abs(_finite(x)).max(initial=0.0))


def _finite(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    flat = x.reshape(-1)
    kept = np.isfinite(flat)
    return flat if kept.all() else flat[kept]
