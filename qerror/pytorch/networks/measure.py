"""The errors of layers on data, each layer by itself."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from qerror.pytorch.networks.inputs import run_all
from qerror.pytorch.networks.layers import CONVOLUTIONS, TRANSPOSED, Layer
from qerror.pytorch.networks.listing import input_quantizer_of, weight_quantizer_of

Pair = tuple[float, float]
"""Mean squared error and mean square."""


@dataclass
class _Sum:
    """Sums of squares."""

    error: float = 0.0
    power: float = 0.0
    size: int = 0

    def add(self, exact: Tensor, found: Tensor) -> None:
        """Take values and what became of them."""
        exact = exact.to(torch.float64)
        self.error += float((found.to(torch.float64) - exact).square().sum())
        self.power += float(exact.square().sum())
        self.size += exact.numel()

    @property
    def pair(self) -> Pair:
        """The means."""
        size = max(self.size, 1)
        return self.error / size, self.power / size


@dataclass
class Measured:
    """What was measured on one layer; its output without the bias."""

    weight: Pair = (0.0, 0.0)
    reach: float = 1.0
    """Share of the products of an output that no border takes away."""
    inputs: _Sum = field(default_factory=_Sum)
    outputs: _Sum = field(default_factory=_Sum)

    @property
    def activation(self) -> Pair:
        """Of the input."""
        return self.inputs.pair

    @property
    def output(self) -> Pair:
        """Of the output."""
        return self.outputs.pair


def measure_layers(
    model: nn.Module, quantized: nn.Module, layers: Sequence[Layer], data: object
) -> Mapping[str, Measured]:
    """Measure every layer of `quantized` on what flows through `model`.

    Parameters
    ----------
    model, quantized : Module
        The network before and after.
    layers : sequence of Layer
        Of `model`.
    data : iterable of batches
    """
    found = {layer.name: Measured() for layer in layers}
    handles = [
        layer.module.register_forward_hook(
            _watch(layer, quantized.get_submodule(layer.name), found[layer.name]), with_kwargs=True
        )
        for layer in layers
    ]
    for layer in layers:
        other = quantized.get_submodule(layer.name)
        if weight_quantizer_of(other) is not None:
            total = _Sum()
            total.add(layer.weight.detach(), cast("Tensor", other.weight).detach())
            found[layer.name].weight = total.pair
    try:
        run_all(model, data)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _watch(layer: Layer, other: nn.Module, measured: Measured) -> Any:
    quantizer, window = input_quantizer_of(other), _window(layer)

    def hook(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> None:
        if quantizer is None:
            return
        x: Tensor = args[0] if args else next(iter(kwargs.values()))
        measured.inputs.add(x, quantizer(x))
        measured.outputs.add(
            _without_bias(module, output), _without_bias(module, other(*args, **kwargs))
        )
        measured.reach = _reach(window, x, layer.length)

    return hook


def _without_bias(module: nn.Module, output: Tensor) -> Tensor:
    bias = getattr(module, "bias", None)
    if not isinstance(bias, Tensor):
        return output
    if isinstance(module, nn.Linear):
        return output - bias
    return output - bias.reshape(-1, *(1,) * (output.ndim - 2))


def _window(layer: Layer) -> nn.Module | None:
    """Return a convolution that counts the values which its window holds."""
    if not isinstance(layer.module, (*CONVOLUTIONS, *TRANSPOSED)):
        return None
    window = copy.deepcopy(layer.module)
    window._forward_hooks.clear()
    with torch.no_grad():
        window.weight.fill_(1.0)
        if window.bias is not None:
            window.bias.zero_()
    return window


def _reach(window: nn.Module | None, x: Tensor, length: int) -> float:
    """Return the mean number of products that an output has, as a share of the layer's `length`."""
    if window is None:
        return 1.0
    seen: Tensor = window(torch.ones(1, *x.shape[1:]))
    return float(seen.mean()) / length
