"""Paper 1's floating-point quantizer: the largest level and the mantissa bits learn."""

from collections.abc import Mapping

from torch import Tensor

from qerror.formats.floating import FloatingPoint
from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import MSE, Calibration
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    as_floating,
    reach_of,
    require,
    require_plain,
)


def _states(setting: Setting) -> tuple[State, ...]:
    form = as_floating(setting)
    return (
        State("c", "the largest level", form.max_value, reach_of, positive=True),
        State("m", "the mantissa bits", float(form.mantissa_bits), shared=True),
    )


def _check(setting: Setting) -> None:
    require_plain("fp", setting, exact=True)
    form = setting.form
    suits = (
        isinstance(form, FloatingPoint)
        and form.specials == "none"
        and form.mantissa_bits >= 1
        and form.exponent_bits + form.mantissa_bits < 12
    )
    require(suits, "fp", "xMyE formats without special codes, of 3 to 12 bits", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    form = as_floating(setting)
    bits = form.mantissa_bits + form.exponent_bits + 1
    m = state["m"] if state["m"].requires_grad else float(form.mantissa_bits)
    return F.fp(x, state["c"], m, bits=bits, signed=form.signed, rule=setting.rule)


def _calibration(setting: Setting) -> Calibration:
    del setting
    return MSE()


METHODS.register(
    "fp",
    Recipe(
        source="Kuzmin et al. 2022, equations 8 to 12, appendix H",
        forward="the nearest level of xMyE whose largest level is c",
        gradient="dx = 1 for abs(x) <= c; dc = (y - x)/c inside, sign(x) outside; "
        "dm = (y - x) ln 2 (2^E ln 2 - 1/(2^(m+1) - 1) - 1) inside",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("4M3E")),
    ),
)
