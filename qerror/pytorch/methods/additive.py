"""APoT: additive powers of two with a learnable clip."""

from collections.abc import Mapping

from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.functional.shared import Form
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
    start = 3.0 if setting.role == "weight" else 6.0
    return (State("alpha", "the clip", start, positive=True),)


def _check(setting: Setting) -> None:
    require_plain("apot", setting)
    signed = setting.signed
    suits = (codes_of(setting) != "none") and not setting.asymmetric
    suits = suits and (signed or setting.role == "activation")
    suits = suits and 1 + signed <= setting.bits <= 4 + signed
    suits = suits and isinstance(setting.granularity, PerTensor)
    takes = "signed integers up to 5 bits, for activations unsigned up to 4, a tensor"
    require(suits, "apot", takes, setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    form: Form = "weight" if setting.signed else "activation"
    standardise = setting.role == "weight"
    return F.apot(x, state["alpha"], form=form, bits=setting.bits, standardise=standardise)


METHODS.register(
    "apot",
    Recipe(
        source="Li et al. 2020 (arXiv 1909.13144), equations 3 to 8",
        forward="alpha P(clip(x/alpha)) on sums of powers of two; weights standardised first",
        gradient="dx = 1 for abs(x) <= alpha (/ std); dalpha = P(v) - v inside, the level outside",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=no_calibration,
        example=Setting(as_scalar_format("int4")),
    ),
)
