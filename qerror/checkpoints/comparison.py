"""What the comparison of a quantized checkpoint with its original returns."""

import math
from dataclasses import dataclass
from pathlib import Path

from qerror.storage.tensor import Fault

AS_GOOD_DB = 0.1
"""A tensor that lies less below what its format allows is as good as that."""


@dataclass(frozen=True)
class TensorComparison:
    """One tensor of a quantized file beside the original."""

    tensor: str
    """By its name in the files."""
    shape: tuple[int, ...]
    """Of the original."""
    dtype: str
    """Of the original."""
    quantized_dtype: str
    """How the quantized file stores it."""
    format: str
    """By which it is judged; empty where there is none."""
    is_detected: bool
    """Whether the quantized values themselves, or their type, say the format; else it is the one
    among those given whose figure lies nearest."""
    measured_sqnr_db: float
    allowed_sqnr_db: float
    """Of the original's values in that format at the best range, or with scales from the data."""
    band_low: float
    """Between here"""
    band_high: float
    """and here 95% of samples of the fitted density lie, at that range or in these blocks; nan
    where that is not known."""
    note: str
    """What is to be known besides; often empty."""

    @property
    def loss_db(self) -> float:
        """How far it lies below what its format allows."""
        return self.allowed_sqnr_db - self.measured_sqnr_db

    @property
    def is_as_good(self) -> bool | None:
        """Whether it is as good as its format allows; None where that is not known."""
        if math.isinf(self.measured_sqnr_db):
            return True
        return None if math.isnan(self.loss_db) else self.loss_db <= AS_GOOD_DB


@dataclass(frozen=True)
class ComparisonReport:
    """A quantized checkpoint against its original."""

    path: Path
    """The original."""
    against: Path
    """The quantized file."""
    tensors: tuple[TensorComparison, ...]
    missing: tuple[str, ...] = ()
    """Tensors of the original that the other file does not have as floating-point numbers."""
    faults: tuple[Fault, ...] = ()

    def to_records(self) -> list[dict[str, object]]:
        """Return a row a tensor."""
        return [
            {
                "tensor": each.tensor,
                "shape": list(each.shape),
                "dtype": each.dtype,
                "quantized_dtype": each.quantized_dtype,
                "format": each.format or None,
                "is_detected": each.is_detected,
                "measured_sqnr_db": _known(each.measured_sqnr_db),
                "allowed_sqnr_db": _known(each.allowed_sqnr_db),
                "loss_db": _known(each.loss_db),
                "band_low": _known(each.band_low),
                "band_high": _known(each.band_high),
                "is_as_good": each.is_as_good,
                "note": each.note,
            }
            for each in self.tensors
        ]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
