"""A network's graph by torch.fx, with an answer that helps where there is none."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportIncompatibleMethodOverride=false

import copy
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn

from qerror.exceptions import InvalidType, InvalidValue
from qerror.pytorch.in_place import make_functional

_SURE = 1e-2  # what the last places of half precision may do


class _Tracer(torch.fx.Tracer):
    """Looks into every module but those of torch and those that are named."""

    def __init__(self, whole: Collection[str]) -> None:
        super().__init__()
        self.whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether a module is one node."""
        found: bool = super().is_leaf_module(m, module_qualified_name)
        return found or module_qualified_name in self.whole


def traced(model: nn.Module, remedy: str, whole: Collection[str] = ()) -> torch.fx.GraphModule:
    """Return the graph of a copy of a network: what it does in evaluation.

    Steps that ask `self.training` are those of evaluation, but for dropouts in functions: they
    become modules, which know the mode. No step changes a tensor in place: what would hold the
    changed tensor takes the step's result.

    Parameters
    ----------
    model : Module
    remedy : str
        What to do where tracing fails: the end of the message.
    whole : collection of str
        Modules that stay one node each, whatever is in them.

    Raises
    ------
    InvalidType
        If `model` is no module.
    InvalidValue
        If the network cannot be traced (the message names the module), or a step changes in place
        what is used in another shape later.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    copied = copy.deepcopy(model)
    tracer = _Tracer(whole)
    if tracer.is_leaf_module(copied, ""):
        copied = nn.Sequential(copied).train(model.training)
    modes = {module: module.training for module in copied.modules()}
    copied.eval()
    try:
        steps = tracer.trace(copied)
    except Exception as error:  # what a forward may raise under tracing is not bounded
        raise InvalidValue(
            f"torch.fx cannot trace {_culprit(copied, whole)}: {_first_words(error)}. {remedy}"
        ) from error
    for module, training in modes.items():
        module.training = training
    graph = torch.fx.GraphModule(copied, steps)
    make_functional(graph)
    return graph


def check_graph(
    graph: torch.fx.GraphModule, model: nn.Module, run: Callable[[nn.Module], Any]
) -> None:
    """Refuse a graph that does not compute what its network does.

    Parameters
    ----------
    graph : GraphModule
        From `traced`.
    model : Module
    run : callable
        Feeds a batch to either.

    Raises
    ------
    InvalidValue
        If torch.fx has read another network, as where `y += x` changes a tensor that another name
        holds.
    """
    own = copy.deepcopy(model).eval()
    expected, again = run(own), run(own)
    if not _alike(expected, again):  # it draws numbers
        return
    if not _alike(run(copy.deepcopy(graph).eval()), expected):
        raise InvalidValue(
            f"the steps that torch.fx finds do not give what {type(model).__name__} computes: does "
            "it change a tensor in place (+=) that it uses again, or depend on the data?"
        )


def _alike(found: Any, expected: Any) -> bool:
    """Tell whether results are the same but for rounding; those of other kinds are let pass."""
    try:
        torch.testing.assert_close(found, expected, rtol=_SURE, atol=_SURE, equal_nan=True)
    except AssertionError:
        return False
    except (TypeError, ValueError):
        return True
    return True


def _first_words(error: Exception) -> str:
    """Return the first sentence: torch's messages go on for a page."""
    return str(error).strip().partition("\n")[0].split(". ")[0].rstrip(".")


def _culprit(model: nn.Module, whole: Collection[str]) -> str:
    """Return the innermost module that cannot be traced, by name and class."""
    found = ("the network", type(model).__name__)
    for name, module in model.named_modules():
        within = {
            each[len(name) + 1 :] for each in whole if not name or each.startswith(f"{name}.")
        }
        if name in whole:
            continue
        try:
            _Tracer(within).trace(module)
        except Exception:
            found = (f"module {name!r}" if name else "the network", type(module).__name__)
    return f"{found[0]} ({found[1]})"
