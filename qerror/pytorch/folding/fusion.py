"""Layers and the normalisations behind them: whether they fit, and the one layer of both."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch.networks.layers import CONVOLUTIONS, TRANSPOSED

LAYERS = (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)
"""What a normalisation folds into."""

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fitting(module: Any, norm: Any) -> tuple[Any, Any]:
    """Return the two modules, or refuse them."""
    if not isinstance(module, LAYERS):
        raise InvalidType(
            f"batch normalisation folds into convolutions and linear layers, got "
            f"{type(module).__name__}"
        )
    if not isinstance(norm, NORMS):
        raise InvalidType(f"expected a batch normalisation, got {type(norm).__name__}")
    if norm.running_mean is None or norm.running_var is None:
        raise InvalidValue("the normalisation keeps no running statistics: track_running_stats")
    outputs = module.out_features if isinstance(module, nn.Linear) else module.out_channels
    if outputs != norm.num_features:
        raise InvalidValue(
            f"the layer has {outputs} outputs and the normalisation {norm.num_features}"
        )
    return module, norm


def factor_of(norm: Any) -> Tensor:
    """Return a normalisation's gamma, 1 where it has none."""
    found: Tensor | None = norm.weight
    return torch.ones_like(norm.running_var) if found is None else found


def offset_of(norm: Any) -> Tensor:
    """Return a normalisation's beta, 0 where it has none."""
    found: Tensor | None = norm.bias
    return torch.zeros_like(norm.running_mean) if found is None else found


def times(module: Any, factor: Tensor) -> Tensor:
    """Return the layer's weight with a factor on every output channel."""
    weight: Tensor = module.weight
    if isinstance(module, TRANSPOSED):
        # Of shape (inputs, outputs of a group, ...): an input sees the outputs of its own group.
        each = factor.reshape(module.groups, 1, -1, *(1,) * (weight.dim() - 2))
        parts = weight.reshape(module.groups, -1, *weight.shape[1:])
        return (parts * each).reshape(weight.shape)
    return weight * factor.reshape(-1, *(1,) * (weight.dim() - 1))


def fused(module: Any, norm: Any) -> Any:
    """Return the layer with the normalisation in it, by torch's own fusion."""
    if isinstance(module, nn.Linear):
        return fuse_linear_bn_eval(module, norm)
    if isinstance(module, TRANSPOSED) and module.groups > 1:
        found = copy.deepcopy(module)  # torch's fusion takes transposed groups for one
        scale = factor_of(norm) * torch.rsqrt(norm.running_var + norm.eps)
        mean = norm.running_mean - (0.0 if module.bias is None else module.bias)
        found.weight = nn.Parameter(times(module, scale).detach())
        found.bias = nn.Parameter((offset_of(norm) - scale * mean).detach())
        return found
    return fuse_conv_bn_eval(module, norm, transpose=isinstance(module, TRANSPOSED))
