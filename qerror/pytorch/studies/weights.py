"""How well fitted densities predict the errors of real weights: the tensors of a network alone."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from qerror._arrays import FloatArray
from qerror.analysis.single import quantization_error
from qerror.execution import Progress, silent
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.pytorch.calibration import MSE, Target, calibrate
from qerror.pytorch.levels import quantize
from qerror.pytorch.networks.predict import cut_fit
from qerror.reporting import Document, View

Source: TypeAlias = Literal["fit", "half"]

_MOST = 1 << 19
"""Values of a tensor that are looked at: a random sample of larger ones."""


@dataclass(frozen=True)
class WeightRow:
    """One tensor in one format."""

    tensor: str
    size: int
    format: str
    source: Source
    """"fit": a density fitted to the tensor, cut at its limits, at the tensor's own best range.
    "half": range and density from one half of the values, measured on the other."""
    predicted_sqnr_db: float
    measured_sqnr_db: float


@dataclass(frozen=True)
class WeightSummary:
    """What the rows of one source say."""

    source: Source
    tensors: int
    median_db: float
    best_right: float
    """Tensors whose best format was predicted, in percent."""


def weight_study(
    tensors: Mapping[str, Tensor],
    formats: Sequence[str] = ("int8", "5M2E", "4M3E", "3M4E"),
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[WeightRow]:
    """Predict and measure the SQNR of tensors, by a fit and by one half of the values.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    formats : sequence of str
        Each at the best range.
    seed : int
        Of the halves, and of the sample of a tensor with more than 524,288 values.
    progress : callable, optional
    """
    forms = [as_scalar_format(form) for form in formats]
    rng, rows = np.random.default_rng(seed), list[WeightRow]()
    for done, (name, tensor) in enumerate(tensors.items(), start=1):
        values = tensor.detach().reshape(-1).to(torch.float64).numpy(force=True)
        shuffled = rng.permutation(values)[:_MOST]
        for form in forms:
            rows += [
                _by_fit(name, shuffled, form),
                _by_half(name, shuffled, form),
            ]
        (progress or silent)(done, len(tensors))
    return rows


def _by_fit(name: str, values: FloatArray, form: ScalarFormat) -> WeightRow:
    scale = _best_scale(values, form)
    predicted = quantization_error(form, cut_fit(values)[0], scale).sqnr_db
    return _row(name, values.size, form, "fit", predicted, _measured(values, form, scale))


def _by_half(name: str, values: FloatArray, form: ScalarFormat) -> WeightRow:
    known, other = values[: values.size // 2], values[values.size // 2 :]
    scale = _best_scale(known, form)
    predicted = quantization_error(form, cut_fit(known)[0], scale).sqnr_db
    return _row(name, values.size, form, "half", predicted, _measured(other, form, scale))


def _row(  # noqa: PLR0917 - the columns in their order
    name: str, size: int, form: ScalarFormat, source: Source, predicted: float, measured: float
) -> WeightRow:
    return WeightRow(name, size, form.name, source, float(predicted), measured)


def _best_scale(values: FloatArray, form: ScalarFormat) -> float:
    found = calibrate(torch.from_numpy(values), Target(form), MSE())
    return float(found.scale[0])


def _measured(values: FloatArray, form: ScalarFormat, scale: float) -> float:
    x = torch.from_numpy(values)
    error = quantize(x, form, scale) - x
    return float(10 * torch.log10(x.square().sum() / error.square().sum()))


def weight_summaries(rows: Sequence[WeightRow]) -> list[WeightSummary]:
    """Return the median difference and how often the best format was predicted."""
    return [_summary(source, rows) for source in ("fit", "half")]


def _summary(source: Source, rows: Sequence[WeightRow]) -> WeightSummary:
    own = [row for row in rows if row.source == source]
    names = list(dict.fromkeys(row.tensor for row in own))
    right = sum(_best(own, name, 0) == _best(own, name, 1) for name in names)
    differences = [abs(row.predicted_sqnr_db - row.measured_sqnr_db) for row in own]
    return WeightSummary(source, len(names), median(differences), 100 * right / len(names))


def _best(rows: Sequence[WeightRow], name: str, which: int) -> str:
    own = [row for row in rows if row.tensor == name]
    return max(own, key=lambda row: (row.predicted_sqnr_db, row.measured_sqnr_db)[which]).format


def weight_document(name: str, rows: Sequence[WeightRow]) -> Document:
    """Return the study as data, with a table of its summaries."""
    header = ("density from", "tensors", "median difference dB", "best format right %")
    body = [
        (
            {"fit": "the tensor", "half": "one half, for the other"}[each.source],
            str(each.tensors),
            f"{each.median_db:.3f}",
            f"{each.best_right:.1f}",
        )
        for each in weight_summaries(rows)
    ]
    views = [View(f"{name}: SQNR of the weights, predicted and measured", header, body)]
    found = [{"model": name, "kind": "weight", **asdict(row)} for row in rows]
    return Document("network", {"study": "weights", "model": name}, found, views)
