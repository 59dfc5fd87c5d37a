"""The names of the rounding modes and of what happens beyond the largest level."""

import reprlib
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

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
            "or RNE, RNA, RTZ, RTP, RTN, RTO, SR"
        )
    return mode


def as_overflow(name: str) -> Overflow:
    """Return the treatment of values beyond the range."""
    for known in OVERFLOWS:
        if name == known:
            return known
    raise InvalidValue(
        "overflow must be 'saturate' (the nearest end of the range) or 'convention' (infinity "
        f"or NaN where the format has them), got {name!r}"
    )
