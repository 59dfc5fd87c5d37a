"""Predicted errors of every layer against measured ones: weights, activations, outputs.

The prediction sees densities alone: fitted to the weights and to what flows into the layer, cut
at the limits of the data. The measurement sees no density: it quantizes the tensors themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from qerror._arrays import FloatArray
from qerror.analysis.report import ErrorReport, decibels
from qerror.analysis.scalar_product import scalar_product_error
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.empirical import Empirical
from qerror.densities.truncated import Truncated
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.fitting.fit import fit
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.networks.inputs import Inputs, observe_inputs
from qerror.pytorch.networks.layers import Layer, checked_batches, layers_of
from qerror.pytorch.networks.listing import form_of, input_quantizer_of, weight_quantizer_of
from qerror.pytorch.networks.measure import Measured, measure_layers
from qerror.pytorch.networks.quantize_model import Quantizer, prepared, quantize_model
from qerror.pytorch.networks.reasons import Facts, facts_of, reason
from qerror.pytorch.networks.recipe import ModelRecipe, as_recipe

Kind: TypeAlias = Literal["weight", "activation", "output"]

FAMILIES = ("gaussian", "student-t", "laplace", "logistic", "generalized-gaussian", "half-gaussian")
"""What is fitted; the most likely is taken."""


@dataclass(frozen=True)
class LayerPrediction:
    """One tensor of one layer in one format."""

    layer: str
    kind: Kind
    format: str
    """Of a layer's output: that of the weight and of the input, joined by " x "."""
    length: int
    """How many products are summed for one output: their mean, where a border has fewer."""
    predicted_mse: float
    measured_mse: float
    predicted_sqnr_db: float
    """Of outputs: the predicted error against the output of the network itself."""
    measured_sqnr_db: float
    density: str
    """The family that was fitted."""
    reason: str
    """Why the prediction is off by more than 1 dB; empty where it is not."""
    independent_sqnr_db: float | None = None
    """Of outputs: the same error against the signal of independent weights and inputs, which the
    theory would have without a look at the network's own output."""


@dataclass(frozen=True)
class Prediction:
    """A network's layers in one recipe."""

    rows: tuple[LayerPrediction, ...]

    def of(self, kind: Kind) -> tuple[LayerPrediction, ...]:
        """Return the rows of one kind."""
        return tuple(row for row in self.rows if row.kind == kind)


def predict(
    model: nn.Module,
    data: object,
    recipe: ModelRecipe | Mapping[str, Any] | str,
    *,
    progress: Progress | None = None,
) -> Prediction:
    """Predict what a recipe costs in every layer, from densities alone, and measure the same.

    Parameters
    ----------
    model : Module
        It stays as it is.
    data : iterable of batches
        For calibration, the fits, and the measurement.
    recipe : ModelRecipe, mapping or str
        With formats whose values stand alone; the granularity of weights is "tensor" or "channel".
    progress : callable, optional
        Called with (done, total) layers.

    Returns
    -------
    Prediction
        Every layer by itself: its input is that of the network before quantization.

    Raises
    ------
    InvalidType, InvalidValue
        As `quantize_model`; also if a format shares scales.
    """
    return predict_each(model, data, [recipe], progress=progress)[0]


