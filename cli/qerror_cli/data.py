"""Errors measured on files: options and the report that `quantize` and `error --data` share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.output import say

if TYPE_CHECKING:
    from qerror.analysis import ErrorReport
    from qerror.fitting import FitResult
    from qerror.formats import ScalarFormat
    from qerror.reporting import Document, View
    from qerror.simulation import Measured
    from qerror.storage import StoredArray

FAMILIES = "gaussian,student-t,laplace"


def range_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --scale, --max-value and --bias."""
    add = (
        click.option("--scale", type=float, help="Multiply every level of the format by this."),
        click.option(
            "--max-value", type=float, help="Scale the format so that this is its largest level."
        ),
        click.option(
            "--bias", type=float, help="Exponent bias of a floating-point format, any real."
        ),
    )
    for option in reversed(add):
        command = option(command)
    return command


def families_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --fit."""
    return click.option(
        "--fit",
        metavar="NAMES",
        help="Families of which the most likely density is fitted to the values, or none.  "
        f"[default: {FAMILIES}]",
    )(command)


def scale_of(
    number_format: "ScalarFormat", scale: float | None, max_value: float | None, bias: float | None
) -> float:
    """Return the scale that the options ask for; without any it is 1."""
    given = {"--scale": scale, "--max-value": max_value, "--bias": bias}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(
            f"{' and '.join(named)} each set the range; give one of --scale, --max-value, --bias"
        )
    if max_value is not None:
        return number_format.scale_for(max_value)
    if bias is not None:
        return _scale_of_bias(number_format, bias)
    return 1.0 if scale is None else scale


def _scale_of_bias(number_format: "ScalarFormat", bias: float) -> float:
    from qerror.formats import FloatingPoint

    if not isinstance(number_format, FloatingPoint):
        raise click.UsageError(
            f"{number_format.name} has no exponent bias, got --bias {bias:g}; "
            "use --scale or --max-value"
        )
    return number_format.scale_for(number_format.with_bias(bias).max_value)


@dataclass(frozen=True)
class DataErrors:
    """A format at a scale, and the file whose arrays it is tried on."""

    source: Path
    format: "ScalarFormat"
    scale: float

    def note_scale(self, *given: float | None) -> None:
        """Say that the scale is 1 if nothing was said about it."""
        if all(value is None for value in given):
            say("note: no --scale, --max-value or --bias given: scale 1")

    def measure(self, progress: Callable[[int, int], None]) -> "dict[str, Measured]":
        """Measure every array of the file that holds floats."""
        from qerror.simulation import measure_error, require_floats
        from qerror.storage import open_arrays

        return {
            array.name: measure_error(array, self.format, self.scale, progress=progress)
            for array in require_floats(open_arrays(self.source))
        }

    def fit(
        self, families: str | None, progress: Callable[[int, int], None]
    ) -> "list[tuple[StoredArray, FitResult | None]]":
        """Fit a density to every array of the file that holds floats."""
        from qerror.simulation import require_floats
        from qerror.storage import open_arrays

        arrays = require_floats(open_arrays(self.source))
        names = FAMILIES if families is None else families
        fitted: list[tuple[StoredArray, FitResult | None]] = []
        for array in arrays:
            fitted.append((array, None if names == "none" else _fit(array, names)))
            progress(len(fitted), len(arrays))
        return fitted

    def document(
        self,
        name: str,
        measured: "Mapping[str, Measured]",
        fitted: "Sequence[tuple[StoredArray, FitResult | None]]",
        **more: object,
    ) -> "Document":
        """Return what was measured, with the exact prediction for a fitted density beside it."""
        from qerror.reporting import Document

        rows = [
            self._place(array) | self._measured(measured[array.name]) | self._predicted(found)
            for array, found in fitted
        ]
        views = [_view(row, found) for row, (_, found) in zip(rows, fitted, strict=True)]
        params = {"file": str(self.source), "format": self.format.name, "scale": self.scale}
        return Document(name, {**params, **more}, rows, views)

    def _place(self, array: "StoredArray") -> dict[str, object]:
        form = self.format
        bias = form.bias_at(self.scale)
        return {
            "file": str(self.source),
            "array": array.name or None,
            "shape": list(array.shape),
            "dtype": array.dtype.name,
            "format": self.format.name,
            "scale": self.scale,
            "max_value": self.format.max_value * self.scale,
            "bias": bias,
        }

    def _measured(self, found: "Measured") -> dict[str, object]:
        counts: dict[str, object] = {
            "size": found.size,
            "nan": found.nan,
            "infinite": found.infinite,
            "clipped_low": found.clipped[0],
            "clipped_high": found.clipped[1],
        }
        return {**counts, **found.figures.to_dict()}

    def _predicted(self, fitted: "FitResult | None") -> dict[str, object]:
        from qerror.analysis import quantization_error
        from qerror.densities import density_name

        if fitted is None:
            return {"fitted": None, "log_likelihoods": None}
        report: ErrorReport[float] = quantization_error(self.format, fitted.density, self.scale)
        likelihoods = [f"{each.family}={each.log_likelihood!r}" for each in fitted.candidates]
        return {
            "fitted": density_name(fitted.density),
            "log_likelihoods": likelihoods,
            **{f"predicted_{key}": value for key, value in report.to_dict().items()},
        }


def _fit(array: "StoredArray", families: str) -> "FitResult | None":
    """Fit the finite values of an array, if there are any."""
    import numpy as np

    from qerror.fitting import fit_parts

    def parts() -> Iterator[Any]:
        for piece in array.pieces():
            yield piece[np.isfinite(piece)]

    if not any(part.size for part in parts()):
        return None
    return fit_parts(parts, [name.strip() for name in families.split(",") if name.strip()])


_LINES = {
    "rounding": "rounding error",
    "clipping_low": "clipping error below",
    "clipping_high": "clipping error above",
    "mse": "MSE = rounding + clipping",
    "sqnr_db": "SQNR in dB",
    "mean_error": "mean error E[e]",
    "cross_moment": "cross moment E[x e]",
    "signal_power": "signal power E[x^2]",
    "signal_mean": "signal mean E[x]",
}


def _view(row: Mapping[str, Any], fitted: "FitResult | None") -> "View":
    from qerror.reporting import View, short

    shape = " x ".join(map(str, row["shape"])) or "one value"
    name = f" {row['array']!r}" if row["array"] else ""
    bias = "" if row["bias"] is None else f", bias {short(row['bias'], 10)}"
    title = (
        f"{row['format']} on {row['file']}{name} ({row['dtype']}, {shape})\n"
        f"scale {short(row['scale'], 10)}, max value {short(row['max_value'], 10)}{bias}"
    )
    columns = {"": "measured", "predicted_": "predicted"} if fitted else {"": "measured"}
    header = ("e = Q(x) - x", *columns.values())
    body = [
        (label, *(short(row[f"{prefix}{key}"], 6) for prefix in columns))
        for key, label in _LINES.items()
    ]
    return View(title, header, body, notes=[*_counts(row), *_fit_notes(fitted)])


def _counts(row: Mapping[str, Any]) -> list[str]:
    notes = [f"{row['clipped_low'] + row['clipped_high']:,} of {row['size']:,} values clipped"]
    if row["nan"] or row["infinite"]:
        notes.append(
            f"note: {row['nan']:,} NaN and {row['infinite']:,} infinite values have no part in this"
        )
    return notes


def _fit_notes(fitted: "FitResult | None") -> list[str]:
    """Name the fitted density, what repeats, and the likelihood of each candidate."""
    from qerror.reporting import short

    if fitted is None:
        return []
    notes = [f"predicted for {_described(fitted)}"]
    if fitted.atoms:
        listed = ", ".join(f"{short(value)} ({share:.1%})" for value, share in fitted.atoms[:4])
        more = f" and {len(fitted.atoms) - 4} more" if len(fitted.atoms) > 4 else ""
        notes.append(f"point masses: {listed}{more}")
    notes += [
        f"log-likelihood of {each.family}: {each.log_likelihood:.2f}" for each in fitted.candidates
    ]
    return notes + [f"note: no {name}: {reason}" for name, reason in fitted.excluded.items()]


def _described(fitted: "FitResult") -> str:
    from qerror.densities.names import parameter_values
    from qerror.reporting import short

    if not fitted.candidates:
        return "point masses alone"
    best = fitted.candidates[0]
    values = parameter_values(best.density).items()
    text = ", ".join(f"{name}={short(value, 5)}" for name, value in values)
    return f"{best.family}({text})"
