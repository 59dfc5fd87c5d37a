"""Errors measured on files: options and the work that `quantize` and `error --data` share."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.output import say
from qerror_cli.parameters import DtypeType
from qerror_cli.ranges import DataRange

if TYPE_CHECKING:
    from qerror.analysis import ErrorReport
    from qerror.analysis.bands import Band
    from qerror.execution import Progress
    from qerror.fitting import FitResult
    from qerror.formats import Format
    from qerror.reporting import Document
    from qerror.simulation import Measured
    from qerror.storage import StoredArray

FAMILIES = "gaussian,student-t,laplace"
_MOST_WEIGHED = 4  # arrays for which the cost of scale 1 is said


def data_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --axis, --dtype and --fit."""
    axis = click.option(
        "--axis",
        type=int,
        help="With --max-value best or absmax: along which the channels lie, each of which gets a "
        "range of its own. For block formats: along which blocks lie.  [default: one range; -1]",
    )
    return axis(dtype_option(families_option(command)))


def dtype_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --dtype."""
    return click.option(
        "--dtype",
        type=DtypeType(),
        help="What 8 or 16 bits are that NumPy has saved without a name: bfloat16, float8_e4m3fn, "
        "float8_e5m2, ...; they are read as float32.",
    )(command)


def families_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --fit."""
    return click.option(
        "--fit",
        metavar="NAMES",
        help="Families of which the most likely density is fitted to the values, or none.  "
        f"[default: {FAMILIES}, with channels and grids recognised]",
    )(command)


def open_source(path: Path, dtype: str | None) -> "list[StoredArray]":
    """Return the arrays of a file; a --dtype that fits none of them is refused."""
    from qerror.storage import open_arrays

    arrays = open_arrays(path, dtype=dtype)
    if dtype is not None and all(array.narrow is None for array in arrays):
        kinds = ", ".join(dict.fromkeys(str(array.dtype) for array in arrays)) or "no array"
        width = "two bytes" if dtype == "bfloat16" else "one byte"
        raise click.UsageError(
            f"--dtype {dtype} is for arrays that NumPy has saved as {width} a value without a "
            f"type; {str(path)!r} holds {kinds}"
        )
    return arrays


def say_left_out(path: Path, arrays: "Sequence[StoredArray]", what: str) -> None:
    """Name the arrays and the other members of a file that have no part in a result."""
    from qerror.storage import other_members

    named = [f"{array.name or str(path)!r} ({array.dtype})" for array in arrays]
    if path.suffix.lower() == ".npz":
        named += [f"{name!r} (no array)" for name in other_members(path)]
    if named:
        say(f"note: {what}: {', '.join(named)}")


