"""Rounding to integers by a constant that is added and taken away; quotients."""

import torch
from torch import Tensor

from qerror.pytorch.rounders import layout_of


def nearest_code(v: Tensor, low: float, high: float, z: Tensor | None) -> Tensor:
    """Return clip(Q(v + z), low, high) - z for an integer z, a tie going to the even code.

    z rides on the constant that rounds, so that v + z is rounded once.
    """
    if z is None:
        return rounded(torch.clamp(v, low, high), None)
    return rounded(torch.clamp(v, low - z, high - z), z)


def rounded(v: Tensor, z: Tensor | None) -> Tensor:
    """Return Q(v + z) - z, a tie going to the even code."""
    half = 1.5 * 2.0 ** layout_of(v.dtype).digits
    magic = half if z is None else half + z
    return (v + magic) - magic


def quotient(x: Tensor, divisor: float | Tensor) -> Tensor:
    """Return x / divisor, rounded once.

    CUDA multiplies by the reciprocal of a plain number, which rounds twice.
    """
    return x / (divisor if isinstance(divisor, Tensor) else x.new_full((), divisor))
