"""The few steps that integers can do, in floating point."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch.networks.layers import checked_batches

Kind: TypeAlias = Literal["convolution", "linear", "add", "average", "largest", "clip", "flatten"]

PASSED: tuple[Kind, ...] = ("largest", "flatten")
"""The steps whose results are some of the values that they take."""

_AXES: dict[Kind, int] = {"convolution": 4, "linear": 2, "average": 4, "largest": 4}


@dataclass
class Step:
    """One step in floating point: what it takes, what it does, how its result is clipped."""

    name: str
    kind: Kind
    inputs: list[str]
    weight: Tensor | None = None
    bias: Tensor | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    window: tuple[int, int] | None = None
    """Of a pool; None is what cuts an image into `places`."""
    places: tuple[int, int] = (1, 1)
    features: int = 0
    """How many features flattening must give; 0 is any number."""
    low: float = -float("inf")
    high: float = float("inf")
    users: int = field(default=0)

    def compute(self, given: list[Tensor]) -> Tensor:
        """Return the result before any clip."""
        x = given[0]
        if self.kind == "convolution":
            assert self.weight is not None
            return F.conv2d(
                x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
            )
        if self.kind == "linear":
            assert self.weight is not None
            return F.linear(x, self.weight, self.bias)
        if self.kind == "add":
            return given[0] + given[1]
        if self.kind == "average":
            assert self.window is not None
            return F.avg_pool2d(x, self.window, self.stride)
        if self.kind == "largest":
            assert self.window is not None
            return F.max_pool2d(x, self.window, self.stride, self.padding)
        return x.flatten(1) if self.kind == "flatten" else x

    def clipped(self, y: Tensor) -> Tensor:
        """Return a result within the step's clip."""
        return y.clamp(self.low, self.high)


def images_of(data: object) -> list[Tensor]:
    """Return batches of images in float64.

    Raises
    ------
    InvalidType, InvalidValue
        If there is none, or one holds no finite floating-point images of the others' size.
    """
    images = [_image(batch) for batch in checked_batches(data)]
    if not images:
        raise InvalidValue("ranges and lengths follow from data; the iterable has no batch")
    sizes = sorted({tuple(each.shape[1:]) for each in images})
    if len(sizes) > 1:
        raise InvalidValue(f"the images must have one size, got {sizes[0]} and {sizes[1]}")
    return images


def _image(batch: object) -> Tensor:
    first: Any = batch[0] if isinstance(batch, tuple | list) else batch
    if not isinstance(first, Tensor) or not first.is_floating_point():
        raise InvalidType("the batches must be tensors of floating-point images")
    if not bool(torch.isfinite(first).all()):
        raise InvalidValue("the images hold values that are not finite")
    return first.detach().double()


def values_of(steps: Sequence[Step], x: Tensor) -> dict[str, Tensor]:
    """Return the values of every step on a batch; "" names the batch.

    The windows of pools that cut images into places are set by what comes to them.

    Raises
    ------
    InvalidValue
        If a step cannot take what comes to it.
    """
    found = {"": x}
    for step in steps:
        given = [found[name] for name in step.inputs]
        try:
            _fit(step, given[0])
            found[step.name] = step.clipped(step.compute(given))
        except RuntimeError as error:
            raise InvalidValue(f"the data do not fit step {step.name!r}: {error}") from None
    return found


def _fit(step: Step, given: Tensor) -> None:
    """Set the window of a pool that cuts images into places, and refuse what does not fit."""
    axes = _AXES.get(step.kind, given.ndim)
    if given.ndim != axes:
        words = "images (n, channels, h, w)" if axes == 4 else "rows (n, features)"
        raise InvalidValue(
            f"step {step.name!r} takes {words} in integers, got {tuple(given.shape)}; flatten first"
            if axes == 2
            else f"step {step.name!r} takes {words} in integers, got {tuple(given.shape)}"
        )
    if step.kind == "flatten" and step.features not in {0, given[0].numel()}:
        raise InvalidValue(
            f"step {step.name!r} makes rows of {step.features} features, but an image has "
            f"{given[0].numel()} there: other images would be mixed"
        )
    if step.kind == "average" and step.window is None:
        high, wide = given.shape[2:]
        if high % step.places[0] or wide % step.places[1]:
            raise InvalidValue(
                f"integers cannot express step {step.name!r}: {high} x {wide} values do not divide "
                f"into {step.places[0]} x {step.places[1]} places"
            )
        step.window = step.stride = (high // step.places[0], wide // step.places[1])
