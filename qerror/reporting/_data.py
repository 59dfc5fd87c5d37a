"""Errors measured on arrays as documents, with what a fitted density predicts beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qerror.analysis import ErrorReport
from qerror.densities import density_name
from qerror.densities.names import parameter_values
from qerror.formats import ScalarFormat
from qerror.reporting._document import Document, Row, View
from qerror.reporting._results import ERROR_LINES, range_line
from qerror.tables import short

if TYPE_CHECKING:
    from qerror.fitting import FitResult
    from qerror.simulation import Measured
    from qerror.storage import StoredArray

_MOST_ATOMS = 4  # that a note lists


@dataclass(frozen=True)
class MeasuredArray:
    """One array of a file: what was measured on it, and what was predicted for its fit."""

    array: "StoredArray"
    measured: "Measured"
    fitted: "FitResult | None"
    """None where no density was fitted."""
    predicted: ErrorReport[float] | None
    """The exact errors on the fitted density; None without one."""


def data_document(
    name: str,
    source: Path,
    form: ScalarFormat,
    scale: float,
    arrays: Sequence[MeasuredArray],
    **params: object,
) -> Document:
    """Return the errors of a format on a file's arrays as a document, a row an array.

    Parameters
    ----------
    name : str
        Of the schema.
    source : Path
        The file.
    form, scale
        The format and where it stands.
    arrays : sequence of MeasuredArray
        What was found.
    **params
        What else was asked for.
    """
    rows = [_row(source, form, scale, each) for each in arrays]
    views = [_view(source, form, scale, each) for each in arrays]
    asked = {"file": str(source), "format": form.name, "scale": scale, **params}
    return Document(name, asked, rows, views)


def _row(source: Path, form: ScalarFormat, scale: float, each: MeasuredArray) -> Row:
    array, found = each.array, each.measured
    return {
        "file": str(source),
        "array": array.name or None,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "format": form.name,
        "scale": scale,
        "max_value": form.max_value * scale,
        "bias": form.bias_at(scale),
        "size": found.size,
        "nan": found.nan,
        "infinite": found.infinite,
        "clipped_low": found.clipped[0],
        "clipped_high": found.clipped[1],
        **found.figures.to_dict(),
        **_prediction(each),
    }


def _prediction(each: MeasuredArray) -> Row:
    if each.fitted is None or each.predicted is None:
        return {"fitted": None, "log_likelihoods": None}
    likelihoods = [f"{one.family}={one.log_likelihood!r}" for one in each.fitted.candidates]
    return {
        "fitted": density_name(each.fitted.predictive),
        "log_likelihoods": likelihoods,
        **{f"predicted_{key}": value for key, value in each.predicted.to_dict().items()},
    }


def _view(source: Path, form: ScalarFormat, scale: float, each: MeasuredArray) -> View:
    array = each.array
    shape = " x ".join(map(str, array.shape)) or "one value"
    name = f" {array.name!r}" if array.name else ""
    title = (
        f"{form.name} on {source}{name} ({array.dtype.name}, {shape})\n{range_line(form, scale)}"
    )
    columns = {"measured": each.measured.figures.to_dict()}
    if each.predicted is not None:
        columns["predicted"] = each.predicted.to_dict()
    body = [
        (label, *(short(figures[key], 6) for figures in columns.values()))
        for key, label in ERROR_LINES.items()
        if key in columns["measured"]
    ]
    notes = [*_counts(each.measured), *_fit_notes(each.fitted)]
    return View(title, ("e = Q(x) - x", *columns), body, notes=notes)


def _counts(found: "Measured") -> list[str]:
    notes = [f"{sum(found.clipped):,} of {found.size:,} values clipped"]
    if found.nan or found.infinite:
        notes.append(
            f"note: {found.nan:,} NaN and {found.infinite:,} infinite values have no part in this"
        )
    return notes


def _fit_notes(fitted: "FitResult | None") -> list[str]:
    """Name the fitted density, what repeats, and the likelihood of each candidate."""
    if fitted is None:
        return []
    notes = [f"predicted for {_described(fitted)}"]
    if fitted.predictive is not fitted.density:
        low, high = map(short, fitted.limits)
        notes.append(f"note: it has no variance: predicted for it cut to the data, {low} to {high}")
    notes += [
        f"note: {each.family}: {', '.join(each.bounds)} is where the search ends"
        for each in fitted.candidates
        if each.bounds
    ]
    if fitted.atoms:
        shown = fitted.atoms[:_MOST_ATOMS]
        listed = ", ".join(f"{short(value)} ({share:.1%})" for value, share in shown)
        hidden = len(fitted.atoms) - len(shown)
        notes.append(f"point masses: {listed}{f' and {hidden} more' if hidden else ''}")
    notes += [
        f"log-likelihood of {each.family}: {each.log_likelihood:.2f}" for each in fitted.candidates
    ]
    return notes + [f"note: no {name}: {reason}" for name, reason in fitted.excluded.items()]


def _described(fitted: "FitResult") -> str:
    if not fitted.candidates:
        return "point masses alone"
    best = fitted.candidates[0]
    values = parameter_values(best.density).items()
    return f"{best.family}({', '.join(f'{name}={short(value, 5)}' for name, value in values)})"
