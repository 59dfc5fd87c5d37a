"""What a sweep returns: one typed row per density, swept value and format."""

import importlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from qerror._arrays import FrozenMapping
from qerror.analysis.block_report import BlockErrorReport
from qerror.analysis.report import ErrorReport
from qerror.densities.density import Density
from qerror.densities.names import density_name, own_parameter
from qerror.exceptions import MissingLibrary
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.optimize.optimum import OptimalScale
from qerror.tables import decibels, html_table, place, short

QUANTIZER_PARAMETERS = ("scale", "max_value", "bias")
"""What a sweep can go over besides the parameters of the densities."""

BLOCK_SIZE = "block_size"
"""What it can go over where all formats are block formats."""

CHANNEL = "channel"
"""What it goes over where an array has an axis of channels."""


@dataclass(frozen=True)
class SweepRow:
    """One format on one density, at its best range or at a swept value."""

    density: Density
    """At the swept value, where a parameter of the density is swept."""
    value: float | None
    """The swept value; None where nothing is swept."""
    format: Format
    """As it was asked for; where the block size is swept, `value` is its block size."""
    scale: float | None
    """nan where E[X^2] is infinite and no scale is best; None where each block has its own."""
    max_value: float | None
    """The largest level at that scale."""
    bias: float | None
    """The exponent bias that gives the same grid; None but for floating point."""
    report: ErrorReport[float]
    """The exact errors at that scale, at scale 1 where none is best."""
    below_best_db: float
    """How far the SQNR lies below that of the best format of the same density and value."""
    above_lloyd_max_db: float | None
    """How far the MSE lies above that of the best quantizer of 2^bits levels; None where this
    was not asked for."""
    above_shannon_db: float | None
    """How far the MSE lies above Shannon's bound of as many bits; None likewise."""
    at_edge: bool
    """Whether the scale is the end of a search and not an optimum."""
    note: str
    """A remark for the reader, mostly empty."""
    optimum: OptimalScale | None = field(default=None, repr=False, compare=False)
    """What the search for the best range found, with its plateau; None at a given range."""

    def figures(self) -> dict[str, float]:
        """Return the report's figures by name; those that need a scale are nan without one."""
        no_scale = self.scale is not None and math.isnan(self.scale)
        undefined = {"rounding": math.nan, "mean_error": math.nan} if no_scale else {}
        return {**self.report.to_dict(), **undefined}

    @property
    def bits_per_value(self) -> float:
        """What a value costs in bits, with its share of the scales of blocks."""
        report = self.report  # it knows the block size where that is swept
        form = report if isinstance(report, BlockErrorReport) else self.format
        return form.bits_per_value

    def label(self, parameter: str | None) -> str:
        """Return the format's name, with gN for the block size where that is swept."""
        if parameter == BLOCK_SIZE and isinstance(self.format, BlockFormat):
            return self.format.name_at_any_size
        return self.format.name

    def to_record(self, parameter: str | None = None) -> dict[str, object]:
        """Return the row as plain values by name, at full precision.

        Parameters
        ----------
        parameter : str, optional
            The name of the swept parameter, under which its value stands after the density.
        """
        swept = {} if parameter is None else {parameter: self.value}
        limits = {
            "above_lloyd_max_db": self.above_lloyd_max_db,
            "above_shannon_db": self.above_shannon_db,
        }
        return {
            "density": density_name(self.density),
            **swept,
            "format": self.label(parameter),
            "bits_per_value": self.bits_per_value,
            "scale": self.scale,
            "max_value": self.max_value,
            "bias": self.bias,
            **self.figures(),
            "below_best_db": self.below_best_db,
            **({} if self.above_shannon_db is None else limits),
            "at_edge": self.at_edge,
            "note": self.note,
            **self._leeway(parameter),
        }

    def _leeway(self, parameter: str | None) -> dict[str, float]:
        """Return how far the range may move; along a parameter it would cost more than the rest."""
        best = self.optimum if parameter is None else None
        return {} if best is None or not best.has_quick_leeway else best.leeway.to_dict()


class Series(NamedTuple):
    """The rows of one density that was asked for."""

    title: str
    """The density's name without the swept parameter, which differs from row to row, and the range
    where it was set."""
    rows: tuple[SweepRow, ...]


