"""A network of the zoo with integers alone: what its layers need, and what it gets right."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.integer.arithmetic import INT32
from qerror.integer.layer import IntegerLayer
from qerror.integer.multiplier import Rounding
from qerror.integer.network import IntegerNetwork, Width
from qerror.integer.scaled import ScaledLayer
from qerror.pytorch.backends import Backend
from qerror.pytorch.graphs import prepare
from qerror.pytorch.integer import to_integer
from qerror.pytorch.integer.convert import checked_choices
from qerror.pytorch.integer.scaled_convert import backend_of
from qerror.pytorch.integer.trace import steps_of
from qerror.pytorch.training import Plan, train
from qerror.pytorch.zoo import NETWORKS, Classifier, Network
from qerror.pytorch.zoo.networks import one_thread
from qerror.reporting import Document, Row, View

_LONG = 17


@dataclass(frozen=True, eq=False)
class IntegerStudy:
    """A network of integers beside the one that it comes from."""

    model: str
    network: IntegerNetwork
    widths: tuple[Width, ...]
    measure: str
    float_score: float
    score: float
    """Of the integers, by the same measure."""
    agreement: float
    """In percent: where both name the same class."""
    beyond_float32: tuple[str, ...]
    """The layers whose sums float32 cannot always hold."""


def integer_study(
    model: str,
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    backend: Backend | str | None = None,
    calibration: str | None = None,
    rounding: Rounding | None = None,
    algorithm: str | None = None,
    epochs: int = 5,
    seed: int = 0,
) -> IntegerStudy:
    """Export a network of the zoo to integers and judge both.

    Parameters
    ----------
    model : str
        A name in `qerror.pytorch.NETWORKS` that takes images.
    weight_bits, activation_bits, backend, calibration, rounding
        As in `to_integer`.
    algorithm : str, optional
        A name in `qerror.pytorch.graphs.ALGORITHMS`: the network is trained again with quantizers
        as the backend computes them, and keeps the scales that it learnt.
    epochs : int
        Of that training.
    seed : int
        Of the training.

    Raises
    ------
    InvalidValue
        If it has layers that integers do not express, or its inputs are no images.
    """
    network = NETWORKS[model]
    options: dict[str, Any] = {
        "weight_bits": weight_bits,
        "activation_bits": activation_bits,
        "backend": backend,
        "calibration": calibration,
        "rounding": rounding,
    }
    training = None
    if algorithm is not None:
        rounding = options.pop("rounding")
        training = _training(network, algorithm, epochs, **options)
        options = {"rounding": rounding}
    else:
        checked_choices(**options)
        if isinstance(network, Classifier):
            steps_of(network.fresh(seed).eval())  # tells what cannot be before any training
    batches: Any = list(network.batches())
    if not all(isinstance(each, torch.Tensor) for each in batches):
        raise InvalidValue(f"{model} does not take images alone: integers cannot express it")
    original = network.model(seed) if training is None else training.trained(seed)
    both = to_integer(original, network.calibration(), **options)
    images = torch.cat(batches)
    codes = both.integer.encode(images.numpy())
    logits = both.integer.run(codes)
    with torch.no_grad():
        reference = network.run(original)
    agreement = float(np.mean(logits.argmax(1) == reference.argmax(1).numpy()))
    return IntegerStudy(
        network.name,
        both.integer,
        both.integer.widths(codes),
        network.measure,
        network.score(reference, reference),
        network.score(torch.from_numpy(logits), reference),
        100 * agreement,
        both.fake.exact_in_float32,
    )


@dataclass(frozen=True)
class _Training:
    """With quantizers as a backend computes them."""

    network: Classifier
    backend: Backend
    algorithm: str
    bits: int
    plan: Plan

    def trained(self, seed: int) -> nn.Module:
        """Return the network after it."""
        model, data = self.network.model(seed), self.network.calibration()
        with one_thread():
            found = prepare(model, data, self.backend, self.algorithm, bits=self.bits)
            train(found, self.network.data().train, self.plan, seed=seed)
        return found.eval()


def _training(
    network: Network,
    algorithm: str,
    epochs: int,
    *,
    weight_bits: int,
    activation_bits: int,
    backend: Backend | str | None,
    calibration: str | None,
) -> _Training:
    """Return a training with quantizers, refusing before any what cannot be."""
    integer("epochs", epochs, 1, 10**6)
    if backend is None or calibration is not None:
        raise InvalidValue(
            "an algorithm trains with a backend's quantizers and starts from its own calibration: "
            "give a backend of qerror network backends and no calibration"
        )
    if weight_bits != activation_bits:
        raise InvalidValue(
            f"an algorithm trains with one width, got {weight_bits} and {activation_bits} bits"
        )
    if not isinstance(network, Classifier):
        raise InvalidValue(f"{network.name} comes trained; choose a network that is trained here")
    own, few = backend_of(backend), [network.calibration()[0][:8]]
    to_integer(prepare(network.fresh(0).eval(), few, own, algorithm, bits=weight_bits), few)
    plan = replace(network.plan, epochs=epochs)
    return _Training(network, own, algorithm, weight_bits, plan)


def integer_document(study: IntegerStudy) -> Document:
    """Return a row a layer, and what the network gets right."""
    widths = {each.layer: each for each in study.widths}
    rows: list[Row] = []
    for layer in study.network.layers:
        width = widths.get(layer.name)
        rows.append(
            {
                "model": study.model,
                "layer": layer.name,
                "kind": layer.kind,
                **_worth(layer),
                "low": layer.output.low,
                "high": layer.output.high,
                "accumulator_bits": None if width is None else width.bits,
                "measured_bits": None if width is None else width.measured_bits,
            }
        )
    scaled = "scale" in rows[0]
    worth = ("scale", "zero") if scaled else ("FL weight", "FL")
    header = ("layer", "kind", *worth, "codes", "accumulator", "measured")
    keys = ("scale", "zero") if scaled else ("weight_length", "length")
    body = [
        (
            str(row["layer"]),
            str(row["kind"]),
            *(_text(row[key]) for key in keys),
            _range(layer),
            "" if row["accumulator_bits"] is None else f"{row['accumulator_bits']} bits",
            "" if row["measured_bits"] is None else f"{row['measured_bits']} bits",
        )
        for row, layer in zip(rows, study.network.layers, strict=True)
    ]
    notes = [
        f"{study.measure}: {study.score:.2f} % by integers, {study.float_score:.2f} % in floating "
        f"point; the same class in {study.agreement:.2f} %",
        "accumulator: what no input can exceed; measured: what the test's inputs need",
    ]
    if study.beyond_float32:
        notes.append(f"sums may pass 2^24, beyond float32, in {', '.join(study.beyond_float32)}")
    params = {
        "study": "export",
        "measure": study.measure,
        "fp32_accuracy": study.float_score,
        "accuracy": study.score,
        "agreement": study.agreement,
    }
    return Document("network", params, rows, [View("", header, body, (0, 1), tuple(notes))])


def _range(layer: IntegerLayer | ScaledLayer) -> str:
    """Return the codes from the least to the largest, of long ones how many bits they have."""
    low, high = layer.output.low, layer.output.high
    if high == INT32:
        return "sums"
    return f"{low}..{high}" if high - low < 1 << _LONG else f"{(high - low).bit_length()} bits"


def _worth(layer: IntegerLayer | ScaledLayer) -> dict[str, float | None]:
    """Return what a layer's codes are worth."""
    if isinstance(layer, ScaledLayer):
        return {"scale": layer.output.scale, "zero": layer.output.zero}
    length = None if layer.weight is None else layer.weight_length
    return {"weight_length": length, "length": layer.output.length}


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
