"""Batch normalisation folded into the layer before it, by the strategies of MQBench and F8Net.

A backend computes with one weight, into which the normalisation's factor gamma / s is multiplied.
Training may fold with the batch's statistics B or the running ones r, and may undo a part of it;
MQBench (Li et al. 2021, section 3.2 and figure 3) numbers the choices -1 to 4.
"""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import copy
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.folding.fusion import LAYERS, factor_of, fitting, fused, offset_of, times
from qerror.pytorch.networks.layers import TRANSPOSED

Quantizer: TypeAlias = Callable[[Tensor], Tensor]
"""Of weights: from a tensor to one of the same shape."""

_LEAST_GAMMA = 1e-12  # strategy 4 divides by gamma


class Folding(IntEnum):
    """How training folds a normalisation of factor gamma and offset beta into a weight W.

    q is the weight's quantizer, mu and s are mean and standard deviation of what the layer
    computes, of the batch (B) or running (r).
    """

    NOT = -1
    """gamma (conv(x, q(W)) - mu_B) / s_B + beta: as trained, not folded."""
    ONCE = 0
    """conv(x, q(W gamma / s_r)) + beta - gamma mu_r / s_r, with no normalisation left to train."""
    RUNNING = 1
    """The same with statistics frozen, while gamma and beta train."""
    BATCH = 2
    """conv(x, q(W gamma / s_B)) + beta - gamma mu_B / s_B: two forward passes; F8Net's too."""
    CORRECTED = 3
    """conv(x, q(W gamma / s_r)) s_r / s_B + beta - gamma mu_B / s_B."""
    RENORMALISED = 4
    """The normalisation of conv(x, q(W gamma / s_r)) s_r / gamma by its own statistics."""


