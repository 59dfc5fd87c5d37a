"""A whole network with fake quantizers, after a recipe."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import contextlib
import copy
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import swa_utils

from qerror.exceptions import InvalidType, InvalidValue, QErrorException
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_format
from qerror.pytorch.calibration import choose_format
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.granularity import Granularity, PerChannel, PerGroup, PerTensor
from qerror.pytorch.networks.attention import project_attention
from qerror.pytorch.networks.blockwise import BlockwiseFakeQuantize
from qerror.pytorch.networks.calibrations import CALIBRATIONS
from qerror.pytorch.networks.inputs import Inputs, observe_inputs
from qerror.pytorch.networks.layers import Layer, checked_batches, layers_of
from qerror.pytorch.networks.recipe import (
    ModelRecipe,
    TensorRecipe,
    as_recipe,
)
from qerror.pytorch.recipe import Role

Quantizer: TypeAlias = FakeQuantize | BlockwiseFakeQuantize

INPUT = "input_quantizer"
"""The name of a layer's quantizer of its input, which is a module in it."""


def quantize_model(
    model: nn.Module,
    recipe: ModelRecipe | Mapping[str, Any] | str,
    data: object = None,
    *,
    progress: Progress | None = None,
    in_place: bool = False,
) -> nn.Module:
    """Return a network whose weights and layer inputs are fake-quantized.

    Convolutions, linear layers, embeddings and the projections of attentions are quantized:
    weights by a parametrization, inputs by a quantizer that the layer calls first.

    Parameters
    ----------
    model : Module
        It stays as it is, unless `in_place`.
    recipe : ModelRecipe, mapping or str
        A format's name stands for weights and activations in it, at the range with the least
        error.
    data : iterable, optional
        Batches for calibration: tensors, tuples that begin with one, or mappings of named
        inputs. Without activations to quantize it is not needed.
    progress : callable, optional
        Called with (done, total): batches, then layers.
    in_place : bool
        Whether `model` itself is changed.

    Returns
    -------
    Module
        In evaluation mode. `quantized_layers` lists what was done.

    Raises
    ------
    InvalidType
        If the model is none, or the data are no batches.
    InvalidValue
        If there is nothing to quantize, no data, data of a wrong shape or that are not finite,
        a layer that the data do not reach, or a method that cannot take a layer's format.

    Examples
    --------
    >>> from qerror.pytorch import quantized_layers
    >>> net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> quantized = quantize_model(net, "int8", [torch.linspace(-1, 1, 32).reshape(4, 8)])
    >>> [(each.name, each.weight, each.activation) for each in quantized_layers(quantized)]
    [('0', 'INT8', 'INT8'), ('2', 'INT8', 'INT8')]
    """
    recipe = as_recipe(recipe)
    model = project_attention(model) if in_place else prepared(model)
    layers = layers_of(model, recipe.exclude)
    _refuse_quantized(layers)
    inputs: dict[str, Inputs] = {}
    for layer in layers:  # before they spoil what reaches the layers behind
        with _naming(layer):
            require_finite(layer.weight)
    batches = None if data is None else list(checked_batches(data))
    if batches is not None:
        inputs = observe_inputs(model, layers, batches, progress)
        place = {name: number for number, name in enumerate(inputs)}
        layers.sort(key=lambda layer: place[layer.name])
    elif recipe.activations is not None or recipe.update_bn:
        raise InvalidValue(
            "activations and batch normalisations need calibration data; give an iterable of "
            "batches, or a recipe with activations = 'none' and update_bn = false"
        )
    for number, layer in enumerate(layers):
        edge = recipe.first if number == 0 else recipe.last if layer is layers[-1] else None
        with _naming(layer):
            quantize_layer(layer, recipe, inputs.get(layer.name), edge)
        if progress is not None:
            progress(number + 1, len(layers))
    if recipe.update_bn and batches is not None:
        update_bn(model, batches)
    return model.eval()


def require_finite(weight: Tensor) -> None:
    """Refuse a weight with values that no range can hold."""
    bad = int((~torch.isfinite(weight)).sum())
    if bad:
        raise InvalidValue(f"{bad} of its {weight.numel()} weights are NaN or infinite")


def prepared(model: nn.Module) -> nn.Module:
    """Return a copy of a model in which the projections of attentions are layers.

    Raises
    ------
    InvalidType
        If `model` is no module.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    return project_attention(copy.deepcopy(model))


def quantize_layer(
    layer: Layer, recipe: ModelRecipe, inputs: Inputs | None, edge: str | None
) -> None:
    """Put the quantizers on one layer: `edge` is the format of a first or last one."""
    own = recipe.layer_format(layer.name)
    if edge == "none" and own is None:
        return
    if recipe.weights is not None:
        quantizer = weight_quantizer(layer, _at_edge(recipe.weights, own or edge))
        parametrize.register_parametrization(layer.module, "weight", quantizer)
    has_input = layer.has_values and inputs is not None and edge != "none"
    if recipe.activations is not None and inputs is not None and has_input:
        quantizer = input_quantizer(layer, _at_edge(recipe.activations, edge), inputs)
        layer.module.add_module(INPUT, quantizer)
        layer.module.register_forward_pre_hook(_quantize_input, with_kwargs=True)


def _at_edge(recipe: TensorRecipe, form: str | None) -> TensorRecipe:
    if form is None:
        return recipe
    return replace(recipe, format=form)


def _quantize_input(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace the first input of a layer; a plain function, so that models can be copied."""
    quantizer = module.get_submodule(INPUT)
    if args:
        return (quantizer(args[0]), *args[1:]), kwargs
    name = next(iter(kwargs))
    return args, {**kwargs, name: quantizer(kwargs[name])}


