"""Errors and sweeps as documents."""

import math
from collections.abc import Iterable, Mapping, Sequence

from qerror._arrays import FrozenMapping
from qerror.analysis import ErrorReport
from qerror.analysis.block_report import BlockErrorReport
from qerror.densities import Density, density_name
from qerror.formats import BlockFormat, ScalarFormat
from qerror.reporting._document import Document, View
from qerror.reporting._plateaus import plateaus_view
from qerror.sweep import Series, SweepResult, SweepRow
from qerror.tables import decibels, place, short

_SPARE = ("MSE", "bias/scale", "max value")  # of a long table, the first to go
WIDEST = 80  # columns that a table with a column per format may take

_LIMIT_NOTES = [
    "> L-Max: dB above Lloyd-Max, the best quantizer of 2^bits levels (to 16 bits);",
    "> Shannon: dB above the bound for any code of as many bits",
]

ERROR_LINES: Mapping[str, str] = FrozenMapping(
    {
        "rounding": "rounding error",
        "clipping_low": "clipping error below",
        "clipping_high": "clipping error above",
        "clipping": "clipping error",
        "mse": "MSE = rounding + clipping",
        "sqnr_db": "SQNR in dB",
        "mean_error": "mean error E[e]",
        "cross_moment": "cross moment E[x e]",
        "signal_power": "signal power E[x^2]",
        "signal_mean": "signal mean E[x]",
    }
)
"""The figures of a report in words."""


def error_document(  # noqa: PLR0917 - one row's origin
    form: ScalarFormat,
    density: Density,
    scale: float,
    report: ErrorReport[float],
    method: str = "quadrature",
    rounding: str = "nearest-even",
) -> Document:
    """Return one error analysis as a document of one row.

    Parameters
    ----------
    form, density, scale, method, rounding
        What `report` was computed from.
    report : ErrorReport
        Of a single scale.
    """
    where: dict[str, object] = {
        "density": density_name(density),
        "format": form.name,
        "scale": scale,
        "max_value": form.max_value * scale,
        "bias": form.bias_at(scale),
    }
    params: dict[str, object] = where | {"method": method}
    title = f"{form.name} on {density_name(density)}\n{range_line(form, scale)}"
    if rounding != "nearest-even":
        params["rounding"] = rounding
        title += f"; rounding {rounding}"
    figures = report.to_dict()
    body = [(label, short(figures[key], 10)) for key, label in ERROR_LINES.items()]
    note = "note: E[x^2] is infinite: so is the MSE at every scale, and the SQNR is undefined"
    notes = [note] if math.isinf(report.signal_power) else []
    view = View(title, ("e = Q(x) - x", "value"), body, notes=notes)
    return Document("error", params, [where | figures], [view])


_BLOCK_LINES: Mapping[str, str] = {
    "bits_per_value": "bits per value",
    "clipped_blocks": "share of blocks that clip",
    "zero_blocks": "share of blocks of zeros",
    "pair_error": "E[e e'] in a block",
    "pair_cross": "E[x e'] in a block",
}
_LIKELY = 1e-6  # a stored scale that is less likely is counted and not shown


def block_error_document(
    form: BlockFormat,
    density: Density,
    report: BlockErrorReport,
    *,
    binade_average: bool = False,
) -> Document:
    """Return the error of a block format as a document of one row.

    Parameters
    ----------
    form, density, binade_average
        What `report` was computed from.
    report : BlockErrorReport
        The errors, and the scales that the blocks take.
    """
    where: dict[str, object] = {
        "density": density_name(density),
        "format": form.name,
        "block_size": report.block_size,
        "binade_average": binade_average,
    }
    figures = {**report.to_dict(), **{key: getattr(report, key) for key in _BLOCK_LINES}}
    lines = {**ERROR_LINES, **_BLOCK_LINES}
    body = [(label, short(figures[key], 10)) for key, label in lines.items()]
    average = "; averaged over the phase of powers of two" if binade_average else ""
    title = f"{form.name} on {density_name(density)}\nblocks of {report.block_size}{average}"
    views = [View(title, ("e = Q(x) - x", "value"), body)]
    codes = report.code_probabilities
    if codes:
        views.append(_codes_view(codes))
    scales = {"scale_codes": list(codes), "scale_probabilities": list(codes.values())}
    return Document("block-error", where, [{**where, **figures, **scales}], views)


def _codes_view(codes: Mapping[float, float]) -> View:
    """Show how likely the scales are."""
    shown = {code: share for code, share in codes.items() if share >= _LIKELY}
    hidden = len(codes) - len(shown)
    notes = [f"{hidden} more have less than {_LIKELY:g} each"] if hidden else []
    body = [(short(code, 6), short(share, 6)) for code, share in shown.items()]
    return View("Scales that the blocks take", ("scale code", "share"), body, (), notes)


def range_line(form: ScalarFormat, scale: float) -> str:
    """Return where a format stands: scale, largest value and bias."""
    bias = form.bias_at(scale)
    shown = "" if bias is None else f", bias {short(bias, 10)}"
    return f"scale {short(scale, 10)}, max value {short(form.max_value * scale, 10)}{shown}"


