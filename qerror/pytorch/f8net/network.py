"""A convolutional network in fixed point, as F8Net trains it: 8-bit products, shifts, no scales.

All numbers between layers are values over a unit eta. Tensors that are added have one unit, and
its clip alpha belongs to the first layer that takes them, the master; the units are folded into
the weights, so that nothing is left of them but shifts.
"""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import Tensor, nn

from qerror.exceptions import InvalidValue
from qerror.integer.layer import IntegerLayer
from qerror.integer.network import IntegerNetwork
from qerror.pytorch.f8net.export import Exporter
from qerror.pytorch.f8net.layer import FixedLayer, Units
from qerror.pytorch.f8net.lengths import Lengths
from qerror.pytorch.f8net.structure import WEIGHED, Structure
from qerror.pytorch.functional import fixed_point
from qerror.pytorch.functional.shared import FLOOR, fixed_codes, power
from qerror.pytorch.gradients import AtLeast, apply, quotient
from qerror.pytorch.integer.own import FixedPointNetwork, refuse_nan
from qerror.pytorch.integer.steps import Step


class F8Network(FixedPointNetwork):
    """What `f8net` makes of a network; trained as any other, exported by `to_integer`.

    Attributes
    ----------
    layers : ModuleDict
        The layers, by their names with "_" for ".".
    clips : ParameterDict
        alpha, by the name of its master.
    """

    input_length: Tensor

    def __init__(
        self,
        structure: Structure,
        modules: Mapping[str, tuple[nn.Module, nn.Module | None]],
        lengths: Lengths,
        clip: float,
        size: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.structure, self.lengths, self.size = structure, lengths, size
        self.register_buffer("input_length", torch.tensor(0.0))
        self.layers = nn.ModuleDict()
        for step in structure.layers:
            tensor, key = step.inputs[0], slot(step.name)
            if hasattr(self.layers, key) or hasattr(nn.ParameterDict, key):
                raise InvalidValue(
                    f"layer {step.name!r} would be kept as {key!r}, which is taken: rename it"
                )
            self.layers[key] = FixedLayer(
                *modules[step.name],
                lengths,
                not structure.positive[tensor],
                structure.coded[tensor],
            )
        self.clips = nn.ParameterDict(
            {slot(name): nn.Parameter(torch.tensor(clip)) for name in structure.masters}
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of images (n, channels, height, width)."""
        found: dict[str, Tensor] = {"": self._image(x)}
        units = self.units()
        for step in self.structure.steps:
            found[step.name] = self._step(step, found, units)
        return self._taken(self.structure.steps[-1].name, found)

    def _step(self, step: Step, found: Mapping[str, Tensor], units: Mapping[str, Tensor]) -> Tensor:
        if step.kind in WEIGHED:
            return self._weighed(step, found[step.inputs[0]], units)
        given = [self._taken(name, found) for name in step.inputs]
        if step.kind == "add":
            return given[0] + given[1]
        if step.kind == "average":
            window = cast("tuple[int, int]", step.window)
            total = F.avg_pool2d(given[0], window, step.stride, divisor_override=1)
            return total * 2.0 ** -self.structure.shift(step)
        if step.kind == "largest":
            return F.max_pool2d(given[0], cast("Any", step.window), step.stride, step.padding)
        return given[0].flatten(1) if step.kind == "flatten" else given[0]

    def _weighed(self, step: Step, x: Tensor, units: Mapping[str, Tensor]) -> Tensor:
        layer = self.layer(step.name)
        return cast("Tensor", layer(x, self.around(step, units), self.input_length))

    def _taken(self, name: str, found: Mapping[str, Tensor]) -> Tensor:
        """Return a tensor as others than layers take it: they have no ReLU of their own."""
        value = found[name]
        return value.clamp(min=0) if self.structure.rectified(name) else value

    def _image(self, x: Tensor) -> Tensor:
        return fixed_point(
            x,
            word_length=self.lengths.bits,
            fractional_length=self.input_length.int(),
            signed=not self.structure.positive[""],
        )

    # ---- units

    def layer(self, name: str) -> FixedLayer:
        """Return a layer by its name in the network that this one comes from."""
        return cast("FixedLayer", self.layers[slot(name)])

    def units(self) -> dict[str, Tensor]:
        """Return the units of all tensors by name: eta = 2^FL abs(alpha) / K of the master."""
        one = torch.ones_like(self.input_length)
        masters = {name: self._unit(name) for name in self.structure.masters}
        return {
            name: masters[master] if master else one
            for name, master in self.structure.master.items()
        }

    def _unit(self, master: str) -> Tensor:
        layer, alpha = self.layer(master), self.clips[slot(master)]
        size = apply(AtLeast, torch.where(alpha < 0, -alpha, alpha), FLOOR)
        high = fixed_codes(self.lengths.bits, layer.signed)[1]
        # Not ldexp of the size itself: its gradient is 0 where an integer exponent is negative.
        return quotient(size, high) * power(layer.kept().int(), size)

    def around(self, step: Step, units: Mapping[str, Tensor]) -> Units:
        """Return the units around a layer."""
        tensor = step.inputs[0]
        return Units(units[tensor], units[step.name], self.structure.factor[tensor])

    # ---- before and after training

    @torch.no_grad()
    def settle(self, images: Tensor) -> None:
        """Let the lengths of inputs run to where images take them, with the network as it is.

        A length changes the unit in which the next is measured: the images are passed until the
        lengths stand still, as often as there are lengths at most.
        """
        layers = [self.layer(step.name) for step in self.structure.layers]
        mode = self.training
        self.eval()
        try:
            for each in layers:
                each.settling = True
            for _ in range(self.lengths.bits + 1):
                before = [float(each.length) for each in layers]
                self(images)
                if before == [float(each.length) for each in layers]:
                    break
        finally:
            for each in layers:
                each.settling = False
            self.train(mode)

    def chosen_lengths(self) -> dict[str, tuple[int, int]]:
        """Return the fractional lengths of every layer's weight and input, by name."""
        units = self.units()
        found: dict[str, tuple[int, int]] = {}
        for step in self.structure.layers:
            layer = self.layer(step.name)
            weight = layer.effective(self.around(step, units))[0]
            length = self.input_length if layer.coded else layer.kept()
            found[step.name] = int(layer.weight_length(weight)), int(length)
        return found

    def integer_network(self) -> IntegerNetwork:
        """Return the network of integers whose codes are those of the evaluation mode.

        Raises
        ------
        InvalidValue
            If it or a normalisation in it is in training mode, a length is none that codes of so
            many bits have, or a sum could leave int32.
        """
        self._check()
        with torch.no_grad():
            units = self.units()
            exporter = Exporter(self.structure, self.lengths.bits, int(self.input_length))
            layers: list[IntegerLayer] = []
            for step in self.structure.steps:
                if step.kind in WEIGHED:
                    layer = self.layer(step.name)
                    length = self.input_length if layer.coded else layer.kept()
                    numbers = layer.rounded(self.around(step, units), length)
                    layers += exporter.weighed(step, layer.signed, int(length), numbers)
                else:
                    layers += exporter.step(step)
            layers += exporter.last()
        return IntegerNetwork(exporter.input, tuple(layers), self.size)

    def _check(self) -> None:
        for name, module in self.named_modules():
            if module.training:
                kind = "normalisation" if name.endswith(".norm") else "module"
                where = f"{kind} {name!r}" if name else "the network"
                raise InvalidValue(f"{where} is in training mode: call eval() before the export")
        for name, alpha in self.clips.items():
            value = float(alpha.detach())
            if not math.isfinite(value):
                raise InvalidValue(f"the clip {name!r} is {value}: did the training diverge?")
        for step in self.structure.layers:
            layer, name = self.layer(step.name), step.name
            length, most = float(layer.length), self.lengths.bits - layer.signed
            if not (math.isfinite(length) and 0 <= round(length) <= most):
                raise InvalidValue(
                    f"layer {name}: its input's fractional length is {length:g}; codes of "
                    f"{self.lengths.bits} bits have 0 to {most}"
                )
        refuse_nan(self)


def slot(name: str) -> str:
    """Return the name of a layer in a ModuleDict, which takes no dots."""
    return name.replace(".", "_")
