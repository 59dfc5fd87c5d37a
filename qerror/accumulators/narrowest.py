"""The narrowest register that keeps what a scalar product loses within a budget."""

import math
from typing import Literal

from qerror._arrays import positive, real
from qerror.accumulators.accumulator import FloatAccumulator, IntegerAccumulator, Order
from qerror.accumulators.error import accumulation_error
from qerror.accumulators.report import AccumulationReport
from qerror.exceptions import InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.products.factors import Factor

_MOST_MANTISSA, _MOST_GUARD = 52, 64


def narrowest_accumulator(
    weight: Factor,
    activation: Factor,
    length: int,
    *,
    kind: Literal["float", "integer"] = "float",
    loss_db: float = 0.1,
    overflow: float = 1e-6,
    order: Order | str = "sequential",
    rounding: str = "nearest-even",
    exponent_bits: int = 8,
) -> AccumulationReport:
    """Return the report of the narrowest register that costs at most `loss_db` of SQNR.

    Parameters
    ----------
    weight, activation, length, order
        As for `accumulation_error`.
    kind : {"float", "integer"}
        The fewest mantissa bits, or the fewest guard bits of a saturating integer.
    loss_db : float
        How far the SQNR of the whole product may fall below that of an exact sum; positive.
    overflow : float
        The largest probability that a sum may overflow.
    rounding, exponent_bits
        Of the floating-point register.

    Raises
    ------
    InvalidValue
        If no register meets both: more exponent bits help against overflow.

    Examples
    --------
    >>> from qerror import parse_format
    >>> from qerror.accumulators import narrowest_accumulator
    >>> from qerror.products import Operand
    >>> side = Operand("int8", "gaussian").factor(parse_format("int8"))
    >>> narrowest_accumulator(side, side, 256, kind="integer").accumulator.name
    'int:guard=3'
    """
    budget, chance = positive("loss_db", loss_db), real("overflow", overflow)
    if kind not in {"float", "integer"}:
        raise InvalidValue(f"kind must be 'float' or 'integer', got {kind!r}")
    most = _MOST_MANTISSA if kind == "float" else _MOST_GUARD

    def report(bits: int) -> AccumulationReport:
        register = (
            FloatAccumulator(FloatingPoint(bits, exponent_bits, specials="ieee"), rounding)
            if kind == "float"
            else IntegerAccumulator(guard=bits)
        )
        return accumulation_error(weight, activation, length, register, order)

    def fits(found: AccumulationReport) -> bool:
        return found.loss_db <= budget and found.overflow <= chance

    low, high = (1, most) if kind == "float" else (0, most)
    best = report(high)
    if not fits(best):
        raise InvalidValue(
            f"no register of {exponent_bits} exponent bits keeps the loss within {budget:g} dB and "
            f"overflow within {chance:g} on sums of {length}: it overflows with probability "
            f"{best.overflow:.3g}"
            if kind == "float"
            else f"{most} guard bits do not keep the loss within {budget:g} dB"
        )
    guess = _guess(length) if kind == "float" else math.ceil(math.log2(length + 1))
    while low < high:
        middle = min(max(guess, low), high - 1)
        found = report(middle)
        if fits(found):
            high, best = middle, found
        else:
            low = middle + 1
        guess = (low + high) // 2 if abs(high - low) > 4 else low
    return best


def _guess(length: int) -> int:
    """Return about how many mantissa bits a sum of this length needs."""
    return 6 + math.ceil(math.log2(length + 1) / 2)
