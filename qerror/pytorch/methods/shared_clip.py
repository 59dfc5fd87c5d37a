"""F8Net's PACT: a learnable clip over fixed point, and the running fractional length."""

from collections.abc import Mapping

import torch
from torch import Tensor

from qerror.formats.fixed import FixedPoint
from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.granularity import PerTensor
from qerror.pytorch.methods.fixed import legal, length_of
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    as_fixed,
    no_calibration,
    require,
    require_plain,
)

MOMENTUM = 0.1


def _states(setting: Setting) -> tuple[State, ...]:
    del setting
    return (
        State("alpha", "the clip, used as its absolute value", 8.0),
        State("length", "the running fractional length", 6.0, learns=False, shared=True),
    )


def _check(setting: Setting) -> None:
    require_plain("f8net", setting)
    form = setting.form
    suits = isinstance(form, FixedPoint) and form.grid().min in {0.0, -form.max_value}
    suits = suits and isinstance(setting.granularity, PerTensor) and not setting.asymmetric
    require(suits, "f8net", "fixed-point formats, a tensor", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    """Quantize with the batch's length in training, with the buffer's in evaluation."""
    form, buffer = as_fixed(setting), state["length"]
    length: Tensor | None = None
    if training:
        length = length_of(x, form)
        with torch.no_grad():
            buffer.lerp_(length.to(buffer.dtype), MOMENTUM)
        length = length.to(torch.int32)
    kept = legal(buffer, form).to(torch.int32)
    return F.f8net_pact(
        x,
        state["alpha"],
        word_length=form.word_length,
        fractional_length=kept if length is None else length,
        buffer_length=kept,
        signed=form.signed,
    )


METHODS.register(
    "f8net",
    Recipe(
        source="Jin et al. 2022, F8Net, equations 1, 4 and 14",
        forward="eta fixed(x/eta), eta = 2^FL abs(alpha)/K; training: the batch's FL inside, the "
        "running one in eta",
        gradient="dx = 1 where the rounded value is strictly between the ends; dalpha = "
        "sign(alpha) times (Q(v) - v)/K inside, code/K outside",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=no_calibration,
        example=Setting(as_scalar_format("ufixed8.6"), "activation"),
    ),
)
