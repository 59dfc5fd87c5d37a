"""What training with quantizers does to tensors: their tails, their ranges, their formats."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from qerror._arrays import integer
from qerror.execution import Progress, silent
from qerror.fitting.fit import fit
from qerror.formats.floating import FloatingPoint
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.networks.inputs import observe_inputs
from qerror.pytorch.networks.layers import Layer, layers_of
from qerror.pytorch.networks.listing import form_of, input_quantizer_of, weight_quantizer_of
from qerror.pytorch.networks.quantize_model import Quantizer, quantize_model
from qerror.pytorch.networks.reasons import kurtosis_of
from qerror.pytorch.studies.formats import Place, sampled
from qerror.pytorch.studies.qat import QatCase, qat_cases, qat_kinds
from qerror.pytorch.training import train
from qerror.pytorch.zoo.networks import one_thread
from qerror.reporting import Document, View

When: TypeAlias = Literal["before", "after", "without"]
"""Before the training; after it; after the same training without quantizers."""

_WHEN: tuple[When, ...] = ("before", "after", "without")
_FITTED = 1 << 14
"""Values of a weight that a Student-t is fitted to."""


@dataclass(frozen=True)
class TailRow:
    """One tensor at one time."""

    model: str
    format: str
    start: str
    mode: str
    seed: int
    epochs: int
    when: When
    layer: str
    kind: Place
    kurtosis: float
    """E[(x - mean)^4] / variance^2: 3 for a Gaussian."""
    peak: float
    """The largest magnitude over the standard deviation."""
    nu: float | None
    """Of weights: the degrees of freedom of the likeliest Student-t; infinite for a Gaussian."""
    max_value: float | None
    """The largest level of the quantizer; None without one."""
    mantissa_bits: int | None
    """Of the format that the quantizer uses; None for integers."""
    accuracy: float
    """Of the whole network then, in percent."""


def tail_study(
    model: str,
    form: str,
    *,
    start: str = "flexible-bias",
    mode: str = "range",
    seed: int = 0,
    epochs: int = 20,
    quick: bool = False,
    progress: Progress | None = None,
) -> list[TailRow]:
    """Train a network with quantizers, and once more without, and look at every tensor.

    Parameters
    ----------
    model : str
        A network that is trained here.
    form, start, mode
        As in `qat_study`, one each.
    seed, epochs : int
    quick : bool
        Train less.
    progress : callable, optional
        Called with (done, total) steps of both trainings.

    Notes
    -----
    Weights are those that learn, and inputs those that come to the quantizers: neither is
    quantized yet. Inputs are of the calibration data.

    References
    ----------
    Kuzmin et al. 2022, section 5.3 and figure 6; van Baalen et al. 2023, section 5.
    """
    integer("seed", seed, 0, 2**31 - 1)
    kinds = qat_kinds([form], [start], [mode])
    (case,) = qat_cases([model], kinds, [seed], epochs, quick)
    network, report = case.network, progress or silent
    plain = network.model(seed)
    quantized = quantize_model(plain, case.recipe, network.calibration())
    rows = list(_rows(case, quantized, "before"))
    _train(case, quantized, lambda done, total: report(done, 2 * total))
    rows += _rows(case, quantized, "after")
    _train(case, plain, lambda done, total: report(total + done, 2 * total))
    return [*rows, *_rows(case, plain, "without")]


def _train(case: QatCase, model: nn.Module, progress: Progress) -> None:
    with one_thread():
        train(model, case.network.data().train, case.plan, seed=case.seed, progress=progress)


def _rows(case: QatCase, model: nn.Module, when: When) -> Iterator[TailRow]:
    network, rng = case.network, np.random.default_rng(case.seed)
    accuracy = network.score(network.run(model), torch.empty(0))
    layers = layers_of(model)
    inputs = _inputs(model, layers, network.calibration())
    for layer in layers:
        weight, quantizer = _weight(layer.module), weight_quantizer_of(layer.module)
        nu = _degrees(sampled(weight, rng, _FITTED))
        yield _row(case, when, layer.name, "weight", weight, nu, quantizer, accuracy)
        quantizer = input_quantizer_of(layer.module)
        values = inputs[layer.name]
        yield _row(case, when, layer.name, "activation", values, None, quantizer, accuracy)


def _inputs(
    model: nn.Module, layers: Sequence[Layer], data: Sequence[object]
) -> Mapping[str, Tensor]:
    """Return what comes to the layers, or to their quantizers where they have some."""
    watched = [Layer(each.name, input_quantizer_of(each.module) or each.module) for each in layers]
    found = observe_inputs(model, watched, data, ends=False)
    return {name: each.values for name, each in found.items()}


def _weight(module: nn.Module) -> Tensor:
    """Return the weight that learns."""
    name = "parametrizations.weight.original"
    found = dict(module.named_parameters())
    return (found[name] if name in found else found["weight"]).detach()


def _degrees(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Return nu of the likeliest Student-t, infinite where a Gaussian is as likely."""
    return float(getattr(fit(values, ("student-t",)).density, "nu", math.inf))


