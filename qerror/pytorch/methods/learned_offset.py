"""LSQ+: a step and a real offset learn."""

from collections.abc import Mapping

from torch import Tensor

from qerror.exceptions import InvalidValue
from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import Calibration, MeanStd, MinMax, Range
from qerror.pytorch.recipe import (
    METHODS,
    STEP,
    Recipe,
    Setting,
    State,
    codes_of,
    require,
    steps_of_state,
)


def _offset(found: Range, setting: Setting) -> Tensor:
    """Return the offset at which a zero point's levels are those of the codes."""
    del setting
    return -found.scale * found.zero_point


def _states(setting: Setting) -> tuple[State, ...]:
    return (STEP, State("beta", "the offset", 0.0, _offset)) if setting.asymmetric else (STEP,)


def _check(setting: Setting) -> None:
    require(codes_of(setting) != "none", "lsq+", "integers", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    low, high = setting.codes
    beta = state.get("beta", 0.0)
    return F.lsq_plus(x, state["s"], beta, low=low, high=high, rule=setting.rule)


def _steps(x: Tensor, state: Mapping[str, Tensor], setting: Setting) -> tuple[Tensor, Tensor]:
    if setting.asymmetric:
        raise InvalidValue("the offset of lsq+ is any real number, so that no code stands for 0")
    return steps_of_state(x, state, setting)


def _calibration(setting: Setting) -> Calibration:
    weight = setting.role == "weight" and setting.signed and not setting.asymmetric
    return MeanStd(3, halved=True) if weight else MinMax()


METHODS.register(
    "lsq+",
    Recipe(
        source="Bhalgat et al. 2020 (arXiv 2004.09576), equations 1 to 4",
        forward="s clip(Q((x - beta)/s), n, p) + beta",
        gradient="as lsq with v = (x - beta)/s; dbeta = 1 outside, times 1/sqrt(M p)",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("uint4"), "activation", asymmetric=True),
        steps=_steps,
    ),
    "lsq-plus",
)