@dataclass(frozen=True)
class DataErrors:
    """A format, where it stands, and the file whose arrays it is tried on."""

    source: Path
    format: "Format"
    range: DataRange
    dtype: str | None = None
    rounding: str = "nearest-even"

    def __post_init__(self) -> None:
        self.range.check(self.format)

    def say_what_is_left_out(self, what: str) -> None:
        """Name what the file holds besides arrays of floats."""
        arrays = open_source(self.source, self.dtype)
        others = [array for array in arrays if not array.is_float]
        if len(others) < len(arrays):  # a file without any is refused, and nothing is left out
            say_left_out(self.source, others, what)

    def scales(self, progress: "Progress") -> dict[str, Any]:
        """Return the scale of every array; 1 for formats that find their own."""
        from qerror.formats import BlockFormat

        form, arrays = self.format, self._arrays()
        if isinstance(form, BlockFormat):
            return {array.name: 1.0 for array in arrays}
        if self.range.rule is not None:
            self._require_values(arrays, f"--max-value {self.range.rule} finds no range")
        scalar: Any = form
        return {
            array.name: self.range.scales(scalar, array, self.rounding, progress)
            for array in arrays
        }

    def require_values(self) -> None:
        """Refuse a file without anything to measure."""
        self._require_values(self._arrays(), "there is nothing to measure")

    def _require_values(self, arrays: "Sequence[StoredArray]", why: str) -> None:
        """Refuse arrays without a finite value, if all are so; else name those that are."""
        from qerror.optimize.stored import has_values

        empty = [array for array in arrays if not has_values(array)]
        if len(empty) == len(arrays):
            raise click.UsageError(f"{why}: {str(self.source)!r} holds no finite value")
        if empty:
            listed = ", ".join(repr(array.name) for array in empty)
            say(f"note: no finite value, taken at scale 1: {listed}")

    def say_cost(self) -> None:
        """Where no range was given: say what scale 1 costs against the best."""
        from qerror.formats import BlockFormat
        from qerror.optimize.stored import cost_of
        from qerror.tables import decibels, short

        form: Any = self.format
        if isinstance(form, BlockFormat) or not self.range.is_open:
            return
        say("note: no --scale, --max-value or --bias given: scale 1")
        arrays = [array for array in self._arrays() if array.size]
        for array in sorted(arrays, key=lambda each: -each.size)[:_MOST_WEIGHED]:
            cost = cost_of(form, array, 1.0, self.rounding)
            if cost is None or math.isnan(cost.loss_db):
                continue
            name = f"{array.name!r}: " if array.name else ""
            say(
                f"note: {name}that costs {decibels(cost.loss_db)} dB against the best range, "
                f"--max-value {short(cost.best.max_value, 6)}; --max-value best finds it"
            )

    def measure(self, scales: Mapping[str, Any], progress: "Progress") -> "dict[str, Measured]":
        """Measure every array of the file that holds floats; at random, the expectation."""
        from qerror.crosscheck import expected_measure

        return {
            array.name: expected_measure(
                array,
                self.format,
                scales[array.name],
                axis=self.block_axis,
                rounding=self.rounding,
                progress=progress,
            )
            for array in self._arrays()
        }

    def fit(
        self, families: str | None, progress: "Progress"
    ) -> "list[tuple[StoredArray, FitResult | None]]":
        """Fit a density to every array of the file that holds floats."""
        arrays = self._arrays()
        fitted: list[tuple[StoredArray, FitResult | None]] = []
        for array in arrays:
            fitted.append((array, None if families == "none" else _fit(array, families)))
            progress(len(fitted), len(arrays))
        return fitted

    def document(
        self,
        name: str,
        scales: Mapping[str, Any],
        measured: "Mapping[str, Measured]",
        fitted: "list[tuple[StoredArray, FitResult | None]]",
        *,
        bands: bool = False,
        **more: object,
    ) -> "Document":
        """Return what was measured, with the exact prediction for a fitted density beside it."""
        from qerror.reporting import MeasuredArray, data_document

        arrays = [
            MeasuredArray(
                array,
                scales[array.name],
                measured[array.name],
                found,
                *self._predict(found, scales[array.name]),
                self._band(found, scales[array.name], measured[array.name].size) if bands else None,
            )
            for array, found in fitted
        ]
        return data_document(name, self.source, self.format, arrays, self.range.axis, **more)

    def _predict(
        self, fitted: "FitResult | None", scale: Any
    ) -> "tuple[ErrorReport[float] | None, str]":
        """Return the exact errors on a fitted density, or the reason why there are none."""
        from qerror.crosscheck.predict import predicted_error
        from qerror.exceptions import QErrorException

        if fitted is None:
            return None, ""
        try:
            return predicted_error(
                fitted, self.format, scale, axis=self.block_axis, rounding=self.rounding
            ), ""
        except QErrorException as error:
            return None, str(error)

    def _band(self, fitted: "FitResult | None", scale: Any, size: int) -> "Band | None":
        """Return where the SQNR of so many values of the fitted density should lie."""
        import numpy as np

        from qerror.analysis import expected_bands
        from qerror.formats import as_scalar_format

        if fitted is None or size < 2 or np.size(scale) != 1:
            return None
        one = float(np.asarray(scale).reshape(()))
        form = as_scalar_format(self.format)
        found = expected_bands(form, fitted.predictive, one, size=size, rounding=self.rounding)
        return found["sqnr_db"]

    @property
    def block_axis(self) -> int | None:
        """Along which the blocks lie; None for formats that have none."""
        from qerror.formats import BlockFormat

        return self.range.axis if isinstance(self.format, BlockFormat) else None

    def _arrays(self) -> "list[StoredArray]":
        from qerror.simulation import require_floats

        return require_floats(open_source(self.source, self.dtype))


def _fit(array: "StoredArray", families: str | None) -> "FitResult | None":
    """Fit the finite values of an array, if there are any."""
    import numpy as np

    from qerror.fitting import Layout, fit_parts

    def parts() -> Iterator[Any]:
        for piece in array.pieces():
            yield piece[np.isfinite(piece)]

    size = sum(part.size for part in parts())
    if not size:
        return None
    names = None
    if families is not None:
        names = [name.strip() for name in families.split(",") if name.strip()]
    whole = size == array.size  # else values have lost their channels
    return fit_parts(parts, names, Layout(array.shape, array.fortran_order) if whole else None)
