"""Errors measured on files: options and the work that `quantize` and `error --data` share."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.output import say

if TYPE_CHECKING:
    from qerror.analysis import ErrorReport
    from qerror.execution import Progress
    from qerror.fitting import FitResult
    from qerror.formats import ScalarFormat
    from qerror.reporting import Document
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


def check_range(given: Mapping[str, float | None]) -> None:
    """Refuse more than one option that sets the range."""
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(
            f"{' and '.join(named)} each set the range; give one of {', '.join(given)}"
        )


def scale_of(
    form: "ScalarFormat", scale: float | None, max_value: float | None, bias: float | None
) -> float:
    """Return the scale that the options ask for; without any it is 1."""
    check_range({"--scale": scale, "--max-value": max_value, "--bias": bias})
    if max_value is not None:
        return form.scale_for(max_value)
    if bias is not None:
        return _scale_of_bias(form, bias)
    return 1.0 if scale is None else scale


def _scale_of_bias(form: "ScalarFormat", bias: float) -> float:
    from qerror.formats import FloatingPoint

    if not isinstance(form, FloatingPoint):
        raise click.UsageError(
            f"{form.name} has no exponent bias, got --bias {bias:g}; use --scale or --max-value"
        )
    return form.scale_at(bias)


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

    def measure(self, progress: "Progress") -> "dict[str, Measured]":
        """Measure every array of the file that holds floats."""
        from qerror.simulation import measure_error

        return {
            array.name: measure_error(array, self.format, self.scale, progress=progress)
            for array in self._arrays()
        }

    def fit(
        self, families: str | None, progress: "Progress"
    ) -> "list[tuple[StoredArray, FitResult | None]]":
        """Fit a density to every array of the file that holds floats."""
        arrays = self._arrays()
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
        fitted: "list[tuple[StoredArray, FitResult | None]]",
        **more: object,
    ) -> "Document":
        """Return what was measured, with the exact prediction for a fitted density beside it."""
        from qerror.reporting import MeasuredArray, data_document

        rounding = str(more.get("rounding", "nearest-even"))
        arrays = [
            MeasuredArray(
                array,
                measured[array.name],
                found,
                None if found is None else self._predict(found, rounding),
            )
            for array, found in fitted
        ]
        return data_document(name, self.source, self.format, self.scale, arrays, **more)

    def _predict(self, fitted: "FitResult", rounding: str) -> "ErrorReport[float]":
        from qerror.analysis import quantization_error

        return quantization_error(self.format, fitted.predictive, self.scale, rounding=rounding)

    def _arrays(self) -> "list[StoredArray]":
        from qerror.simulation import require_floats
        from qerror.storage import open_arrays

        return require_floats(open_arrays(self.source))


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
