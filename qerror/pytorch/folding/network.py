"""The normalisations of a whole network, folded by its graph."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from collections.abc import Callable

import torch
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.folding.batch_norm import FoldedBatchNorm, Folding, Quantizer
from qerror.pytorch.folding.fusion import LAYERS, NORMS
from qerror.pytorch.tracing import traced


def fold_batch_norms(
    model: nn.Module,
    quantizer: Callable[[nn.Module], Quantizer | None],
    strategy: Folding | int = Folding.RUNNING,
) -> nn.Module:
    """Return a copy of a network with every normalisation folded into the layer before it.

    Parameters
    ----------
    model : Module
        torch.fx must be able to trace it: what follows what is read from the graph.
    quantizer : callable
        Makes the quantizer of a layer's folded weight; None stands for the identity.
    strategy : Folding or int

    Returns
    -------
    GraphModule
        With a `FoldedBatchNorm` where a layer and its normalisation stood.

    Raises
    ------
    InvalidValue
        If the network cannot be traced (the message names the module), or nothing can be folded.
    """
    graph = traced(
        model, "Fold its layers by hand: FoldedBatchNorm(layer, norm, quantizer, strategy)"
    )
    folded = fold_graph(graph, lambda _, layer: quantizer(layer), strategy)
    if not folded:
        raise InvalidValue(
            "the network has no normalisation right behind a layer, so there is nothing to fold"
        )
    return graph


def fold_graph(
    graph: torch.fx.GraphModule,
    quantizer: Callable[[str, nn.Module], Quantizer | None],
    strategy: Folding | int = Folding.RUNNING,
) -> tuple[str, ...]:
    """Fold every normalisation of a graph into the layer before it, in place.

    Parameters
    ----------
    graph : GraphModule
    quantizer : callable
        Makes the quantizer of a layer's folded weight from the layer's name and the layer.
    strategy : Folding or int

    Returns
    -------
    tuple of str
        The layers that were folded into. A normalisation that stands elsewhere stays.

    Raises
    ------
    InvalidValue
        If a layer is called again with another normalisation behind it, or none: it would need a
        second weight.
    """
    modules = dict(graph.named_modules())
    behind: dict[str, str] = {}
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or not isinstance(modules.get(node.target), NORMS):
            continue
        before = node.args[0]
        layer = modules.get(before.target) if before.op == "call_module" else None
        if not isinstance(layer, LAYERS) or len(before.users) > 1:
            continue
        name = str(before.target)
        if name not in behind:
            _refuse_shared(graph, before, str(node.target))
            behind[name] = str(node.target)
            module = FoldedBatchNorm(layer, modules[node.target], quantizer(name, layer), strategy)
            graph.set_submodule(name, module.train(graph.training))
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    return tuple(behind)


def _refuse_shared(graph: torch.fx.GraphModule, layer: torch.fx.Node, norm: str) -> None:
    """Refuse a layer of several calls of which one has not this normalisation alone behind it."""
    for node in graph.graph.nodes:
        if node.op == "call_module" and node.target == layer.target:
            users = list(node.users)
            if len(users) != 1 or users[0].target != norm:
                raise InvalidValue(
                    f"layer {layer.target!r} is called again without the normalisation {norm!r} "
                    f"behind it (at {node.name!r}): folded, it would need two weights; give it a "
                    "twin"
                )
