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
from qerror.formats.block import BlockFormat
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_format, as_scalar_format
from qerror.optimize.scale import OptimalScale, optimal_scale
from qerror.sweep._limits import Limits
from qerror.sweep.result import (
    BLOCK_SIZE,
    QUANTIZER_PARAMETERS,
    SweepResult,
    SweepRow,
    below_best,
    best_of,
)

_INFINITE = "E[x^2] is infinite: so is the MSE at every range"
_BLOCKS = "each block takes its scale from its values"
_EDGE = "no optimum inside the searched ranges: their end is shown"


def sweep(
    formats: Sequence[Format | str] | Format | str,
    densities: Sequence[DensityLike] | DensityLike,
    over: tuple[str, Sequence[float]] | None = None,
    *,
    scale: float | None = None,
    max_value: float | None = None,
    limits: bool = False,
    progress: Progress | None = None,
) -> SweepResult:
    """Return the exact errors of every format on every density.

    One call for many parameters of a density is the fast way: a density's parameters are plain
    numbers, and here the values of a parameter are listed by `over`.

    Parameters
    ----------
    formats : sequence of Format or str, or one of them
        Each is taken at its best range (`optimal_scale`), unless `over`, `scale` or `max_value`
        sets the range. A block format takes its scales from the data, a block each.
    densities : sequence of Density, str or array_like, or one of them
        The densities, their texts, or arrays of data.
    over : (str, sequence of float), optional
        What is swept, and the values that it takes: "scale", "max_value" or "bias" of the
        formats; "block_size" of block formats; or a parameter of all the densities,
        "density.std", or "std" for short where the formats have none of that name.
    scale, max_value : float, optional
        Where every format stands, while a parameter of the densities is swept or without one:
        the factor on its own grid, or its largest level. At most one of them.
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
        If there is no format, density or value, something does not have the swept parameter, or
        more than one thing sets the range.
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
        tuple(as_format(form) for form in _listed(formats, Format, "format")),
        tuple(as_density(density) for density in _listed(densities, Density, "density")),
        *_checked_over(over),
        _checked_range(scale, max_value),
    )
    chosen.check()
    if limits:
        _refuse_blocks(chosen.formats, "the limits are those of codes of single values")
    rows = tuple(_compared(_rows(chosen, progress or silent, Limits(limits)), len(chosen.formats)))
    return SweepResult(
        chosen.formats, chosen.densities, chosen.parameter, chosen.values, rows, chosen.range
    )


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
    pair = cast("Sequence[object]", over)
    if isinstance(over, str) or not isinstance(over, Sequence) or len(pair) != 2:
        raise InvalidType(f"{how}, got {over!r}")
    name, given = pair
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


def _checked_range(scale: float | None, max_value: float | None) -> tuple[str, float] | None:
    """Return what sets the range of all formats, and its value."""
    given = {"scale": scale, "max_value": max_value}
    found = [(name, positive(name, value)) for name, value in given.items() if value is not None]
    if len(found) > 1:
        raise InvalidValue("scale and max_value each set the range; give one of them")
    return found[0] if found else None


def _refuse_blocks(formats: Sequence[Format], why: str) -> None:
    """Refuse formats whose scales come from the data, where they have no part."""
    for form in formats:
        if isinstance(form, BlockFormat):
            raise InvalidValue(f"{form.name} takes its scales from the data: {why}; leave it out")


def _short_name(name: str) -> str:
    """Return "std" for "density.std"; "density.scale" stays, as the formats have a scale too."""
    own = own_parameter(name)
    return name if own in QUANTIZER_PARAMETERS else own


@dataclass(frozen=True)
class _Chosen:
    """What a sweep goes through."""

    formats: tuple[Format, ...]
    densities: tuple[Density, ...]
    parameter: str | None
    values: tuple[float, ...]
    range: tuple[str, float] | None = None
    """What sets the range of all formats, and its value: ("max_value", 4.0)."""

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
        if self.range is not None:
            name, value = self.range
            _refuse_blocks(self.formats, f"{name} {value:g} cannot move them")
            if self.moves_formats:
                raise InvalidValue(
                    f"{name} {value:g} sets the range, and so does the sweep over "
                    f"{self.parameter}; give one of them"
                )
        if self.moves_formats:
            _refuse_blocks(self.formats, f"there is no {self.parameter} to sweep")
        if self.parameter == "bias":
            self._check_biases()
        elif self.parameter == BLOCK_SIZE:
            self._check_blocks()
        elif self.parameter is not None and not self.moves_formats:
            self._check_densities(self.parameter)

    def _check_blocks(self) -> None:
        for form in self.formats:
            if not isinstance(form, BlockFormat):
                raise InvalidValue(
                    f"{form.name} has no block size to sweep; that is for block formats such as "
                    "mxfp4, nf4 or int4:g32"
                )
            for value in self.values:
                _resized(form, value)

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
    if chosen.moves_formats:
        scalars = [as_scalar_format(form) for form in chosen.formats]
        columns = [list(_along(form, density, chosen, limits)) for form in scalars]
        for same_value in zip(*columns, strict=True):
            yield from same_value
        return
    for value in chosen.values or (None,):
        moved = density
        if value is not None and chosen.parameter != BLOCK_SIZE:
            moved = at_parameter(density, own_parameter(str(chosen.parameter)), value)
        for form in chosen.formats:
            yield _at(form, moved, value, chosen, limits)


def _at(
    form: Format, density: Density, value: float | None, chosen: _Chosen, limits: Limits
) -> SweepRow:
    """Return one format on one density: at its best range, or at the one that was asked for."""
    if isinstance(form, BlockFormat):
        return _of_blocks(form, density, value, chosen.parameter)
    scalar = as_scalar_format(form)
    if chosen.range is None:
        return _at_best(scalar, density, value, limits)
    one = dataclasses.replace(
        chosen, parameter=chosen.range[0], values=(chosen.range[1],), range=None
    )
    (row,) = _along(scalar, density, one, limits)
    return dataclasses.replace(row, value=value)


def _of_blocks(
    form: BlockFormat, density: Density, value: float | None, parameter: str | None
) -> SweepRow:
    """Return a format whose scales come from the data."""
    sized = _resized(form, value) if parameter == BLOCK_SIZE and value is not None else form
    report = quantization_error(sized, density)
    note = _BLOCKS if math.isfinite(density.second_moment) else _INFINITE
    return SweepRow(
        density,
        value,
        form,
        None,
        None,
        None,
        report,
        math.nan,
        None,
        None,
        at_edge=False,
        note=note,
    )


def _resized(form: BlockFormat, size: float) -> BlockFormat:
    """Return a block format with another block size."""
    if not float(size).is_integer():
        raise InvalidValue(f"block_size must be a whole number, got {size:g}")
    return dataclasses.replace(form, block_size=int(size))


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
        best,
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
