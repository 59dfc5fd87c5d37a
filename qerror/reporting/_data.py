"""Errors measured on arrays as documents, with what a fitted density predicts beside them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.analysis import ErrorReport
from qerror.densities import density_name
from qerror.densities.names import parameter_values
from qerror.formats import BlockFormat, Format, ScalarFormat
from qerror.reporting._channels import titled
from qerror.reporting._document import Document, Row, View
from qerror.reporting._results import ERROR_LINES, range_line
from qerror.tables import short

if TYPE_CHECKING:
    from qerror.analysis.bands import Band
    from qerror.fitting import FitResult
    from qerror.simulation import Measured
    from qerror.storage import StoredArray

_NEAREST = "nearest-even"
_MOST_ATOMS = 4  # that a note lists


@dataclass(frozen=True)
class MeasuredArray:
    """One array of a file: what was measured on it, and what was predicted for its fit."""

    array: "StoredArray"
    scale: npt.ArrayLike
    """Where the format stands: one scale, or one a channel in the shape of the array."""
    measured: "Measured"
    fitted: "FitResult | None"
    """None where no density was fitted."""
    predicted: ErrorReport[float] | None
    """The exact errors on the fitted density; None without one."""
    reason: str = ""
    """Why there is no prediction though a density was fitted."""
    band: "Band | None" = None
    """Where the SQNR of as many values of the fitted density should lie; None if not asked for."""

    @property
    def scales(self) -> FloatArray:
        """The scales, flat."""
        return np.asarray(self.scale, dtype=np.float64).reshape(-1)


def data_document(
    name: str,
    source: Path,
    form: Format,
    arrays: Sequence[MeasuredArray],
    axis: int | None = None,
    **params: object,
) -> Document:
    """Return the errors of a format on a file's arrays as a document, a row an array.

    Parameters
    ----------
    name : str
        Of the schema.
    source : Path
        The file.
    form : Format
        The format.
    arrays : sequence of MeasuredArray
        What was found.
    axis : int, optional
        Along which channels, or blocks, lie.
    **params
        What else was asked for.
    """
    rows = [_row(source, form, each, axis) for each in arrays]
    rounding = str(params.get("rounding", _NEAREST))
    views = [_view(form, each, axis, rounding) for each in arrays]
    asked: Row = {"file": str(source), "format": form.name, "axis": axis, **params}
    return Document(name, asked, rows, views)


def _row(source: Path, form: Format, each: MeasuredArray, axis: int | None) -> Row:
    array, found = each.array, each.measured
    return {
        "file": str(source),
        "array": array.name or None,
        "shape": list(array.shape),
        "dtype": array.narrow or array.dtype.name,
        "format": form.name,
        "bits_per_value": form.bits_per_value,
        "axis": axis,
        **_range_of(form, each),
        "size": found.size,
        "nan": found.nan,
        "infinite": found.infinite,
        "spoiled": found.spoiled,
        "clipped_low": found.clipped[0],
        "clipped_high": found.clipped[1],
        **found.figures.to_dict(),
        **_prediction(each),
        **_band(each),
    }


def _range_of(form: Format, each: MeasuredArray) -> Row:
    """Return where the format stands: numbers for one scale, lists for one a channel."""
    if isinstance(form, BlockFormat):
        return {"scale": None, "max_value": None, "bias": None}
    scalar, scales = cast("ScalarFormat", form), each.scales.tolist()
    tops = [scalar.max_value * scale for scale in scales]
    biases = [scalar.bias_at(scale) for scale in scales]
    if len(scales) == 1:
        return {"scale": scales[0], "max_value": tops[0], "bias": biases[0]}
    shown = None if biases[0] is None else biases
    return {"scale": scales, "max_value": tops, "bias": shown}


def _band(each: MeasuredArray) -> Row:
    if each.band is None:
        return {}
    inside = each.band.holds(each.measured.figures.sqnr_db)
    return {"band_low": each.band.low, "band_high": each.band.high, "inside": inside}


def _band_notes(each: MeasuredArray) -> list[str]:
    if each.band is None:
        return []
    low, high = short(each.band.low, 6), short(each.band.high, 6)
    lies = "inside" if each.band.holds(each.measured.figures.sqnr_db) else "outside"
    return [
        f"95% of samples of {each.measured.size:,} independent values have an SQNR of {low} to "
        f"{high} dB: the measured one lies {lies}"
    ]


def _prediction(each: MeasuredArray) -> Row:
    fitted = each.fitted
    if fitted is None or each.predicted is None:
        return {"fitted": None, "log_likelihoods": None}
    likelihoods = [f"{one.family}={one.log_likelihood!r}" for one in fitted.candidates]
    channels, lattice, own = fitted.channels, fitted.lattice, fitted.channel_lattices
    return {
        "fitted": density_name(fitted.predictive),
        "log_likelihoods": likelihoods,
        "lattice": None if lattice is None else lattice.description,
        "channel_lattices": None if own is None else own.description,
        "channel_axis": None if channels is None else channels.axis,
        "channel_spread_ratio": None if channels is None else channels.ratio,
        **{f"predicted_{key}": value for key, value in each.predicted.to_dict().items()},
    }


def _view(form: Format, each: MeasuredArray, axis: int | None, rounding: str) -> View:
    how = "" if rounding == _NEAREST else f", rounding {rounding}"
    title = f"{form.name} on {titled(each.array)}{how}\n{_place(form, each, axis)}"
    columns = {"measured": each.measured.figures.to_dict()}
    if each.predicted is not None:
        columns["predicted"] = each.predicted.to_dict()
    body = [
        (label, *(short(figures[key], 6) for figures in columns.values()))
        for key, label in ERROR_LINES.items()
        if key in columns["measured"]
    ]
    notes = [*_counts(each.measured), *_fit_notes(each.fitted, each.scales.size > 1)]
    notes += [f"note: no prediction: {each.reason}"] if each.reason else []
    notes += _band_notes(each)
    return View(title, ("e = Q(x) - x", *columns), body, notes=notes)


def _place(form: Format, each: MeasuredArray, axis: int | None) -> str:
    if isinstance(form, BlockFormat):
        along = "the last axis" if axis is None else f"axis {axis}"
        return (
            f"blocks of {form.block_size} along {along}, {short(form.bits_per_value)} bits a value"
        )
    scalar, scales = cast("ScalarFormat", form), each.scales
    if scales.size == 1:
        return range_line(scalar, float(scales[0]))
    low, high = float(scales.min()), float(scales.max())
    top = scalar.max_value
    return (
        f"{scales.size:,} channels along axis {axis}: scales {short(low)} to {short(high)}, "
        f"max values {short(top * low)} to {short(top * high)}"
    )


def _counts(found: "Measured") -> list[str]:
    notes = [f"{sum(found.clipped):,} of {found.size:,} values clipped"]
    if found.nan or found.infinite:
        notes.append(
            f"note: {found.nan:,} NaN and {found.infinite:,} infinite values have no part in this"
        )
    notes += _size_notes(found)
    if found.spoiled:
        notes.append(f"note: {found.spoiled:,} more share a block with them and become NaN")
    return notes


def _size_notes(found: "Measured") -> list[str]:
    """Say where the figures are none: nothing was measured, or squares are no numbers."""
    figures = found.figures
    if not found.size:
        return ["note: no finite value: there is nothing to measure"]
    power, others = figures.signal_power, (figures.signal_mean, figures.mean_error)
    if math.isinf(power) or (power == 0 and any(others)):
        return [
            "note: squares of these values leave float64 (1e-308 to 1e308), so that figures "
            "made of squares are 0 or infinite: choose other units"
        ]
    return [] if power else ["note: all values are 0, which every range holds"]


def _fit_notes(fitted: "FitResult | None", by_channel: bool) -> list[str]:
    """Name the fitted density, what repeats, and the likelihood of each candidate."""
    if fitted is None:
        return []
    notes = [f"predicted for {_described(fitted)}", *_structure(fitted, by_channel)]
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


def _structure(fitted: "FitResult", by_channel: bool) -> list[str]:
    """Say what there is besides a density of one family."""
    notes: list[str] = []
    lattice, channels = fitted.lattice, fitted.channels
    if fitted.channel_lattices is not None:
        notes.append(
            f"note: on grids already: {fitted.channel_lattices.description}: predicted for the "
            "values themselves"
        )
    if lattice is not None:
        masses = ": predicted for the values themselves" if lattice.is_coarse else ""
        notes.append(f"note: on a grid already: {lattice.description}{masses}")
    if channels is not None:
        gain = channels.log_likelihood - fitted.candidates[0].log_likelihood
        axis = channels.axis
        advice = "" if by_channel else f", so that a range for each may lose less (--axis {axis})"
        notes.append(
            f"note: channels of different spread: {channels.spread.size:,} along axis {axis} "
            f"differ up to {short(channels.ratio)} times{advice}; "
            f"log-likelihood {gain:+.2f} for "
            f"{channels.parameters - fitted.candidates[0].parameters:,} more parameters"
        )
    if fitted.predictive is not fitted.density:
        low, high = map(short, fitted.limits)
        notes.append(f"note: it has no variance: predicted for it cut to the data, {low} to {high}")
    return notes


def _described(fitted: "FitResult") -> str:
    if not fitted.candidates:
        return "point masses alone"
    best = fitted.candidates[0]
    family, density, what = best.family, best.density, ""
    if fitted.channels is not None:
        family, density = fitted.channels.family, fitted.channels.shape
        what = " at the channels' own spreads"
    values = parameter_values(density).items()
    listed = ", ".join(f"{name}={short(value, 5)}" for name, value in values)
    return f"{family}({listed}){what}"