@dataclass(frozen=True, repr=False)
class SweepResult:
    """The rows of a sweep, density by density, then value by value, then format by format."""

    formats: tuple[Format, ...]
    densities: tuple[Density, ...]
    """As they were given."""
    parameter: str | None
    """What is swept, None if nothing: "nu", "max_value", "density.scale"."""
    values: tuple[float, ...]
    """The values that it takes."""
    rows: tuple[SweepRow, ...]
    range: tuple[str, float | str] | None = None
    """What every format's range was set by, and its value: ("max_value", 4.0), or "absmax"."""
    rounding: str = "nearest-even"
    """How values went to levels."""

    @property
    def params(self) -> Mapping[str, object]:
        """What was asked, as plain values.

        "formats", "densities" and "over", then "range" if set and "rounding" if another one.
        """
        over = FrozenMapping({"name": self.parameter, "values": self.values})
        fixed: dict[str, object] = {}
        if self.range is not None:
            fixed["range"] = FrozenMapping(dict([self.range]))
        if self.rounding != "nearest-even":
            fixed["rounding"] = self.rounding
        return FrozenMapping(
            {
                "formats": tuple(dict.fromkeys(row.label(self.parameter) for row in self.rows)),
                "densities": tuple(density_name(density) for density in self.densities),
                "over": None if self.parameter is None else over,
                **fixed,
            }
        )

    @property
    def series(self) -> tuple[Series, ...]:
        """The rows of each density that was asked for, in their order."""
        size = len(self.rows) // len(self.densities)
        of_format = self.parameter in {None, BLOCK_SIZE, CHANNEL, *QUANTIZER_PARAMETERS}
        swept = None if of_format else own_parameter(str(self.parameter))
        at = ""
        if self.range is not None:
            name, value = self.range
            shown = value if isinstance(value, str) else f"{value:g}"
            at = f" at {name.replace('_', ' ')} {shown}"
        if self.rounding != "nearest-even":
            at += f", rounding {self.rounding}"
        return tuple(
            Series(
                density_name(density, without=swept) + at,
                self.rows[i * size : (i + 1) * size],
            )
            for i, density in enumerate(self.densities)
        )

    def to_records(self) -> list[dict[str, object]]:
        """Return every row as plain values by name.

        Keys: "density", the swept name if any, "format", "bits_per_value", "scale", "max_value",
        "bias", the fields of `ErrorReport`, "below_best_db", with limits "above_lloyd_max_db" and
        "above_shannon_db", then "at_edge" and "note". Where nothing is swept, also
        "plateau_low" and "plateau_high", between which the range loses less than 0.1 dB, and
        "smallest_max_value", which loses less than 0.01 dB.
        """
        return [row.to_record(self.parameter) for row in self.rows]

    def to_pandas(self) -> Any:
        """Return the records as a `pandas.DataFrame`.

        Raises
        ------
        MissingLibrary
            If pandas is not installed.
        """
        return data_frame(self.to_records())

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[SweepRow]:
        return iter(self.rows)

    def __repr__(self) -> str:
        over = "" if self.parameter is None else f" over {self.parameter} ({len(self.values)})"
        asked = f"{len(self.formats)} formats on {len(self.densities)} densities{over}"
        return f"<SweepResult: {asked}, {len(self)} rows; to_records(), to_pandas()>"

    def _repr_html_(self) -> str:
        swept = [] if self.parameter is None else [self.parameter]
        header = ["density", *swept, "format", "max value", "bias/scale", "MSE", "SQNR dB"]
        body = [self._line(row) for row in self.rows]
        best = [i for i, row in enumerate(self.rows) if row.below_best_db == 0]
        return html_table("", [*header, "dB below"], body, marked=best)

    def _line(self, row: SweepRow) -> list[str]:
        value = [] if row.value is None else [short(row.value, 6)]
        return [
            density_name(row.density),
            *value,
            row.label(self.parameter),
            short(row.max_value),
            place(row.scale, row.bias),
            short(row.report.mse),
            decibels(row.report.sqnr_db),
            decibels(row.below_best_db),
        ]


def data_frame(records: list[dict[str, object]]) -> Any:
    """Return records as a `pandas.DataFrame`; `MissingLibrary` where pandas is absent."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise MissingLibrary(
            "a data frame needs pandas, which is not installed: pip install pandas"
        ) from error
    return pandas.DataFrame.from_records(records)


def below_best(sqnr_db: float, best: float) -> float:
    """Return how far an SQNR lies below the best one; 0 for the best even if it is infinite."""
    return 0.0 if sqnr_db == best else best - sqnr_db


def best_of(sqnr_db: Iterator[float]) -> float:
    """Return the largest SQNR that is defined, nan if none is."""
    return max((value for value in sqnr_db if not math.isnan(value)), default=math.nan)
