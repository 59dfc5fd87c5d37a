"""Scales and zero points of all codes by a backend's rules, and the integers that follow."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from qerror.exceptions import InvalidValue, UnknownName
from qerror.integer.arithmetic import INT32
from qerror.integer.multiplier import ROUNDINGS, Rounding, multiplier_of
from qerror.integer.network import IntegerNetwork
from qerror.integer.scaled import ScaledCodes, ScaledLayer, most_left
from qerror.pytorch.backends import BACKENDS, Backend, TensorRule
from qerror.pytorch.calibration import Calibration
from qerror.pytorch.fake_quantize import FakeQuantize
from qerror.pytorch.integer.steps import Step
from qerror.pytorch.networks.calibrations import CALIBRATIONS

INT8 = Backend(
    "INT8",
    TensorRule(symmetric=True, per_channel=True),
    TensorRule(symmetric=False),
    graph=3,
    source="TensorFlow Lite's specification of 8-bit quantization",
)
"""What an integer backend is where none is named."""

_WEIGHED = ("convolution", "linear")
_MOST = 1 << 14  # values that tell a range


@dataclass(frozen=True)
class Rules:
    """How codes are chosen."""

    backend: Backend
    weight_bits: int
    activation_bits: int
    calibration: Calibration
    rounding: Rounding


def backend_of(backend: Backend | str) -> Backend:
    """Return a backend whose layers integers can express.

    Raises
    ------
    InvalidValue
        If there is none of that name, or it keeps normalisations that are not folded.
    """
    if isinstance(backend, str):
        try:
            backend = INT8 if backend.casefold() == "int8" else BACKENDS[backend]
        except UnknownName as error:
            raise UnknownName(f"{error}; or int8") from None
    if not backend.folds:
        raise InvalidValue(
            f"{backend.name} does not fold normalisations, and integers have none: choose a "
            "backend that does, such as int8"
        )
    return backend


class ScaledPlanner:
    """Gives every step its codes, in order."""

    def __init__(self, steps: list[Step], seen: dict[str, Tensor], rules: Rules) -> None:
        self.steps, self.seen, self.rules = steps, seen, rules
        self.codes: dict[str, ScaledCodes] = {}

    def network(self, size: tuple[int, ...]) -> IntegerNetwork:
        """Return the network."""
        self.codes[""] = self._codes_for(self.seen[""])
        layers = tuple(self._layer(step, step is self.steps[-1]) for step in self.steps)
        return IntegerNetwork(self.codes[""], layers, size)

    def _layer(self, step: Step, last: bool) -> ScaledLayer:
        given = [self.codes[name] for name in step.inputs]
        weighed, units = self._weighed(step, given[0]) if step.kind in _WEIGHED else ({}, None)
        factors = np.array([]) if units is None else units
        if step.kind in {"flatten", "largest"}:
            codes = given[0]
        else:
            codes = self._codes_of(step, units if last else None)
            if units is None:
                factors, weighed = self._plain(step, given)
            factors = factors / codes.scale
        self.codes[step.name] = codes
        pairs = np.array([multiplier_of(factor) for factor in factors]).reshape(-1, 2)
        return ScaledLayer(
            step.name,
            cast("Any", step.kind),
            tuple(step.inputs),
            codes,
            pairs[:, 0],
            pairs[:, 1],
            window=step.window or (1, 1),
            stride=step.stride,
            padding=step.padding,
            dilation=step.dilation,
            groups=step.groups,
            rounding=self.rules.rounding,
            **weighed,
        )

    def _weighed(self, step: Step, given: ScaledCodes) -> tuple[dict[str, Any], Any]:
        """Return a layer's parameters as integers, and what its sums are in units of."""
        assert step.weight is not None
        outputs = len(step.weight)
        quantizer = self.rules.backend.quantizer(
            self.rules.weight_bits,
            "weight",
            "straight-through",
            channels=outputs,
            calibration=self.rules.calibration,
        ).double()
        quantizer.calibrate(step.weight)
        scale, zero = _state(quantizer)
        along = (-1, *(1,) * (step.weight.ndim - 1))
        low, high = quantizer.setting.codes
        v = step.weight / scale.reshape(along) + zero.reshape(along)
        found: dict[str, Any] = {"weight": v.round().clamp(low, high).long().numpy()}
        if quantizer.setting.asymmetric:
            found["weight_zero"] = zero.long().numpy()
        units = scale.numpy() * given.scale
        if step.bias is not None:
            codes = (step.bias / torch.from_numpy(units)).round().clamp(-INT32, INT32)
            found["bias"] = codes.long().numpy()
        return found, units

    def _codes_of(self, step: Step, logits: Any) -> ScaledCodes:
        if logits is not None and math.isinf(step.high) and math.isinf(step.low):
            # Sums of the channels at one scale, that of the coarsest: nothing more is rounded.
            return ScaledCodes(float(logits.max()), 0, -INT32 - 1, INT32)
        return self._codes_for(self.seen[step.name], step.low, step.high)

    def _plain(self, step: Step, given: list[ScaledCodes]) -> tuple[Any, dict[str, Any]]:
        """Return what the sums of a step without weights are in units of, and its other parts."""
        if step.kind == "average":
            assert step.window is not None
            return np.array([given[0].scale / (step.window[0] * step.window[1])]), {}
        if step.kind == "add":
            left, most = most_left(given), 2 * max(each.scale for each in given)
            operands = tuple(multiplier_of(each.scale / most) for each in given)
            return np.array([most * 2.0**-left]), {"operands": operands, "left": left}
        return np.array([given[0].scale]), {}

    def _codes_for(
        self, values: Tensor, low: float = -math.inf, high: float = math.inf
    ) -> ScaledCodes:
        """Return the codes of activations, cut where a ReLU cuts."""
        quantizer = self.rules.backend.quantizer(
            self.rules.activation_bits,
            "activation",
            "straight-through",
            negative=bool((values < 0).any()),
            calibration=self.rules.calibration,
        ).double()
        quantizer.calibrate(_sample(values))
        scale, zero = (float(each) for each in _state(quantizer))
        least, most = quantizer.setting.codes
        if low == 0:
            least = max(least, int(zero))
        if math.isfinite(high):
            most = max(least + 1, min(most, round(high / scale + zero)))
        return ScaledCodes(scale, int(zero), least, most)


def _state(quantizer: FakeQuantize) -> tuple[Tensor, Tensor]:
    """Return scales and zero points."""
    scale = quantizer.scale().detach().reshape(-1)
    zero = quantizer.z if quantizer.setting.asymmetric else torch.zeros_like(scale)
    return scale, cast("Tensor", zero).detach().reshape(-1)


def _sample(values: Tensor) -> Tensor:
    """Return some of many values, the least and the largest among them."""
    flat = values.reshape(-1)
    step = max(1, -(-flat.numel() // _MOST))
    return (
        flat
        if step == 1
        else torch.cat([flat[::step], flat.aminmax().min[None], flat.aminmax().max[None]])
    )


def rules_of(
    backend: Backend | str, bits: tuple[int, int], calibration: str, rounding: Rounding
) -> Rules:
    """Return the rules by their names, each checked."""
    checked_rounding(rounding)
    return Rules(backend_of(backend), *bits, CALIBRATIONS[calibration], rounding)


def checked_rounding(rounding: Rounding) -> None:
    """Refuse what is no way of rounding.

    Raises
    ------
    InvalidValue
        If it is none.
    """
    if rounding not in ROUNDINGS:
        raise InvalidValue(f"rounding is {' or '.join(ROUNDINGS)}, got {rounding!r}")
