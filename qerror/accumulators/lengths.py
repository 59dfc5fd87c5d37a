"""One register on sums of growing lengths."""

from qerror.accumulators.accumulator import Accumulator, FloatAccumulator, Order, as_accumulator
from qerror.accumulators.error import accumulation_error
from qerror.accumulators.report import AccumulationReport
from qerror.formats.floating import FloatingPoint
from qerror.formats.integer import Integer
from qerror.products.factors import Factor


def accumulation_by_length(
    weight: Factor,
    activation: Factor,
    length: int,
    accumulator: Accumulator | FloatingPoint | Integer | str,
    order: Order | str = "sequential",
) -> tuple[AccumulationReport, ...]:
    """Return what a register costs sums of 1, 2, 4, ... products up to `length`, and of so many.

    Where products are fused before each rounding, sums are of that many times a power of two.

    Parameters
    ----------
    weight, activation, length, accumulator, order
        As for `accumulation_error`.

    Examples
    --------
    >>> from qerror import parse_format
    >>> from qerror.accumulators import accumulation_by_length
    >>> from qerror.products import Operand
    >>> side = Operand("int4", "gaussian").factor(parse_format("int4"))
    >>> [found.length for found in accumulation_by_length(side, side, 24, "bf16")]
    [1, 2, 4, 8, 16, 24]
    """
    register = as_accumulator(accumulator)
    fused = register.fused if isinstance(register, FloatAccumulator) else 1
    last = accumulation_error(weight, activation, length, register, order)
    lengths = [fused << k for k in range((length // fused).bit_length()) if fused << k < length]
    before = (accumulation_error(weight, activation, n, register, order) for n in lengths)
    return (*before, last)
