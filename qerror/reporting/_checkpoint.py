"""The analysis of a checkpoint as a document."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qerror.reporting._document import Document, View
from qerror.tables import decibels, short

if TYPE_CHECKING:
    from qerror.checkpoints import (
        BudgetPlan,
        CheckpointReport,
        ComparisonReport,
        FormatFigures,
        TensorComparison,
        TensorReport,
    )


def analysis_document(
    report: "CheckpointReport",
    plan: "BudgetPlan | None" = None,
    *,
    details: bool = False,
    **params: object,
) -> Document:
    """Return a row a tensor and format, and tables of tensors, of figures and of totals.

    Parameters
    ----------
    report : CheckpointReport
        What was found.
    plan : BudgetPlan, optional
        Which format each tensor gets.
    details : bool
        Whether the tables have every figure of every format.
    **params
        What else was asked for.
    """
    asked: dict[str, object] = {
        "file": str(report.path),
        "formats": list(report.formats),
        **params,
        "totals": [
            {
                "format": each.format,
                "bits_per_value": each.bits_per_value,
                "tensors": each.tensors,
                "size": each.size,
                "absmax_sqnr_db": each.absmax_sqnr_db,
                "best_sqnr_db": each.best_sqnr_db,
            }
            for each in report.totals
        ],
        "skipped": [f"{each.tensor}: {each.dtype}" for each in report.skipped],
        "faults": [str(each) for each in report.faults],
    }
    middle = _details(report) if details else [_matrix(report)]
    views = [_tensors(report), *middle, _totals(report)]
    rows = report.to_records()
    if plan is not None:
        assigned = {each.tensor: each.format for each in plan.assignments}
        rows = [{**row, "assigned": assigned[str(row["tensor"])] == row["format"]} for row in rows]
        asked["plan"] = {k: v for k, v in plan.to_dict().items() if k != "tensors"}
        views.append(_plan(plan))
    return Document("analyze", asked, rows, views)


def _plan(plan: "BudgetPlan") -> View:
    header = ("tensor", "format", "bits", "max value", "SQNR dB")
    body = [
        (
            each.tensor,
            each.format,
            short(each.bits_per_value),
            "" if each.best_max_value is None else short(each.best_max_value),
            "as it is" if each.is_kept else decibels(each.sqnr_db),
        )
        for each in plan.assignments
    ]
    gap = f"{100 * plan.gap:.2g}% above" if plan.gap > 1e-12 else "on"
    proof = "no assignment is better" if plan.is_proven else "the search ended early"
    notes = [
        f"summed error {short(plan.error, 6)}, {gap} the bound {short(plan.bound, 6)} of tensors "
        f"that may be split: {proof}"
    ]
    used, given = short(plan.bits_per_value, 6), short(plan.budget, 6)
    return View(f"{used} bits a value, of {given}", header, body, words=(0, 1), notes=notes)


def comparison_document(report: "ComparisonReport", **params: object) -> Document:
    """Return a row a tensor: what was measured against the original, and what its format allows.

    Parameters
    ----------
    report : ComparisonReport
        What was found.
    **params
        What else was asked for.
    """
    asked: dict[str, object] = {
        "file": str(report.path),
        "against": str(report.against),
        **params,
        "missing": list(report.missing),
        "faults": [str(each) for each in report.faults],
    }
    header = ("tensor", "type", "format", "measured dB", "allowed dB", "95% band", "verdict")
    body = [
        (
            each.tensor,
            each.quantized_dtype,
            each.format + ("" if each.is_detected or not each.format else "?"),
            _decibels(each.measured_sqnr_db),
            _decibels(each.allowed_sqnr_db),
            ""
            if math.isnan(each.band_low)
            else f"{decibels(each.band_low)} to {decibels(each.band_high)}",
            _verdict(each),
        )
        for each in report.tensors
    ]
    notes = ["allowed: the original's values in that format at its best range"]
    if any(each.format and not each.is_detected for each in report.tensors):
        notes.append("? the nearest of --formats: neither the type nor the values say which")
    if report.missing:
        notes.append(f"note: not in the quantized file: {', '.join(report.missing)}")
    notes += [f"note: {each.tensor}: {each.note}" for each in report.tensors if each.note]
    notes += [f"note: damaged: {each}" for each in report.faults]
    title = f"{report.against} against {report.path}"
    view = View(title, header, body, words=(0, 1, 2, 5, 6), notes=notes)
    return Document("compare", asked, report.to_records(), [view])


def _verdict(each: "TensorComparison") -> str:
    if each.is_as_good is None:
        return "-"
    if math.isinf(each.measured_sqnr_db):
        return "the same values"
    return "as good" if each.is_as_good else f"{decibels(each.loss_db)} dB worse"


def _tensors(report: "CheckpointReport") -> View:
    header = ["tensor", "type", "shape", "density", "kurtosis", "max/RMS", "best", "note"]
    body = [
        [
            each.tensor,
            each.dtype,
            "x".join(map(str, each.shape)) or "1",
            _density(each),
            _number(each.kurtosis),
            _number(each.largest_over_rms),
            each.best.format if each.best is not None else "-",
            each.note,
        ]
        for each in report.tensors
    ]
    if not any(each.note for each in report.tensors):
        header, body = header[:-1], [row[:-1] for row in body]
    row = {None: "tensor", "channel": "channel"}.get(report.by, "group")
    values = f"{report.size:,} values in {len(report):,} {row}{'' if len(report) == 1 else 's'}"
    left_out = len(report.skipped)
    holds = "1 tensor holds" if left_out == 1 else f"{left_out:,} tensors hold"
    notes = [f"{holds} no floating-point numbers: left out"]
    return View(
        f"{report.path}: {values}",
        header,
        body,
        words=(0, 1, 2, 3, 6, 7),
        notes=notes if report.skipped else (),
    )


def _density(each: "TensorReport") -> str:
    """Return the family alone, with the shape where there is one."""
    name = each.density.partition("(")[0]
    shape = next((each.parameters[key] for key in ("nu", "beta") if key in each.parameters), None)
    return name if shape is None else f"{name}({short(shape, 3)})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else short(value, 3)


def _matrix(report: "CheckpointReport") -> View:
    header = ("tensor", *report.formats)
    body = [[each.tensor, *(_cell(form) for form in each.formats)] for each in report.tensors]
    figures = [form for each in report.tensors for form in each.formats]
    wrong = sum(form.holds is False for form in figures)
    notes = ["SQNR in dB, measured at the best range of the values"]
    if wrong:
        known = sum(form.holds is not None for form in figures)
        notes.append(
            f"* the fitted density predicts another SQNR, by more than 0.5 dB, in {wrong:,} of "
            f"{known:,} cases: --details says why"
        )
    return View("", header, body, notes=[*notes, *_bounds(figures)])


def _bounds(figures: "Sequence[FormatFigures]") -> list[str]:
    most = max((form.bound_db for form in figures), default=0.0)
    if not most:
        return []
    return [
        f"32-bit tensors are summarised: their SQNR may be up to {short(most, 2)} dB higher; "
        "--exact keeps every value"
    ]


def _cell(form: "FormatFigures") -> str:
    if math.isnan(form.best_sqnr_db):
        return "-"
    return f"{decibels(form.best_sqnr_db)}{'*' if form.holds is False else ''}"


def _details(report: "CheckpointReport") -> list[View]:
    header = ("tensor", "absmax dB", "best max", "best dB", "predicted dB", "note")
    views: list[View] = []
    for i, name in enumerate(report.formats):
        body = [[each.tensor, *_figures(each.formats[i])] for each in report.tensors]
        bits = report.tensors[0].formats[i].bits_per_value if report.tensors else math.nan
        notes = _bounds([each.formats[i] for each in report.tensors])
        views.append(View(f"{name}, {short(bits)} bits a value", header, body, (0, 5), notes))
    return views


def _figures(form: "FormatFigures") -> list[str]:
    best = "" if form.best_max_value is None else _number(form.best_max_value)
    measured = [_decibels(form.absmax_sqnr_db), best, _decibels(form.best_sqnr_db)]
    return [*measured, _decibels(form.predicted_sqnr_db), form.note]


def _decibels(value: float) -> str:
    return "-" if math.isnan(value) else decibels(value)


def _totals(report: "CheckpointReport") -> View:
    body = [
        (
            each.format,
            short(each.bits_per_value),
            f"{each.tensors:,}",
            _decibels(each.absmax_sqnr_db),
            _decibels(each.best_sqnr_db),
            _decibels(each.best_sqnr_db - each.absmax_sqnr_db),
        )
        for each in report.totals
    ]
    known = [i for i, each in enumerate(report.totals) if not math.isnan(each.best_sqnr_db)]
    best = max(known, key=lambda i: report.totals[i].best_sqnr_db, default=None)
    header = ("format", "bits", "tensors", "absmax dB", "best dB", "gain dB")
    notes = ["all tensors together, weighted by their sizes"]
    notes += [f"note: damaged: {each}" for each in report.faults]
    return View("", header, body, notes=notes, marked=() if best is None else (best,))
