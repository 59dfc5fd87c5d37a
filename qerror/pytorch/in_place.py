"""Graphs whose steps leave what they take as it is, and dropouts that know the mode."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportUnknownLambdaType=false

import inspect
import operator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidValue

Node = torch.fx.Node

_DROPOUTS: dict[Any, type[nn.Module]] = {
    F.dropout: nn.Dropout,
    F.dropout1d: nn.Dropout1d,
    F.dropout2d: nn.Dropout2d,
    F.dropout3d: nn.Dropout3d,
    F.alpha_dropout: nn.AlphaDropout,
    F.feature_alpha_dropout: nn.FeatureAlphaDropout,
}
# What shares memory with what it takes, or may.
_VIEWS = frozenset(
    (
        *("flatten", "reshape", "view", "squeeze", "unsqueeze", "permute", "transpose", "t"),
        *("chunk", "split", "contiguous", "narrow", "select", "expand", "movedim", "swapaxes"),
        *("getitem", "Flatten", "Unflatten"),
    )
)


def make_functional(graph: torch.fx.GraphModule) -> None:
    """Let no step of a graph change a tensor in place, and dropouts in functions be modules.

    Raises
    ------
    InvalidValue
        If what a step changes in place is used in another shape later.
    """
    modules: dict[str, nn.Module] = dict(graph.named_modules())
    for node in list(graph.graph.nodes):
        if _leaves_its_input(node, modules):
            _hand_on(node, modules)
    for node in list(graph.graph.nodes):
        if node.target in _DROPOUTS and node.op == "call_function":
            _as_module(graph, node)
    graph.graph.lint()
    graph.recompile()


# ---- in place


def _leaves_its_input(node: Node, modules: dict[str, nn.Module]) -> bool:
    """Make a step leave its input as it is, and tell whether it did not."""
    if node.op == "call_module":
        module: Any = modules[str(node.target)]
        found = getattr(module, "inplace", False) is True
        # A module may be called again: `inplace` goes when the last call was looked at.
        if found and not any(_calls(each, node.target) for each in _after(node)):
            module.inplace = False
        return found
    if node.op == "call_method" and _has_twin(str(node.target)):
        node.target = str(node.target)[:-1]
        return True
    if node.op != "call_function":
        return False
    name = getattr(node.target, "__name__", "")
    if node.target is operator.iadd or (name.endswith("_") and hasattr(torch, name[:-1])):
        node.target = operator.add if node.target is operator.iadd else getattr(torch, name[:-1])
        return True
    return _unset(node)


def _unset(node: Node) -> bool:
    """Turn the argument `inplace` of a function off, and tell whether it was on."""
    target: Any = node.target
    try:
        given = inspect.signature(target).bind(*node.args, **node.kwargs)
    except (TypeError, ValueError):  # of what is built in there is no signature
        return False
    if given.arguments.get("inplace") is not True:
        return False
    given.arguments["inplace"] = False
    node.args, node.kwargs = tuple(given.args), dict(given.kwargs)
    return True


def _has_twin(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and hasattr(Tensor, name[:-1])


def _calls(node: Node, name: Any) -> bool:
    return node.op == "call_module" and node.target == name


def _after(node: Node) -> list[Node]:
    found: list[Node] = []
    while (node := node.next).op != "root":
        found.append(node)
    return found


def _hand_on(node: Node, modules: dict[str, nn.Module]) -> None:
    """Let all that uses the changed tensor later use the result in its place."""
    later = set(_after(node))
    changed: Any = node.args[0] if node.args else next(iter(node.kwargs.values()))
    while _is_identity(changed, modules):
        changed = changed.args[0]
    base, shared = changed, {changed}
    while _is_view(base, modules):
        base = base.args[0]
    views = {base}
    for each in node.graph.nodes:
        if each.args and each.args[0] in views | shared and _is_view(each, modules):
            views.add(each)
        if each.args and each.args[0] in shared and _is_identity(each, modules):
            shared.add(each)
    for view in views - shared - {node}:
        if any(user in later for user in view.users):
            raise InvalidValue(
                f"step {node.name!r} changes in place what is used in another shape later (at "
                f"{view.name!r}); leave inplace out"
            )
    for each in shared - {node}:
        each.replace_all_uses_with(node, lambda user: user in later)


def _is_identity(node: Node, modules: dict[str, nn.Module]) -> bool:
    return node.op == "call_module" and isinstance(modules[str(node.target)], nn.Identity)


def _is_view(node: Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        name = type(modules[str(node.target)]).__name__
    else:
        name = str(getattr(node.target, "__name__", node.target))
    return name in _VIEWS or _is_identity(node, modules)


# ---- dropouts


def _as_module(graph: torch.fx.GraphModule, node: Node) -> None:
    """Make a dropout that is off in evaluation a module; one that is always on stays."""
    target: Any = node.target
    given = inspect.signature(target).bind(*node.args, **node.kwargs)
    given.apply_defaults()
    if given.arguments["training"] is not False or not isinstance(given.arguments["p"], float):
        return
    name = f"dropout_of_{node.name}"
    module = _DROPOUTS[target](given.arguments["p"])
    graph.add_submodule(name, module.train(graph.training))
    with graph.graph.inserting_before(node):
        dropped = graph.graph.call_module(name, (given.arguments["input"],))
    node.replace_all_uses_with(dropped)
    graph.graph.erase_node(node)
