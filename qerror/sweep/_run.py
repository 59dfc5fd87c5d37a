"""The sweep itself."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from qerror._arrays import FloatArray, positive, real
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import (
    DensityLike,
    as_density,
    at_parameter,
    density_name,
    own_parameter,
    parameter_values,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.scale import OptimalScale, optimal_scale
from qerror.sweep._limits import Limits
from qerror.sweep.result import (
    QUANTIZER_PARAMETERS,
    SweepResult,
    SweepRow,
    below_best,
    best_of,
)

_INFINITE = "E[x^2] is infinite: so is the MSE at every range"
_EDGE = "no optimum inside the searched ranges: their end is shown"


def sweep(
    formats: Sequence[Format | str] | Format | str,
    densities: Sequence[DensityLike] | DensityLike,
    over: tuple[str, Sequence[float]] | None = None,
    *,
    limits: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Return the exact errors of every format on every density.

    Parameters
    ----------
    formats : sequence of Format or str, or one of them
        Each is taken at its best range (`optimal_scale`), unless `over` sets the range.
    densities : sequence of Density, str or array_like, or one of them
        The densities, their texts, or arrays of data.
    over : (str, sequence of float), optional
        What is swept, and the values that it takes: "scale", "max_value" or "bias" of the
        formats; or a parameter of all the densities, "density.std", or "std" for short where
        the formats have none of that name.
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
    InvalidType
        If `over` is not a name and values.

    Examples
    --------
    >>> from qerror import sweep
    >>> for row in sweep(["int8", "4M3E"], "gaussian"):
    ...     print(row.format.name, round(row.report.sqnr_db, 2))
    INT8 40.54
    4M3E 37.56
    """
    chosen = _Chosen(
        tuple(as_scalar_format(form) for form in _listed(formats, Format, "format")),
        tuple(as_density(density) for density in _listed(densities, Density, "density")),
        *_checked_over(over),
    )
    chosen.check()
    rows = tuple(_compared(_rows(chosen, progress or silent, Limits(limits)), len(chosen.formats)))
    return SweepResult(chosen.formats, chosen.densities, chosen.parameter, chosen.values, rows)


_PLURAL = {"format": "formats", "density": "densities"}


def _listed(given: object, kind: type, what: str) -> Sequence[Any]:
    """Return what was given as a sequence; a single one stands for itself, as an array does."""
    if isinstance(given, str | kind) or hasattr(given, "__array__") or hasattr(given, "dist"):
        return (given,)
    try:
        found = list(cast("Sequence[Any]", given))
    except TypeError:
        raise InvalidType(
            f"a sweep takes a list of {_PLURAL[what]}, or one, got {given!r}"
        ) from None
    if not found:
        raise InvalidValue(f"a sweep needs at least one {what}, got none")
    return found


def _checked_over(over: object) -> tuple[str | None, tuple[float, ...]]:
    """Return the swept name and its values as numbers."""
    if over is None:
        return None, ()
    how = 'over takes a name and its values, such as ("std", [0.5, 1, 2])'
    if isinstance(over, str) or not isinstance(over, Sequence) or len(over) != 2:
        raise InvalidType(f"{how}, got {over!r}")
    name, given = cast("tuple[object, object]", tuple(over))
    if not isinstance(name, str) or isinstance(given, str):
        raise InvalidType(f"{how}, got {over!r}")
    check = positive if name in {"scale", "max_value"} else real
    try:
        values = tuple(check(name, value) for value in cast("Sequence[float]", given))
    except TypeError as error:
        if isinstance(error, InvalidType):
            raise
        raise InvalidType(f"{how}, got {over!r}") from None
    if not values:
        raise InvalidValue(f"over {name} needs at least one value, got none")
    return _short_name(name), values


def _short_name(name: str) -> str:
    """Return "std" for "density.std"; "density.scale" stays, as the formats have a scale too."""
    own = own_parameter(name)
    return name if own in QUANTIZER_PARAMETERS else own


