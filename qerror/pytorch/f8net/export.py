"""From fixed point to integers: codes of every step, accumulators kept whole between layers."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qerror.integer.layer import Codes, IntegerLayer
from qerror.pytorch.f8net.structure import Structure
from qerror.pytorch.functional.shared import fixed_codes
from qerror.pytorch.integer.steps import Step

_ANY = Codes(0, -1, 1)  # until the worst case is known


class Exporter:
    """Makes integer layers, step by step.

    Layers return their accumulators, which an addition aligns; a layer that takes one requantizes
    it to its own length, and so is its ReLU.
    """

    def __init__(self, structure: Structure, bits: int, input_length: int) -> None:
        self.structure = structure
        self.bits = bits
        low, high = fixed_codes(bits, not structure.positive[""])
        self.input = Codes(input_length, low, high)
        self.codes = {"": self.input}
        self.name = {"": ""}  # of the layer that has a tensor

    def weighed(
        self, step: Step, signed: bool, length: int, numbers: tuple[Tensor, Tensor, Tensor]
    ) -> list[IntegerLayer]:
        """Return what requantizes a layer's input, and the layer."""
        tensor, found = step.inputs[0], list[IntegerLayer]()
        source = self.name[tensor]
        if not self.structure.coded[tensor]:
            codes = Codes(length, *fixed_codes(self.bits, signed))
            found.append(self._clip(f"{step.name}.input", source, codes))
            source = found[0].name
        weight, weight_length, bias = numbers
        layer = IntegerLayer(
            step.name,
            "convolution" if step.kind == "convolution" else "linear",
            (source,),
            _ANY,
            weight=_codes(weight, int(weight_length)),
            weight_length=int(weight_length),
            bias=_codes(bias.expand(len(weight)), int(weight_length) + length),
            stride=step.stride,
            padding=step.padding,
            dilation=step.dilation,
            groups=step.groups,
            raw=True,
        )
        return [*found, self._kept(step.name, layer, length + int(weight_length))]

    def step(self, step: Step) -> list[IntegerLayer]:
        """Return what a step without a weight is, with the ReLUs before it."""
        found: list[IntegerLayer] = []
        sources = [self._taken(name, found) for name in step.inputs]
        if step.kind == "clip":  # the ReLU of whoever takes it
            self.name[step.name] = sources[0]
            return found
        given = [self.codes[name] for name in sources]
        kind: Any = step.kind
        layer = IntegerLayer(
            step.name,
            kind,
            tuple(sources),
            given[0],
            window=step.window or (1, 1),
            stride=step.stride,
            padding=step.padding,
            shift=self.structure.shift(step) if step.kind == "average" else 0,
        )
        if step.kind in {"flatten", "largest"}:
            self.name[step.name], self.codes[step.name] = step.name, given[0]
            return [*found, layer]
        length = max(each.length for each in given) + layer.shift
        return [*found, self._kept(step.name, layer, length)]

    def last(self) -> list[IntegerLayer]:
        """Return the ReLU at the end, if there is one."""
        found: list[IntegerLayer] = []
        self._taken(self.structure.steps[-1].name, found)
        return found

    def _taken(self, tensor: str, found: list[IntegerLayer]) -> str:
        """Return the layer that has a tensor as others than layers take it."""
        source = self.name[tensor]
        if not self.structure.rectified(tensor):
            return source
        name, codes = f"{source}.relu", self.codes[source]
        if name not in self.codes:
            found.append(self._clip(name, source, Codes(codes.length, 0, codes.high)))
        return name

    def _clip(self, name: str, source: str, codes: Codes) -> IntegerLayer:
        self.codes[name] = codes
        return IntegerLayer(name, "clip", (source,), codes)

    def _kept(self, name: str, layer: IntegerLayer, length: int) -> IntegerLayer:
        """Give a layer the codes that its accumulator can take, and remember them."""
        given = [self.codes[each] for each in layer.inputs]
        low, high = layer.extremes(given, layer.window[0] * layer.window[1])
        codes = Codes(length, min(low, 0), max(high, 1))
        self.name[name], self.codes[name] = name, codes
        return replace(layer, output=codes)


def _codes(values: Tensor, length: int) -> Any:
    """Return whole numbers that stand for values: exact, as they were rounded before."""
    return torch.ldexp(values.double(), torch.tensor(length)).round().long().cpu().numpy()
