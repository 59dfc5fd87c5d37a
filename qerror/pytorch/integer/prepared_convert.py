"""From the codes that a trained network has to a network of integers with the same."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

import math
from typing import Any, cast

import numpy as np
import torch

from qerror._arrays import FloatArray
from qerror.exceptions import InvalidValue
from qerror.integer.arithmetic import INT32
from qerror.integer.multiplier import Rounding, multiplier_of
from qerror.integer.network import IntegerNetwork
from qerror.integer.scaled import ScaledCodes, ScaledLayer, most_left
from qerror.pytorch.integer.prepared import Prepared
from qerror.pytorch.integer.steps import Step

_WEIGHED = ("convolution", "linear")
_PASSED = ("largest", "flatten")
_WIDE = 30  # digits of what the network keeps in floating point: two of them add up in int32
_MOST_LEFT = 16  # of sums: a bias is then off by 2^-17 of a product's unit at most
_NARROW = 17  # digits: more are none of a quantizer's
_MOST_FACTOR = 13  # digits: multipliers stay below 2^14


class PreparedPlanner:
    """Gives every step its codes: a quantizer's, or wide ones where the network has none.

    A quantizer that alone takes what a step gives is that step's own requantization.
    """

    def __init__(self, prepared: Prepared, rounding: Rounding = "even") -> None:
        self.prepared = prepared
        self.rounding: Rounding = rounding
        self.steps = {step.name: step for step in prepared.steps}
        self.layers: list[ScaledLayer] = []
        self.codes: dict[str, ScaledCodes] = {}
        self.behind: dict[str, str] = {}  # the quantizer that a step's result is rounded by
        self.name = {"": ""}  # the layer that has a step's result
        for step in prepared.steps:
            before = self.steps.get(step.inputs[0])
            if (
                step.name in prepared.codes
                and before is not None
                and before.users == 1
                and before.name not in prepared.codes
                and before.kind not in _PASSED
            ):
                self.behind[before.name] = step.name

    def network(self, size: tuple[int, ...]) -> IntegerNetwork:
        """Return the network.

        Raises
        ------
        InvalidValue
            If the input has not one quantizer, or a sum could leave int32.
        """
        self._input()
        for step in self.prepared.steps:
            if step.name not in self.name:
                self.layers.append(self._layer(step))
        return IntegerNetwork(self.codes[""], tuple(self.layers), size)

    def _input(self) -> None:
        first = [step for step in self.prepared.steps if "" in step.inputs]
        if len(first) != 1 or first[0].name not in self.prepared.codes:
            taken = ", ".join(step.name for step in first)
            raise InvalidValue(
                "integers begin with the codes of the image: one quantizer must stand on the "
                f"network's input, but it is taken by {taken}; choose graph 2 or 3"
            )
        step = first[0]
        self.name[step.name] = ""
        self.codes[""] = _cut(self.prepared.codes[step.name], step)

    def _layer(self, step: Step) -> ScaledLayer:
        inputs = tuple(self.name[name] for name in step.inputs)
        if step.kind == "add":
            inputs = self._alike(inputs)
        given = [self.codes[name] for name in inputs]
        left, weighed, units = 0, dict[str, Any](), np.array([])
        if step.kind in _PASSED:
            codes = given[0]
        else:
            units, weighed, bound = self._sums(step, given)
            left = weighed.pop("left", 0)
            codes = self._codes(step, given, units, bound)
        self.name[step.name] = step.name
        self.codes[step.name] = codes
        if step.name in self.behind:
            self.name[self.behind[step.name]] = step.name
        pairs = np.array([multiplier_of(each / codes.scale) for each in units]).reshape(-1, 2)
        return ScaledLayer(
            step.name,
            cast("Any", step.kind),
            inputs,
            codes,
            pairs[:, 0],
            pairs[:, 1],
            left=left,
            window=step.window or (1, 1),
            stride=step.stride,
            padding=step.padding,
            dilation=step.dilation,
            groups=step.groups,
            rounding=self.rounding,
            **weighed,
        )

    def _alike(self, inputs: tuple[str, ...]) -> tuple[str, ...]:
        """Return the operands of an addition, narrow codes beside wide ones as fine as those."""
        wide = [self.codes[name].largest >> _NARROW > 0 for name in inputs]
        if all(wide) or not any(wide):
            return inputs
        return tuple(
            name if each else self._as_fine(name) for name, each in zip(inputs, wide, strict=True)
        )

    def _as_fine(self, name: str) -> str:
        """Return the layer that has codes 2^13 times as fine: no value changes."""
        finer = f"{name} finer"
        if finer not in self.codes:
            own = self.codes[name]
            low, high = ((each - own.zero) << _MOST_FACTOR for each in (own.low, own.high))
            codes = ScaledCodes(own.scale * 2.0**-_MOST_FACTOR, 0, low, high)
            m, n = multiplier_of(2.0**_MOST_FACTOR)
            layer = ScaledLayer(
                finer, "clip", (name,), codes, np.array([m]), np.array([n]), rounding="even"
            )
            self.codes[finer] = codes
            self.layers.append(layer)
        return finer

    # ---- sums

    def _sums(
        self, step: Step, given: list[ScaledCodes]
    ) -> tuple[FloatArray, dict[str, Any], float]:
        """Return what a step's sums are in units of, its parts, and the largest value."""
        reach = [each.largest * each.scale for each in given]
        if step.kind in _WEIGHED:
            return self._products(step, given[0])
        if step.kind == "average":
            assert step.window is not None
            return np.array([given[0].scale / (step.window[0] * step.window[1])]), {}, reach[0]
        if step.kind == "add":
            left = most_left(given)
            # By a power of two below a scale: those that are powers of two stay exact.
            unit = _finer(max(each.scale for each in given) * 2.0**-left, sum(reach), 30)
            operands = tuple(multiplier_of(each.scale * 2.0**-left / unit) for each in given)
            return np.array([unit]), {"operands": operands, "left": left}, sum(reach)
        return np.array([given[0].scale]), {}, reach[0]

    def _products(self, step: Step, given: ScaledCodes) -> tuple[FloatArray, dict[str, Any], float]:
        own = self.prepared.weights[step.name]
        along = (-1, *(1,) * (own.codes.ndim - 1))
        zero = own.zero.long().expand(len(own.codes)).clone()
        rows = own.codes.long() - zero.reshape(along)
        units = (own.scale * given.scale).expand(len(rows)).clone()
        most = rows.abs().flatten(1).sum(1).double() * given.largest * units
        bias = torch.zeros(len(rows)).double() if step.bias is None else step.bias
        bound = float((most + bias.abs()).max())
        # Scales that training took to 0: a bias has no code in units of so faint products.
        faint = most < bound * 2.0 ** -(_WIDE + 1)
        coarse = max(float(units.max()), bound * 2.0**-_WIDE)
        rows[faint], units[faint], most[faint] = 0, coarse, 0.0
        sums = float(((most + bias.abs()) / units).max())
        left = max(0, min(_MOST_LEFT, int(math.log2((INT32 >> 1) / max(1.0, sums)))))
        found: dict[str, Any] = {"weight": (rows + zero.reshape(along)).numpy(), "left": left}
        if bool(zero.any()):
            found["weight_zero"] = zero.numpy()
        if step.bias is not None:
            fine = torch.round(bias / units * 2.0**left).clamp(-INT32, INT32)
            found["bias"] = fine.long().numpy()
        return units.numpy() * 2.0**-left, found, bound

    def _spare(self, step: Step) -> int:
        """Return the digits that sums over places of a step's result need."""
        spare = 0
        for user in self.prepared.steps:
            if step.name in user.inputs:
                own = _digits(user) if user.kind == "average" else 0
                spare = max(spare, own, self._spare(user) if user.kind in _PASSED else 0)
        return spare

    # ---- codes

    def _codes(
        self, step: Step, given: list[ScaledCodes], units: FloatArray, bound: float
    ) -> ScaledCodes:
        if step.name in self.behind:
            name = self.behind[step.name]
            codes = _cut(self.prepared.codes[name], self.steps[name])
        elif step.name in self.prepared.codes:
            codes = self.prepared.codes[step.name]
        elif step.kind == "clip":  # of what has codes already
            codes = given[0]
        elif step is self.prepared.steps[-1]:
            # Sums of the channels at one scale, that of the coarsest: nothing more is rounded.
            codes = ScaledCodes(float(units.max()), 0, -INT32 - 1, INT32)
        else:
            scale = _finer(float(units.max()), bound, _WIDE - self._spare(step))
            most = math.ceil(bound / scale)
            codes = ScaledCodes(scale, 0, -most, most)
        return _cut(codes, step)


def _digits(step: Step) -> int:
    """Return how many digits a mean over places adds to what it sums."""
    assert step.window is not None
    return math.ceil(math.log2(step.window[0] * step.window[1]))


def _finer(unit: float, bound: float, digits: int) -> float:
    """Return a unit times a power of two in which values to a bound have so many digits."""
    exponent = max(-_MOST_FACTOR, math.ceil(math.log2(max(bound, unit) / unit)) - digits)
    return unit * 2.0**exponent


def _cut(codes: ScaledCodes, step: Step) -> ScaledCodes:
    """Return codes within a step's clip."""
    low, high = codes.low, codes.high
    if step.low == 0:
        low = min(max(low, codes.zero), high)
    if math.isfinite(step.high):
        high = max(low, min(high, round(step.high / codes.scale + codes.zero)))
    return ScaledCodes(codes.scale, codes.zero, low, high)
