"""Weights that sum to one."""

import math
from collections.abc import Sequence

from qerror._arrays import real, unmasked
from qerror.exceptions import InvalidValue

_SUM_TOLERANCE = 1e-9  # weights that are rounded to nine digits pass, a forgotten one does not


def normalised(name: str, weights: Sequence[float], count: int) -> tuple[float, ...]:
    """Check `count` non-negative weights whose sum is 1 and remove what rounding left.

    Raises
    ------
    InvalidValue
        If there are none, their number is off, one is negative, or the sum is not 1 to 1e-9.
    """
    unmasked(name, weights)
    given = tuple(real(name, w) for w in weights)
    if not given:
        raise InvalidValue(f"{name} must not be empty")
    if len(given) != count:
        raise InvalidValue(f"{name}: {len(given)} given for {count} members")
    if min(given) < 0:
        raise InvalidValue(f"{name} must not be negative, got {min(given):g}")
    total = math.fsum(given)
    if abs(total - 1) > _SUM_TOLERANCE:
        raise InvalidValue(f"{name} must sum to 1, got {given} with sum {total:.12g}")
    return tuple(w / total for w in given)
