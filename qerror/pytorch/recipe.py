"""What a method is: a handful of pieces, put together by `FakeQuantize`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.formats.integer import Integer
from qerror.pytorch.calibration import Calibration, Range, Target
from qerror.pytorch.functional.shared import Rule, scale_rule
from qerror.pytorch.granularity import Granularity, PerTensor
from qerror.pytorch.levels import rounder_of
from qerror.pytorch.rounders import Rounder
from qerror.pytorch.scales import Free, ScaleRule
from qerror.registry import Registry

Role: TypeAlias = Literal["weight", "activation"]


@dataclass(frozen=True)
class Setting:
    """What is fixed when a quantizer is built.

    Parameters
    ----------
    form : ScalarFormat
    role : {"weight", "activation"}
    granularity : Granularity
    scale_rule : ScaleRule
    asymmetric : bool
        Whether integer codes have a zero point or an offset of their own.
    rule : {"straight-through", "exact"}
        What a range that learns receives.
    """

    form: ScalarFormat
    role: Role = "weight"
    granularity: Granularity = field(default_factory=PerTensor)
    scale_rule: ScaleRule = field(default_factory=Free)
    asymmetric: bool = False
    rule: Rule = "straight-through"
    rounder: Rounder = field(init=False, repr=False, compare=False)
    signed: bool = field(init=False, repr=False)
    """Whether there are negative levels."""
    bits: int = field(init=False, repr=False)
    """Bits of a code."""
    codes: tuple[int, int] = field(init=False, repr=False)
    """The smallest and the largest code of an integer format, else zeros."""

    def __post_init__(self) -> None:
        if self.role not in {"weight", "activation"}:
            raise InvalidValue(f"role must be 'weight' or 'activation', got {self.role!r}")
        scale_rule(self.rule)
        check_piece("granularity", self.granularity, Granularity)
        check_piece("scale_rule", self.scale_rule, ScaleRule)
        # Once: a forward pass that is compiled shall meet plain numbers only.
        form = self.form
        object.__setattr__(self, "rounder", rounder_of(form))
        object.__setattr__(self, "signed", form.grid().min < 0)
        object.__setattr__(self, "bits", form.bits)
        codes = (form.min_code, form.max_code) if isinstance(form, Integer) else (0, 0)
        object.__setattr__(self, "codes", codes)

    @property
    def target(self) -> Target:
        """For what a calibration seeks a range."""
        return Target(self.form, self.asymmetric, self.scale_rule)


def check_piece(name: str, piece: object, kind: type) -> None:
    """Refuse a piece of a quantizer that is not of its kind, such as a name or a class.

    Raises
    ------
    InvalidType
        If it is not.
    """
    if not isinstance(piece, kind):
        given = piece.__name__ + ", the class" if isinstance(piece, type) else repr(piece)
        raise InvalidType(f"{name} must be of type {kind.__name__}, got {given}")


Levels: TypeAlias = Callable[[Tensor, Mapping[str, Tensor], Setting, bool], Tensor]
"""Takes x, the state, the setting and whether training is on; returns the fake-quantized x."""

Steps: TypeAlias = Callable[[Tensor, Mapping[str, Tensor], Setting], tuple[Tensor, Tensor]]
"""Takes x, the state and the setting; returns the step s and the whole zero point z."""

Start: TypeAlias = Callable[[Range, Setting], Tensor]


@dataclass(frozen=True)
class State:
    """A number that a method keeps for each range, learnt or not."""

    name: str
    meaning: str
    start: float
    """Its value before any calibration."""
    solved: Start | None = None
    """Its value from a calibrated range, shape (rows,); None where the data do not tell."""
    learns: bool = True
    """Whether it is a parameter unless asked otherwise; else a buffer."""
    positive: bool = False
    """Whether it is kept above 0 in the forward pass."""
    shared: bool = False
    """Whether one serves all ranges."""


@dataclass(frozen=True)
class Recipe:
    """One method by its pieces, and in words for the table."""

    source: str
    forward: str
    gradient: str
    states: Callable[[Setting], tuple[State, ...]]
    levels: Levels
    check: Callable[[Setting], None]
    """Raises InvalidValue, saying what the method takes, if it does not take the setting."""
    calibration: Callable[[Setting], Calibration | None]
    """The one that the method's authors use; None where nothing is calibrated."""
    example: Setting
    """A setting that it takes."""
    steps: Steps | None = None
    """Where the levels are s (k - z) for the codes k of an integer format; None where they are
    others. Raises InvalidValue where only some settings have such."""


METHODS: Registry[Recipe] = Registry("quantization method", "qerror.pytorch.METHODS")


def require(condition: bool, method: str, takes: str, setting: Setting) -> None:
    """Refuse a setting that a method does not take."""
    if not condition:
        pieces = [
            setting.form.name,
            setting.role,
            type(setting.granularity).__name__,
            type(setting.scale_rule).__name__,
            "asymmetric" if setting.asymmetric else "",
            f"rule={setting.rule}" if setting.rule != "straight-through" else "",
        ]
        given = ", ".join(piece for piece in pieces if piece)
        raise InvalidValue(f"{method} takes {takes}; got {given}")


def require_plain(method: str, setting: Setting, *, exact: bool = False) -> None:
    """Refuse scale rules, and the exact rule where a method has none."""
    require(isinstance(setting.scale_rule, Free), method, "no scale rule", setting)
    require(exact or setting.rule == "straight-through", method, "its own gradient only", setting)


def no_calibration(setting: Setting) -> Calibration | None:
    """Return None: nothing is to be calibrated."""
    del setting
    return None


Codes: TypeAlias = Literal["symmetric", "full", "unsigned", "none"]


def codes_of(setting: Setting) -> Codes:
    """Return which codes an integer format has, its zero point still free; else "none"."""
    form = setting.form
    if not isinstance(form, Integer) or form.zero_point:
        return "none"
    if not form.signed:
        return "unsigned"
    return "symmetric" if form.symmetric else "full"


def as_floating(setting: Setting) -> FloatingPoint:
    """Return the floating-point format of a setting that was checked."""
    return cast("FloatingPoint", setting.form)


def as_fixed(setting: Setting) -> FixedPoint:
    """Return the fixed-point format of a setting that was checked."""
    return cast("FixedPoint", setting.form)


def scale_of(found: Range, setting: Setting) -> Tensor:
    """Return the scale of a calibrated range."""
    del setting
    return found.scale


def zero_point_of(found: Range, setting: Setting) -> Tensor:
    """Return the zero point of a calibrated range."""
    del setting
    return found.zero_point


def reach_of(found: Range, setting: Setting) -> Tensor:
    """Return the largest level of a calibrated range."""
    return found.scale * setting.form.max_value


STEP = State("s", "the scale", 1.0, scale_of, positive=True)
ZERO_POINT = State("z", "the code of 0", 0.0, zero_point_of)


def steps_of_state(
    x: Tensor, state: Mapping[str, Tensor], setting: Setting
) -> tuple[Tensor, Tensor]:
    """Return s and z of a method that keeps them by these names.

    Raises
    ------
    InvalidValue
        If the format has no codes of integers.
    """
    del x
    form, s = setting.form, state["s"]
    if not isinstance(form, Integer):
        raise InvalidValue(f"the levels of {form.name} are not at equal steps")
    if setting.asymmetric:
        return s, torch.round(state["z"])
    return s, torch.full_like(s, float(form.zero_point))
