"""DoReFa: weights through a hyperbolic tangent, activations clipped to [0, 1]."""

from collections.abc import Mapping

from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.functional.clipping import PactForm
from qerror.pytorch.granularity import PerTensor
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    codes_of,
    no_calibration,
    require,
    require_plain,
)


def _states(setting: Setting) -> tuple[State, ...]:
    del setting
    return ()


def _check(setting: Setting) -> None:
    require_plain("dorefa", setting)
    allowed = {"symmetric"} if setting.role == "weight" else {"symmetric", "unsigned"}
    suits = codes_of(setting) in allowed and not setting.asymmetric
    suits = suits and isinstance(setting.granularity, PerTensor)
    require(suits, "dorefa", "symmetric integers (unsigned for activations), a tensor", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del state, training
    if setting.role == "weight":
        return F.dorefa_weight(x, bits=setting.bits)
    form: PactForm = "symmetric" if setting.signed else "unsigned"
    return F.pact(x, 1.0, bits=setting.bits, form=form)  # [0, 1]; [-1, 1] with signed codes


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
    ),
)