def _row(  # noqa: PLR0917 - one place calls it
    case: QatCase,
    when: When,
    layer: str,
    kind: Place,
    values: Tensor,
    nu: float | None,
    quantizer: Quantizer | None,
    accuracy: float,
) -> TailRow:
    largest, bits = (None, None) if quantizer is None else _format(quantizer)
    wide = values.to(torch.float64)
    return TailRow(
        *(case.network.name, case.form, case.start, case.mode, case.seed),
        *(case.plan.epochs, when, layer, kind),
        kurtosis_of(wide),
        float(wide.abs().max() / wide.std(correction=0)),
        *(nu, largest, bits, accuracy),
    )


def _format(quantizer: Quantizer) -> tuple[float | None, int | None]:
    """Return the largest level and the mantissa bits."""
    assert isinstance(quantizer, FakeQuantize)
    form = form_of(quantizer)
    names = {state.name for state in quantizer.states}
    largest = (
        float(quantizer.get_parameter_or_buffer("c").detach())
        if "c" in names
        else float(quantizer.scale().detach()) * form.max_value
    )
    return largest, form.mantissa_bits if isinstance(form, FloatingPoint) else None


def tail_document(rows: Sequence[TailRow]) -> Document:
    """Return the study as data, with medians over the layers and what each quantizer learnt."""
    first = rows[0]
    what = f"{first.model}, {first.format}, start {first.start}, learns {first.mode}"
    params = {"study": "tails", "model": first.model}
    views = [_medians(what, rows), _learnt(rows)]
    return Document("network", params, [asdict(row) for row in rows], views)


def _medians(what: str, rows: Sequence[TailRow]) -> View:
    body: list[tuple[str, ...]] = []
    for when in _WHEN:
        weights = [row for row in rows if row.when == when and row.kind == "weight"]
        inputs = [row for row in rows if row.when == when and row.kind == "activation"]
        body.append(
            (
                when,
                f"{weights[0].accuracy:.2f}",
                f"{median(row.kurtosis for row in weights):.2f}",
                f"{median(row.peak for row in weights):.2f}",
                f"{median(row.nu or math.inf for row in weights):.1f}",
                f"{median(row.kurtosis for row in inputs):.2f}",
                f"{median(row.peak for row in inputs):.2f}",
            )
        )
    header = ("when", "accuracy %", "kurtosis w", "max/std w", "nu w", "kurtosis x", "max/std x")
    notes = [
        "before, after: the training with quantizers; without: the same training without any. "
        "Medians over the layers, w: weights, x: inputs",
    ]
    return View(f"{what}: tails", header, body, (0,), notes)


def _learnt(rows: Sequence[TailRow]) -> View:
    found = {(row.layer, row.kind, row.when): row for row in rows}
    body: list[tuple[str, ...]] = []
    for layer, kind in dict.fromkeys((row.layer, row.kind) for row in rows):
        old, new = found[layer, kind, "before"], found[layer, kind, "after"]
        body.append((layer, kind, *(_shown(old)), *(_shown(new))))
    header = ("layer", "kind", "max before", "m", "max after", "m after")
    return View("The largest level, and the mantissa bits", header, body, (0, 1))


def _shown(row: TailRow) -> tuple[str, str]:
    bits = "" if row.mantissa_bits is None else str(row.mantissa_bits)
    return ("" if row.max_value is None else f"{row.max_value:.4g}"), bits
