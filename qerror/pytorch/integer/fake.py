"""The fake quantization that a network of integers equals, in floating point."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.integer.layer import Codes, IntegerLayer
from qerror.integer.network import IntegerNetwork

_EXACT_IN_FLOAT32 = 2**24


class FixedPointModel(nn.Module):
    """Fixed-point weights and activations as floats: convolutions of PyTorch, rounded after each.

    Every value is a code times a power of two, so that floating point holds it exactly. In float64
    the codes are those of the integers always; in float32 where no sum of products can pass 2^24
    (`exact_in_float32`).

    Parameters
    ----------
    network : IntegerNetwork
    dtype : torch.dtype
        torch.float64 or torch.float32.
    """

    def __init__(self, network: IntegerNetwork, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        if not isinstance(network.input, Codes):
            raise InvalidValue("a network of multipliers is equalled by ScaledModel")
        self.network = network
        self.dtype = dtype
        for i, layer in enumerate(self._layers):
            if layer.weight is not None:
                self.register_buffer(f"weight{i}", _worth(layer.weight, layer.weight_length, dtype))
            if layer.bias is not None:
                length = self._codes(layer.inputs[0]).length + layer.weight_length
                self.register_buffer(f"bias{i}", _worth(layer.bias, length, dtype))

    @property
    def _layers(self) -> tuple[IntegerLayer, ...]:
        return cast("tuple[IntegerLayer, ...]", self.network.layers)

    def _codes(self, name: str) -> Codes:
        return cast("Codes", self.network.codes[name])

    @property
    def exact_in_float32(self) -> tuple[str, ...]:
        """The layers whose sums float32 cannot always hold; empty if there are none."""
        return tuple(layer.name for layer in self._layers if self._reach(layer) > _EXACT_IN_FLOAT32)

    def _reach(self, layer: IntegerLayer) -> int:
        """Return the largest magnitude that any order of a layer's sums can pass through."""
        codes = self._codes(layer.inputs[0])
        if layer.kind == "add":
            given = [self._codes(name) for name in layer.inputs]
            length = max(each.length for each in given)
            return sum(each.largest << (length - each.length) for each in given)
        if layer.kind == "average":
            return codes.largest * layer.window[0] * layer.window[1]
        if layer.weight is None:
            return codes.largest
        rows = abs(layer.weight.reshape(len(layer.weight), -1)).sum(1) * codes.largest
        return int((rows if layer.bias is None else rows + abs(layer.bias)).max())

    def forward(self, x: Tensor) -> Tensor:
        """Return the last step's values."""
        return list(self.values(x).values())[-1]

    def values(self, x: Tensor) -> dict[str, Tensor]:
        """Return the values of every step, by name."""
        # Rounded before it takes the network's type, so that the codes are those of `encode`.
        found = {"": _rounded(x.double(), self._codes("")).to(self.dtype)}
        for i, layer in enumerate(self._layers):
            y = self._step(i, layer, [found[name] for name in layer.inputs])
            found[layer.name] = y if layer.raw else _rounded(y, layer.output)
        del found[""]
        return found

    def codes(self, x: Tensor) -> dict[str, Tensor]:
        """Return the codes of every step, by name."""
        return {
            name: torch.ldexp(y.double(), torch.tensor(self._codes(name).length)).round().long()
            for name, y in self.values(x).items()
        }

    def _step(self, i: int, layer: IntegerLayer, given: list[Tensor]) -> Tensor:
        x = given[0]
        weight: Any = getattr(self, f"weight{i}", None)
        bias: Any = getattr(self, f"bias{i}", None)
        if layer.kind == "convolution":
            return F.conv2d(
                x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups
            )
        if layer.kind == "linear":
            return F.linear(x, weight, bias)
        if layer.kind == "add":
            return given[0] + given[1]
        if layer.kind == "average":
            total = F.avg_pool2d(x, layer.window, layer.stride, divisor_override=1)
            return torch.ldexp(total, torch.tensor(-layer.shift))
        if layer.kind == "largest":
            return F.max_pool2d(x, layer.window, layer.stride, layer.padding)
        return x.flatten(1) if layer.kind == "flatten" else x


def _worth(codes: Any, length: int, dtype: torch.dtype) -> Tensor:
    return torch.ldexp(torch.from_numpy(codes.copy()).to(dtype), torch.tensor(-length))


def _rounded(y: Tensor, codes: Codes) -> Tensor:
    scaled = torch.ldexp(y, torch.tensor(codes.length)).clamp(codes.low, codes.high)
    return torch.ldexp(scaled.round(), torch.tensor(-codes.length))
