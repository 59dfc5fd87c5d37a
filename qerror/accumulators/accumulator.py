"""What a sum is kept in, `fp22:rtz` or `int:guard=8`, and its order: `blocked:128`."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

from qerror._arrays import integer, quoted
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.rounding import RoundingRule, as_rule

Beyond: TypeAlias = Literal["saturate", "wrap"]
Kind: TypeAlias = Literal["sequential", "pairwise", "blocked"]
_WIDEST = 128
_MOST_STEPS = 2**31


@final
@dataclass(frozen=True, slots=True)
class FloatAccumulator:
    """A floating-point register: every addition is exact, then rounded to the format.

    Parameters
    ----------
    format : FloatingPoint or str
        Of an integral bias. "fp22" and "fp23" are 1 + 8 + 13 and 1 + 8 + 14 bits.
    rounding : str
        How each sum is rounded: any mode of `quantization_error`.
    fused : int
        How many products are added exactly, as one term, before each rounding: what one
        instruction of a tensor core takes.

    Raises
    ------
    InvalidValue
        If the format is none of floating point with a sign and an integral bias.
    """

    format: FloatingPoint
    rounding: str = "nearest-even"
    fused: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", _signed(self.format))
        object.__setattr__(self, "rounding", as_rule(self.rounding).name)
        object.__setattr__(self, "fused", integer("fused", self.fused, 1, 2**20))

    @property
    def rule(self) -> RoundingRule:
        """The rounding of every sum."""
        return as_rule(self.rounding)

    @property
    def bits(self) -> int:
        """Width of the register."""
        return self.format.bits

    @property
    def name(self) -> str:
        """A text that `as_accumulator` reads back."""
        short = next((name for name, form in _SHORT.items() if form == self.format), None)
        rounding = "" if self.rounding == "nearest-even" else f":{self.rounding}"
        fused = "" if self.fused == 1 else f":fused={self.fused}"
        return f"{short or self.format.name}{rounding}{fused}"

    def __str__(self) -> str:
        return self.name


@final
@dataclass(frozen=True, slots=True)
class IntegerAccumulator:
    """A two's complement register that counts multiples of the products' finest step.

    Parameters
    ----------
    width : int, optional
        Of the register, in bits with the sign.
    guard : int, optional
        Instead of the width: how many bits more than one product needs.
    overflow : {"saturate", "wrap"}
        What a sum beyond the register becomes: its end, or the sum modulo 2^width.

    Raises
    ------
    InvalidValue
        If not exactly one of `width` and `guard` is given, or it is out of range.
    """

    width: int | None = None
    guard: int | None = None
    overflow: Beyond = "saturate"

    def __post_init__(self) -> None:
        if (self.width is None) == (self.guard is None):
            raise InvalidValue("an integer accumulator needs its width or its guard bits: one")
        if self.width is not None:
            integer("width", self.width, 2, _WIDEST)
        if self.guard is not None:
            integer("guard", self.guard, 0, 64)
        if self.overflow not in get_args(Beyond):
            raise InvalidValue(f"overflow must be 'saturate' or 'wrap', got {self.overflow!r}")

    @property
    def name(self) -> str:
        """A text that `as_accumulator` reads back."""
        size = f"int:guard={self.guard}" if self.width is None else f"int{self.width}"
        return size if self.overflow == "saturate" else f"{size}:{self.overflow}"

    def __str__(self) -> str:
        return self.name


Accumulator: TypeAlias = FloatAccumulator | IntegerAccumulator
_SHORT = {
    f"fp{9 + m}": FloatingPoint(m, 8, specials="ieee") for m in (13, 14)
}  # the names under which tensor cores' registers are known


def as_accumulator(given: "Accumulator | FloatingPoint | Integer | str") -> Accumulator:
    """Return an accumulator from its text: a format, then its options.

    "fp32", "fp22:toward-zero:fused=32", "13M8E:stochastic", "int24:wrap", "int:guard=8".

    Raises
    ------
    InvalidValue
        If the text is none of these.
    InvalidType
        If it is no text, format or accumulator.
    """
    if isinstance(given, FloatAccumulator | IntegerAccumulator):
        return given
    if isinstance(given, FloatingPoint):
        return FloatAccumulator(given)
    if isinstance(given, Integer):
        return IntegerAccumulator(given.bits)
    if not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected an accumulator such as 'fp22' or 'int24', got {given!r}")
    head, *options = given.strip().split(":")
    counted = re.fullmatch(r"int(\d*)", head.strip().lower())
    return _integer(given, counted[1], options) if counted else _float(head, options)


def _integer(text: str, width: str, options: list[str]) -> IntegerAccumulator:
    guard: int | None = None
    overflow: Beyond = "saturate"
    for option in options:
        key, _, value = option.strip().lower().partition("=")
        if key == "guard" and value.isdecimal():
            guard = int(value)
        elif key == "wrap" and not value:
            overflow = "wrap"
        elif key != "saturate" or value:
            raise InvalidValue(
                f"an integer accumulator takes guard=<bits>, wrap or saturate, got {quoted(text)}"
            )
    return IntegerAccumulator(int(width[:9]) if width else None, guard, overflow)


def _float(head: str, options: list[str]) -> FloatAccumulator:
    rounding, fused = "nearest-even", 1
    rest = list(options)
    while rest:
        option = rest.pop(0).strip()
        key, _, value = option.lower().partition("=")
        if key == "fused" and value.isdecimal():
            fused = int(value[:9])
            continue
        if rest and rest[0].strip().isdecimal():  # stochastic:8
            option = f"{option}:{rest.pop(0).strip()}"
        rounding = option
    return FloatAccumulator(_floating(head), rounding, fused)


def _signed(given: object) -> FloatingPoint:
    """Return a format that can be a register's, or say what one is."""
    form = _floating(given) if isinstance(given, str) else given
    if isinstance(form, FloatingPoint) and form.signed and form.bias % 1 == 0:
        return form
    raise InvalidValue(
        "a floating-point accumulator needs a signed format of an integral bias, such as fp32, "
        f"fp22, fp16, bf16, tf32 or 13M8E, got {given}"
    )


