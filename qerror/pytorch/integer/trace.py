"""The steps of a network as it is, and whether they are what it computes."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import copy

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.pytorch.folding.fusion import NORMS
from qerror.pytorch.integer.reader import Reader
from qerror.pytorch.integer.steps import Step, values_of
from qerror.pytorch.networks.layers import feed
from qerror.pytorch.tracing import traced

_SURE = 1e-9  # of the largest result: what float64 loses, with room


def steps_of(model: nn.Module) -> list[Step]:
    """Return the steps of a network in evaluation mode, in order.

    Raises
    ------
    InvalidValue
        If a normalisation is in training mode, the network cannot be traced, or a layer is none
        that integers express: the message names it.
    """
    for name, module in model.named_modules():
        if isinstance(module, NORMS) and module.training:
            raise InvalidValue(
                f"normalisation {name!r} is in training mode: call eval() before the export"
            )
    graph = traced(
        copy.deepcopy(model).eval(),
        "Integers need a convolutional network whose steps do not depend on the data",
    )
    return Reader(graph).read()


def check_steps(model: nn.Module, steps: list[Step], images: Tensor) -> None:
    """Refuse steps that do not give what the network itself computes of some images.

    Raises
    ------
    InvalidValue
        If a value is not finite, or torch.fx has read another network than the one that runs, as
        where `y += x` changes a tensor that another name holds.
    """
    values = values_of(steps, images)
    for name, each in values.items():
        if not bool(torch.isfinite(each).all()):
            raise InvalidValue(f"the values of {name!r} are not finite")
    found = list(values.values())[-1]
    with torch.no_grad():
        expected = feed(copy.deepcopy(model).double().eval(), images).to(images.device)
    allowed = _SURE * float(expected.abs().max())
    if found.shape != expected.shape or not torch.allclose(found, expected, 0.0, allowed):
        raise InvalidValue(
            f"the steps that torch.fx finds do not give what {type(model).__name__} computes: does "
            "it change a tensor in place (+=) that it uses again, or does a step depend on the "
            "data?"
        )