@dataclass(frozen=True)
class _Chosen:
    """What a sweep goes through."""

    formats: tuple[ScalarFormat, ...]
    densities: tuple[Density, ...]
    parameter: str | None
    values: tuple[float, ...]

    @property
    def moves_formats(self) -> bool:
        """Whether the range of the formats is swept."""
        return self.parameter in QUANTIZER_PARAMETERS

    @property
    def total(self) -> int:
        """How many rows there will be."""
        return len(self.densities) * len(self.formats) * max(1, len(self.values))

    def check(self) -> None:
        """Refuse a parameter that something does not have, and values that it cannot take."""
        if self.parameter == "bias":
            self._check_biases()
        elif self.parameter is not None and not self.moves_formats:
            self._check_densities(self.parameter)

    def _check_biases(self) -> None:
        for form in self.formats:
            if not isinstance(form, FloatingPoint):
                raise InvalidValue(
                    f"{form.name} has no exponent bias to sweep; sweep scale or max_value, or "
                    "leave it out"
                )

    def _check_densities(self, parameter: str) -> None:
        own = own_parameter(parameter)
        for density in self.densities:
            known = list(parameter_values(density))
            if own not in known:
                listed = ", ".join(_shown(name) for name in known)
                raise InvalidValue(
                    f"cannot sweep {parameter!r}: {density_name(density)} has "
                    f"{listed or 'no parameters'}; the formats have "
                    f"{', '.join(QUANTIZER_PARAMETERS)}"
                )
            for value in self.values:
                at_parameter(density, own, value)


def _shown(own: str) -> str:
    """Return the name under which a parameter of a density is swept."""
    return f"density.{own}" if own in QUANTIZER_PARAMETERS else own


def _rows(chosen: _Chosen, progress: Progress, limits: Limits) -> Iterator[SweepRow]:
    done = 0
    for density in chosen.densities:
        for row in _of_density(chosen, density, limits):
            done += 1
            progress(done, chosen.total)
            yield row


def _of_density(chosen: _Chosen, density: Density, limits: Limits) -> Iterator[SweepRow]:
    """Yield the rows of one density, value by value."""
    if chosen.parameter is None:
        for form in chosen.formats:
            yield _at_best(form, density, None, limits)
    elif chosen.moves_formats:
        columns = [list(_along(form, density, chosen, limits)) for form in chosen.formats]
        for same_value in zip(*columns, strict=True):
            yield from same_value
    else:
        own = own_parameter(chosen.parameter)
        for value in chosen.values:
            moved = at_parameter(density, own, value)
            for form in chosen.formats:
                yield _at_best(form, moved, value, limits)


def _at_best(form: ScalarFormat, density: Density, value: float | None, limits: Limits) -> SweepRow:
    """Return one format at its best range."""
    best = optimal_scale(form, density)
    return SweepRow(
        density,
        value,
        form,
        best.scale,
        best.max_value,
        best.bias,
        best.report,
        math.nan,
        *limits.above(density, form.bits, best.report.mse),
        best.at_edge,
        _note(best),
    )


def _note(best: OptimalScale) -> str:
    if math.isnan(best.scale):
        return _INFINITE
    return _EDGE if best.at_edge else ""


def _along(
    form: ScalarFormat, density: Density, chosen: _Chosen, limits: Limits
) -> Iterator[SweepRow]:
    """Yield one format at many ranges."""
    name = str(chosen.parameter)
    scales = _scales(form, name, np.array(chosen.values))
    report = quantization_error(form, density, scales)
    note = "" if math.isfinite(density.second_moment) else _INFINITE
    for i, (value, scale) in enumerate(zip(chosen.values, scales.tolist(), strict=True)):
        own = _report_of(report, i)
        yield SweepRow(
            density,
            value,
            form,
            scale,
            value if name == "max_value" else scale * form.max_value,
            value if name == "bias" else form.bias_at(scale),
            own,
            math.nan,
            *limits.above(density, form.bits, own.mse),
            at_edge=False,
            note=note,
        )


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


def _report_of(report: ErrorReport[FloatArray], i: int) -> ErrorReport[float]:
    """Return the report of one of many scales."""
    names = (field.name for field in dataclasses.fields(report))
    return ErrorReport(**{name: float(getattr(report, name)[i]) for name in names})


def _compared(rows: Iterator[SweepRow], count: int) -> Iterator[SweepRow]:
    """Yield the rows with how far each lies below the best of the formats beside it."""
    listed = list(rows)
    for start in range(0, len(listed), count):
        group = listed[start : start + count]
        best = best_of(row.report.sqnr_db for row in group)
        for row in group:
            yield dataclasses.replace(row, below_best_db=below_best(row.report.sqnr_db, best))
