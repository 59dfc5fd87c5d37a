"""A network that was trained with a backend's quantizers as steps with the codes that it learnt."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.integer.scaled import ScaledCodes
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.folding import FoldedBatchNorm
from qerror.pytorch.folding.fusion import NORMS
from qerror.pytorch.graphs.declared import SLOT
from qerror.pytorch.integer.nodes import layer_step
from qerror.pytorch.integer.own import refuse_nan
from qerror.pytorch.integer.reader import Reader
from qerror.pytorch.integer.steps import Step

_SURE = 1e-3  # of a step: what float32 loses of a level, with room


@dataclass(frozen=True)
class CodedWeight:
    """A weight as a quantizer has it: scale (code - zero), with one of each or one an output."""

    codes: Tensor
    scale: Tensor
    zero: Tensor


@dataclass(frozen=True)
class Prepared:
    """The steps of a network whose quantizers are steps among them, called clips."""

    steps: list[Step]
    codes: dict[str, ScaledCodes]
    """Of the quantizers, by the names of their steps."""
    weights: dict[str, CodedWeight]


def prepared_of(model: torch.fx.GraphModule) -> Prepared:
    """Return the steps of a network from `qerror.pytorch.graphs.prepare`.

    Raises
    ------
    InvalidValue
        If it is in training mode or holds NaN, keeps a normalisation, or a step or the levels of a
        quantizer are none that integers express: the message names it.
    """
    if model.training or any(each.training for each in model.modules()):
        raise InvalidValue("the network is in training mode: call eval() before the export")
    refuse_nan(model)
    reader = _PreparedReader(copy.deepcopy(model).cpu())
    return Prepared(reader.read(), reader.codes, reader.weights)


class _PreparedReader(Reader):
    """Reads quantizers too."""

    def __init__(self, graph: torch.fx.GraphModule) -> None:
        super().__init__(graph)
        self.codes: dict[str, ScaledCodes] = {}
        self.weights: dict[str, CodedWeight] = {}

    def _module(self, node: torch.fx.Node, module: nn.Module) -> None:
        name = str(node.target)
        if hasattr(module, SLOT):
            raise InvalidValue(
                f"quantizers that are declared by hand in {name!r} are not read: integers need a "
                "network that torch.fx can trace whole"
            )
        if isinstance(module, NORMS):
            raise InvalidValue(
                f"normalisation {name!r} is not folded, and integers have none: prepare the "
                "network for a backend that folds, and with folding 0 to 4"
            )
        if isinstance(module, FakeQuantize):
            self._quantizer(node, name, module)
        elif isinstance(module, FoldedBatchNorm) and isinstance(
            module.module, nn.Conv2d | nn.Linear
        ):
            weight, bias = module.at_rest()
            step = layer_step(name, module.module)
            self._weighed(node, step, module.quantizer, weight, bias)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            weights: Any = getattr(module, "parametrizations", {})
            if "weight" not in weights:
                raise InvalidValue(f"the weight of layer {name!r} is not quantized")
            own = weights["weight"]
            step = layer_step(name, module)
            self._weighed(node, step, own[0], own.original, module.bias)
        else:
            super()._module(node, module)

    def _weighed(
        self, node: torch.fx.Node, step: Step, quantizer: Any, weight: Tensor, bias: Tensor | None
    ) -> None:
        found = _coded(f"the weight of layer {step.name!r}", quantizer, weight)
        along = (-1, *(1,) * (weight.ndim - 1))
        step.weight = found.scale.reshape(along) * (found.codes - found.zero.reshape(along))
        step.bias = None if bias is None else bias.detach().double()
        self._add(node, step, self._source(node))
        self.weights[self.of[node]] = found

    def _quantizer(self, node: torch.fx.Node, name: str, quantizer: FakeQuantize) -> None:
        what = f"the quantizer at {name.rsplit('.', maxsplit=1)[-1]!r}"
        low, high = quantizer.setting.codes
        reference = torch.tensor(0.0)
        s, z = _steps(what, quantizer, reference)
        levels = s * (torch.arange(low, high + 1) - z)
        _check(what, quantizer, levels.to(_dtype(quantizer)), levels, s)
        step = Step(name, "clip", [])
        self._add(node, step, self._source(node))
        self.codes[step.name] = ScaledCodes(float(s), int(z), low, high)


def _coded(what: str, quantizer: Any, weight: Tensor) -> CodedWeight:
    if not isinstance(quantizer, FakeQuantize):
        raise InvalidValue(f"{what} is not quantized")
    s, z = _steps(what, quantizer, weight.detach())
    with torch.no_grad():
        y = quantizer(weight.detach()).double()
    low, high = quantizer.setting.codes
    codes = torch.round(y / s + z).clamp(low, high)
    _check(what, None, y, s * (codes - z), s)
    if s.numel() not in {1, len(weight)}:
        raise InvalidValue(f"integers cannot express {what}: its scales are not those of outputs")
    return CodedWeight(codes, s.reshape(-1), z.expand_as(s).reshape(-1))


def _steps(what: str, quantizer: FakeQuantize, x: Tensor) -> tuple[Tensor, Tensor]:
    try:
        return quantizer.steps(x)
    except InvalidValue as error:
        raise InvalidValue(f"integers cannot express {what}: {error}") from error


def _check(what: str, quantizer: FakeQuantize | None, x: Tensor, levels: Tensor, s: Tensor) -> None:
    """Refuse levels that are not those of the codes."""
    with torch.no_grad():
        y = x if quantizer is None else quantizer(x).double()
    if bool(((y - levels).abs() > _SURE * s).any()):
        raise InvalidValue(f"integers cannot express {what}: its levels are not those of its codes")


def _dtype(quantizer: FakeQuantize) -> torch.dtype:
    found = [*quantizer.parameters(), *quantizer.buffers()]
    return found[0].dtype if found else torch.float32
