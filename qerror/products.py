"""Scalar products of two quantized factors: pairs of formats, each side on its density."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import integer
from qerror.analysis.report import ErrorReport, mean_report
from qerror.analysis.scalar_product import ScalarProductReport, scalar_product_error
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import DensityLike, as_density, density_name
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.channels import channels_of
from qerror.optimize.scale import optimal_scale
from qerror.tables import decibels, html_table, short

_LONGEST = 2**53  # sums of so many ones are exact


@dataclass(frozen=True, init=False)
class Operand:
    """One side of a product before it is quantized: a density, and formats to try on it.

    Parameters
    ----------
    formats : sequence of Format or str, or one of them
        What the side is stored in.
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
        If there is no format, more than one range, or a bias for a format that has none.
    """

    formats: tuple[ScalarFormat, ...]
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
        object.__setattr__(self, "formats", tuple(as_scalar_format(form) for form in given))
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
            if self.bias is not None and not isinstance(form, FloatingPoint):
                raise InvalidValue(
                    f"{form.name} has no exponent bias, got bias {self.bias:g}; give scale or "
                    "max_value"
                )

    def factor(self, form: ScalarFormat) -> "Factor":
        """Return one of the formats at its place, with its exact error."""
        scale = self._scale_of(form)
        if not self.channels:
            return _factor(form, self.density, scale)
        found = tuple(_factor(form, channel, scale) for channel in self.channels)
        common = math.nan if scale is None else scale
        report = mean_report([each.report for each in found])
        at_edge = any(each.at_edge for each in found)
        return Factor(form, self.density, common, report, at_edge, found)

    def _scale_of(self, form: ScalarFormat) -> float | None:
        if self.max_value is not None:
            return form.scale_for(self.max_value)
        if self.bias is not None and isinstance(form, FloatingPoint):
            return form.scale_at(self.bias)
        return self.scale


@dataclass(frozen=True)
class Factor:
    """One side of a product: a format at a scale, and its error on the side's density."""

    format: ScalarFormat
    density: Density
    scale: float
    """nan where no scale is best."""
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
    def max_value(self) -> float:
        """The largest level at the scale."""
        return self.format.max_value * self.scale

    @property
    def bias(self) -> float | None:
        """The exponent bias that gives the same grid; None but for floating point."""
        if math.isnan(self.scale):
            return math.nan if isinstance(self.format, FloatingPoint) else None
        return self.format.bias_at(self.scale)

    @property
    def is_infinite(self) -> bool:
        """Whether E[X^2] is infinite, and with it the MSE at every scale."""
        return math.isinf(self.report.signal_power)


def _factor(form: ScalarFormat, density: Density, scale: float | None) -> Factor:
    """Return a format at a scale, or at its best one."""
    if scale is not None:
        return Factor(form, density, scale, quantization_error(form, density, scale))
    best = optimal_scale(form, density)
    return Factor(form, density, best.scale, best.report, best.at_edge)


@dataclass(frozen=True)
class Product:
    """Two factors and the error of the sum of their products."""

    weight: Factor
    activation: Factor
    report: ScalarProductReport[float]
    below_best_db: float = math.nan
    """How far the SQNR lies below that of the best pair beside it."""

    @property
    def note(self) -> str:
        """What a reader should know, mostly empty."""
        sides = {"w": self.weight, "x": self.activation}
        infinite = [f"E[{name}^2]" for name, side in sides.items() if side.is_infinite]
        if infinite:
            verb = "is" if len(infinite) == 1 else "are"
            return (
                f"{' and '.join(infinite)} {verb} infinite: so is the MSE at every range, and "
                "the SQNR is undefined"
            )
        edges = [side.format.name for side in sides.values() if side.at_edge]
        if edges:
            return (
                f"{' and '.join(edges)}: no optimum inside the searched ranges: their end is taken"
            )
        return ""

    def to_record(self) -> dict[str, object]:
        """Return the product as plain values by name, at full precision."""
        return {
            **_side("weight", self.weight),
            **_side("activation", self.activation),
            **self.report.to_dict(),
            "below_best_db": self.below_best_db,
            "note": self.note,
        }


