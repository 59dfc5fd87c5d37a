"""TQT: the logarithm of a threshold learns; the step is a power of two."""

from collections.abc import Mapping

import torch
from torch import Tensor

from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.calibration import MSE, Calibration, Range
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    codes_of,
    require,
    require_plain,
)


def _log2_threshold(found: Range, setting: Setting) -> Tensor:
    """Return log2 t with t = s 2^(b-1), or s 2^b unsigned."""
    return torch.log2(found.scale) + (setting.bits - setting.signed)


def _states(setting: Setting) -> tuple[State, ...]:
    del setting
    return (State("log2_t", "the binary logarithm of the threshold", 0.0, _log2_threshold),)


def _check(setting: Setting) -> None:
    require_plain("tqt", setting)
    suits = codes_of(setting) in {"full", "unsigned"} and not setting.asymmetric
    require(suits, "tqt", "integers with all codes of two's complement (int8:full)", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del training
    return F.tqt(x, state["log2_t"], bits=setting.bits, signed=setting.signed)


def _steps(x: Tensor, state: Mapping[str, Tensor], setting: Setting) -> tuple[Tensor, Tensor]:
    del x
    s = torch.exp2(torch.ceil(state["log2_t"]) - setting.bits + setting.signed)
    return s, torch.zeros_like(s)


def _calibration(setting: Setting) -> Calibration:
    del setting
    return MSE()


METHODS.register(
    "tqt",
    Recipe(
        source="Jain et al. 2020 (arXiv 1903.08066), equations 4 to 8",
        forward="s clip(Q(x/s), n, p) with s = 2^ceil(log2 t)/2^(b-1)",
        gradient="dx = 1 for n <= Q(v) <= p; dlog2 t = s ln 2 times Q(v) - v inside, n below, "
        "p above",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=_calibration,
        example=Setting(as_scalar_format("int8:full")),
        steps=_steps,
    ),
)
