"""DSQ: a soft staircase on the way back; the range is a statistic."""

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import Calibration, MeanStd, MinMax
from qerror.pytorch.recipe import (
    METHODS,
    STEP,
    ZERO_POINT,
    Recipe,
    Setting,
    State,
    codes_of,
    require,
    steps_of_state,
)


def _states(setting: Setting) -> tuple[State, ...]:
    step = replace(STEP, learns=False)
    return (step, replace(ZERO_POINT, learns=False)) if setting.asymmetric else (step,)


def _check(setting: Setting) -> None:
    suits = codes_of(setting) != "none" and setting.rule == "straight-through"
    require(suits, "dsq", "integers, and its own gradient only", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    low, high = setting.codes
    return F.dsq(x, state["s"], state.get("z", 0.0), low=low, high=high)


def _calibration(setting: Setting) -> Calibration:
    return MeanStd(2.6) if setting.role == "weight" else MinMax()


METHODS.register(
    "dsq",
    Recipe(
        source="Gong et al. 2019 (arXiv 1908.05033), equations 3 to 8",
        forward="s (clip(Q(x/s + z), n, p) - z)",
        gradient="dx = (S k/2) sech^2(k (u - 1/2)) at u = v - floor(v) for n <= v + z <= p",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("int4")),
        steps=steps_of_state,
    ),
)
