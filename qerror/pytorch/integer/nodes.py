"""Small questions to the nodes of a traced network, and the steps of its layers."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from typing import Any

import torch
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.integer.steps import Step

Node = torch.fx.Node


def argument(node: Node, position: int, name: str, default: object) -> Any:
    """Return what a call was given at a position or by a name."""
    if len(node.args) > position:
        return node.args[position]
    return node.kwargs.get(name, default)


def is_over_images(node: Node) -> bool:
    """Tell whether a mean is over the places of images (n, channels, h, w)."""
    axes: Any = argument(node, 1, "dim", None)
    return isinstance(axes, tuple | list) and {axis % 4 for axis in axes} == {2, 3}


def takes_numbers(node: Node) -> bool:
    """Tell whether a node takes one tensor, and numbers that are known."""
    return len(node.all_input_nodes) == 1


def spoken(node: Node) -> str:
    """Return what people call a step."""
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "fn")
    # What torch dispatches by its arguments has no name of its own; nodes are named after it.
    return str(node.name) if name == "fn" else str(name)


def layer_step(name: str, module: Any) -> Step:
    """Return a convolution or a linear layer as a step."""
    weight = module.weight.detach().double()
    bias = None if module.bias is None else module.bias.detach().double()
    if isinstance(module, nn.Linear):
        return Step(name, "linear", [], weight, bias)
    return Step(
        name,
        "convolution",
        [],
        weight,
        bias,
        pair(module.stride),
        _padding(name, module),
        pair(module.dilation),
        module.groups,
    )


def pair(value: Any) -> tuple[int, int]:
    """Return a number twice, or the two that there are."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _padding(name: str, module: Any) -> tuple[int, int]:
    if module.padding_mode != "zeros":
        raise InvalidValue(
            f"integers cannot express the padding of layer {name!r} by {module.padding_mode}: "
            "they pad with zeros"
        )
    if not isinstance(module.padding, str):
        return pair(module.padding)
    left, right, top, bottom = module._reversed_padding_repeated_twice
    if (left, top) != (right, bottom):
        raise InvalidValue(
            f"integers cannot express the padding of layer {name!r}: it is not the same on both "
            f"sides ({top} and {bottom}, {left} and {right})"
        )
    return top, left
