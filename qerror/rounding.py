"""The names of the rounding modes and of what happens beyond the largest level."""

import reprlib
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

from qerror.exceptions import InvalidValue, UnknownName
from qerror.registry import fold, nearest

Rounding: TypeAlias = Literal[
    "nearest-even", "nearest-away", "toward-zero", "up", "down", "to-odd", "stochastic"
]
Overflow: TypeAlias = Literal["saturate", "convention"]

ROUNDINGS: tuple[Rounding, ...] = get_args(Rounding)
OVERFLOWS: tuple[Overflow, ...] = get_args(Overflow)

# The field's other names: IEEE 754-2019 clause 4.3, MPFR, P3109, and what people type.
_ALIASES: Mapping[Rounding, tuple[str, ...]] = {
    "nearest-even": ("RNE", "ties-to-even", "half-even", "nearest"),
    "nearest-away": ("RNA", "ties-to-away", "half-away"),
    "toward-zero": ("RTZ", "truncate"),
    "up": ("RTP", "toward-positive", "ceil"),
    "down": ("RTN", "toward-negative", "floor"),
    "to-odd": ("RTO", "odd"),
    "stochastic": ("SR",),
}
_KNOWN: Mapping[str, Rounding] = {
    fold(name): mode for mode in ROUNDINGS for name in (mode, *_ALIASES[mode])
}
_SHOWN = {fold(name): name for mode in ROUNDINGS for name in (mode, *_ALIASES[mode])}


def as_rounding(name: str) -> Rounding:
    """Return the rounding mode of that name; case, '-' and '_' do not matter."""
    text = str(name)
    mode = _KNOWN.get(fold(text))
    if mode is None:
        close = nearest(text, _SHOWN)
        hint = f"; did you mean {' or '.join(close)}?" if close else "."
        raise UnknownName(
            f"unknown rounding {reprlib.repr(name)}{hint} The modes are {', '.join(ROUNDINGS)}, "
            "or RNE, RNA, RTZ, RTP, RTN, RTO, SR; stochastic:8 draws 8 random bits"
        )
    return mode


MOST_BITS = 23
"""The most random bits of short stochastic rounding: float32 holds each of its thresholds."""


class RoundingRule(NamedTuple):
    """A rounding mode with what it takes to be told."""

    mode: Rounding
    bits: int | None = None
    """Random bits of stochastic rounding as hardware does it; None for as many as it takes.

    With k bits, a magnitude that lies a share f of a step above the level on the side of zero
    goes to the outer level with probability floor(2^k f) / 2^k.
    """

    @property
    def name(self) -> str:
        """The text that `as_rule` reads."""
        return self.mode if self.bits is None else f"{self.mode}:{self.bits}"

    @property
    def parts(self) -> int:
        """The parts of a step among which the random bits tell; 1 without them."""
        return 1 if self.bits is None else 1 << self.bits

    @property
    def is_odd(self) -> bool:
        """Whether Q(-x) = -Q(x) on levels that are symmetric about one at 0."""
        return self.mode not in {"up", "down"}

    @property
    def is_nearest(self) -> bool:
        """Whether the nearest level is taken, ties however."""
        return self.mode in {"nearest-even", "nearest-away"}


def as_rule(name: str) -> RoundingRule:
    """Return the rounding of that name: a mode, or "stochastic:8" with its random bits.

    Raises
    ------
    UnknownName
        If there is no such mode.
    InvalidValue
        If another mode than stochastic is given bits, or they are not 1 to 23.
    """
    text, colon, tail = str(name).partition(":")
    mode = as_rounding(text)
    if not colon:
        return RoundingRule(mode)
    if mode != "stochastic":
        raise InvalidValue(f"random bits are for stochastic rounding, got {reprlib.repr(name)}")
    bits = int(tail) if tail.strip().isdecimal() and len(tail) < 9 else 0
    if not 1 <= bits <= MOST_BITS:
        raise InvalidValue(
            f"stochastic rounding takes 1 to {MOST_BITS} random bits, as in 'stochastic:8', "
            f"got {reprlib.repr(name)}"
        )
    return RoundingRule(mode, bits)


def as_overflow(name: str) -> Overflow:
    """Return the treatment of values beyond the range."""
    for known in OVERFLOWS:
        if name == known:
            return known
    raise InvalidValue(
        "overflow must be 'saturate' (the nearest end of the range) or 'convention' (infinity "
        f"or NaN where the format has them), got {name!r}"
    )
