"""Scalar products as documents: one pair of formats in its terms, or a matrix of pairs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from qerror.analysis import ErrorReport, ScalarProductReport
from qerror.densities import Density, density_name
from qerror.formats import ScalarFormat
from qerror.reporting._document import Document, Row, View
from qerror.reporting._text import decibels, short

_WIDEST = 80  # columns that the matrix may take

_TERMS: Mapping[str, str] = {
    "weight_error": "E[e_w^2] E[x^2]",
    "activation_error": "E[e_x^2] E[w^2]",
    "both_errors": "E[e_w^2] E[e_x^2]",
    "cross_moments": "2 E[w e_w] E[x e_x]",
    "weight_error_cross": "2 E[e_w^2] E[x e_x]",
    "activation_error_cross": "2 E[e_x^2] E[w e_w]",
}
"""The terms of one product's error, as Kuzmin et al. 2022 expand it (eq. 19 to 27)."""


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


@dataclass(frozen=True)
class Product:
    """Two factors and the error of the sum of their products."""

    weight: Factor
    activation: Factor
    report: ScalarProductReport[float]


def dot_document(products: Sequence[Product]) -> Document:
    """Return products as a document, a row a pair of formats.

    Parameters
    ----------
    products : sequence of Product
        At least one; all of one length, and of the same two densities. For a matrix every weight
        format comes with every activation format, which run fastest.

    Returns
    -------
    Document
        A single pair shows every term; several show the matrix of their SQNR.
    """
    best = max(
        (p.report.sqnr_db for p in products if not math.isnan(p.report.sqnr_db)), default=math.nan
    )
    rows = [_row(product, best) for product in products]
    first = products[0]
    params = {
        "weight_density": density_name(first.weight.density),
        "activation_density": density_name(first.activation.density),
        "weights": _names(product.weight for product in products),
        "activations": _names(product.activation for product in products),
        "length": first.report.length,
    }
    views = [_terms_view(rows[0])] if len(rows) == 1 else _matrix_views(rows)
    return Document("dot", params, rows, views)


def _names(factors: Iterable[Factor]) -> list[str]:
    return list(dict.fromkeys(factor.format.name for factor in factors))


def _row(product: Product, best: float) -> dict[str, object]:
    report = product.report
    below = 0.0 if report.sqnr_db == best else best - report.sqnr_db
    return {
        **_side("weight", product.weight),
        **_side("activation", product.activation),
        **report.to_dict(),
        "below_best_db": below,
        "note": _note(product),
    }


def _side(which: str, factor: Factor) -> dict[str, object]:
    form, scale = factor.format, factor.scale
    bias = form.bias_at(scale)
    return {
        f"{which}_density": density_name(factor.density),
        which: form.name,
        f"{which}_scale": scale,
        f"{which}_max_value": form.max_value * scale,
        f"{which}_bias": bias,
        f"{which}_mse": factor.report.mse,
        f"{which}_sqnr_db": factor.report.sqnr_db,
    }


def _note(product: Product) -> str:
    sides = {"w": product.weight, "x": product.activation}
    infinite = [f"E[{name}^2]" for name, side in sides.items() if _is_infinite(side)]
    if infinite:
        verb = "is" if len(infinite) == 1 else "are"
        return (
            f"{' and '.join(infinite)} {verb} infinite: so is the MSE at every range, and the "
            "SQNR is undefined"
        )
    edges = [side.format.name for side in sides.values() if side.at_edge]
    if edges:
        return f"{' and '.join(edges)}: no optimum inside the searched ranges: their end is taken"
    return ""


def _is_infinite(side: Factor) -> bool:
    return math.isinf(side.report.signal_power)


