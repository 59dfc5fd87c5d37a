"""A layer of F8Net: fixed point in, an accumulator out, the normalisation folded at every step."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from qerror.integer.arithmetic import INT32
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.f8net.lengths import Lengths
from qerror.pytorch.folding.fusion import factor_of, offset_of
from qerror.pytorch.functional.shared import power
from qerror.pytorch.methods.shared_clip import MOMENTUM

_START = 6
"""Where the running lengths of inputs start."""


@dataclass(frozen=True)
class Units:
    """What the numbers around a layer are worth: a value is a number times its unit eta."""

    before: Tensor
    after: Tensor
    factor: float = 1.0
    """What a pool before the layer left out: 2^t over the size of its window."""


class FixedLayer(nn.Module):
    """A convolution or a linear layer with the normalisation behind it, in fixed point.

    The input's fractional length follows from each batch and runs along, as the statistics of a
    normalisation do; the weight's follows from the effective weight (gamma / sigma) W eta / eta'.

    Parameters
    ----------
    module : Conv2d or Linear
    norm : BatchNorm, optional
    lengths : Lengths
    signed : bool
        Whether the input has negative values; else the quantizer is the ReLU before the layer.
    coded : bool
        Whether the input is fixed point already, of a length that is handed in.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), sections 4.2 and 4.3 and equation 6.
    """

    # What a module keeps is typed Tensor | Module: these are known to be more.
    module: Any
    norm: Any
    length: Tensor

    def __init__(
        self,
        module: nn.Module,
        norm: nn.Module | None,
        lengths: Lengths,
        signed: bool,
        coded: bool,
    ) -> None:
        super().__init__()
        self.module, self.norm = module, norm
        self.lengths, self.signed, self.coded = lengths, signed, coded
        self.settling = False
        start = min(_START, lengths.longest(signed=signed))
        self.register_buffer("length", torch.tensor(float(start)))

    def forward(self, x: Tensor, units: Units, coded_length: Tensor) -> Tensor:
        """Return the layer's output over its unit, before any ReLU."""
        length = coded_length if self.coded else self._length(x)
        q = x if self.coded else self._fixed(x, length, signed=self.signed)
        if self.training:
            weight, bias = self.effective(units) if self.norm is None else self._by_batch(q, units)
            # The bias is rounded where the accumulator is one of integers: gradients pass it whole.
            return self._layer(q, self._fixed(weight, self.weight_length(weight)), bias)
        weight, _, bias = self.rounded(units, length)
        return self._layer(q, weight, bias)

    # ---- lengths

    def kept(self) -> Tensor:
        """Return the running length of the input, rounded and clamped."""
        return self.lengths.legal(self.length, signed=self.signed)

    def _length(self, x: Tensor) -> Tensor:
        """Return the length of a batch in training, and the running one in evaluation."""
        if not (self.training or self.settling):
            return self.kept()
        found = self.lengths.of(x, signed=self.signed)
        with torch.no_grad():
            share = 1.0 if self.settling else MOMENTUM
            self.length.lerp_(found.to(self.length.dtype), share)
        return found

    def weight_length(self, weight: Tensor) -> Tensor:
        """Return the length of an effective weight."""
        return self.lengths.of(weight, signed=True)

    def _fixed(self, x: Tensor, length: Tensor, *, signed: bool = True) -> Tensor:
        return F.fixed_point(
            x, word_length=self.lengths.bits, fractional_length=length.int(), signed=signed
        )

    # ---- the effective weight

    def effective(self, units: Units) -> tuple[Tensor, Tensor]:
        """Return weight and bias by the running statistics, before rounding."""
        if self.norm is None:
            plain = self.module.bias
            bias = torch.zeros_like(units.after) if plain is None else plain
            return self._scaled(None, units), bias / units.after
        inverse = torch.rsqrt(self.norm.running_var + self.norm.eps)
        return self._folded(self.norm.running_mean, inverse, units)

    def rounded(self, units: Units, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return weight, its length and the bias, as an accumulator of integers has them."""
        weight, bias = self.effective(units)
        weight_length = self.weight_length(weight)
        step = power(-(length + weight_length).int(), bias)
        codes = torch.round(bias / step).clamp(-INT32, INT32)
        return self._fixed(weight, weight_length), weight_length, codes * step

    def _by_batch(self, q: Tensor, units: Units) -> tuple[Tensor, Tensor]:
        """Return weight and bias by the batch's statistics: the first of the two forward passes."""
        y = self._layer(q, self.module.weight * (units.before * units.factor), self.module.bias)
        kept = (0, *range(2, y.dim()))
        self.norm(y.detach())  # moves the running statistics
        inverse = torch.rsqrt(y.var(kept, unbiased=False) + self.norm.eps)
        return self._folded(y.mean(kept), inverse, units)

    def _folded(self, mean: Tensor, inverse: Tensor, units: Units) -> tuple[Tensor, Tensor]:
        factor = factor_of(self.norm) * inverse
        shift = mean if self.module.bias is None else mean - self.module.bias
        return self._scaled(factor, units), (offset_of(self.norm) - factor * shift) / units.after

    def _scaled(self, factor: Tensor | None, units: Units) -> Tensor:
        weight: Tensor = self.module.weight * (units.before * units.factor / units.after)
        if factor is None:
            return weight
        return weight * factor.reshape(-1, *(1,) * (weight.dim() - 1))

    def _layer(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return what the layer computes with another weight and bias."""
        shift = None if bias is None else bias.expand(len(weight))
        if isinstance(self.module, nn.Linear):
            return nn.functional.linear(x, weight, shift)
        return cast("Tensor", self.module._conv_forward(x, weight, shift))
