"""A network's graph by torch.fx, with an answer that helps where there is none."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportIncompatibleMethodOverride=false

import copy
from collections.abc import Collection

import torch
from torch import nn

from qerror.exceptions import InvalidType, InvalidValue


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
    """Return the graph of a copy of a network.

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
        If the network cannot be traced: the message names the module.
    """
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    copied = copy.deepcopy(model)
    tracer = _Tracer(whole)
    try:
        return torch.fx.GraphModule(copied, tracer.trace(copied))
    except Exception as error:  # what a forward may raise under tracing is not bounded
        raise InvalidValue(
            f"torch.fx cannot trace {_culprit(copied, whole)}: {error}. {remedy}"
        ) from error


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
