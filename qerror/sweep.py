"""Formats times densities, each at its best range or along one swept parameter."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray, positive, real
from qerror.analysis.decibels import decibels_above
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.codebooks.bounds import shannon_bound
from qerror.codebooks.lloyd_max import lloyd_max
from qerror.densities.density import Density
from qerror.densities.names import as_density, density_name, parameter_values
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.scale import OptimalScale, optimal_scale

Row: TypeAlias = dict[str, object]

QUANTIZER_PARAMETERS = ("scale", "max_value", "bias")
"""What `over` can sweep besides the parameters of the densities."""

_INFINITE = "E[x^2] is infinite: so is the MSE at every range"
_MOST_LIMIT_BITS = 16
_EDGE = "no optimum inside the searched ranges: their end is shown"


@dataclass(frozen=True)
class SweepResult:
    """A table of plain values.

    Attributes
    ----------
    params : dict
        What was asked: "formats", "densities" (names) and "over" (None, or "name" and "values").
    rows : list of dict
        One row per density, swept value and format. Keys: "density", the swept name if any,
        "format", "scale", "max_value", "bias" (None but for floating point), the fields of
        `ErrorReport`, "below_best_db" (how far the SQNR lies below the best format of the same
        density and value), "at_edge" and "note"; with limits also "above_lloyd_max_db" and
        "above_shannon_db".
    """

    params: dict[str, object]
    rows: list[Row]


def sweep(
    formats: Sequence[Format | str],
    densities: Sequence[Density | str],
    over: tuple[str, Sequence[float]] | None = None,
    *,
    limits: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Return the exact errors of every format on every density.

    Parameters
    ----------
    formats : sequence of Format or str
        Each is taken at its best range (`optimal_scale`), unless `over` sets the range.
    densities : sequence of Density or str
        The densities, or their texts.
    over : (str, sequence of float), optional
        A parameter of all the densities ("nu", "std", ...), or "scale", "max_value" or "bias" of
        the formats, and the values that it takes.
    limits : bool
        Whether to say how many dB the MSE lies above that of the best quantizer of 2^bits levels
        (`lloyd_max`; up to 16 bits, else nan) and above the Shannon bound of as many bits.
    progress : callable, optional
        Called with (done, total) after each density, value and format.

    Returns
    -------
    SweepResult

    Raises
    ------
    InvalidValue
        If there is no format, density or value, or something does not have the swept parameter.
    """
    forms = [as_scalar_format(form) for form in formats]
    laws = [as_density(density) for density in densities]
    for what, given in (("format", forms), ("density", laws)):
        if not given:
            raise InvalidValue(f"a sweep needs at least one {what}, got none")
    name, values = _checked(over, forms, laws)
    rows = list(_rows(forms, laws, name, values, progress or silent, _Limits(limits)))
    _compare(rows, name)
    params: Row = {
        "formats": [form.name for form in forms],
        "densities": [density_name(law) for law in laws],
        "over": None if name is None else {"name": name, "values": values},
    }
    return SweepResult(params, rows)


def _checked(
    over: tuple[str, Sequence[float]] | None, forms: Sequence[ScalarFormat], laws: Sequence[Density]
) -> tuple[str | None, list[float]]:
    """Return the swept name and its values, all found to be usable."""
    if over is None:
        return None, []
    name, given = over
    check = positive if name in {"scale", "max_value"} else real
    values = [check(name, value) for value in given]
    if not values:
        raise InvalidValue(f"over {name} needs at least one value, got none")
    if name == "bias":
        for form in forms:
            if not isinstance(form, FloatingPoint):
                raise InvalidValue(
                    f"{form.name} has no exponent bias to sweep; sweep scale or max_value, or "
                    "leave it out"
                )
    if name not in QUANTIZER_PARAMETERS:
        for law in laws:
            known = list(parameter_values(law))
            if name not in known:
                raise InvalidValue(
                    f"cannot sweep {name!r}: {density_name(law)} has "
                    f"{', '.join(known) or 'no parameters'}; the formats have "
                    f"{', '.join(QUANTIZER_PARAMETERS)}"
                )
            for value in values:
                dataclasses.replace(law, **{name: value})  # type: ignore[type-var]
    return name, values


def _rows(  # noqa: PLR0917 - one sweep's description
    forms: Sequence[ScalarFormat],
    laws: Sequence[Density],
    name: str | None,
    values: list[float],
    progress: Progress,
    limits: "_Limits",
) -> Iterator[Row]:
    total = len(laws) * len(forms) * max(1, len(values))
    done = 0
    for law in laws:
        if name in QUANTIZER_PARAMETERS:
            blocks = [list(_along(form, law, name, values, limits)) for form in forms]
            found = (row for same_value in zip(*blocks, strict=True) for row in same_value)
        else:
            found = (
                _row(form, _at(law, name, value), name, value, limits)
                for value in (values or [math.nan])
                for form in forms
            )
        for row in found:
            done += 1
            progress(done, total)
            yield row


