"""Any format with a fixed or learnable scale; the gradient is that of the clip."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.pytorch.calibration import MSE, Calibration
from qerror.pytorch.functional.shared import affine, like, scale_rule, wide_codes
from qerror.pytorch.gradients import Ranged, apply
from qerror.pytorch.levels import working
from qerror.pytorch.recipe import (
    METHODS,
    STEP,
    ZERO_POINT,
    Recipe,
    Setting,
    State,
    require,
    steps_of_state,
)


def _states(setting: Setting) -> tuple[State, ...]:
    step = replace(STEP, learns=False)
    return (step, replace(ZERO_POINT, learns=False)) if setting.asymmetric else (step,)


def _check(setting: Setting) -> None:
    method, form = "straight-through", setting.form
    if setting.asymmetric:
        require(isinstance(form, Integer), method, "a zero point with integers alone", setting)
        zero_point = isinstance(form, Integer) and form.zero_point
        require(not zero_point, method, "one zero point, the format's or its own", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    rule = scale_rule(setting.rule)
    if setting.asymmetric:
        low, high = setting.codes
        wide = wide_codes(x, low, high)
        step, zero_point = like("s", state["s"], wide), like("z", state["z"], wide)
        return affine(x, wide, step, zero_point, None, (low, high), "closed", rule)
    wide = working(x)
    step = like("s", state["s"], wide)
    return apply(Ranged, wide, step, setting.rounder, True, rule).to(x.dtype)


def _calibration(setting: Setting) -> Calibration:
    del setting
    return MSE()


METHODS.register(
    "straight-through",
    Recipe(
        source="Bengio et al. 2013 (arXiv 1308.3432)",
        forward="s level(x/s) of any format; integers with a zero point too",
        gradient="dx = 1 within the range, ends included; s (if it learns): (y - x)/s inside, "
        "the level outside",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("4M3E")),
        steps=steps_of_state,
    ),
)