def _floating(text: str) -> FloatingPoint:
    name = text.strip().lower()
    if name in _SHORT:
        return _SHORT[name]
    form = as_scalar_format(text)
    if not isinstance(form, FloatingPoint):
        raise InvalidValue(
            f"{text} is no floating-point format and no integer: as an accumulator "
            "take fp32, tf32, fp22, fp16, bf16, 13M8E, int32 or int:guard=8"
        )
    return form


@final
@dataclass(frozen=True, slots=True)
class Order:
    """In which order the terms of a sum are added.

    Parameters
    ----------
    kind : {"sequential", "pairwise", "blocked"}
        One after the other; neighbours, then neighbours of these sums, until one is left; or
        one after the other in blocks, whose sums are promoted to FP32 and added there.
    block : int, optional
        How many products a block has, for "blocked" alone.

    Raises
    ------
    InvalidValue
        If there is no such order, or it takes no length.
    """

    kind: Kind = "sequential"
    block: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise InvalidValue(f"{_ORDERS}, got {self.kind!r}")
        if (self.block is not None) != (self.kind == "blocked"):
            raise InvalidValue(f"{_ORDERS}: blocked, and nothing else, takes a length")
        if self.block is not None:
            integer("block", self.block, 1, _MOST_STEPS)

    @property
    def name(self) -> str:
        """A text that `as_order` reads back."""
        return self.kind if self.block is None else f"{self.kind}:{self.block}"

    def __str__(self) -> str:
        return self.name


_ORDERS = "an order is 'sequential', 'pairwise' or 'blocked:<length>'"


def as_order(given: Order | str) -> Order:
    """Return an order from its text: "sequential", "pairwise" or "blocked:128".

    Raises
    ------
    InvalidValue
        If there is no such order.
    """
    if isinstance(given, Order):
        return given
    kind, colon, block = str(given).strip().lower().partition(":")
    for known in get_args(Kind):
        if kind == known and (block.isdecimal() if colon else known != "blocked"):
            return Order(known, int(block[:12]) if colon else None)
    raise InvalidValue(f"{_ORDERS}, got {quoted(str(given))}")