def _side(which: str, factor: Factor) -> dict[str, object]:
    return {
        f"{which}_density": density_name(factor.density),
        which: factor.format.name,
        f"{which}_scale": factor.scale,
        f"{which}_max_value": factor.max_value,
        f"{which}_bias": factor.bias,
        f"{which}_channels": len(factor.channels) or None,
        f"{which}_channel_scales": [each.scale for each in factor.channels] or None,
        f"{which}_mse": factor.report.mse,
        f"{which}_sqnr_db": factor.report.sqnr_db,
    }


@dataclass(frozen=True, repr=False)
class Products:
    """Every weight format with every activation format, which run fastest."""

    length: int
    """How many products are summed."""
    rows: tuple[Product, ...]
    weights: tuple[Factor, ...]
    activations: tuple[Factor, ...]

    @property
    def best(self) -> Product | None:
        """The pair of the largest SQNR, the first of equals; None where none is defined."""
        return next((row for row in self.rows if row.below_best_db == 0), None)

    def to_records(self) -> list[dict[str, object]]:
        """Return every product as plain values by name."""
        return [row.to_record() for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Product]:
        return iter(self.rows)

    def __repr__(self) -> str:
        best = self.best
        found = "" if best is None else f", best {best.weight.format} x {best.activation.format}"
        sides = f"{len(self.weights)} x {len(self.activations)} formats"
        return f"<Products: {sides}, length {self.length}{found}; to_records()>"

    def _repr_html_(self) -> str:
        header = ("w", "x", "MSE", "SQNR dB", "dB below")
        body = [
            (
                row.weight.format.name,
                row.activation.format.name,
                short(row.report.mse),
                decibels(row.report.sqnr_db),
                decibels(row.below_best_db),
            )
            for row in self.rows
        ]
        marked = [i for i, row in enumerate(self.rows) if row.below_best_db == 0]
        return html_table(f"length {self.length}", header, body, marked)


def scalar_products(
    weights: Operand,
    activations: Operand,
    length: int = 1,
    *,
    progress: Progress | None = None,
) -> Products:
    """Return the exact errors of y = sum of w x over every pair of formats of both sides.

    Parameters
    ----------
    weights, activations : Operand
        The two sides: formats, density and, if it is not to be the best one, their range.
    length : int
        How many independent products are summed, at least 1.
    progress : callable, optional
        Called with (done, total) formats.

    Returns
    -------
    Products

    Raises
    ------
    InvalidValue
        If `length` is below 1, or a range is not one that a format can have.
    InvalidType
        If a side is no `Operand`.

    References
    ----------
    Kuzmin et al. 2022, appendix A.2, eq. 19 to 27.

    Examples
    --------
    >>> from qerror.products import Operand, scalar_products
    >>> found = scalar_products(
    ...     Operand(["int8", "4M3E"], "gaussian"), Operand("5M2E", "laplace"), length=512
    ... )
    >>> [(row.weight.format.name, round(row.report.sqnr_db, 2)) for row in found]
    [('INT8', 36.95), ('4M3E', 35.39)]

    Weights as they are, each output channel at its own best range:

    >>> w = np.random.default_rng(1).normal(size=(8, 512))
    >>> (row,) = scalar_products(Operand("4M3E", w, axis=0), Operand("int8", "laplace"), 512)
    >>> len(row.weight.channels), round(row.report.sqnr_db, 2)
    (8, 33.51)
    """
    integer("length", length, 1, _LONGEST)
    for side in (weights, activations):
        if not isinstance(side, Operand):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(f"expected an Operand(formats, density), got {side!r}")
    count = _Counted(progress or silent, len(weights.formats) + len(activations.formats))
    left = tuple(count(weights.factor(form)) for form in weights.formats)
    right = tuple(count(activations.factor(form)) for form in activations.formats)
    reports = [
        (w, x, scalar_product_error(w.reports, x.report, length)) for w in left for x in right
    ]
    defined = [found.sqnr_db for _, _, found in reports if not math.isnan(found.sqnr_db)]
    best = max(defined, default=math.nan)
    rows = tuple(
        Product(w, x, found, 0.0 if found.sqnr_db == best else best - found.sqnr_db)
        for w, x, found in reports
    )
    return Products(length, rows, left, right)


class _Counted:
    """Passes factors on and reports how many have come."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def __call__(self, factor: Factor) -> Factor:
        self._done += 1
        self._progress(self._done, self._total)
        return factor
