"""F8Net's fixed point, and PACT on it."""

import torch
from torch import Tensor

from qerror.pytorch.functional.shared import (
    FLOOR,
    Number,
    affine,
    exponent,
    fixed_codes,
    like,
    power,
    wide_codes,
)
from qerror.pytorch.gradients import AtLeast, apply, quotient


def fixed_point(
    x: Tensor, *, word_length: int, fractional_length: int | Tensor, signed: bool = True
) -> Tensor:
    """Quantize to fixed point as F8Net does: 2^-FL Q(clip(x 2^FL, low, K)).

    Parameters
    ----------
    x : Tensor
    word_length : int
        Bits of a code.
    fractional_length : int or Tensor
        FL; a tensor of integers serves channels or a batch's own statistic. No gradient.
    signed : bool
        K = 2^(word_length - 1) - 1 and low = -K; or K = 2^word_length - 1 and low = 0.

    Returns
    -------
    Tensor

    Notes
    -----
    dy/dx = 1 where the rounded value is strictly between the ends: the saturating codes and, if
    unsigned, the zero bin receive nothing.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), section 3 and its public code.
    """
    low, high = fixed_codes(word_length, signed)
    wide = wide_codes(x, low, high)
    step = power(-exponent(fractional_length, wide), wide)
    return affine(x, wide, step, None, None, (low, high), "open-rounded", "none")


def f8net_pact(
    x: Tensor,
    alpha: Number,
    *,
    word_length: int,
    fractional_length: int | Tensor,
    buffer_length: int | Tensor | None = None,
    signed: bool = False,
) -> Tensor:
    """Quantize as F8Net's PACT: eta fixed_point(x / eta), eta = 2^FL' abs(alpha)/K.

    Parameters
    ----------
    x : Tensor
    alpha : Tensor or float
        The learnable clip, used as its absolute value; below 2^-100, 0 included, it counts as
        that.
    word_length, fractional_length, signed
        As in `fixed_point`.
    buffer_length : int or Tensor, optional
        FL' of eta; by default FL, and then y does not depend on it. In training F8Net quantizes
        with the batch's FL and takes the running one here: the clip is abs(alpha) 2^(FL' - FL).

    Returns
    -------
    Tensor

    Notes
    -----
    Masks as in `fixed_point`. dy/dalpha = sign(alpha) 2^(FL' - FL) times (Q(v) - v)/K inside,
    code/K outside.

    References
    ----------
    Jin et al. 2022, F8Net (arXiv 2202.05239), equations 4 and 14.
    """
    low, high = fixed_codes(word_length, signed)
    wide = wide_codes(x, low, high)
    size = like("alpha", alpha, wide)
    step = quotient(apply(AtLeast, torch.where(size < 0, -size, size), FLOOR), high)
    if buffer_length is not None:
        ratio = exponent(buffer_length, wide) - exponent(fractional_length, wide)
        step = step * power(ratio, wide)
    return affine(x, wide, step, None, None, (low, high), "open-rounded", "residual")
