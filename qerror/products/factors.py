"""The sides of a product: formats to try on a density, and one of them at its place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from qerror.analysis.report import ErrorReport, mean_report
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density, density_name
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_format, as_scalar_format
from qerror.optimize.channels import channels_of
from qerror.optimize.scale import optimal_scale


@dataclass(frozen=True, init=False)
class Operand:
    """One side of a product before it is quantized: a density, and formats to try on it.

    Parameters
    ----------
    formats : sequence of Format or str, or one of them
        What the side is stored in. A block format's scales come from the values of a block; its
        blocks lie along the sum, from its start.
    density : Density, str or array_like
        What its values are drawn from, or the values.
    scale, max_value, bias : float, optional
        Where all of the formats stand; at most one is given. Without any, each format stands
        at its best range.
    axis : int, optional
        For an array: along which its channels lie, each of which stands at a range of its own.
        Of weights these are output channels, each with a sum of its own, and every figure is the
        mean over them; of activations each value of a sum comes from any channel.

    Raises
    ------
    InvalidType
        If an axis is given for a density.
    InvalidValue
        If there is no format, more than one range, a bias for a format that has none, or a range
        for a block format.
    """

    formats: tuple[Format, ...]
    density: Density
    """What all values are drawn from, whatever their channel."""
    scale: float | None = None
    max_value: float | None = None
    bias: float | None = None
    axis: int | None = None
    channels: tuple[Density, ...] = ()
    """The channels' own densities, if they have ranges of their own."""

    def __init__(
        self,
        formats: Sequence[Format | str] | Format | str,
        density: DensityLike,
        *,
        scale: float | None = None,
        max_value: float | None = None,
        bias: float | None = None,
        axis: int | None = None,
    ) -> None:
        given = (formats,) if isinstance(formats, str | Format) else tuple(formats)
        object.__setattr__(self, "formats", tuple(as_format(form) for form in given))
        whole = as_density(density)
        if axis is not None and not isinstance(density, np.ndarray):
            raise InvalidType(
                f"axis says along which the channels of an array lie, got {density_name(whole)}; "
                "leave axis out for a density"
            )
        object.__setattr__(self, "density", whole)
        parts = () if axis is None else channels_of(cast("npt.ArrayLike", density), axis)
        object.__setattr__(self, "channels", parts)
        ranges = {"scale": scale, "max_value": max_value, "bias": bias, "axis": axis}
        for name, value in ranges.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __post_init__(self) -> None:
        ranges = {"scale": self.scale, "max_value": self.max_value, "bias": self.bias}
        named = [name for name, value in ranges.items() if value is not None]
        if len(named) > 1:
            raise InvalidValue(f"{' and '.join(named)} each set the range; give one of them")
        if not self.formats:
            raise InvalidValue("a factor needs at least one format, got none")
        for form in self.formats:
            if named and not isinstance(form, ScalarFormat):
                raise InvalidValue(
                    f"{form.name} takes its scales from the data: leave {named[0]} out"
                )
            if self.bias is not None and not isinstance(form, FloatingPoint):
                raise InvalidValue(
                    f"{form.name} has no exponent bias, got bias {self.bias:g}; give scale or "
                    "max_value"
                )

    def factor(self, form: Format) -> "Factor":
        """Return one of the formats at its place, with its exact error."""
        scale = self._scale_of(form)
        if not self.channels:
            return _factor(form, self.density, scale)
        found = tuple(_factor(form, channel, scale) for channel in self.channels)
        common = math.nan if scale is None else scale
        report = mean_report([each.report for each in found])
        at_edge = any(each.at_edge for each in found)
        return Factor(form, self.density, common, report, at_edge, found)

    def _scale_of(self, form: Format) -> float | None:
        if not isinstance(form, ScalarFormat):
            return None
        if self.max_value is not None:
            return form.scale_for(self.max_value)
        if self.bias is not None and isinstance(form, FloatingPoint):
            return form.scale_at(self.bias)
        return self.scale


@dataclass(frozen=True)
class Factor:
    """One side of a product: a format at a scale, and its error on the side's density."""

    format: Format
    density: Density
    scale: float
    """nan where no scale is best, and of a block format."""
    report: ErrorReport[float]
    at_edge: bool = False
    """Whether the scale is the end of a search and not an optimum."""
    channels: tuple["Factor", ...] = ()
    """The channels, each at its range; `report` is then their mean, and `scale` nan unless they
    share it."""

    @property
    def reports(self) -> tuple[ErrorReport[float], ...]:
        """The errors of every channel; of a side without channels its own."""
        return tuple(each.report for each in self.channels) or (self.report,)

    @property
    def is_blocked(self) -> bool:
        """Whether scales come from the values, a block each, so that the factor has none."""
        return not isinstance(self.format, ScalarFormat)

    @property
    def scalar_format(self) -> ScalarFormat:
        """The format, for what needs one grid of levels.

        Raises
        ------
        InvalidType
            If it is a block format.
        """
        return as_scalar_format(self.format)

    @property
    def max_value(self) -> float:
        """The largest level at the scale; nan of a block format."""
        if not isinstance(self.format, ScalarFormat):
            return math.nan
        return self.format.max_value * self.scale

    @property
    def bias(self) -> float | None:
        """The exponent bias that gives the same grid; None but for floating point."""
        if not isinstance(self.format, ScalarFormat):
            return None
        if math.isnan(self.scale):
            return math.nan if isinstance(self.format, FloatingPoint) else None
        return self.format.bias_at(self.scale)

    @property
    def is_infinite(self) -> bool:
        """Whether E[X^2] is infinite, and with it the MSE at every scale."""
        return math.isinf(self.report.signal_power)


def _factor(form: Format, density: Density, scale: float | None) -> Factor:
    """Return a format at a scale, or at its best one."""
    if not isinstance(form, ScalarFormat):
        return Factor(form, density, math.nan, quantization_error(form, density))
    if scale is not None:
        return Factor(form, density, scale, quantization_error(form, density, scale))
    best = optimal_scale(form, density)
    return Factor(form, density, best.scale, best.report, best.at_edge)
