"""The sweep itself: one row for each density, value and format."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis.report import ErrorReport
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.names import (
    DensityLike,
    as_density,
    at_parameter,
    own_parameter,
)
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.block import BlockFormat
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.search import best_scale
from qerror.optimize.tracked import Tracked
from qerror.rounding import as_rule
from qerror.sweep._chosen import (
    Chosen,
    channels_along,
    checked_over,
    checked_range,
    densities_by,
    formats_of,
    listed,
    max_value_on,
    refuse_blocks,
    resized,
)
from qerror.sweep._limits import Limits
from qerror.sweep.result import (
    BLOCK_SIZE,
    CHANNEL,
    SweepResult,
    SweepRow,
    below_best,
    best_of,
)

_INFINITE = "E[x^2] is infinite: so is the MSE at every range"
_NO_RATIO = "E[x^2] is infinite, the MSE is not: the SQNR is undefined"
_BLOCKS = "each block takes its scale from its values"
_EDGE = "no optimum inside the searched ranges: their end is shown"


@np.errstate(under="ignore")
def sweep(
    formats: Sequence[Format | str] | Format | str,
    densities: Sequence[DensityLike] | DensityLike,
    over: tuple[str, Sequence[float]] | None = None,
    *,
    by: tuple[str, Sequence[float]] | None = None,
    scale: float | None = None,
    max_value: float | Literal["best", "absmax"] | None = None,
    limits: bool = False,
    rounding: str = "nearest-even",
    axis: int | None = None,
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
        formats; "block_size" of block formats, where "int4:gN" stands for every size and "int4" or
        "nf4" for the same; or a parameter of all the densities,
        "density.std", or "std" for short where the formats have none of that name.
    by : (str, sequence of float), optional
        A second thing that is swept: a parameter of all the densities. Each of its values makes
        densities of their own, in the order of the values.
    scale, max_value : float, optional
        Where every format stands, while a parameter of the densities is swept or without one:
        the factor on its own grid, or its largest level. At most one of them. "absmax" is the
        largest magnitude of data or of a bounded density, "best" what is taken without either.
    limits : bool
        Whether to say how many dB the MSE lies above that of the best quantizer of 2^bits levels
        (`lloyd_max`; up to 16 bits, else nan) and above the Shannon bound of as many bits.
    rounding : str
        As for `quantization_error`; each format stands at the range that is best for that mode.
    axis : int, optional
        Of arrays: along which their channels lie. Each channel is then a density of its own, and
        what is swept is "channel", from 0.
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
        If `over` is not a name and values, or `axis` is given for what is no array.

    Examples
    --------
    >>> from qerror import sweep
    >>> for row in sweep(["int8", "4M3E"], "gaussian"):
    ...     print(row.format.name, round(row.report.sqnr_db, 2))
    INT8 40.54
    4M3E 37.56
    """
    given = listed(densities, Density, "density")
    channels = None if axis is None else channels_along(given, axis)
    if channels is None:
        parameter, values = checked_over(over)
    elif over is None and by is None:
        parameter, values = CHANNEL, tuple(map(float, range(len(channels[0]))))
    else:
        raise InvalidValue("with an axis the channels are swept; leave out over and by")
    chosen = Chosen(
        formats_of(listed(formats, Format, "format"), parameter),
        densities_by([as_density(each) for each in given], by),
        parameter,
        values,
        checked_range(scale, max_value),
        as_rule(rounding).name,
        axis,
    )
    chosen.check()
    if limits:
        refuse_blocks(chosen.formats, "the limits are those of codes of single values")
    found = _rows(chosen, channels, progress or silent, Limits(limits))
    rows = tuple(_compared(found, len(chosen.formats)))
    asked = chosen.formats, chosen.densities, chosen.parameter, chosen.values
    return SweepResult(*asked, rows, chosen.range, chosen.rounding)


