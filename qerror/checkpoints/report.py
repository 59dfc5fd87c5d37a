"""What the analysis of a checkpoint returns: typed rows, a tensor and format each."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from qerror._arrays import ArrayValue, FrozenMapping
from qerror.analysis.report import decibels
from qerror.storage.tensor import Fault, Skipped


@dataclass(frozen=True, eq=False)
class FormatFigures(ArrayValue):
    """One format on one tensor; figures that do not exist are nan."""

    format: str
    """By name."""
    bits_per_value: float
    absmax_mse: float
    """Mean squared error with the largest magnitude as range."""
    absmax_sqnr_db: float
    best_max_value: float | None
    """The range with the least mean squared error; None for a format that takes its scales from
    the data."""
    best_mse: float
    best_sqnr_db: float
    """At that range; of a format in blocks the same as with the largest magnitude."""
    predicted_sqnr_db: float
    """What the fitted density says at that range."""
    bound_db: float = 0.0
    """By how much the measured SQNR may be too low: 0 where every value is known."""
    holds: bool | None = None
    """Whether the prediction lies within `qerror.checkpoints.TOLERANCE_DB` of what was measured;
    None without both."""
    note: str = ""
    """What is to be known besides; often empty."""

    @property
    def absmax_loss_db(self) -> float:
        """What the range up to the largest magnitude loses against the best one."""
        return self.best_sqnr_db - self.absmax_sqnr_db


class Bin(NamedTuple):
    """A cell of a histogram."""

    centre: float
    """In units of the root of the mean of x^2."""
    share: float
    """Of the values."""
    fitted: float
    """What the fitted density has there; 0 without one."""


@dataclass(frozen=True, eq=False)
class TensorReport(ArrayValue):
    """One tensor: its figures, the fitted density, and every format."""

    tensor: str
    """By its name in the file."""
    file: str
    """The name of the file that holds it."""
    shape: tuple[int, ...]
    """Of the tensor."""
    dtype: str
    """As the file names it."""
    bits_per_value: float
    """As it is stored."""
    size: int
    """Number of values."""
    nan: int
    """How many values are NaN."""
    infinite: int
    """How many are infinite."""
    absmax: float
    """The largest magnitude of the finite values."""
    mean: float
    """Of the finite values."""
    signal_power: float
    """The mean of x^2 over the finite values."""
    kurtosis: float
    """E[(x - mean)^4] / variance^2: 3 for a Gaussian."""
    density: str
    """The fitted density; empty without one."""
    parameters: Mapping[str, float]
    """Of the fitted density."""
    channel_ratio: float
    """The largest over the smallest spread of its channels; nan where they do not differ by more
    than chance."""
    note: str
    """What stands out: outliers, channels, a grid; empty if nothing does."""
    formats: tuple[FormatFigures, ...]
    histogram: tuple[Bin, ...] = ()
    """50 cells from -5 to 5 times the root of the mean of x^2; what lies beyond is left out."""

    @property
    def finite(self) -> int:
        """How many values are finite."""
        return self.size - self.nan - self.infinite

    @property
    def largest_over_rms(self) -> float:
        """The largest magnitude over the root of the mean of x^2; nan without a nonzero value."""
        return self.absmax / math.sqrt(self.signal_power) if self.signal_power > 0 else math.nan

    @property
    def best(self) -> FormatFigures | None:
        """The format with the least error, of equal ones the one with fewer bits."""
        known = [each for each in self.formats if not math.isnan(each.best_mse)]
        return min(known, key=lambda each: (each.best_mse, each.bits_per_value), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, from which `from_dict` makes an equal report."""
        return {**asdict(self), "parameters": dict(self.parameters)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> "TensorReport":
        """Return the report that `to_dict` took apart."""
        found = {each.name: given[each.name] for each in fields(cls)}
        found["shape"] = tuple(found["shape"])
        found["parameters"] = FrozenMapping(found["parameters"])
        found["histogram"] = tuple(Bin(*each) for each in found["histogram"])
        found["formats"] = tuple(FormatFigures(**each) for each in found["formats"])
        return cls(**found)


@dataclass(frozen=True)
class Total:
    """One format on all tensors that it can hold, weighted by their sizes."""

    format: str
    """By name."""
    bits_per_value: float
    tensors: int
    """How many tensors take part."""
    size: int
    """How many finite values these tensors have."""
    absmax_sqnr_db: float
    best_sqnr_db: float


@dataclass(frozen=True)
class CheckpointReport:
    """What was found in a checkpoint, tensor by tensor, in the order of its files."""

    path: Path
    """The file or folder."""
    formats: tuple[str, ...]
    """By name, in the order asked for."""
    tensors: tuple[TensorReport, ...]
    skipped: tuple[Skipped, ...] = ()
    """Tensors that hold no floating-point numbers."""
    faults: tuple[Fault, ...] = ()
    """Tensors and files that are damaged."""
    by: str | None = None
    """What a row is: "channel", "group:N", or a whole tensor."""

    def __len__(self) -> int:
        return len(self.tensors)

    def __iter__(self) -> Iterator[TensorReport]:
        return iter(self.tensors)

    def __getitem__(self, tensor: str) -> TensorReport:
        for each in self.tensors:
            if each.tensor == tensor:
                return each
        raise KeyError(tensor)

    @property
    def size(self) -> int:
        """Number of values of all tensors."""
        return sum(each.size for each in self.tensors)

    @property
    def totals(self) -> tuple[Total, ...]:
        """Every format on the file as a whole."""
        return tuple(_total(self, i) for i in range(len(self.formats)))

    def to_records(self) -> list[dict[str, object]]:
        """Return a row a tensor and format: the rows of the schema ``qerror.analyze/1``."""
        return [_record(each, form) for each in self.tensors for form in each.formats]


def _total(report: CheckpointReport, index: int) -> Total:
    pairs = [
        (each, each.formats[index])
        for each in report.tensors
        if not math.isnan(each.formats[index].best_mse)
    ]
    name = report.formats[index]
    bits = report.tensors[0].formats[index].bits_per_value if report.tensors else math.nan
    power = math.fsum(each.finite * each.signal_power for each, _ in pairs)
    worst = math.fsum(each.finite * form.absmax_mse for each, form in pairs)
    least = math.fsum(each.finite * form.best_mse for each, form in pairs)
    size = sum(each.finite for each, _ in pairs)
    figures = (decibels(power, worst), decibels(power, least)) if pairs else (math.nan, math.nan)
    return Total(name, bits, len(pairs), size, *figures)


def _record(each: TensorReport, form: FormatFigures) -> dict[str, object]:
    note = "; ".join(part for part in (each.note, form.note) if part)
    best = each.best
    return {
        "tensor": each.tensor,
        "file": each.file,
        "shape": list(each.shape),
        "dtype": each.dtype,
        "size": each.size,
        "nan": each.nan,
        "infinite": each.infinite,
        "absmax": each.absmax,
        "mean": each.mean,
        "signal_power": each.signal_power,
        "kurtosis": each.kurtosis,
        "largest_over_rms": each.largest_over_rms,
        "density": each.density or None,
        "parameters": [f"{name}={value!r}" for name, value in each.parameters.items()],
        "channel_ratio": _known(each.channel_ratio),
        "format": form.format,
        "bits_per_value": form.bits_per_value,
        "absmax_mse": _known(form.absmax_mse),
        "absmax_sqnr_db": _known(form.absmax_sqnr_db),
        "best_max_value": form.best_max_value,
        "best_mse": _known(form.best_mse),
        "best_sqnr_db": _known(form.best_sqnr_db),
        "absmax_loss_db": _known(form.absmax_loss_db),
        "predicted_sqnr_db": _known(form.predicted_sqnr_db),
        "bound_db": form.bound_db,
        "holds": form.holds,
        "is_best": best is not None and best.format == form.format,
        "note": note,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