def predict_each(
    model: nn.Module,
    data: object,
    recipes: Sequence[ModelRecipe | Mapping[str, Any] | str],
    *,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Predict several recipes: densities are fitted once; see `predict`."""
    known = [_checked(as_recipe(recipe)) for recipe in recipes]
    batches = list(checked_batches(data))
    model = prepared(model)
    exclude = sorted({name for recipe in known for name in recipe.exclude})
    inputs = observe_inputs(model, layers_of(model, exclude), batches)
    fits = _Fits(inputs)
    total, found = len(known), list[Prediction]()
    for number, recipe in enumerate(known):
        quantized = quantize_model(model, recipe, batches)
        measured = measure_layers(model, quantized, layers_of(model, recipe.exclude), batches)
        rows = [
            row
            for layer in layers_of(model, recipe.exclude)
            for row in _rows(layer, quantized.get_submodule(layer.name), fits, measured[layer.name])
        ]
        found.append(Prediction(tuple(rows)))
        (progress or silent)(number + 1, total)
    return found


def _checked(recipe: ModelRecipe) -> ModelRecipe:
    for part in (recipe.weights, recipe.activations):
        if part is not None and (part.is_block or part.group_size is not None):
            raise InvalidValue(
                "predictions are for formats whose values stand alone, a scale a tensor or a "
                f"channel; got {part.format} by {part.granularity}"
            )
    return recipe


@dataclass(frozen=True)
class Fitted:
    """A tensor's density and what is known of it."""

    density: Density
    family: str
    facts: Facts


class _Fits:
    """Densities of weights and inputs, each fitted when it is first asked for."""

    def __init__(self, inputs: Mapping[str, Inputs]) -> None:
        self._inputs = inputs
        self._known: dict[tuple[str, str], list[Fitted]] = {}

    def weights(self, layer: Layer, axis: int | None) -> list[Fitted]:
        """Return the weight's density; one a channel along an axis."""
        key = (layer.name, f"weight {axis}")
        if key not in self._known:
            rows = (
                layer.weight.reshape(1, -1)
                if axis is None
                else layer.weight.movedim(axis, 0).flatten(1)
            )
            facts = facts_of(layer.weight, layer.output_axis)
            self._known[key] = [_fitted(_array(row), facts) for row in rows]
        return self._known[key]

    def input(self, layer: Layer) -> Fitted:
        """Return the density of what flows into a layer."""
        key = (layer.name, "input")
        if key not in self._known:
            inputs = self._inputs[layer.name]
            values = _array(inputs.values)
            self._known[key] = [_fitted(values, facts_of(inputs.values, None))]
        return self._known[key][0]


def _array(values: Tensor) -> FloatArray:
    found: FloatArray = values.detach().reshape(-1).to(torch.float64).numpy(force=True)
    return found


def _fitted(values: FloatArray, facts: Facts) -> Fitted:
    density, family = cut_fit(values)
    return Fitted(density, family, facts)


def cut_fit(values: FloatArray) -> tuple[Density, str]:
    """Return the most likely density of data, cut at their limits, and its family.

    Few or equal values stand for themselves.
    """
    if values.size < 8 or values.min() == values.max():
        return Empirical(values), "empirical"
    found = fit(values, FAMILIES)
    family = found.candidates[0].family if found.candidates else "discrete"
    return Truncated(found.density, float(values.min()), float(values.max())), family


def _rows(
    layer: Layer, quantized: nn.Module, fits: _Fits, measured: Measured
) -> Iterator[LayerPrediction]:
    """Yield what a layer has: weight, input, and both together."""
    on_weight, on_input = weight_quantizer_of(quantized), input_quantizer_of(quantized)
    weights, activation = list[ErrorReport[Any]](), None
    names = ["", ""]
    if on_weight is not None:
        fitted, weights = _predicted_weight(layer, on_weight, fits)
        names[0] = _name(on_weight)
        mse = float(np.mean([each.mse for each in weights]))
        power = float(np.mean([each.signal_power for each in weights]))
        yield _row(layer, "weight", names[0], (mse, power), measured.weight, fitted, 1)
    if on_input is not None:
        known = fits.input(layer)
        activation = _report(on_input, known.density, _scale(on_input)[0])
        names[1] = _name(on_input)
        pair = (float(activation.mse), float(activation.signal_power))
        yield _row(layer, "activation", names[1], pair, measured.activation, known, 1)
    if weights and activation is not None:
        length = max(1, round(layer.length * measured.reach))
        both = scalar_product_error(weights, activation, length)
        facts = fits.weights(layer, None)[0].facts.joined(fits.input(layer).facts)
        fitted = Fitted(fits.input(layer).density, "", facts)
        pair = (float(both.mse), measured.output[1])
        power = float(both.signal_power)
        yield _row(layer, "output", " x ".join(names), pair, measured.output, fitted, length, power)


def _predicted_weight(
    layer: Layer, quantizer: Quantizer, fits: _Fits
) -> tuple[Fitted, list[ErrorReport[Any]]]:
    scales = _scale(quantizer)
    axis = layer.output_axis if scales.size > 1 else None
    fitted = fits.weights(layer, axis)
    reports = [
        _report(quantizer, each.density, scale) for each, scale in zip(fitted, scales, strict=True)
    ]
    return fitted[0], reports


def _report(quantizer: Quantizer, density: Density, scale: float) -> ErrorReport[Any]:
    assert isinstance(quantizer, FakeQuantize)
    return quantization_error(form_of(quantizer), density, scale)


def _scale(quantizer: Quantizer) -> FloatArray:
    """Return the scales of a quantizer, one or one a channel."""
    assert isinstance(quantizer, FakeQuantize)
    names = {state.name for state in quantizer.states}
    if "c" in names:
        return _array(quantizer.get_parameter_or_buffer("c")) / quantizer.setting.form.max_value
    if "s" in names and "z" not in names:
        return _array(quantizer.scale())
    raise InvalidValue(
        f"there is no prediction for the method {quantizer.method!r} with zero points or "
        "thresholds; use straight-through, lsq or fp"
    )


def _name(quantizer: Quantizer) -> str:
    assert isinstance(quantizer, FakeQuantize)
    return form_of(quantizer).name


def _row(  # noqa: PLR0917 - the columns in their order
    layer: Layer,
    kind: Kind,
    form: str,
    predicted: tuple[float, float],
    measured: tuple[float, float],
    fitted: Fitted,
    length: int,
    independent: float | None = None,
) -> LayerPrediction:
    (mse, power), (seen_mse, seen_power) = predicted, measured
    expected, seen = float(decibels(power, mse)), float(decibels(seen_power, seen_mse))
    gain = float(decibels(seen_power, power if independent is None else independent))
    return LayerPrediction(
        layer.name,
        kind,
        form,
        length,
        mse,
        seen_mse,
        expected,
        seen,
        fitted.family,
        reason(kind, expected - seen, gain, fitted.facts, fitted.family),
        None if independent is None else float(decibels(independent, mse)),
    )