def _rows(
    chosen: Chosen,
    channels: Sequence[Sequence[Density]] | None,
    progress: Progress,
    limits: Limits,
) -> Iterator[SweepRow]:
    done = 0
    for i, density in enumerate(chosen.densities):
        if channels is None:
            rows = _of_density(chosen, density, limits)
        else:
            rows = _of_channels(chosen, channels[i], limits)
        for row in rows:
            done += 1
            progress(done, chosen.total)
            yield row


def _of_channels(chosen: Chosen, channels: Sequence[Density], limits: Limits) -> Iterator[SweepRow]:
    """Yield the rows of an array, channel by channel."""
    for value, channel in zip(chosen.values, channels, strict=True):
        for form in chosen.formats:
            yield _at(form, channel, value, chosen, limits)


def _of_density(chosen: Chosen, density: Density, limits: Limits) -> Iterator[SweepRow]:
    """Yield the rows of one density, value by value."""
    if chosen.moves_formats:
        scalars = [as_scalar_format(form) for form in chosen.formats]
        columns = [list(_along(form, density, chosen, limits)) for form in scalars]
        for same_value in zip(*columns, strict=True):
            yield from same_value
        return
    if chosen.tracks:
        yield from _tracked(chosen, density, limits)
        return
    for value in chosen.values or (None,):
        moved = _moved(chosen, density, value)
        for form in chosen.formats:
            yield _at(form, moved, value, chosen, limits)


def _moved(chosen: Chosen, density: Density, value: float | None) -> Density:
    """Return the density at a value of the parameter that is swept."""
    if value is None or chosen.parameter == BLOCK_SIZE:
        return density
    return at_parameter(density, own_parameter(str(chosen.parameter)), value)


def _tracked(chosen: Chosen, density: Density, limits: Limits) -> Iterator[SweepRow]:
    """Yield the rows of best ranges along a parameter, each from its neighbours."""
    tracked = {form: Tracked(form) for form in chosen.formats if isinstance(form, ScalarFormat)}
    for each in tracked.values():
        each.prepare(chosen.values, lambda value: _moved(chosen, density, value))
    for value in chosen.values:
        moved = _moved(chosen, density, value)
        for form in chosen.formats:
            if isinstance(form, ScalarFormat):
                yield _row(form, moved, value, tracked[form].at(value, moved), limits)
            else:
                yield _at(form, moved, value, chosen, limits)


def _at(
    form: Format, density: Density, value: float | None, chosen: Chosen, limits: Limits
) -> SweepRow:
    """Return one format on one density: at its best range, or at the one that was asked for."""
    if isinstance(form, BlockFormat):
        return _of_blocks(form, density, value, chosen.parameter)
    scalar = as_scalar_format(form)
    if chosen.range is None:
        return _at_best(scalar, density, value, chosen, limits)
    name, rule = chosen.range
    there = (max_value_on(density, rule),)
    one = dataclasses.replace(chosen, parameter=name, values=there, range=None)
    (row,) = _along(scalar, density, one, limits)
    return dataclasses.replace(row, value=value)


def _of_blocks(
    form: BlockFormat, density: Density, value: float | None, parameter: str | None
) -> SweepRow:
    """Return a format whose scales come from the data."""
    sized = resized(form, value) if parameter == BLOCK_SIZE and value is not None else form
    report = quantization_error(sized, density)
    note = _BLOCKS
    if not math.isfinite(density.second_moment):
        note = _NO_RATIO if math.isfinite(report.mse) else _INFINITE
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


def _at_best(
    form: ScalarFormat, density: Density, value: float | None, chosen: Chosen, limits: Limits
) -> SweepRow:
    """Return one format at its best range."""
    best = best_scale(form, density, rounding=chosen.rounding)
    return _row(form, density, value, best, limits)


def _row(
    form: ScalarFormat, density: Density, value: float | None, best: OptimalScale, limits: Limits
) -> SweepRow:
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
    form: ScalarFormat, density: Density, chosen: Chosen, limits: Limits
) -> Iterator[SweepRow]:
    """Yield one format at many ranges."""
    name = str(chosen.parameter)
    scales = _scales(form, name, np.array(chosen.values))
    report = quantization_error(form, density, scales, rounding=chosen.rounding)
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
