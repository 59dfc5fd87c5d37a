"""PyTorch's attention with its projections as layers, which can then be quantized."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, softmax

from qerror.exceptions import InvalidValue


class ProjectedAttention(nn.Module):
    """`torch.nn.MultiheadAttention` with four linear layers: query, key, value, out.

    Parameters
    ----------
    source : MultiheadAttention
        Whose parameters are taken over.

    Raises
    ------
    InvalidValue
        If it adds a bias or zeros to the keys, which is not supported.
    """

    # What torch.nn.TransformerEncoderLayer asks: its fused path would pass these layers by.
    in_proj_bias: Tensor | None = None
    _qkv_same_embed_dim = False

    def __init__(self, source: nn.MultiheadAttention) -> None:
        super().__init__()
        if _adds(source):
            raise InvalidValue(
                "MultiheadAttention with add_bias_kv or add_zero_attn cannot be quantized; "
                "exclude it"
            )
        self.batch_first, self.dropout = source.batch_first, source.dropout
        self.num_heads = source.num_heads
        weights = (
            source.in_proj_weight.chunk(3)
            if cast("bool", source._qkv_same_embed_dim)
            else (source.q_proj_weight, source.k_proj_weight, source.v_proj_weight)
        )
        bias = cast("Tensor | None", source.in_proj_bias)
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        self.query, self.key, self.value = (
            _linear(weight, each) for weight, each in zip(weights, biases, strict=True)
        )
        self.out = _linear(source.out_proj.weight, cast("Tensor | None", source.out_proj.bias))
        self.train(source.training)

    def forward(  # noqa: PLR0917 - the signature is PyTorch's
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what `torch.nn.MultiheadAttention` returns."""
        del is_causal  # a hint; the mask says it
        single = query.ndim == 2
        inputs = [self._batched(each, single) for each in (query, key, value)]
        layers = (self.query, self.key, self.value)
        q, k, v = (
            layer(x).reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)
            for layer, x in zip(layers, inputs, strict=True)
        )
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
            weights = softmax(scores if mask is None else scores + mask, -1)
            y = nn.functional.dropout(weights, dropout) @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            y = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        found: Tensor = self.out(y.transpose(1, 2).flatten(2))
        if single:
            return found[0], None if weights is None else weights[0]
        return found if self.batch_first else found.transpose(0, 1), weights

    def _batched(self, x: Tensor, single: bool) -> Tensor:
        """Return (batch, tokens, width)."""
        if single:
            return x[None]
        return x if self.batch_first else x.transpose(0, 1)

    def _mask(
        self, q: Tensor, k: Tensor, padding: Tensor | None, mask: Tensor | None
    ) -> Tensor | None:
        """Return one mask to add to the scores (batch, heads, queries, keys)."""
        total: Tensor | None = None
        if mask is not None:
            total = _additive(mask, q.dtype)
            if total.ndim == 3:
                total = total.reshape(-1, self.num_heads, q.shape[2], k.shape[2])
        if padding is not None:
            padded = _additive(padding, q.dtype).reshape(-1, 1, 1, k.shape[2])
            total = padded if total is None else total + padded
        return total


def _adds(source: nn.MultiheadAttention) -> bool:
    """Tell whether a bias or zeros join the keys."""
    bias: object = source.bias_k
    return bias is not None or source.add_zero_attn


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask of flags as numbers: minus infinity where nobody may look."""
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -torch.inf)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def project_attention(model: nn.Module) -> nn.Module:
    """Replace every `torch.nn.MultiheadAttention` in a model, in place; return the model."""
    if isinstance(model, nn.MultiheadAttention):
        return ProjectedAttention(model)
    for name, child in model.named_children():
        replaced = project_attention(child)
        if replaced is not child:
            setattr(model, name, replaced)
    return model
