"""Which scales are allowed: any, powers of two, or those of F8Net's fractional lengths.

A rule is applied in every forward pass, so that a scale which learns never leaves it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd import Function

from qerror._arrays import integer
from qerror.pytorch.gradients import apply


class ScaleRule(ABC):
    """Takes a scale to the nearest one that is allowed."""

    @abstractmethod
    def __call__(self, s: Tensor) -> Tensor:
        """Return the allowed scale; its gradient goes straight through."""

    @abstractmethod
    def candidates(self, low: float, high: float) -> list[float] | None:
        """Return the allowed scales from low to high, or None where every real one is."""


@final
@dataclass(frozen=True)
class Free(ScaleRule):
    """Any positive scale."""

    def __call__(self, s: Tensor) -> Tensor:
        """Return `s`."""
        return s

    def candidates(self, low: float, high: float) -> list[float] | None:
        """Return None."""
        del low, high
        return None


@final
@dataclass(frozen=True)
class PowerOfTwo(ScaleRule):
    """2^k, the nearest in the logarithm."""

    def __call__(self, s: Tensor) -> Tensor:
        """Return 2^round(log2 s)."""
        return apply(_NearestPower, s, -_FAR, _FAR)

    def candidates(self, low: float, high: float) -> list[float] | None:
        """Return the powers of two from low to high, one beyond each end included."""
        first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
        return [2.0**k for k in range(first, last + 1)]


@final
@dataclass(frozen=True)
class FixedLength(ScaleRule):
    """2^-FL with F8Net's 0 <= FL <= word_length, one less if signed.

    Parameters
    ----------
    word_length : int
    signed : bool
    """

    word_length: int
    signed: bool = True

    def __post_init__(self) -> None:
        integer("word_length", self.word_length, 1 + self.signed, 32)

    @property
    def longest(self) -> int:
        """The largest legal fractional length."""
        return self.word_length - self.signed

    def __call__(self, s: Tensor) -> Tensor:
        """Return 2^round(log2 s), clamped to the legal lengths."""
        return apply(_NearestPower, s, -self.longest, 0)

    def candidates(self, low: float, high: float) -> list[float] | None:
        """Return every legal scale, from the smallest."""
        del low, high
        return [2.0**-length for length in range(self.longest, -1, -1)]


_FAR = 120  # exponents that float32 holds with room for a format's levels


class _NearestPower(Function):
    """2^round(log2 s), the exponent clamped; straight through."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, low: int, high: int) -> Tensor:
        del ctx
        exponent = torch.clamp(torch.round(torch.log2(s)), low, high)
        return torch.ldexp(torch.ones_like(s), exponent.to(torch.int32))

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        del ctx
        return grad_outputs[0], None, None