def _terms_view(row: Row) -> View:
    """Show one pair: every term with its share of the mean squared error."""
    length, mse = _number(row, "length"), _number(row, "mse")
    times = "n " if length != 1 else ""
    body = [
        (times + text, short(length * _number(row, key), 10), _share(length, row, key))
        for key, text in _TERMS.items()
    ]
    if length != 1:
        share = _percent(_number(row, "coherent"), mse)
        body.append(("n (n - 1) E[e of one]^2", short(_number(row, "coherent"), 10), share))
    lines = {
        "mse": "MSE, their sum",
        "sqnr_db": "SQNR in dB",
        "mean_error": "mean error E[e_y]",
        "signal_power": "signal power E[y^2]",
    }
    body += [(text, short(_number(row, key), 10), "") for key, text in lines.items()]
    title = (
        f"y = sum of n = {length:.0f} products w x\n"
        f"w: {_place(row, 'weight')}\nx: {_place(row, 'activation')}"
        if length != 1
        else f"y = w x\nw: {_place(row, 'weight')}\nx: {_place(row, 'activation')}"
    )
    notes = [f"note: {row['note']}"] if row["note"] else []
    return View(title, ("e = Q(w) Q(x) - w x", "value", "share"), body, notes=notes)


def _share(length: float, row: Row, key: str) -> str:
    return _percent(length * _number(row, key), _number(row, "mse"))


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:z.2f}%" if 0 < whole < math.inf else ""


def _place(row: Row, which: str) -> str:
    bias = row[f"{which}_bias"]
    view = "" if bias is None else f", bias {short(_number(row, f'{which}_bias'), 8)}"
    return (
        f"{row[which]} on {row[f'{which}_density']}, "
        f"max value {short(_number(row, f'{which}_max_value'), 8)}{view}, "
        f"SQNR {decibels(_number(row, f'{which}_sqnr_db'))} dB"
    )


def _matrix_views(rows: Sequence[Row]) -> list[View]:
    """Show the SQNR of all pairs, and the range of every format."""
    weights = list(dict.fromkeys(str(row["weight"]) for row in rows))
    activations = list(dict.fromkeys(str(row["activation"]) for row in rows))
    cells = {(row["weight"], row["activation"]): decibels(_number(row, "sqnr_db")) for row in rows}
    body = [(name, *(cells[name, each] for each in activations)) for name in weights]
    header = ("w \\ x", *activations)
    widths = [max(map(len, line)) for line in zip(header, *body, strict=True)]
    first = rows[0]
    title = (
        f"SQNR in dB: w {first['weight_density']} down, x {first['activation_density']} across, "
        f"length {first['length']}"
    )
    notes = _notes(rows)
    if sum(widths) + 2 * len(activations) <= _WIDEST:
        table = View(title, header, body, notes=notes)
    else:
        table = _long_view(title, rows, notes)
    return [table, *(_ranges_view(rows, which) for which in ("weight", "activation"))]


def _long_view(title: str, rows: Sequence[Row], notes: Sequence[str]) -> View:
    keys = ("sqnr_db", "below_best_db")
    body = [
        (str(row["weight"]), str(row["activation"]), *(decibels(_number(row, key)) for key in keys))
        for row in rows
    ]
    best = {i for i, row in enumerate(rows) if row["below_best_db"] == 0}
    return View(title, ("w", "x", "SQNR dB", "dB below"), body, (0, 1), notes, best)


def _ranges_view(rows: Sequence[Row], which: str) -> View:
    """Show each format of one side alone: its range and its own error."""
    distinct = {str(row[which]): row for row in rows}
    body = [
        (
            name,
            short(_number(row, f"{which}_max_value")),
            short(cast("float | None", row[f"{which}_bias"])),
            short(_number(row, f"{which}_mse")),
            decibels(_number(row, f"{which}_sqnr_db")),
        )
        for name, row in distinct.items()
    ]
    title = f"{which} formats on {rows[0][f'{which}_density']}"
    return View(title, (which, "max value", "bias", "MSE", "SQNR dB"), body)


def _notes(rows: Sequence[Row]) -> list[str]:
    best = [row for row in rows if row["below_best_db"] == 0]
    notes = [f"best: w {row['weight']}, x {row['activation']}" for row in best[:3]]
    remarks = dict.fromkeys(str(row["note"]) for row in rows if row["note"])
    return [*notes, *(f"note: {remark}" for remark in remarks)]


def _number(row: Row, key: str) -> float:
    return cast("float", row[key])
