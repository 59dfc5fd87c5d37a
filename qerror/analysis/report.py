"""What an analysis returns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, Generic, TypeVar, cast

import numpy as np

from qerror._arrays import ArrayValue, FloatArray, frozen
from qerror.analysis._level_moments import LevelMoments, LevelSource

Value = TypeVar("Value", float, FloatArray)


def decibels(power: Value, mse: Value) -> Value:
    """Return 10 log10(power / mse): inf without error, nan where it is undefined."""
    signal, noise = np.asarray(power), np.asarray(mse)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Two logarithms: the ratio itself can leave the range of float64.
        db = 10 * (np.log10(signal) - np.log10(noise))
    db = np.where(np.isfinite(signal), db, np.nan)
    return cast("Value", frozen(db) if db.ndim else float(db))


def _fixed(value: Value) -> Value:
    """Make a derived figure read-only if it is an array."""
    array: object = value
    if isinstance(array, np.ndarray):
        frozen(cast("FloatArray", array))
    return value


def _short(value: float | FloatArray) -> str:
    """Return a figure in six digits, or the first and last few of an array's."""
    if not isinstance(value, np.ndarray):
        return f"{value:.6g}"
    return np.array2string(value, precision=6, threshold=8, edgeitems=2, separator=", ")


@dataclass(frozen=True, eq=False)
class ErrorReport(ArrayValue, Generic[Value]):
    """The expected errors of a quantizer Q on a density, e = Q(X) - X.

    Every field is a float, or an array of shape (k,) where k scales were asked for.

    Where E[X^2] is infinite the clipping terms, `mse` and `signal_power` are inf,
    `cross_moment` is -inf and `sqnr_db` is nan (undefined), while `rounding` stays finite;
    `mean_error` is nan where E[X] does not exist.

    Arrays are read-only. Two reports are equal where all their figures are, to the last bit and
    in the same shape; a nan is equal to a nan, so that a report equals its copies.
    """

    rounding: Value
    """E[e^2; min <= X <= max]: the part inside the grid's range."""
    clipping_low: Value
    """E[e^2; X < min]."""
    clipping_high: Value
    """E[e^2; X > max]."""
    mean_error: Value
    """E[e], the bias of the quantizer."""
    cross_moment: Value
    """E[X e]."""
    signal_power: Value
    """E[X^2]."""
    signal_mean: Value
    """E[X]."""

    _levels: ClassVar[LevelSource | None] = None
    """What the levels' own moments are computed of, where these figures would cancel."""

    def __post_init__(self) -> None:
        if not isinstance(self.rounding, float):  # one scale has nothing to copy
            super().__post_init__()

    @property
    def clipping(self) -> Value:
        """E[e^2; X outside the grid's range]."""
        return _fixed(self.clipping_low + self.clipping_high)

    @property
    def mse(self) -> Value:
        """E[e^2], the mean squared error."""
        return _fixed(self.rounding + self.clipping)

    @property
    def sqnr_db(self) -> Value:
        """10 log10(E[X^2] / E[e^2]) in dB: inf without error, nan where undefined."""
        return decibels(self.signal_power, self.mse)

    def with_levels(self, source: LevelSource) -> "ErrorReport[Value]":
        """Let this report say E[Q^2] where nearly all of X is rounded to 0, and return it.

        While it is made: the source is no figure, and nothing else changes.
        """
        object.__setattr__(self, "_levels", source)
        return self

    def level_moments(self) -> LevelMoments | None:
        """Return E[Q^2], E[X Q] and E[Q] without cancellation, where the figures would cancel.

        None where S + 2 E[X e] + E[e^2] is right as it is, or there are very many levels.
        """
        return None if self._levels is None else self._levels.moments()

    def __repr__(self) -> str:
        shown = ("mse", "rounding", "clipping", "sqnr_db")
        figures = ", ".join(f"{name}={_short(getattr(self, name))}" for name in shown)
        return f"{type(self).__name__}({figures})"

    def to_dict(self) -> dict[str, Value]:
        """Return every figure by its name, in reading order."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = (
    "rounding",
    "clipping_low",
    "clipping_high",
    "clipping",
    "mse",
    "sqnr_db",
    "mean_error",
    "cross_moment",
    "signal_power",
    "signal_mean",
)
"""The names of a report's figures."""


def mean_report(
    reports: Sequence[ErrorReport[float]], weights: Sequence[float] | None = None
) -> ErrorReport[float]:
    """Return the errors of several parts taken together.

    Parameters
    ----------
    reports : sequence of ErrorReport
        At least one.
    weights : sequence of float, optional
        How much each part counts; alike by default.
    """
    shares = [1.0] * len(reports) if weights is None else list(weights)
    total = math.fsum(shares)
    names = [field.name for field in fields(ErrorReport)]
    pairs = [*zip(shares, reports, strict=True)]
    means = {
        name: math.fsum(share * getattr(report, name) for share, report in pairs) / total
        for name in names
    }
    return ErrorReport(**means)
