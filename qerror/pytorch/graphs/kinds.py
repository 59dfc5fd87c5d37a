"""What the steps of a traced network are to a quantizer: layers, additions, joints, pools."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.folding import FoldedBatchNorm
from qerror.pytorch.folding.fusion import NORMS
from qerror.pytorch.networks.layers import KINDS

Node = torch.fx.Node
Kind: TypeAlias = Literal[
    "layer", "norm", "add", "concat", "pool", "largest", "same", "declared", "other"
]
"""A module with a weight; a normalisation; a sum; a concatenation; a mean over places; a largest
value over places; a step that moves values and changes none; a module that is declared by hand;
anything else."""

_POOLS = (
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)
_LARGEST = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)
_SAME = (
    *(nn.Identity, nn.Flatten, nn.Unflatten, nn.ChannelShuffle, nn.PixelShuffle),
    *(nn.PixelUnshuffle, nn.ZeroPad2d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
)
_MODULES: tuple[tuple[tuple[type[nn.Module], ...], Kind], ...] = (
    ((*KINDS, FoldedBatchNorm), "layer"),
    (NORMS, "norm"),
    (_POOLS, "pool"),
    (_LARGEST, "largest"),
    (_SAME, "same"),
)
_FUNCTIONS: dict[Any, Kind] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add), "add"),
    **dict.fromkeys((torch.cat, torch.concat, torch.concatenate), "concat"),
    **dict.fromkeys((F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, torch.mean), "pool"),
    **dict.fromkeys((F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d), "pool"),
    **dict.fromkeys((F.max_pool1d, F.max_pool2d, F.max_pool3d, torch.max_pool2d), "largest"),
    **dict.fromkeys(
        (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d), "largest"
    ),
    **dict.fromkeys((torch.flatten, torch.reshape, torch.squeeze, torch.unsqueeze), "same"),
    **dict.fromkeys((torch.permute, torch.transpose, torch.chunk, torch.split), "same"),
    **dict.fromkeys((F.dropout, F.dropout2d, F.pixel_shuffle, operator.getitem), "same"),
}
_METHODS: dict[str, Kind] = {
    **dict.fromkeys(("add", "add_"), "add"),
    "mean": "pool",
    **dict.fromkeys(("flatten", "reshape", "view", "squeeze", "unsqueeze", "contiguous"), "same"),
    **dict.fromkeys(("permute", "transpose", "chunk", "split", "clone"), "same"),
}
_WEIGHED = (
    *(F.conv1d, F.conv2d, F.conv3d, F.linear, F.bilinear),
    *(F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d),
)


def kinds_of(graph: torch.fx.GraphModule, declared: Iterable[str] = ()) -> Mapping[Node, Kind]:
    """Return what every node of a graph is.

    Raises
    ------
    InvalidValue
        If a weight stands where no quantizer can reach it: in a function, or in a module that is
        neither a layer nor declared. The message names it.
    """
    modules = dict(graph.named_modules())
    known = set(declared)
    return {node: _kind(node, modules, known) for node in graph.graph.nodes}


def _kind(node: Node, modules: Mapping[str, nn.Module], declared: set[str]) -> Kind:
    if node.op == "call_module":
        name = str(node.target)
        return "declared" if name in declared else _of_module(name, modules[name])
    if node.op == "call_function":
        if node.target in _WEIGHED:
            name = getattr(node.target, "__name__", str(node.target))
            raise InvalidValue(
                f"{name} at node {node.name!r} takes its weight as an argument; "
                "make it a module, such as nn.Conv2d or nn.Linear, or declare the module around it"
            )
        return _sum_or(node, _FUNCTIONS.get(node.target, "other"))
    return _sum_or(node, _METHODS.get(str(node.target), "other")) if _is_call(node) else "other"


def _is_call(node: Node) -> bool:
    return node.op == "call_method"


def _of_module(name: str, module: nn.Module) -> Kind:
    if isinstance(module, nn.Embedding):  # takes indices; its weight is quantized as others
        return "other"
    for types, kind in _MODULES:
        if isinstance(module, types):
            return kind
    hidden = [key for key, value in module.named_parameters() if value.ndim > 1]
    if hidden:
        raise InvalidValue(
            f"{type(module).__name__} {name!r} has weights of its own ({hidden[0]}) that no "
            f"quantizer reaches from outside; declare what stands in it: Declared({name!r}, ...)"
        )
    return "other"


def _sum_or(node: Node, kind: Kind) -> Kind:
    """Tell a sum of two tensors from one of a tensor and a number."""
    if kind == "add" and len(tensors(node)) < 2:
        return "other"
    return kind


def tensors(node: Node) -> tuple[Node, ...]:
    """Return what a sum adds, in order; numbers and the network's own tensors are left out."""
    given = (*node.args, *node.kwargs.values())
    return tuple(each for each in given if isinstance(each, Node) and each.op != "get_attr")


def layer_input(node: Node) -> Node:
    """Return what a layer or a pool takes first."""
    first = node.args[0] if node.args else next(iter(node.kwargs.values()))
    return cast("Node", first)


def parts(node: Node) -> tuple[Node, ...]:
    """Return what a concatenation joins."""
    first = node.args[0] if node.args else node.kwargs["tensors"]
    return tuple(cast("Iterable[Node]", first))


def origins(node: Node, kinds: Mapping[Node, Kind]) -> Iterator[Node]:
    """Yield the nodes whose values a node has: itself, unless it only moves values."""
    kind = kinds[node]
    if kind in {"same", "largest"}:
        yield from origins(layer_input(node), kinds)
    elif kind == "concat":
        for part in parts(node):
            yield from origins(part, kinds)
    else:
        yield node
