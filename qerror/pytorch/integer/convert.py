"""Lengths of all codes from weights and data, and the network of integers that follows."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard, cast, final

import numpy as np
import torch
from torch import Tensor, nn

from qerror._arrays import integer
from qerror.exceptions import InvalidType, InvalidValue
from qerror.integer.arithmetic import INT32
from qerror.integer.layer import Codes, IntegerLayer
from qerror.integer.multiplier import Rounding
from qerror.integer.network import IntegerNetwork
from qerror.optimize.fractional_length import optimal_fractional_length
from qerror.pytorch.backends import Backend
from qerror.pytorch.graphs.slots import QUANTIZERS
from qerror.pytorch.integer.fake import FixedPointModel
from qerror.pytorch.integer.own import FixedPointNetwork
from qerror.pytorch.integer.prepared import prepared_of
from qerror.pytorch.integer.prepared_convert import PreparedPlanner
from qerror.pytorch.integer.scaled_convert import (
    Rules,
    ScaledPlanner,
    checked_rounding,
    rules_of,
)
from qerror.pytorch.integer.scaled_fake import ScaledModel
from qerror.pytorch.integer.steps import PASSED, Step, images_of, values_of
from qerror.pytorch.integer.trace import check_steps, steps_of

_WEIGHED = ("convolution", "linear")
_MOST = 1 << 17  # values that tell a length
_FEW = 4  # images that show whether the steps are those of the network
_OR_A_BACKEND = "or a backend, such as int8, has multipliers for them"


@final
@dataclass(frozen=True, eq=False)
class IntegerModel:
    """A network of integers, and the fake-quantized one in floating point that it equals."""

    integer: IntegerNetwork
    fake: FixedPointModel | ScaledModel


def to_integer(
    model: nn.Module,
    data: Iterable[object],
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    backend: Backend | str | None = None,
    calibration: str | None = None,
    rounding: Rounding | None = None,
) -> IntegerModel:
    """Return a network that computes with integers alone, from one in floating point.

    Normalisations are folded. Without a backend, every tensor gets the fractional length with the
    least mean squared error: weights by their values, activations by those on the data. Then the
    steps are sums of products, shifts to the nearest (ties to even) and clamps.

    With a backend, tensors get scales and zero points by its rules; the steps are sums of products
    of codes less zero points, products with multipliers of 31 bits, shifts and clamps, as in
    TensorFlow Lite: see `qerror.integer.ScaledLayer`.

    Parameters
    ----------
    model : Module
        In evaluation mode: convolutions, linear layers, batch normalisations behind them, ReLU,
        ReLU6, additions, pools. One from `qerror.pytorch.f8net` keeps its own lengths, one from
        `qerror.pytorch.graphs.prepare` the scales that its quantizers have: see the notes.
    data : iterable of tensors
        Images for the lengths of activations, as `quantize_model` takes them.
    weight_bits, activation_bits : int
        Of the codes, 2 to 16. Activations that are never negative have no sign bit, unless the
        backend has other rules.
    backend : Backend or str, optional
        A record or a name in `BACKENDS`; "int8" has weights symmetric per channel and activations
        with a zero point. What its graph leaves in floating point has codes here as well.
    calibration : str, optional
        A name in `CALIBRATIONS`, for a backend's scales; by default "minmax", as TensorFlow Lite.
    rounding : {"once", "twice", "even"}, optional
        How a backend's hardware rounds a product with a multiplier: see
        `qerror.integer.multiplier.Rounding`. By default "once", and for a network from `prepare`
        "even", as its quantizers do.

    Returns
    -------
    IntegerModel
        `integer` runs in NumPy and needs no torch; `fake` is the same in floating point, whose
        codes are equal in every layer: in float64 always, in float32 where `exact_in_float32`
        of it is empty.

    Raises
    ------
    InvalidValue
        If a layer or the levels of a quantizer are none that integers express, a sum could leave
        int32, the data do not fit, the backend does not fold, or a calibration or a rounding is
        given without a backend.
    InvalidType
        If the model is no module.

    Notes
    -----
    Of a network from `prepare`, trained or not, every quantizer's codes are a layer's. What its
    graph leaves in floating point, such as sums of residual blocks in graph 1, has codes of 30
    digits; biases lie up to 2^-16 below the unit of products (`ScaledLayer.left`), and ties go to
    the even code, unless hardware has another `rounding`. The codes are those of the network
    evaluated in float64 but where a value lies at a tie to about nine digits: at 4 bits none of
    millions, at 8 bits up to six in a million, as one moves those behind it; float32 strays itself
    by 1e-5 to 1e-4 of them, and no integers can follow it, as its sums depend on the order of
    addition. Means of places that keep their scale lie at ties often.

    References
    ----------
    Jin et al. 2022 (F8Net), sections 3.1 and 4, for fixed-point inference. Jacob et al. 2018 (arXiv
    1712.05877), section 2, for multipliers.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    >>> x = torch.randn(64, 4)
    >>> both = to_integer(net, [x])
    >>> codes = both.integer.encode(x.numpy())
    >>> bool((both.integer.run(codes) == both.fake.codes(x)["2"].numpy()).all())
    True
    """
    learnt = is_prepared(model)
    widths, rules = checked_choices(
        weight_bits, activation_bits, backend, calibration, rounding, learnt=learnt
    )
    if not isinstance(model, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance] - the door
        raise InvalidType(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, FixedPointNetwork):
        _refuse_choices(widths, backend)
        own = model.integer_network()
        return IntegerModel(own, FixedPointModel(own))
    if is_prepared(model):
        _refuse_learnt(widths, backend)
        return _learnt(model, images_of(data), rounding or "even")
    steps = steps_of(model)
    images = images_of(data)
    check_steps(model, steps, images[0][:_FEW])
    seen, size = _observed(steps, images)
    if rules is not None:
        scaled = ScaledPlanner(steps, seen, rules).network(tuple(size))
        return IntegerModel(scaled, ScaledModel(scaled))
    network = _Planner(steps, seen, widths).network(tuple(size))
    return IntegerModel(network, FixedPointModel(network))


def checked_choices(
    weight_bits: int,
    activation_bits: int,
    backend: Backend | str | None,
    calibration: str | None,
    rounding: Rounding | None,
    *,
    learnt: bool = False,
) -> tuple[tuple[int, int], Rules | None]:
    """Return the widths of codes and a backend's rules, or refuse them as `to_integer` does.

    A network that has quantizers is `learnt`: a rounding is a choice without a backend, too.
    """
    widths = (
        integer("weight_bits", weight_bits, 2, 16),
        integer("activation_bits", activation_bits, 2, 16),
    )
    if backend is not None:
        return widths, rules_of(backend, widths, calibration or "minmax", rounding or "once")
    if rounding is not None:
        checked_rounding(rounding)
    if calibration is not None or (rounding is not None and not learnt):
        raise InvalidValue("a calibration and a rounding are those of a backend: give one, or int8")
    return widths, None


def is_prepared(model: nn.Module) -> TypeGuard[torch.fx.GraphModule]:
    """Tell whether a network is one from `qerror.pytorch.graphs.prepare`."""
    return isinstance(model, torch.fx.GraphModule) and QUANTIZERS in model.meta


def _learnt(model: torch.fx.GraphModule, images: list[Tensor], rounding: Rounding) -> IntegerModel:
    """Return the integers of a network whose quantizers have their scales."""
    prepared = prepared_of(model)
    first = images[0][:1]
    values_of(prepared.steps, first)  # sets the windows of pools
    network = PreparedPlanner(prepared, rounding).network(tuple(first.shape[1:]))
    return IntegerModel(network, ScaledModel(network))


def _refuse_learnt(widths: tuple[int, int], backend: object) -> None:
    """Refuse what a network with quantizers has settled."""
    if widths != (8, 8) or backend is not None:
        raise InvalidValue(
            "the network has quantizers: its bits, its backend and its scales are its own; leave "
            "weight_bits, activation_bits and backend out"
        )


def _refuse_choices(widths: tuple[int, int], backend: object) -> None:
    """Refuse what a network in fixed point has settled."""
    if widths != (8, 8) or backend is not None:
        raise InvalidValue(
            "the network is in fixed point already: its bits and lengths are its own; leave "
            "weight_bits, activation_bits and backend out"
        )


def _observed(steps: list[Step], images: list[Tensor]) -> tuple[dict[str, Tensor], torch.Size]:
    """Return values of every step on the data, a sample of large ones, and an image's shape."""
    kept: dict[str, list[Tensor]] = {}
    for x in images:
        for name, values in values_of(steps, x).items():
            if not bool(torch.isfinite(values).all()):
                raise InvalidValue(f"the values of {name!r} are not finite")
            kept.setdefault(name, []).append(values)
    return {name: torch.cat(parts) for name, parts in kept.items()}, images[0].shape[1:]


