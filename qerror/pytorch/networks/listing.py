"""What was quantized how, read off the network itself."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

from dataclasses import dataclass
from typing import cast

from torch import nn
from torch.nn.utils import parametrize

from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.networks.blockwise import BlockwiseFakeQuantize
from qerror.pytorch.networks.quantize_model import INPUT, Quantizer


@dataclass(frozen=True)
class QuantizedLayer:
    """A layer with its formats."""

    name: str
    weight: str | None
    """The format of the weight; None where it is as it was."""
    activation: str | None
    """The format of the input."""
    weight_max: float | None
    """The largest level of the weight's format at its scale, over all scales; None for blocks."""
    activation_max: float | None


def quantized_layers(model: nn.Module) -> list[QuantizedLayer]:
    """Return the layers of a model that are quantized, in the order of registration."""
    found: list[QuantizedLayer] = []
    for name, module in model.named_modules():
        weight, activation = weight_quantizer_of(module), input_quantizer_of(module)
        if weight is not None or activation is not None:
            formats = (_name(weight), _name(activation))
            found.append(QuantizedLayer(name, *formats, _largest(weight), _largest(activation)))
    return found


def weight_quantizer_of(module: nn.Module) -> Quantizer | None:
    """Return the quantizer on a layer's weight, if there is one."""
    if not parametrize.is_parametrized(module, "weight"):
        return None
    found = cast("nn.ModuleDict", module.parametrizations)["weight"]
    first = cast("nn.ModuleList", found)[0]
    return first if isinstance(first, FakeQuantize | BlockwiseFakeQuantize) else None


def input_quantizer_of(module: nn.Module) -> Quantizer | None:
    """Return the quantizer of a layer's input, if there is one."""
    found = dict(module.named_children()).get(INPUT)
    return found if isinstance(found, FakeQuantize | BlockwiseFakeQuantize) else None


def _name(quantizer: Quantizer | None) -> str | None:
    if quantizer is None:
        return None
    if isinstance(quantizer, BlockwiseFakeQuantize):
        return quantizer.form.name
    return form_of(quantizer).name


def form_of(quantizer: FakeQuantize) -> ScalarFormat:
    """Return the format that a quantizer uses now: mantissa bits may have learnt."""
    form = quantizer.setting.form
    names = {state.name for state in quantizer.states}
    if "m" not in names or not isinstance(form, FloatingPoint):
        return form
    bits = form.mantissa_bits + form.exponent_bits
    m = min(max(round(float(quantizer.get_parameter_or_buffer("m").detach())), 1), bits - 1)
    return FloatingPoint(m, bits - m, signed=form.signed)


def _largest(quantizer: Quantizer | None) -> float | None:
    if not isinstance(quantizer, FakeQuantize):
        return None
    names = {state.name for state in quantizer.states}
    if "c" in names:
        return float(quantizer.get_parameter_or_buffer("c").max().detach())
    if "s" in names:
        return float(quantizer.scale().max().detach()) * quantizer.setting.form.max_value
    return None