def _at(law: Density, name: str | None, value: float) -> Density:
    return law if name is None else dataclasses.replace(law, **{name: value})  # type: ignore[type-var]


def _row(
    form: ScalarFormat, law: Density, name: str | None, value: float, limits: "_Limits"
) -> Row:
    """Return one format at its best range."""
    best = optimal_scale(form, law)
    swept: Row = {} if name is None else {name: value}
    return {
        "density": density_name(law),
        **swept,
        "format": form.name,
        "scale": best.scale,
        "max_value": best.max_value,
        "bias": best.bias,
        **_figures_at(best),
        "below_best_db": math.nan,
        **limits.columns(form, law, best.report.mse),
        "at_edge": best.at_edge,
        "note": _note(best),
    }


def _figures_at(best: OptimalScale) -> Row:
    """Return the report's figures; without a scale there is no rounding to speak of."""
    undefined = {"rounding": math.nan, "mean_error": math.nan} if math.isnan(best.scale) else {}
    return {**best.report.to_dict(), **undefined}


def _note(best: OptimalScale) -> str:
    if math.isnan(best.scale):
        return _INFINITE
    return _EDGE if best.at_edge else ""


def _along(
    form: ScalarFormat, law: Density, name: str, values: list[float], limits: "_Limits"
) -> Iterator[Row]:
    """Return one format at many ranges."""
    scales = _scales(form, name, np.array(values))
    report = quantization_error(form, law, scales)
    infinite = not math.isfinite(law.second_moment)
    for i, (value, scale) in enumerate(zip(values, scales.tolist(), strict=True)):
        view: Row = {
            "scale": scale,
            "max_value": scale * form.max_value,
            "bias": form.bias_at(scale),
        }
        yield {
            "density": density_name(law),
            name: value,
            "format": form.name,
            **(view | {name: value}),
            **_figures(report, i),
            "below_best_db": math.nan,
            **limits.columns(form, law, float(report.mse[i])),
            "at_edge": False,
            "note": _INFINITE if infinite else "",
        }


def _scales(form: ScalarFormat, name: str, values: FloatArray) -> FloatArray:
    if name == "max_value":
        return values * form.scale_for(1.0)
    if name == "bias" and isinstance(form, FloatingPoint):
        with np.errstate(over="ignore"):
            scales = np.exp2(form.bias - values)
        for value, scale in zip(values, scales * form.max_value, strict=True):
            if not 0 < scale < math.inf:
                raise InvalidValue(
                    f"a bias of {value:g} moves {form.name} out of float64's range; its own is "
                    f"{form.bias:g}"
                )
        return scales
    return values


def _figures(report: ErrorReport[FloatArray], i: int) -> dict[str, float]:
    return {field: float(values[i]) for field, values in report.to_dict().items()}


class _Limits:
    """What the best codes of as many bits reach: searched once for each density and width."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._found: dict[tuple[Density, int], tuple[float, float]] = {}

    def columns(self, form: ScalarFormat, law: Density, mse: float) -> Row:
        """Return how far an MSE lies above the limits; nothing where this was not asked for."""
        if not self._wanted:
            return {}
        key = law, form.bits
        if key not in self._found:
            self._found[key] = _best_codebook(*key), shannon_bound(*key)
        names = "above_lloyd_max_db", "above_shannon_db"
        return {
            name: decibels_above(mse, least)
            for name, least in zip(names, self._found[key], strict=True)
        }


def _best_codebook(law: Density, bits: int) -> float:
    """Return the least MSE of 2^bits levels, nan where it is not to be had."""
    if bits > _MOST_LIMIT_BITS or not math.isfinite(law.second_moment):
        return math.nan
    return lloyd_max(law, 2**bits).report.mse


def _compare(rows: list[Row], name: str | None) -> None:
    """Fill in how far each row lies below the best of its density and value."""
    best: dict[tuple[object, object], float] = {}
    for row in rows:
        key, sqnr = _group(row, name)
        if not math.isnan(sqnr):
            best[key] = max(best.get(key, -math.inf), sqnr)
    for row in rows:
        key, sqnr = _group(row, name)
        top = best.get(key, math.nan)
        row["below_best_db"] = 0.0 if sqnr == top else top - sqnr


def _group(row: Row, name: str | None) -> tuple[tuple[object, object], float]:
    sqnr = row["sqnr_db"]
    assert isinstance(sqnr, float)
    return (row["density"], row[name] if name else None), sqnr
