"""What the library returns, as documents."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

from qerror.analysis import ErrorReport
from qerror.densities import Density, density_name
from qerror.formats import ScalarFormat
from qerror.reporting._document import Document, Row, View
from qerror.reporting._text import decibels, short

WIDEST = 80  # columns that a table with a column per format may take


_LIMITS = {"above_lloyd_max_db": "> L-Max", "above_shannon_db": "> Shannon"}
_LIMIT_NOTES = [
    "> L-Max: dB above Lloyd-Max, the best quantizer of 2^bits levels (to 16 bits);",
    "> Shannon: dB above the bound for any code of as many bits",
]


class Rows(Protocol):
    """What a sweep returns, as far as it is written."""

    @property
    def params(self) -> Mapping[str, object]:
        """What was asked for; "over" holds the swept name and values, or None."""
        ...

    @property
    def rows(self) -> Sequence[Row]:
        """One mapping per density, swept value and format."""
        ...


def error_document(
    number_format: ScalarFormat,
    density: Density,
    scale: float,
    report: ErrorReport[float],
    method: str = "quadrature",
) -> Document:
    """Return one error analysis as a document of one row.

    Parameters
    ----------
    number_format, density, scale, method
        What `report` was computed from.
    report : ErrorReport
        Of a single scale.
    """
    place: dict[str, object] = {
        "density": density_name(density),
        "format": number_format.name,
        "scale": scale,
        "max_value": number_format.max_value * scale,
        "bias": number_format.bias_at(scale),
    }
    row = place | report.to_dict()
    return Document("error", place | {"method": method}, [row], [_error_view(row)])


def sweep_document(result: Rows) -> Document:
    """Return a sweep as a document; its views are one table a density."""
    name = swept_name(result)
    if name is None:
        views = [_best_view(title, rows) for title, rows in series(result)]
    else:
        views = [_swept_view(title, rows, name) for title, rows in series(result)]
    return Document("sweep", result.params, result.rows, views)


def swept_name(result: Rows) -> str | None:
    """Return the name of the swept parameter, or None."""
    over = cast("Mapping[str, str] | None", result.params.get("over"))
    return over["name"] if over else None


def series(result: Rows) -> list[tuple[str, list[Row]]]:
    """Return the rows of each density that was asked for, under its name.

    The name leaves out the swept parameter, which differs from row to row.
    """
    names = cast("Sequence[str]", result.params["densities"])
    size = len(result.rows) // len(names)  # rows come density by density, equally many each
    swept = swept_name(result)
    return [
        (without(name, swept), list(result.rows[i * size : (i + 1) * size]))
        for i, name in enumerate(names)
    ]


def without(density: str, parameter: str | None) -> str:
    """Drop a parameter of the outermost density: "t(nu=3, loc=1)" becomes "t(loc=1)"."""
    head, bracket, inner = density.partition("(")
    kept = [part for part in _arguments(inner[:-1]) if not part.startswith(f"{parameter}=")]
    return f"{head}({', '.join(kept)})" if bracket and kept else head


def _arguments(text: str) -> list[str]:
    """Split at the commas that stand outside all brackets."""
    parts: list[str] = []
    for piece in text.split(", "):
        if parts and not _is_closed(parts[-1]):
            parts[-1] += f", {piece}"
        else:
            parts.append(piece)
    return parts


def _is_closed(text: str) -> bool:
    return all(text.count(a) == text.count(b) for a, b in ("()", "[]"))


_ERROR_LINES = {
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


def _error_view(row: Row) -> View:
    bias = "" if row["bias"] is None else f", bias {short(_number(row, 'bias'), 10)}"
    title = (
        f"{row['format']} on {row['density']}\n"
        f"scale {short(_number(row, 'scale'), 10)}, "
        f"max value {short(_number(row, 'max_value'), 10)}{bias}"
    )
    body = [(label, short(_number(row, key), 10)) for key, label in _ERROR_LINES.items()]
    infinite = math.isinf(_number(row, "signal_power"))
    note = "E[x^2] is infinite: so is the MSE at every scale, and the SQNR is undefined"
    return View(title, ("e = Q(x) - x", "value"), body, notes=[note] if infinite else [])


def _best_view(title: str, rows: Sequence[Row]) -> View:
    """One line a format: where its best range is, and the error there."""
    limits = "above_shannon_db" in rows[0]
    # The limits take the place of the error's parts, or the table would be too wide.
    parts = (
        {"mse": "MSE"} if limits else {"rounding": "rounding", "clipping": "clipping", "mse": "MSE"}
    )
    ratios = {"sqnr_db": "SQNR dB", "below_best_db": "dB below"} | (_LIMITS if limits else {})
    header = ("format", "max value", "bias/scale", *parts.values(), *ratios.values())
    body = [
        (
            str(row["format"]),
            short(_number(row, "max_value")),
            _place(row),
            *(_at_best(row, key) for key in parts),
            *(decibels(_number(row, key)) for key in ratios),
        )
        for row in rows
    ]
    notes = [*_notes(rows, "format"), *(_LIMIT_NOTES if limits else [])]
    return View(title, header, body, notes=notes, marked=_best_of(rows))


def _swept_view(title: str, rows: Sequence[Row], name: str) -> View:
    """Show the SQNR, a line per swept value and a column per format, if they fit."""
    formats = list(dict.fromkeys(str(row["format"]) for row in rows))
    values = list(dict.fromkeys(_number(row, name) for row in rows))
    cells = {(_number(row, name), row["format"]): decibels(_number(row, "sqnr_db")) for row in rows}
    first = [short(value, 6) for value in values]
    body = [
        (label, *(cells[value, each] for each in formats))
        for label, value in zip(first, values, strict=True)
    ]
    widths = [max(map(len, column)) for column in zip((name, *formats), *body, strict=True)]
    if sum(widths) + 2 * len(formats) > WIDEST:
        return _long_view(title, rows, name)
    return View(
        f"{title} over {name}: SQNR in dB",
        (name, *formats),
        body,
        words=(),
        notes=_notes(rows, name),
    )


def _long_view(title: str, rows: Sequence[Row], name: str) -> View:
    """One line per swept value and format."""
    header = (name, "format", "max value", "bias/scale", "MSE", "SQNR dB", "dB below")
    body = [
        (
            short(_number(row, name), 6),
            str(row["format"]),
            short(_number(row, "max_value")),
            _place(row),
            short(_number(row, "mse")),
            *(decibels(_number(row, key)) for key in ("sqnr_db", "below_best_db")),
        )
        for row in rows
    ]
    return View(title, header, body, words=(1,), notes=_notes(rows, name), marked=_best_of(rows))


def _at_best(row: Row, key: str) -> str:
    """Return a part of the error; one that depends on the range is nan where none is best."""
    value = _number(row, key)
    return "nan" if math.isnan(_number(row, "scale")) and math.isfinite(value) else short(value)


def _place(row: Row) -> str:
    """Return a floating-point format's bias, any other's scale."""
    if row["bias"] is None:
        return f"s={short(_number(row, 'scale'))}"
    return f"b={short(_number(row, 'bias'))}"


def _best_of(rows: Sequence[Row]) -> set[int]:
    return {i for i, row in enumerate(rows) if row["below_best_db"] == 0}


def _notes(rows: Sequence[Row], key: str) -> list[str]:
    """Return each remark once, with the formats or swept values that it is about."""
    about: dict[str, list[Row]] = {}
    for row in rows:
        if row["note"]:
            about.setdefault(str(row["note"]), []).append(row)
    return [_note(remark, found, rows, key) for remark, found in about.items()]


def _note(remark: str, found: Sequence[Row], rows: Sequence[Row], key: str) -> str:
    if len(found) == len(rows):
        return f"note: {remark}"
    formats = _distinct(row["format"] for row in found)
    if key == "format":
        return f"note: {formats}: {remark}"
    values = _distinct(short(_number(row, key), 6) for row in found)
    whose = "" if formats == _distinct(row["format"] for row in rows) else f"{formats}, "
    return f"note: {whose}{key} = {values}: {remark}"


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _number(row: Row, key: str) -> float:
    return cast("float", row[key])
