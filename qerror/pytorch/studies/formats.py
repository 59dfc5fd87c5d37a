"""Which format suits each tensor of a network: weights and layer inputs, measured."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from qerror._arrays import FloatArray, integer
from qerror.execution import Progress, silent
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.formats.names import as_scalar_format
from qerror.pytorch.calibration import MSE, Target, calibrate
from qerror.pytorch.levels import quantize
from qerror.pytorch.networks.inputs import observe_inputs
from qerror.pytorch.networks.layers import layers_of
from qerror.pytorch.networks.quantize_model import prepared
from qerror.pytorch.networks.reasons import kurtosis_of
from qerror.pytorch.zoo import NETWORKS, Network
from qerror.reporting import Document, View

Place: TypeAlias = Literal["weight", "activation"]

_MOST = 1 << 20
"""Values of a tensor that are looked at: a random sample of larger ones."""


@dataclass(frozen=True)
class FormatRow:
    """One tensor in one format."""

    model: str
    layer: str
    kind: Place
    size: int
    kurtosis: float
    """E[(x - mean)^4] / variance^2: 3 for a Gaussian."""
    peak: float
    """The largest magnitude over the standard deviation."""
    format: str
    sqnr_db: float
    """At the range with the least error."""
    own_sqnr_db: float | None
    """Of floating point at its own bias, scale 1; None for integers, which have none."""
    best: bool
    """Whether no other format has a higher SQNR here."""


def format_study(
    model: str,
    formats: Sequence[str] = ("int8", "5M2E", "4M3E", "3M4E", "2M5E"),
    *,
    seed: int = 0,
    quick: bool = False,
    progress: Progress | None = None,
) -> list[FormatRow]:
    """Measure every weight and layer input in every format, and name the best.

    Parameters
    ----------
    model : str
        A name in `qerror.pytorch.NETWORKS`.
    formats : sequence of str
        Formats whose values stand alone.
    seed : int
        Of the training, and of the samples of large tensors.
    quick : bool
        Train less.
    progress : callable, optional
        Called with (done, total) tensors.

    References
    ----------
    Kuzmin et al. 2022, figures 9, 11, 12 and 14.
    """
    integer("seed", seed, 0, 2**31 - 1)
    forms = [as_scalar_format(form) for form in formats]
    network = NETWORKS[model].quick() if quick else NETWORKS[model]
    tensors = list(_tensors(network, seed))
    rows = list[FormatRow]()
    for done, (layer, kind, size, values) in enumerate(tensors, start=1):
        rows += _rows(network.name, layer, kind, size, values, forms)
        (progress or silent)(done, len(tensors))
    return rows


def _tensors(network: Network, seed: int) -> Iterator[tuple[str, Place, int, FloatArray]]:
    """Yield the weights, then the inputs, of all layers: name, kind, size and values."""
    model = prepared(network.model(seed))
    layers = layers_of(model)
    rng = np.random.default_rng(seed)
    for layer in layers:
        yield layer.name, "weight", layer.weight.numel(), sampled(layer.weight, rng)
    inputs = observe_inputs(model, layers, network.calibration(), ends=False)
    for layer in layers:
        if layer.has_values:
            found = inputs[layer.name]
            yield layer.name, "activation", found.size, sampled(found.values, rng)


def sampled(tensor: Tensor, rng: np.random.Generator, most: int = _MOST) -> FloatArray:
    """Return the values of a tensor, or a random sample of many."""
    values: FloatArray = tensor.detach().reshape(-1).to(torch.float64).numpy(force=True)
    return values if values.size <= most else rng.choice(values, most, replace=False)


def _rows(  # noqa: PLR0917 - one place calls it
    model: str,
    layer: str,
    kind: Place,
    size: int,
    values: FloatArray,
    forms: Sequence[ScalarFormat],
) -> list[FormatRow]:
    x = torch.from_numpy(values)
    found = [_sqnr(x, form, _best_scale(x, form)) for form in forms]
    own = [_sqnr(x, form, 1.0) if isinstance(form, FloatingPoint) else None for form in forms]
    kurtosis, peak = kurtosis_of(x), float(x.abs().max() / x.std(correction=0))
    return [
        FormatRow(
            *(model, layer, kind, size, kurtosis, peak),
            *(form.name, best, fixed, best == max(found)),
        )
        for form, best, fixed in zip(forms, found, own, strict=True)
    ]


def _best_scale(x: Tensor, form: ScalarFormat) -> float:
    return float(calibrate(x, Target(form), MSE()).scale[0])


def _sqnr(x: Tensor, form: ScalarFormat, scale: float) -> float:
    error = quantize(x, form, scale) - x
    return float(10 * torch.log10(x.square().sum() / error.square().sum()))


def format_document(rows: Sequence[FormatRow]) -> Document:
    """Return the study as data, with how often a format is best and the best of every tensor."""
    model, formats = rows[0].model, list(dict.fromkeys(row.format for row in rows))
    views = [_counts(model, rows, formats), _each(rows)]
    params = {"study": "formats", "model": model}
    return Document("network", params, [asdict(row) for row in rows], views)


def _counts(model: str, rows: Sequence[FormatRow], formats: Sequence[str]) -> View:
    body: list[tuple[str, ...]] = []
    for kind in dict.fromkeys(row.kind for row in rows):
        own = [row for row in rows if row.kind == kind]
        wins = Counter(row.format for row in own if row.best)
        count = len({row.layer for row in own})
        body.append((kind, str(count), *(str(wins[form]) for form in formats)))
    title = f"{model}: how many tensors each format suits best, at its best range"
    return View(title, ("kind", "tensors", *formats), body)


def _each(rows: Sequence[FormatRow]) -> View:
    body = [
        (
            row.layer,
            row.kind,
            f"{row.kurtosis:.3g}",
            f"{row.peak:.3g}",
            row.format,
            f"{row.sqnr_db:.2f}",
        )
        for row in rows
        if row.best
    ]
    header = ("layer", "kind", "kurtosis", "max/std", "best format", "SQNR dB")
    return View("The best format of every tensor", header, body, (0, 1, 4), spare=(3,))
