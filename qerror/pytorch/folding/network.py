"""The normalisations of a whole network, folded by its graph."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import copy
from collections.abc import Callable

import torch
from torch import nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.folding.batch_norm import (
    LAYERS,
    NORMS,
    FoldedBatchNorm,
    Folding,
    Quantizer,
)


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
    graph = _traced(model)
    modules = dict(graph.named_modules())
    folded = 0
    for node in list(graph.graph.nodes):
        if node.op != "call_module" or not isinstance(modules.get(node.target), NORMS):
            continue
        before = node.args[0]
        layer = modules.get(before.target) if before.op == "call_module" else None
        if not isinstance(layer, LAYERS) or len(before.users) > 1:
            continue
        module = FoldedBatchNorm(layer, modules[node.target], quantizer(layer), strategy)
        graph.set_submodule(before.target, module.train(model.training))
        node.replace_all_uses_with(before)
        graph.graph.erase_node(node)
        folded += 1
    if not folded:
        raise InvalidValue(
            "the network has no normalisation right behind a layer, so there is nothing to fold"
        )
    graph.delete_all_unused_submodules()
    graph.recompile()
    return graph


def _traced(model: nn.Module) -> torch.fx.GraphModule:
    copied = copy.deepcopy(model)
    try:
        return torch.fx.symbolic_trace(copied)
    except Exception as error:  # what a forward may raise under tracing is not bounded
        raise InvalidValue(
            f"torch.fx cannot trace {_culprit(copied)}: {error}. Fold its layers by hand: "
            "FoldedBatchNorm(layer, norm, quantizer, strategy)"
        ) from error


def _culprit(model: nn.Module) -> str:
    """Return the innermost module that cannot be traced, by name and class."""
    found = ("the network", type(model).__name__)
    for name, module in model.named_modules():
        try:
            torch.fx.symbolic_trace(module)
        except Exception:
            found = (f"module {name!r}" if name else "the network", type(module).__name__)
    return f"{found[0]} ({found[1]})"
