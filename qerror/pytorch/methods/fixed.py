"""F8Net's fixed point for weights: the fractional length follows from the standard deviation."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from qerror.formats.fixed import FixedPoint
from qerror.formats.names import as_scalar_format
from qerror.pytorch import functional as F  # noqa: N812 - torch's own custom
from qerror.pytorch.functional.shared import spread
from qerror.pytorch.granularity import PerTensor
from qerror.pytorch.recipe import (
    METHODS,
    Recipe,
    Setting,
    State,
    as_fixed,
    no_calibration,
    require,
    require_plain,
)

SIGNED, UNSIGNED = 40.0, 70.0
"""F8Net's constants, equation 1: FL = floor(log2(constant / std))."""


def length_of(x: Tensor, form: FixedPoint) -> Tensor:
    """Return F8Net's fractional length of data: floor(log2(40/std)), unsigned 70, if legal.

    The standard deviation is unbiased, of all values; where it is 0, as of one value, the length is
    the longest.
    """
    return legal(any_length_of(x, SIGNED if form.signed else UNSIGNED), form)


def any_length_of(x: Tensor, constant: float) -> Tensor:
    """Return floor(log2(constant / std)) of data, legal or not."""
    wide = x.detach().to(torch.promote_types(x.dtype, torch.float32))
    return torch.floor(math.log2(constant) - torch.log2(spread(wide)))


def legal(length: Tensor, form: FixedPoint) -> Tensor:
    """Return the fractional length rounded and clamped to 0 .. word length, less a sign."""
    return length.round().clamp(0, form.word_length - form.signed)


def _states(setting: Setting) -> tuple[State, ...]:
    del setting
    return ()


def _check(setting: Setting) -> None:
    require_plain("fixed-point", setting)
    form = setting.form
    suits = isinstance(form, FixedPoint) and form.grid().min in {0.0, -form.max_value}
    suits = suits and isinstance(setting.granularity, PerTensor) and not setting.asymmetric
    require(suits, "fixed-point", "fixed-point formats, a tensor", setting)


def _levels(x: Tensor, state: Mapping[str, Tensor], setting: Setting, training: bool) -> Tensor:
    del state, training
    form = as_fixed(setting)
    length = length_of(x, form).to(torch.int32)
    return F.fixed_point(
        x, word_length=form.word_length, fractional_length=length, signed=form.signed
    )


METHODS.register(
    "fixed-point",
    Recipe(
        source="Jin et al. 2022, F8Net, equation 1 and section 3",
        forward="2^-FL Q(clip(x 2^FL, -K, K)), FL = floor(log2(40/std)) of the tensor itself",
        gradient="dx = 1 where the rounded value is strictly between the ends",
        states=_states,
        levels=_levels,
        check=_check,
        calibration=no_calibration,
        example=Setting(as_scalar_format("fixed8.6")),
    ),
)
