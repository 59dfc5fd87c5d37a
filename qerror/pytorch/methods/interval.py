"""QIL: an interval learns, below which values are pruned and above which they are clipped."""

from collections.abc import Mapping

from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import MSE, Calibration, Range
from qerror.pytorch.functional.shared import Form
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    codes_of,
    reach_of,
    require,
    require_plain,
)


def _half(found: Range, setting: Setting) -> Tensor:
    """Return centre and half width of [0, c]: nothing pruned yet."""
    return reach_of(found, setting) / 2


def _states(setting: Setting) -> tuple[State, ...]:
    del setting
    return (
        State("c", "the centre of the interval", 0.5, _half),
        State("d", "its half width", 0.5, _half, positive=True),
    )


def _check(setting: Setting) -> None:
    require_plain("qil", setting)
    allowed = {"symmetric"} if setting.role == "weight" else {"symmetric", "unsigned"}
    suits = codes_of(setting) in allowed and not setting.asymmetric
    require(suits, "qil", "symmetric integers, for activations unsigned ones too", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    form: Form = "weight" if setting.signed else "activation"
    return F.qil(x, state["c"], state["d"], bits=setting.bits, form=form)


def _calibration(setting: Setting) -> Calibration:
    del setting
    return MSE()


METHODS.register(
    "qil",
    Recipe(
        source="Jung et al. 2019 (arXiv 1808.05779), equations 1 to 5",
        forward="0 up to c - d, sign(x) from c + d, a line between, on P steps; in [-1, 1]",
        gradient="strictly inside: dx = 1/(2d), dc = -sign/(2d), dd = -sign (abs(x) - c)/(2 d^2), "
        "the last two times 1/sqrt(M P)",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("int4")),
    ),
)
