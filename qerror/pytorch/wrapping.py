"""Where quantizers stand: on weights, before a module, around a concatenation."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from qerror.exceptions import InvalidValue
from qerror.pytorch.blocks import BlockFakeQuantize
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.granularity import PerTensor


def quantize_weight(
    module: nn.Module, quantizer: FakeQuantize | BlockFakeQuantize, name: str = "weight"
) -> nn.Module:
    """Let a module compute with its quantized weight; the weight itself goes on training.

    Parameters
    ----------
    module : Module
    quantizer : FakeQuantize or BlockFakeQuantize
        It is calibrated on the weight, where its method has a calibration.
    name : str
        Which parameter.

    Returns
    -------
    Module
        `module`, with the quantizer as a parametrization: undo it by
        `torch.nn.utils.parametrize.remove_parametrizations`.

    Raises
    ------
    InvalidValue
        If the module has no such parameter, it is quantized already, or the quantizer is one for
        activations.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise InvalidValue(f"{type(module).__name__} has no parameter {name!r}")
    if _is_quantized(module, name):
        raise InvalidValue(
            f"{name} of this {type(module).__name__} is quantized already; first take that off: "
            f"torch.nn.utils.parametrize.remove_parametrizations(module, {name!r}, "
            "leave_parametrized=False)"
        )
    if isinstance(quantizer, FakeQuantize):
        if quantizer.setting.role != "weight":
            raise InvalidValue("a quantizer for activations cannot stand on a weight")
        if quantizer.calibration is not None:
            quantizer.calibrate(weight.detach())
    parametrize.register_parametrization(module, name, quantizer)
    return module


def _is_quantized(module: nn.Module, name: str) -> bool:
    """Tell whether a quantizer stands on a parameter; other parametrizations may."""
    if not parametrize.is_parametrized(module, name):
        return False
    found = cast("nn.ModuleDict", module.parametrizations)[name]
    return any(
        isinstance(each, FakeQuantize | BlockFakeQuantize) for each in cast("nn.ModuleList", found)
    )


class QuantizedInput(nn.Module):
    """A module whose first input is quantized.

    Parameters
    ----------
    module : Module
    quantizer : FakeQuantize
        For activations.
    """

    def __init__(self, module: nn.Module, quantizer: FakeQuantize) -> None:
        super().__init__()
        if quantizer.setting.role != "activation":
            raise InvalidValue("the quantizer of an input must have role='activation'")
        self.quantizer = quantizer
        self.module = module

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the module's output on the quantized input."""
        return self.module(self.quantizer(x), *args, **kwargs)


class QuantizedConcat(nn.Module):
    """A concatenation whose inputs share one range, as integer hardware needs it.

    Parameters
    ----------
    quantizer : FakeQuantize
        For activations, one range for the tensor.
    dim : int
        Along which axis.
    """

    def __init__(self, quantizer: FakeQuantize, dim: int = 1) -> None:
        super().__init__()
        setting = quantizer.setting
        if setting.role != "activation" or not isinstance(setting.granularity, PerTensor):
            raise InvalidValue(
                "the inputs of a concatenation share one range: the quantizer must have "
                "role='activation' and one range for the tensor"
            )
        self.quantizer = quantizer
        self.dim = dim

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the quantized parts as one tensor."""
        return torch.cat([self.quantizer(part) for part in parts], self.dim)