class FoldedBatchNorm(nn.Module):
    """A layer and the normalisation behind it, with the normalisation folded into the weight.

    Parameters
    ----------
    module : Conv1d to 3d, ConvTranspose1d to 3d, or Linear
        Groups, depthwise ones and a bias included.
    norm : BatchNorm1d to 3d, or SyncBatchNorm
        With running statistics. Where a process group is initialised, the statistics of a
        SyncBatchNorm are those of all processes' batches together.
    quantizer : callable, optional
        Of the folded weight; by default the identity. A `FakeQuantize` is calibrated on it.
    strategy : Folding or int
        How training folds. Evaluation folds with the running statistics, but for -1.

    Raises
    ------
    InvalidType, InvalidValue
        If the modules are of other kinds or do not fit, or the normalisation has no running
        statistics. One without a factor and an offset has 1 and 0.

    Notes
    -----
    Li et al. 2021, section 3.2; Jin et al. 2022, section 4.2, for the double forward. With the
    identity for q strategies 2 to 4 are the normalisation itself; with a coarse q only 4 and -1
    keep mean and standard deviation of the output. The running statistics are those that the
    normalisation would have: of conv(x, W), for -1 of conv(x, q(W)), and for 4 of what it
    normalises. Strategy 4 is unstable where a factor gamma is near 0.
    """

    # What a module keeps is typed Tensor | Module: these are known to be more.
    module: Any
    norm: Any
    quantizer: Any

    def __init__(
        self,
        module: nn.Module,
        norm: nn.Module,
        quantizer: Quantizer | None = None,
        strategy: Folding | int = Folding.RUNNING,
    ) -> None:
        super().__init__()
        try:
            self.strategy = Folding(strategy)
        except ValueError:
            raise InvalidValue(
                f"unknown folding strategy {strategy!r}; it is one of "
                f"{', '.join(f'{each.value} ({each.name.lower()})' for each in Folding)}"
            ) from None
        self.module, self.norm = fitting(module, norm)
        self.quantizer = nn.Identity() if quantizer is None else quantizer
        with torch.no_grad():
            factor, shift = self._running()
            weight = times(self.module, factor).detach().clone()
        if self.strategy is Folding.ONCE:
            self.weight, self.bias = nn.Parameter(weight), nn.Parameter(shift.detach().clone())
            self.module.requires_grad_(False)
            self.norm.requires_grad_(False)
        # Its statistics are the training's own: a calibration of others leaves them alone.
        self.norm.frozen = self.strategy in {Folding.ONCE, Folding.RUNNING}
        if isinstance(quantizer, FakeQuantize) and quantizer.calibration is not None:
            plain = self.strategy is Folding.NOT
            quantizer.calibrate(self.module.weight.detach() if plain else weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised output of the layer with its quantized weight."""
        if self.strategy is Folding.ONCE:
            return self._layer(x, self.quantizer(self.weight)) + self._along(self.bias)
        if self.strategy is Folding.NOT:
            return self._normalised(x)
        if not self.training or self.strategy is Folding.RUNNING:
            factor, shift = self._running()
            y = self._layer(x, self.quantizer(times(self.module, factor)))
            return y + self._along(shift)
        if self.strategy is Folding.RENORMALISED:
            return self._renormalised(x)
        return self._by_batch(x)

    def at_rest(self) -> tuple[Tensor, Tensor]:
        """Return the folded weight before its quantizer, and the bias, of evaluation.

        Raises
        ------
        InvalidValue
            If the strategy is -1.
        """
        self._refuse_unfolded()
        if self.strategy is Folding.ONCE:
            return self.weight, self.bias
        factor, shift = self._running()
        return times(self.module, factor), shift

    def folded(self) -> nn.Module:
        """Return the layer of inference: one module with the quantized, folded weight and a bias.

        Raises
        ------
        InvalidValue
            If the module is in training mode, or its strategy is -1, whose weight is quantized
            before the factor: no folded weight computes the same.
        """
        if self.training:
            raise InvalidValue("fold in evaluation mode: call eval() first")
        self._refuse_unfolded()
        if self.strategy is Folding.ONCE:
            found = copy.deepcopy(self.module)
            weight, bias = self.weight, self.bias
        else:
            found = fused(self.module, self.norm)
            weight, bias = found.weight, found.bias
        with torch.no_grad():
            found.weight = nn.Parameter(self.quantizer(weight).detach().clone())
            found.bias = nn.Parameter(bias.detach().clone())
        return cast("nn.Module", found.eval())

    def extra_repr(self) -> str:
        """Return the strategy, for the repr."""
        return f"strategy={self.strategy.value}"

    def _refuse_unfolded(self) -> None:
        if self.strategy is Folding.NOT:
            raise InvalidValue("strategy -1 does not fold: its quantizer stands before the factor")

    # ---- the strategies

    def _normalised(self, x: Tensor) -> Tensor:
        y = self._layer(x, self.quantizer(self.module.weight))
        biased = y if self.module.bias is None else y + self._along(self.module.bias)
        return cast("Tensor", self.norm(biased))

    def _by_batch(self, x: Tensor) -> Tensor:
        """Fold with the batch's statistics, wholly or by a factor behind the layer."""
        spread = torch.sqrt(self.norm.running_var + self.norm.eps)  # before this batch moves it
        y = self._layer(x, self.module.weight)
        mean, variance = self._statistics(y)
        inverse = torch.rsqrt(variance + self.norm.eps)
        shift = self._beta - self._gamma * mean * inverse
        if self.strategy is Folding.BATCH:
            weight = times(self.module, self._gamma * inverse)
            return self._layer(x, self.quantizer(weight)) + self._along(shift)
        weight = times(self.module, self._gamma / spread)
        y = self._layer(x, self.quantizer(weight))
        return y * self._along(spread * inverse) + self._along(shift)

    @property
    def _gamma(self) -> Tensor:
        return factor_of(self.norm)

    @property
    def _beta(self) -> Tensor:
        return offset_of(self.norm)

    def _renormalised(self, x: Tensor) -> Tensor:
        spread = torch.sqrt(self.norm.running_var + self.norm.eps)
        gamma = self._gamma
        weight = times(self.module, gamma / spread)
        small = gamma.abs() < _LEAST_GAMMA
        back = spread / torch.where(small, torch.where(gamma < 0, -1.0, 1.0) * _LEAST_GAMMA, gamma)
        y = self._layer(x, self.quantizer(weight)) * self._along(back)
        mean, variance = self._statistics(y)
        inverse = torch.rsqrt(variance + self.norm.eps)
        return (y - self._along(mean)) * self._along(gamma * inverse) + self._along(self._beta)

    # ---- their parts

    def _running(self) -> tuple[Tensor, Tensor]:
        """Return the factor on the weight and the offset, by the running statistics."""
        norm = self.norm
        factor = self._gamma * torch.rsqrt(norm.running_var + norm.eps)
        mean = norm.running_mean
        if self.module.bias is not None:
            mean = mean - self.module.bias
        return factor, self._beta - factor * mean

    def _statistics(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of a batch's outputs, and move the running ones towards them.

        A bias of the layer would move the batch's mean and cancel: it joins the running mean only.
        """
        kept = (0, *range(2, y.dim()))
        count = torch.tensor(y.numel() / y.shape[1], dtype=y.dtype, device=y.device)
        mean = y.mean(kept)
        if _together(self.norm):
            total = _summed(count)
            mean = _summed(mean * count) / total
            variance = _summed((y - self._along(mean)).square().sum(kept)) / total
        else:
            total = count
            variance = y.var(kept, unbiased=False)
        if bool(total <= 1):
            raise InvalidValue("a batch with one value a channel has no spread to normalise by")
        with torch.no_grad():
            bias = 0.0 if self.module.bias is None else self.module.bias
            self._move(mean + bias, variance * total / (total - 1))
        return mean, variance

    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as the normalisation itself does."""
        norm = self.norm
        norm.num_batches_tracked.add_(1)
        share = norm.momentum
        if share is None:
            share = 1.0 / float(norm.num_batches_tracked)
        norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
        norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)

    def _layer(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return what the layer computes with another weight and no bias."""
        module: Any = self.module
        if isinstance(self.module, nn.Linear):
            if x.dim() != 2:  # a normalisation of sequences has its channels on another axis
                raise InvalidValue(
                    "a normalisation folds into a linear layer on rows (n, features), got an "
                    f"input of shape {tuple(x.shape)}"
                )
            return nn.functional.linear(x, weight)
        if isinstance(self.module, TRANSPOSED):
            function = (
                nn.functional.conv_transpose1d,
                nn.functional.conv_transpose2d,
                nn.functional.conv_transpose3d,
            )[TRANSPOSED.index(type(module))]
            transposed: Tensor = function(
                x,
                weight,
                None,
                module.stride,
                module.padding,
                module.output_padding,
                module.groups,
                module.dilation,
            )
            return transposed
        # Its padding may be by reflection, which only the module itself knows.
        return cast("Tensor", module._conv_forward(x, weight, None))

    def _along(self, values: Tensor) -> Tensor:
        """Lay values of the channels along axis 1 of what the layer computes."""
        if isinstance(self.module, nn.Linear):
            return values
        spatial = 1 + LAYERS.index(type(self.module)) % 3
        return values.reshape(-1, *(1,) * spatial)


def _together(norm: Any) -> bool:
    distributed = torch.distributed
    return (
        isinstance(norm, nn.SyncBatchNorm)
        and distributed.is_available()
        and distributed.is_initialized()
        and distributed.get_world_size() > 1
    )


def _summed(values: Tensor) -> Tensor:
    """Add up over the processes, with gradients."""
    import torch.distributed.nn.functional as collective  # noqa: PLC0415 - slow to import

    return cast("Tensor", collective.all_reduce(values))  # type: ignore[no-untyped-call]