def weight_quantizer(layer: Layer, recipe: TensorRecipe) -> Quantizer:
    """Return the calibrated quantizer of a layer's weight."""
    weight = layer.weight.detach()
    if recipe.is_block:
        axis = None if weight.ndim > 2 and layer.output_axis == 0 else layer.input_axis
        return _block(recipe, axis)
    return _calibrated(recipe, "weight", [weight], _granularity(layer, recipe))


def input_quantizer(layer: Layer, recipe: TensorRecipe, inputs: Inputs) -> Quantizer:
    """Return the calibrated quantizer of a layer's input."""
    if recipe.is_block:
        return _block(recipe, -1 if isinstance(layer.module, nn.Linear) else 1)
    unsigned = recipe.unsigned and inputs.low >= 0
    return _calibrated(recipe, "activation", inputs.samples, PerTensor(), unsigned=unsigned)


def _block(recipe: TensorRecipe, axis: int | None) -> BlockwiseFakeQuantize:
    form = as_format(recipe.format)
    if not isinstance(form, BlockFormat) or recipe.method != "straight-through":
        raise InvalidValue(f"block formats have the method straight-through, not {recipe.method}")
    return BlockwiseFakeQuantize(form, axis)


def _granularity(layer: Layer, recipe: TensorRecipe) -> Granularity:
    shape = tuple(layer.weight.shape)
    if recipe.group_size is not None:
        return PerGroup(shape, recipe.group_size, layer.input_axis)
    if recipe.granularity == "channel":
        return PerChannel(shape[layer.output_axis], layer.output_axis)
    return PerTensor()


def _calibrated(
    recipe: TensorRecipe,
    role: Role,
    values: list[Tensor],
    granularity: Granularity,
    *,
    unsigned: bool = False,
) -> FakeQuantize:
    form, chosen = _format(recipe, values, granularity)
    quantizer = FakeQuantize(
        without_sign(form) if unsigned else form,
        recipe.method,
        role=role,
        granularity=granularity,
        asymmetric=recipe.asymmetric,
        rule=recipe.rule,
        calibration=CALIBRATIONS[recipe.calibration],
        learn=recipe.learn,
    ).to(values[0].device)
    quantizer.calibrate(values)
    if chosen is not None and not unsigned:
        _set_largest(quantizer, chosen)
    return quantizer


def _format(
    recipe: TensorRecipe, values: list[Tensor], granularity: Granularity
) -> tuple[ScalarFormat, Tensor | None]:
    """Return the format, and the largest levels where both were sought together."""
    bits = recipe.best_bits
    if bits is not None:
        found = choose_format(
            values[0] if len(values) == 1 else torch.cat(values), bits=bits, granularity=granularity
        )
        return found.form, found.max_value
    form = as_format(recipe.format)
    assert isinstance(form, ScalarFormat)
    return form, None


@torch.no_grad()
def _set_largest(quantizer: FakeQuantize, largest: Tensor) -> None:
    """Set the range that was found with the format."""
    names = {state.name for state in quantizer.states}
    name, value = (
        ("c", largest) if "c" in names else ("s", largest / quantizer.setting.form.max_value)
    )
    state = quantizer.get_parameter_or_buffer(name)
    state.copy_(value.reshape(state.shape))


def without_sign(form: ScalarFormat) -> ScalarFormat:
    """Return the format of as many bits without negative levels: the sign's bit is a digit.

    Raises
    ------
    InvalidValue
        If the family has none.
    """
    if isinstance(form, Integer) and not form.zero_point:
        return Integer(form.bits, signed=False)
    if isinstance(form, FloatingPoint) and form.specials == "none":
        if not form.signed:
            return form
        return FloatingPoint(form.mantissa_bits + 1, form.exponent_bits, signed=False)
    raise InvalidValue(f"{form.name} has no counterpart without a sign; use unsigned = false")


def update_bn(model: nn.Module, data: object) -> None:
    """Estimate the statistics of batch normalisations anew, with everything quantized.

    Dropout stays off, unlike in `torch.optim.swa_utils.update_bn`, which does the rest.
    """
    norms = [each for each in model.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)]
    frozen = [each for each in norms if getattr(each, "frozen", False)]  # folded for good
    if len(frozen) == len(norms):
        return
    kept = [copy.deepcopy(each.state_dict()) for each in frozen]
    resting = [each for each in model.modules() if isinstance(each, nn.modules.dropout._DropoutNd)]
    shares = [each.p for each in resting]
    for each in resting:
        each.p = 0.0
    try:
        swa_utils.update_bn(checked_batches(data), model)
    finally:
        for each, share in zip(resting, shares, strict=True):
            each.p = share
        for norm, state in zip(frozen, kept, strict=True):
            norm.load_state_dict(state)
    model.eval()


def _refuse_quantized(layers: list[Layer]) -> None:
    for layer in layers:
        if parametrize.is_parametrized(layer.module) or hasattr(layer.module, INPUT):
            raise InvalidValue(f"{layer.name} is quantized already; give the model before it was")


@contextlib.contextmanager
def _naming(layer: Layer) -> Generator[None]:
    """Add a layer's name to what is raised."""
    try:
        yield
    except QErrorException as error:
        raise type(error)(f"layer {layer.name}: {error}") from error