def sweep_document(result: SweepResult) -> Document:
    """Return a sweep as a document; its views are one table a density.

    Where nothing is swept a second table shows how far the ranges may move.
    """
    name = result.parameter
    views: list[View] = []
    for series in result.series:
        if name is None:
            views += [_best_view(series), *_plateaus(series)]
        else:
            views.append(_swept_view(series, name))
    return Document("sweep", result.params, result.to_records(), views)


def _plateaus(series: Series) -> list[View]:
    """Return a table of those rows that have an optimum, if there are any."""
    found = [(row.format.name, row.optimum) for row in series.rows if row.optimum is not None]
    return plateaus_view([name for name, _ in found], [best for _, best in found])


def _best_view(series: Series) -> View:
    """One line a format: where its best range is, and the error there."""
    # The limits take the place of the error's parts, or the table would be too wide.
    has_limits = series.rows[0].above_shannon_db is not None
    parts = ("MSE",) if has_limits else ("rounding", "clipping", "MSE")
    limits = ("> L-Max", "> Shannon") if has_limits else ()
    header = ["format", "max value", "bias/scale", *parts, "SQNR dB", "dB below", *limits]
    body = [_best_line(row, has_limits) for row in series.rows]
    if any(row.scale is None for row in series.rows):
        header.insert(1, "bits")
        for line, row in zip(body, series.rows, strict=True):
            line.insert(1, short(row.bits_per_value, 6))
    own = [i for i in range(len(header)) if any(line[i] for line in body)]
    header, body = [header[i] for i in own], [[line[i] for i in own] for line in body]
    notes = [*_notes(series.rows, None), *(_LIMIT_NOTES if has_limits else [])]
    spare = ("rounding", "clipping", "MSE", "bias/scale")
    return View(
        series.title,
        header,
        body,
        notes=notes,
        marked=_best_of(series.rows),
        spare=[header.index(title) for title in spare if title in header],
    )


def _best_line(row: SweepRow, has_limits: bool, swept: str | None = None) -> list[str]:
    report = row.report
    figures = row.figures()
    names = ("mse",) if has_limits else ("rounding", "clipping", "mse")
    limits = [row.above_lloyd_max_db, row.above_shannon_db] if has_limits else []
    ratios = [report.sqnr_db, row.below_best_db, *limits]
    return [
        row.label(swept),
        short(row.max_value),
        place(row.scale, row.bias),
        *(short(figures[name]) for name in names),
        *("" if ratio is None else decibels(ratio) for ratio in ratios),
    ]


def _swept_view(series: Series, name: str) -> View:
    """Show the SQNR, a line per swept value and a column per format, if they fit."""
    names = list(dict.fromkeys(row.label(name) for row in series.rows))
    lines: dict[float | None, dict[str, str]] = {}
    for row in series.rows:
        lines.setdefault(row.value, {})[row.label(name)] = decibels(row.report.sqnr_db)
    body = [(short(value, 6), *(cells[each] for each in names)) for value, cells in lines.items()]
    header = (name, *names)
    widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
    if sum(widths) + 2 * len(names) > WIDEST:
        return _long_view(series, name)
    notes = _notes(series.rows, name)
    return View(f"{series.title} over {name}: SQNR in dB", header, body, words=(), notes=notes)


def _long_view(series: Series, name: str) -> View:
    """One line per swept value and format."""
    header = [name, "format", "max value", "bias/scale", "MSE", "SQNR dB", "dB below"]
    body = [(short(row.value, 6), *_best_line(row, False, name)) for row in series.rows]
    kept = [[*line[:4], line[6], *line[7:9]] for line in body]
    own = [i for i in range(len(header)) if any(line[i] for line in kept)]
    header, kept = [header[i] for i in own], [[line[i] for i in own] for line in kept]
    notes, marked = _notes(series.rows, name), _best_of(series.rows)
    spare = [header.index(title) for title in _SPARE if title in header]
    title = f"{series.title} over {name}"
    return View(title, header, kept, (1,), notes, marked, spare=spare)


def _best_of(rows: Sequence[SweepRow]) -> set[int]:
    return {i for i, row in enumerate(rows) if row.below_best_db == 0}


def _notes(rows: Sequence[SweepRow], swept: str | None) -> list[str]:
    """Return each remark once, with the formats or swept values that it is about."""
    about: dict[str, list[SweepRow]] = {}
    for row in rows:
        if row.note:
            about.setdefault(row.note, []).append(row)
    return [_note(remark, found, rows, swept) for remark, found in about.items()]


def _note(
    remark: str, found: Sequence[SweepRow], rows: Sequence[SweepRow], swept: str | None
) -> str:
    if len(found) == len(rows):
        return f"note: {remark}"
    formats = _distinct(row.label(swept) for row in found)
    if swept is None:
        return f"note: {formats}: {remark}"
    values = _distinct(short(row.value, 6) for row in found)
    whose = "" if formats == _distinct(row.label(swept) for row in rows) else f"{formats}, "
    return f"note: {whose}{swept} = {values}: {remark}"


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))
