"""DoReFa: weights through a hyperbolic tangent, activations clipped to [0, 1].

Twice for weights: to [-1, 1] as published, and in their own unit, for layers whose normalisation is
folded into them.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.functional.clipping import PactForm
from qerror.pytorch.functional.shared import FLOOR
from qerror.pytorch.functional.tanh import unit_step
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    codes_of,
    no_calibration,
    require,
)
from qerror.pytorch.scales import Free, PowerOfTwo


def _states(setting: Setting) -> tuple[State, ...]:
    del setting
    return ()


def _check(setting: Setting) -> None:
    require(setting.rule == "straight-through", "dorefa", "its own gradient only", setting)
    ruled = isinstance(setting.scale_rule, Free | PowerOfTwo)
    require(ruled, "dorefa", "any scale or powers of two", setting)
    # A scale a channel is allowed: it is 1/P in every one.
    codes = codes_of(setting)
    positive = codes == "unsigned" and setting.role == "activation"
    suits = codes == "unsigned" if setting.asymmetric else codes == "symmetric" or positive
    takes = "symmetric integers, unsigned ones for activations or with a zero point"
    require(suits, "dorefa", takes, setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del state, training
    power, shifted = not isinstance(setting.scale_rule, Free), setting.asymmetric
    if setting.role == "weight":
        return F.dorefa_weight(x, bits=setting.bits, asymmetric=shifted, power_of_two=power)
    if shifted or (power and setting.signed):
        return F.unit_levels(x, bits=setting.bits, asymmetric=shifted, power_of_two=power)
    steps = setting.codes[1]
    top = 1.0 if not power else steps * 2.0 ** round(math.log2(1 / steps))
    form: PactForm = "symmetric" if setting.signed else "unsigned"
    return F.pact(x, top, bits=setting.bits, form=form)  # [0, 1]; [-1, 1] with signed codes


def _steps(x: Tensor, state: Mapping[str, Tensor], setting: Setting) -> tuple[Tensor, Tensor]:
    del state
    power, steps = not isinstance(setting.scale_rule, Free), setting.codes[1]
    if setting.signed or setting.asymmetric:
        s, z = unit_step(setting.bits, asymmetric=setting.asymmetric, power_of_two=power)
    else:
        s, z = 1 / steps if not power else 2.0 ** round(math.log2(1 / steps)), 0
    return x.new_full((), s, dtype=torch.float64), x.new_full((), z, dtype=torch.float64)


METHODS.register(
    "dorefa",
    Recipe(
        source="Zhou et al. 2016 (arXiv 1606.06160), equations 8 to 10",
        forward="weights: u = tanh(w)/max abs(tanh w), Q(u P)/P; activations: clip to [0, 1]",
        gradient="(1 - tanh(w)^2)/max abs(tanh w), the maximum a constant; activations: 1 inside",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=no_calibration,
        example=Setting(as_scalar_format("int4")),
        steps=_steps,
    ),
)


def _check_unit(setting: Setting) -> None:
    require(setting.role == "weight", "dorefa-unit", "weights", setting)
    require(setting.rule == "straight-through", "dorefa-unit", "its own gradient only", setting)
    ruled = isinstance(setting.scale_rule, Free | PowerOfTwo)
    require(ruled, "dorefa-unit", "any scale or powers of two", setting)
    suits = codes_of(setting) == ("unsigned" if setting.asymmetric else "symmetric")
    takes = "symmetric integers, unsigned ones with a zero point"
    require(suits, "dorefa-unit", takes, setting)


def _unit_levels(
    x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool
) -> Tensor:
    del state, training
    return F.tanh_weight(
        x,
        _largest(x, setting),
        bits=setting.bits,
        asymmetric=setting.asymmetric,
        power_of_two=not isinstance(setting.scale_rule, Free),
    )


def _largest(x: Tensor, setting: Setting) -> Tensor:
    """Return max abs(x) of what shares a step."""
    granularity = setting.granularity
    found = granularity.rows(granularity.join(x.detach())).abs().amax(1)
    return granularity.against(found.reshape(granularity.shape), x)


def _unit_steps(x: Tensor, state: Mapping[str, Tensor], setting: Setting) -> tuple[Tensor, Tensor]:
    del state
    most = torch.tanh(_largest(x, setting)).clamp(min=FLOOR)
    s = setting.scale_rule((2 * most if setting.asymmetric else most) / setting.codes[1])
    return s, torch.round(most / s) if setting.asymmetric else torch.zeros_like(s)


METHODS.register(
    "dorefa-unit",
    Recipe(
        source="Zhou et al. 2016 (arXiv 1606.06160), equation 9, not divided by m",
        forward="weights: m Q(tanh(w) P/m)/P, m = max abs(tanh w) of a tensor or a channel",
        gradient="1 - tanh(w)^2, m a constant",
        states=_states,
        levels=_unit_levels,
        check=_check_unit,
        calibration=no_calibration,
        example=Setting(as_scalar_format("int4")),
        steps=_unit_steps,
    ),
)
