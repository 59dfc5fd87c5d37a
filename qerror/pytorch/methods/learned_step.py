"""LSQ: the step learns, and the zero point where there is one."""

from collections.abc import Mapping

from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import Calibration, Norm
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
    return (STEP, ZERO_POINT) if setting.asymmetric else (STEP,)


def _check(setting: Setting) -> None:
    require(codes_of(setting) != "none", "lsq", "integers", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    low, high = setting.codes
    return F.lsq(x, state["s"], state.get("z", 0.0), low=low, high=high, rule=setting.rule)


def _calibration(setting: Setting) -> Calibration:
    del setting
    return Norm(1)


METHODS.register(
    "lsq",
    Recipe(
        source="Esser et al. 2020 (arXiv 1902.08153), equations 1 to 5",
        forward="s (clip(Q(x/s + z), n, p) - z)",
        gradient="dx = 1 for n < x/s + z < p; ds = Q(v) - v inside, n - z below, p - z above, "
        "times 1/sqrt(M p); dz = -s outside, likewise",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("int4")),
        steps=steps_of_state,
    ),
)