class _Planner:
    """Gives every step its codes, in order."""

    def __init__(self, steps: list[Step], seen: dict[str, Tensor], bits: tuple[int, int]) -> None:
        self.steps, self.seen = steps, seen
        self.weight_bits, self.activation_bits = bits
        self.codes: dict[str, Codes] = {}
        self.factor: dict[str, float] = {"": 1.0}  # value of a step over what its codes say
        self.users: dict[str, list[Step]] = {}
        for step in steps:
            for name in step.inputs:
                self.users.setdefault(name, []).append(step)

    def network(self, size: tuple[int, ...]) -> IntegerNetwork:
        """Return the network."""
        self.codes[""] = self._codes_for(self.seen[""], float("inf"))
        layers = tuple(self._layer(step, step is self.steps[-1]) for step in self.steps)
        if self.factor[layers[-1].name] != 1:
            raise InvalidValue(
                f"the network ends with step {layers[-1].name!r}, in units of means over a window "
                "whose size is no power of two: their factor must go into the weights of a layer, "
                + _OR_A_BACKEND
            )
        return IntegerNetwork(self.codes[""], layers, size)

    def _layer(self, step: Step, last: bool) -> IntegerLayer:
        given = [self.codes[name] for name in step.inputs]
        factor = self._shared_factor(step)
        weighed = self._weighed(step, given[0], factor) if step.kind in _WEIGHED else {}
        shift = 0
        if step.kind == "average":
            assert step.window is not None
            count = step.window[0] * step.window[1]
            shift = round(math.log2(count))
            factor *= 2.0**shift / count
        elif step.kind in _WEIGHED:
            factor = 1.0
        self.factor[step.name] = factor
        raw = last and step.kind in _WEIGHED and math.isinf(step.low) and math.isinf(step.high)
        if step.kind in PASSED:
            codes = given[0]
        elif raw:
            length = given[0].length + weighed["weight_length"]
            codes = Codes(length, -INT32 - 1, INT32)
        else:
            try:
                codes = self._codes_for(self.seen[step.name] / factor, step.high / factor)
            except InvalidValue as error:
                raise InvalidValue(f"step {step.name!r}: {error}") from None
        self.codes[step.name] = codes
        return IntegerLayer(
            step.name,
            cast("Any", step.kind),
            tuple(step.inputs),
            codes,
            window=step.window or (1, 1),
            stride=step.stride,
            padding=step.padding,
            dilation=step.dilation,
            groups=step.groups,
            raw=raw,
            shift=shift,
            **weighed,
        )

    def _shared_factor(self, step: Step) -> float:
        """Return what the values that a step takes are over what their codes say."""
        factors = {self.factor[name] for name in step.inputs}
        if len(factors) > 1:
            raise InvalidValue(
                f"step {step.name!r} adds means of windows whose sizes are no powers of two to "
                f"others: their factors must go into the weights of a layer, {_OR_A_BACKEND}"
            )
        return factors.pop()

    def _weighed(self, step: Step, given: Codes, factor: float) -> dict[str, Any]:
        assert step.weight is not None
        weight = step.weight * factor
        top = 2 ** (self.weight_bits - 1) - 1
        length = self._length(weight, self.weight_bits, signed=True)
        codes = torch.clamp(torch.round(torch.ldexp(weight, torch.tensor(length))), -top, top)
        found: dict[str, Any] = {"weight": codes.long().numpy(), "weight_length": length}
        if step.bias is not None:
            scaled = torch.ldexp(step.bias, torch.tensor(length + given.length))
            found["bias"] = torch.clamp(torch.round(scaled), -INT32, INT32).long().numpy()
        return found

    def _codes_for(self, values: Tensor, high: float) -> Codes:
        """Return the codes with the least error, without a sign where no value is negative."""
        signed = bool((values < 0).any())
        bits = self.activation_bits
        length = self._length(values, bits, signed=signed)
        top = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        if math.isfinite(high):
            top = max(1, min(top, round(math.ldexp(high, length))))
        return Codes(length, -top if signed else 0, top)

    @staticmethod
    def _length(values: Tensor, bits: int, *, signed: bool) -> int:
        flat = values.reshape(-1)
        flat = flat[:: max(1, -(-flat.numel() // _MOST))]
        if not bool((flat != 0).any()):
            return 0
        with np.errstate(all="ignore"):
            return optimal_fractional_length(flat.numpy(), bits, signed)
