"""PACT: the ends of the clip learn."""

from collections.abc import Mapping

import torch
from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import MSE, Calibration, MinMax, Range
from qerror.pytorch.functional.clipping import PactForm
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    codes_of,
    reach_of,
    require,
)
from qerror.pytorch.scales import Free


def _top(found: Range, setting: Setting) -> Tensor:
    return found.scale * (setting.codes[1] - found.zero_point)


def _bottom(found: Range, setting: Setting) -> Tensor:
    return found.scale * (setting.codes[0] - found.zero_point)


def _states(setting: Setting) -> tuple[State, ...]:
    if not setting.asymmetric:
        return (State("alpha", "the upper end", 6.0, reach_of, positive=True),)
    return (
        State("alpha", "the upper end", 6.0, _top),
        State("beta", "the lower end", -6.0, _bottom),
    )


def _check(setting: Setting) -> None:
    require(setting.rule == "straight-through", "pact", "its own gradient only", setting)
    free = isinstance(setting.scale_rule, Free) or not setting.asymmetric
    require(free, "pact", "a scale rule without an offset only", setting)
    allowed = {"unsigned"} if setting.asymmetric else {"unsigned", "symmetric"}
    suits = codes_of(setting) in allowed
    require(suits, "pact", "symmetric or unsigned integers, asymmetric if unsigned", setting)


def _alpha(state: Mapping[str, Tensor], setting: Setting) -> Tensor:
    """Return the upper end, moved so that the step is an allowed one."""
    if isinstance(setting.scale_rule, Free):
        return state["alpha"]
    steps = setting.codes[1]
    return setting.scale_rule(state["alpha"] / steps) * steps


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    form: PactForm = "symmetric" if setting.signed else "unsigned"
    form = "asymmetric" if setting.asymmetric else form
    alpha = _alpha(state, setting)
    return F.pact(x, alpha, state.get("beta"), bits=setting.bits, form=form)


def _steps(x: Tensor, state: Mapping[str, Tensor], setting: Setting) -> tuple[Tensor, Tensor]:
    del x
    alpha = _alpha(state, setting)
    beta = state.get("beta", torch.zeros_like(alpha))
    s = (alpha - beta) / setting.codes[1]
    return s, -torch.round(beta / s)


def _calibration(setting: Setting) -> Calibration:
    return MinMax() if setting.asymmetric else MSE()


METHODS.register(
    "pact",
    Recipe(
        source="Choi et al. 2018 (arXiv 1805.06085), equations 1 to 3",
        forward="clip(x, 0, alpha) on 2^b - 1 steps; also (-alpha, alpha) and (beta, alpha)",
        gradient="dx = 1 for 0 <= x < alpha; dalpha = 1 for x >= alpha; dbeta = 1 for x <= beta",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("uint4"), "activation"),
        steps=_steps,
    ),
)
