"""The fake quantization that a network of multipliers and shifts equals, in floating point."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.integer.arithmetic import Integers
from qerror.integer.network import IntegerNetwork
from qerror.integer.scaled import ScaledCodes, ScaledLayer

_EXACT_IN_FLOAT32 = 2**24
_LOW_BITS = 16  # of a multiplier: with 15 and with 16 bits of it products are exact
_DIGITS = 31


class ScaledModel(nn.Module):
    """Weights and activations on their grids as floats: PyTorch's convolutions, rounded after each.

    Activations are held in units of their scale, as q - z: the real value is the scale times that,
    which floating point could not hold exactly. Sums of products are PyTorch's own, in `dtype`;
    the factor M 2^-n is applied in float64, in two exact halves, and rounded as the integers do.
    In float64 the codes are those of the integers always; in float32 where no sum of products can
    pass 2^24 (`exact_in_float32`).

    A fake quantization with the real scales, s s_w / s_out in place of M 2^-n, and ties to even is
    another thing: it gives the same codes but where a value lies so near a tie that the last of 31
    bits, or the way of ties, decides.

    Parameters
    ----------
    network : IntegerNetwork
        Of `ScaledLayer`.
    dtype : torch.dtype
        torch.float64 or torch.float32, of the sums of products.
    """

    def __init__(self, network: IntegerNetwork, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        if not isinstance(network.input, ScaledCodes):
            raise InvalidValue("a network of shifts alone is equalled by FixedPointModel")
        self.network = network
        self.dtype = dtype
        for i, layer in enumerate(self._layers):
            if (weight := layer.factors) is not None:
                self.register_buffer(f"weight{i}", torch.from_numpy(weight.copy()).to(dtype))
            if layer.bias is not None:
                self.register_buffer(f"bias{i}", torch.from_numpy(layer.bias.copy()).double())

    @property
    def _layers(self) -> tuple[ScaledLayer, ...]:
        return cast("tuple[ScaledLayer, ...]", self.network.layers)

    @property
    def exact_in_float32(self) -> tuple[str, ...]:
        """The layers whose sums float32 cannot always hold; empty if there are none."""
        return tuple(each.name for each in self._layers if self._reach(each) > _EXACT_IN_FLOAT32)

    def _reach(self, layer: ScaledLayer) -> int:
        """Return the largest magnitude that any order of a layer's sums can pass through."""
        largest = self._codes(layer.inputs[0]).largest
        weight = layer.factors
        if weight is None:  # additions are done in float64
            return largest * layer.window[0] * layer.window[1] if layer.kind == "average" else 0
        return int((abs(weight.reshape(len(weight), -1)).sum(1) * largest).max())

    def _codes(self, name: str) -> ScaledCodes:
        return cast("ScaledCodes", self.network.codes[name])

    def forward(self, x: Tensor) -> Tensor:
        """Return the last step's values."""
        last = self._layers[-1]
        return self._units(x)[last.name] * last.output.scale

    def values(self, x: Tensor) -> dict[str, Tensor]:
        """Return the values of every step, by name: scale (q - z)."""
        return {name: y * self._codes(name).scale for name, y in self._units(x).items()}

    def codes(self, x: Tensor) -> dict[str, Tensor]:
        """Return the codes of every step, by name."""
        return {
            name: y.round().long() + self._codes(name).zero for name, y in self._units(x).items()
        }

    def _units(self, x: Tensor) -> dict[str, Tensor]:
        """Return q - z of every step, in float64."""
        own = self._codes("")
        scaled = (x.double() / own.scale + own.zero).clamp(own.low, own.high)
        found = {"": scaled.round() - own.zero}
        for i, layer in enumerate(self._layers):
            found[layer.name] = self._step(i, layer, [found[name] for name in layer.inputs])
        del found[""]
        return found

    def _step(self, i: int, layer: ScaledLayer, given: list[Tensor]) -> Tensor:
        x = given[0]
        if layer.kind == "flatten":
            return x.flatten(1)
        if layer.kind == "largest":
            return F.max_pool2d(x, layer.window, layer.stride, layer.padding)
        out = layer.output
        moved = _multiplied(self._sum(i, layer, given), layer.multiplier, layer.shift, layer)
        return moved.clamp(out.low - out.zero, out.high - out.zero)

    def _sum(self, i: int, layer: ScaledLayer, given: list[Tensor]) -> Tensor:
        x = given[0].to(self.dtype)
        weight: Any = getattr(self, f"weight{i}", None)
        # Beyond the products all is float64: shifted sums need more than the digits of float32.
        bias: Any = getattr(self, f"bias{i}", None)
        if layer.kind in {"convolution", "linear"}:
            y = (
                F.linear(x, weight)
                if layer.kind == "linear"
                else F.conv2d(
                    x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups
                )
            ).double() * 2.0**layer.left
            return y if bias is None else y + bias.reshape(-1, *(1,) * (y.ndim - 2))
        if layer.kind == "average":
            return F.avg_pool2d(x, layer.window, layer.stride, divisor_override=1).double()
        if layer.kind == "add":
            a, b = (
                _multiplied(y * 2.0**layer.left, np.array([m]), np.array([n]), layer)
                for y, (m, n) in zip(given, layer.operands, strict=True)
            )
            return a + b
        return given[0]


def _multiplied(y: Tensor, multiplier: Any, shift: Any, layer: ScaledLayer) -> Tensor:
    """Return integers times M 2^-n, rounded as the layer says, exactly in float64."""
    along = (-1, *(1,) * (y.ndim - 2))
    m, n = (np.array(each, np.int64).reshape(along) for each in (multiplier, shift))
    if layer.rounding == "once":
        return _half_up(y, m, n)
    if layer.rounding == "even":
        # From below and from above to the nearest: they differ at a tie alone.
        up, down = _half_up(y, m, n), -_half_up(-y, m, n)
        return torch.where(up.remainder(2) == 0, up, down)
    wide = y * _power(np.maximum(_DIGITS - n, 0))
    high = _half_up(wide.clamp(-(2.0**_DIGITS), 2.0**_DIGITS - 1), m, np.full_like(n, _DIGITS))
    away = (high.abs() * _power(np.minimum(_DIGITS - n, 0)) + 0.5).floor()
    return torch.copysign(away, high)


def _half_up(y: Tensor, m: Integers, n: Integers) -> Tensor:
    """Return floor(y m 2^-n + 1/2) of integers y: every product and sum here has 53 bits at most.

    y m = 2^16 y H + y L, and floors may be nested: that of y m / 2^16 goes first.
    """
    high, low = (torch.from_numpy(each) for each in np.divmod(m, 1 << _LOW_BITS))
    most = y * high + torch.floor(y * low * 2.0**-_LOW_BITS)
    return torch.floor(most * _power(_LOW_BITS - n) + 0.5)


def _power(exponent: Integers) -> Tensor:
    """Return powers of two, exactly."""
    return torch.from_numpy(np.ldexp(1.0, exponent))
