"""Scalar products as documents: one pair of formats in its terms, or a matrix of pairs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qerror.accumulators.accumulator import FloatAccumulator
from qerror.analysis import ScalarProductReport
from qerror.densities import density_name
from qerror.reporting._document import Document, View
from qerror.tables import decibels, short

if TYPE_CHECKING:
    from qerror.accumulators import AccumulationReport
    from qerror.products import Factor, Product, Products

_WIDEST = 80  # columns that the matrix may take
_SELDOM = 1e-9  # of overflow

_TERMS: Mapping[str, str] = {
    "weight_error": "E[e_w^2] E[x^2]",
    "activation_error": "E[e_x^2] E[w^2]",
    "both_errors": "E[e_w^2] E[e_x^2]",
    "cross_moments": "2 E[w e_w] E[x e_x]",
    "weight_error_cross": "2 E[e_w^2] E[x e_x]",
    "activation_error_cross": "2 E[e_x^2] E[w e_w]",
}
"""The terms of one product's error, as Kuzmin et al. 2022 expand it (eq. 19 to 27)."""


def dot_document(
    products: "Products", accumulations: "Sequence[AccumulationReport]" = ()
) -> Document:
    """Return products as a document, a row a pair of formats.

    A single pair shows every term; several show the matrix of their SQNR. With accumulations,
    one for each product, also what summing in their register adds.
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
    records = products.to_records()
    if accumulations:
        params |= {
            "accumulator": accumulations[0].accumulator.name,
            "order": accumulations[0].order.name,
        }
        records = [
            {**row, **_accumulated(found)}
            for row, found in zip(records, accumulations, strict=True)
        ]
        one = len(products) == 1
        views.insert(
            1, _register_view(accumulations[0]) if one else _registers_view(products, accumulations)
        )
    return Document("dot", params, records, views)


def _accumulated(found: "AccumulationReport") -> dict[str, object]:
    """Return an accumulation's figures, named so that they stand beside a product's."""
    return {
        "accumulator": found.accumulator.name,
        "order": found.order.name,
        "accumulation_step_mse": found.step_mse,
        "accumulation_mse": found.mse,
        "accumulation_mean_error": found.mean_error,
        "accumulation_relative_error": found.relative_error,
        "accumulation_sqnr_db": found.sqnr_db,
        "accumulation_overflow": found.overflow,
        "total_mse": found.total_mse,
        "total_sqnr_db": found.total_sqnr_db,
        "accumulation_loss_db": found.loss_db,
    }


def _register_view(found: "AccumulationReport") -> View:
    """Show what one register adds to one pair."""
    lines = {
        "E[e^2] of the last addition": found.step_mse,
        "MSE of the sum": found.mse,
        "mean error of the sum": found.mean_error,
        "relative error, root mean square": found.relative_error,
        "SQNR in dB of the summing alone": found.sqnr_db,
        "P(a sum overflows)": found.overflow,
        "MSE with the factors' errors": found.total_mse,
        "SQNR in dB with them": found.total_sqnr_db,
        "dB below an exact sum": found.loss_db,
    }
    body = [(text, short(value, 6)) for text, value in lines.items()]
    title = f"summed in {found.accumulator}, {found.order}"
    return View(
        title, ("against the exact sum of Q(w) Q(x)", "value"), body, notes=_overflow_notes([found])
    )


def _overflow_notes(found: "Sequence[AccumulationReport]") -> list[str]:
    """Say what errors leave out where sums overflow."""
    worst = max(each.overflow for each in found)
    floating = isinstance(found[0].accumulator, FloatAccumulator)
    if not floating or worst < _SELDOM:
        return []
    return [
        f"note: up to {short(worst)} of the sums leave {found[0].accumulator}'s range; the errors "
        "are those of a register that holds them"
    ]


def _registers_view(products: "Products", accumulations: "Sequence[AccumulationReport]") -> View:
    """Show what one register does to every pair."""
    body = [
        (
            row.weight.format.name,
            row.activation.format.name,
            decibels(found.sqnr_db),
            short(found.overflow),
            decibels(found.total_sqnr_db),
            decibels(found.loss_db),
        )
        for row, found in zip(products, accumulations, strict=True)
    ]
    header = ("w", "x", "sum SQNR dB", "overflow", "total SQNR dB", "dB lost")
    first = accumulations[0]
    return View(
        f"summed in {first.accumulator}, {first.order}",
        header,
        body,
        (0, 1),
        _overflow_notes(accumulations),
    )


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
        # Products in one block share a scale, so that pairs differ.
        pairs = "sum of E[e_i e_j], i != j" if product.has_blocks else "n (n - 1) E[e of one]^2"
        body.append((pairs, *_term(report, report.coherent)))
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
    if factor.is_blocked:
        return (
            "a scale for each block"
            if not factor.channels
            else (f"{len(factor.channels):,} channels, a scale for each block")
        )
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
            "" if factor.channels or factor.is_blocked else short(factor.bias),
            short(factor.report.mse),
            decibels(factor.report.sqnr_db),
        )
        for factor in factors
    ]
    title = f"{which} formats on {density_name(factors[0].density)}"
    return View(title, (which, "max value", "bias", "MSE", "SQNR dB"), body, spare=(2, 3))


def _top_of(factor: "Factor") -> str:
    if factor.is_blocked:
        return "by block"
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
