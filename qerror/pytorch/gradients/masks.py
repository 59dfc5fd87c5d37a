"""Where a value counts as inside the range, and what a parameter of the range receives."""

from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor
from torch.autograd import Function

Mask: TypeAlias = Literal["open", "closed", "open-rounded", "closed-rounded"]
"""Which values are inside: those between the ends, without or with them; of x itself, or after
rounding."""

ScaleRule: TypeAlias = Literal["residual", "exact", "none"]
"""What the scale receives."""


def apply(function: type[Function], *arguments: object) -> Tensor:
    """Return the result of an autograd function, which torch leaves untyped."""
    return cast("Tensor", function.apply(*arguments))  # type: ignore[no-untyped-call]


def above(distance: Tensor) -> Tensor:
    """Return 1 where a number is positive, else 0."""
    return torch.sign(distance).clamp(min=0)


def between(v: Tensor, low: Tensor | float, high: Tensor | float, *, closed: bool) -> Tensor:
    """Return 1 where low < v < high, or low <= v <= high, else 0.

    A difference of two different floats is never 0, so its sign is exact.
    """
    if closed:
        return 1 - above(torch.maximum(low - v, v - high))
    return above(torch.minimum(v - low, high - v))


def summed(gradient: Tensor, like: Tensor) -> Tensor:
    """Return a gradient added up to the shape of the parameter it belongs to."""
    return gradient.sum_to_size(like.shape) if gradient.shape != like.shape else gradient


def scale_gradient(
    g: Tensor, inside: Tensor, error: Tensor, level: Tensor, rule: ScaleRule
) -> Tensor:
    """Return each value's share in s ds: the level outside, the error y - x inside."""
    if rule == "exact":
        return g * level
    # Chosen, not multiplied by 0: the error of an infinite value is infinite.
    return g * torch.where(inside > 0, error, level)
