"""Scalar products as documents: one pair of formats in its terms, or a matrix of pairs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qerror.analysis import ScalarProductReport
from qerror.densities import density_name
from qerror.reporting._document import Document, View
from qerror.tables import decibels, short

if TYPE_CHECKING:
    from qerror.products import Factor, Product, Products

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


def dot_document(products: "Products") -> Document:
    """Return products as a document, a row a pair of formats.

    A single pair shows every term; several show the matrix of their SQNR.
    """
    first = products.rows[0]
    params = {
        "weight_density": density_name(first.weight.density),
        "activation_density": density_name(first.activation.density),
        "weights": _names(products.weights),
        "activations": _names(products.activations),
        "length": products.length,
    }
    views = [_terms_view(first)] if len(products) == 1 else _matrix_views(products)
    return Document("dot", params, products.to_records(), views)


def _names(factors: "Sequence[Factor]") -> list[str]:
    return list(dict.fromkeys(factor.format.name for factor in factors))


def _terms_view(product: "Product") -> View:
    """Show one pair: every term with its share of the mean squared error."""
    report, length = product.report, product.report.length
    times = "n " if length != 1 else ""
    body = [
        (times + text, *_term(report, length * getattr(report, key)))
        for key, text in _TERMS.items()
    ]
    if length != 1:
        body.append(("n (n - 1) E[e of one]^2", *_term(report, report.coherent)))
    lines = {
        "MSE, their sum": report.mse,
        "SQNR in dB": report.sqnr_db,
        "mean error E[e_y]": report.mean_error,
        "signal power E[y^2]": report.signal_power,
    }
    body += [(text, short(value, 10), "") for text, value in lines.items()]
    sides = f"w: {_place(product.weight)}\nx: {_place(product.activation)}"
    sum_of = f"y = sum of n = {length:.0f} products w x" if length != 1 else "y = w x"
    notes = [f"note: {product.note}"] if product.note else []
    return View(f"{sum_of}\n{sides}", ("e = Q(w) Q(x) - w x", "value", "share"), body, notes=notes)


def _term(report: ScalarProductReport[float], value: float) -> tuple[str, str]:
    """Return a part of the mean squared error and its share."""
    share = f"{100 * value / report.mse:z.2f}%" if 0 < report.mse < math.inf else ""
    return short(value, 10), share


def _place(factor: "Factor") -> str:
    return (
        f"{factor.format.name} on {density_name(factor.density)}, "
        f"{_range_of(factor)}, SQNR {decibels(factor.report.sqnr_db)} dB"
    )


def _range_of(factor: "Factor") -> str:
    if factor.channels:
        tops = [each.max_value for each in factor.channels]
        return (
            f"{len(tops):,} channels at max values {short(min(tops), 6)} to {short(max(tops), 6)}"
        )
    bias = "" if factor.bias is None else f", bias {short(factor.bias, 8)}"
    return f"max value {short(factor.max_value, 8)}{bias}"


def _matrix_views(products: "Products") -> list[View]:
    """Show the SQNR of all pairs, and the range of every format."""
    across = [factor.format.name for factor in products.activations]
    count = len(across)
    cells = [decibels(row.report.sqnr_db) for row in products]
    body = [
        (factor.format.name, *cells[i * count : (i + 1) * count])
        for i, factor in enumerate(products.weights)
    ]
    header = ("w \\ x", *across)
    widths = [max(map(len, line)) for line in zip(header, *body, strict=True)]
    first = products.rows[0]
    title = (
        f"SQNR in dB: w {density_name(first.weight.density)} down, "
        f"x {density_name(first.activation.density)} across, length {products.length}"
    )
    notes = _notes(products)
    if sum(widths) + 2 * count <= _WIDEST:
        table = View(title, header, body, notes=notes)
    else:
        table = _long_view(title, products, notes)
    sides = {"weight": products.weights, "activation": products.activations}
    return [table, *(_ranges_view(which, factors) for which, factors in sides.items())]


def _long_view(title: str, products: "Products", notes: Sequence[str]) -> View:
    body = [
        (
            row.weight.format.name,
            row.activation.format.name,
            decibels(row.report.sqnr_db),
            decibels(row.below_best_db),
        )
        for row in products
    ]
    best = {i for i, row in enumerate(products) if row.below_best_db == 0}
    return View(title, ("w", "x", "SQNR dB", "dB below"), body, (0, 1), notes, best)


def _ranges_view(which: str, factors: "Sequence[Factor]") -> View:
    """Show each format of one side alone: its range and its own error."""
    body = [
        (
            factor.format.name,
            _top_of(factor),
            "" if factor.channels else short(factor.bias),
            short(factor.report.mse),
            decibels(factor.report.sqnr_db),
        )
        for factor in factors
    ]
    title = f"{which} formats on {density_name(factors[0].density)}"
    return View(title, (which, "max value", "bias", "MSE", "SQNR dB"), body, spare=(2, 3))


def _top_of(factor: "Factor") -> str:
    if not factor.channels:
        return short(factor.max_value)
    tops = [each.max_value for each in factor.channels]
    return f"{short(min(tops))} to {short(max(tops))}"


def _notes(products: "Products") -> list[str]:
    best = [row for row in products if row.below_best_db == 0]
    notes = [
        f"best: w {row.weight.format.name}, x {row.activation.format.name}" for row in best[:3]
    ]
    remarks = dict.fromkeys(row.note for row in products if row.note)
    return [*notes, *(f"note: {remark}" for remark in remarks)]
