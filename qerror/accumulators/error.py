"""The expected error of a scalar product that is summed in a narrow register."""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, integer
from qerror.accumulators._overflow import Tail, end_beyond, end_excess, excess, way_beyond
from qerror.accumulators._sums import Sums
from qerror.accumulators._trail import Trail
from qerror.accumulators._tree import Tree
from qerror.accumulators._walk import Walk, block_terms, fused_terms
from qerror.accumulators.accumulator import (
    Accumulator,
    FloatAccumulator,
    IntegerAccumulator,
    Order,
    as_accumulator,
    as_order,
)
from qerror.accumulators.report import AccumulationReport, mean_accumulation
from qerror.accumulators.terms import Terms, product_terms, unit_of
from qerror.analysis.report import ErrorReport
from qerror.analysis.scalar_product import scalar_product_error
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.products.factors import Factor

LONGEST = 2**24
PROMOTED = FloatAccumulator(FloatingPoint(23, 8, specials="ieee"))
"""What adds the sums of blocks."""


class Outcome(NamedTuple):
    """Moments of A = T - S, before units."""

    mean: float
    second: float
    with_sum: float
    """Cov(A, S)."""
    overflow: float
    counts: FloatArray
    step_errors: FloatArray


def accumulation_error(
    weight: Factor,
    activation: Factor,
    length: int,
    accumulator: Accumulator | FloatingPoint | Integer | str,
    order: Order | str = "sequential",
) -> AccumulationReport:
    """Return what summing n products of quantized factors in a narrow register costs.

    Products are those of the formats' levels at their own scales, as hardware multiplies codes;
    the factors' scales multiply the sum at the end. They are exact before they are added.

    Parameters
    ----------
    weight, activation : Factor
        Both sides with their formats, densities and scales: of `scalar_products`, or
        ``Operand(...).factor(format)``. Of channels of weights every figure is the mean.
    length : int
        How many independent products are summed, 1 to 2^24.
    accumulator : FloatAccumulator, IntegerAccumulator or str
        The register: "fp32", "tf32", "fp22" (13 mantissa bits), "fp23", "fp16", "bf16", "13M8E",
        with a rounding and with `fused` products that are added exactly before each rounding:
        "fp22:toward-zero:fused=32"; or "int24", "int24:wrap", "int:guard=8".
    order : str or Order
        "sequential", "pairwise", or "blocked:128": sequential in blocks of 128, whose sums are
        added in FP32.

    Returns
    -------
    AccumulationReport
        The theory follows the law of the partial sums, in units of which every rounding error
        is known (`qerror.accumulators`); against bit-exact simulation it is right to about
        0.1 dB where rounding is to nearest or stochastic, and the probability of overflow to
        about a tenth of itself. Two bounds: pairwise overflow is the sum over all nodes' chances
        at most; of saturating integers in pairs, the last addition's error stands for all.

    Raises
    ------
    InvalidValue
        If the length is out of range, no multiple of `fused`, or the products leave float64.
    InvalidType
        If a side is no `Factor`, or the activation has channels.

    Examples
    --------
    >>> from qerror import parse_format
    >>> from qerror.accumulators import accumulation_error
    >>> from qerror.products import Operand
    >>> side = Operand("int8", "gaussian").factor(parse_format("int8"))
    >>> found = accumulation_error(side, side, 1024, "fp16")
    >>> round(found.sqnr_db, 1), round(found.loss_db, 2)
    (46.6, 0.51)
    """
    register, way = as_accumulator(accumulator), as_order(order)
    for side in (weight, activation):
        if not isinstance(side, Factor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidType(f"expected a Factor, as Operand(...).factor(format), got {side!r}")
        as_scalar_format(side.format)
    integer("length", length, 1, LONGEST)
    _check_groups(register, way, length)
    if activation.channels:
        raise InvalidType("channels are for the weights: an activation has one scale here")
    reports = [
        _one(each, activation, length, register, way) for each in weight.channels or (weight,)
    ]
    return mean_accumulation(
        reports, scalar_product_error(weight.reports, activation.report, length)
    )


def _check_groups(register: Accumulator, way: Order, length: int) -> None:
    fused = register.fused if isinstance(register, FloatAccumulator) else 1
    for name, count in (("length", length), ("block", way.block)):
        if count is not None and count % fused:
            raise InvalidValue(f"{name} must be a multiple of fused={fused}, got {count}")


def _one(
    weight: Factor, activation: Factor, length: int, register: Accumulator, way: Order
) -> AccumulationReport:
    """Return the report of one channel, in the units of the densities."""
    terms, unit = product_terms(weight, activation), unit_of(weight, activation)
    with np.errstate(under="ignore"):
        found = accumulate(terms, length, register, way)
    product = scalar_product_error(weight.report, activation.report, length)
    power = unit**2 * (length * terms.variance + (length * terms.mean) ** 2)
    mse, mean = unit**2 * found.second, unit * found.mean
    share = _share_of_product_error(weight.report, activation.report)
    shared = product.mean_error * mean + share * unit**2 * found.with_sum
    total = product.mse + mse + (2 * shared if math.isfinite(shared) else 0.0)
    return AccumulationReport(
        register,
        way,
        length,
        step_mse=unit**2 * float(found.step_errors[-1] if found.step_errors.size else 0.0),
        mse=mse,
        mean_error=mean,
        signal_power=power,
        overflow=found.overflow,
        total_mse=max(total, 0.0),
        product=product,
        counts=found.counts,
        step_errors=unit**2 * found.step_errors,
    )


def accumulate(terms: Terms, length: int, register: Accumulator, way: Order) -> Outcome:
    """Return the moments of the error of a sum of so many terms."""
    found = _accumulate(terms, length, register, way)
    directed = isinstance(register, IntegerAccumulator) or not register.rule.is_odd
    return found if directed or not terms.is_symmetric else found._replace(mean=0.0)


def _accumulate(terms: Terms, length: int, register: Accumulator, way: Order) -> Outcome:
    sums = Sums(terms)
    if isinstance(register, IntegerAccumulator):
        if way.kind == "blocked":
            return _promoted(sums, length, register, way)
        return _integers(sums, length, register, way)
    if register.fused > 1:
        sums = Sums(fused_terms(sums, register.fused))
        way = Order(way.kind, way.block and way.block // register.fused)
        register, fused = FloatAccumulator(register.format, register.rounding), register.fused
        found = _floats(sums, length // fused, register, way)
        return found._replace(counts=found.counts * fused)
    return _floats(sums, length, register, way)


def _floats(sums: Sums, length: int, register: FloatAccumulator, way: Order) -> Outcome:
    top = register.format.max_value
    if way.kind == "blocked":
        return _promoted(sums, length, register, way)
    if way.kind == "pairwise":
        sizes = [2**k for k in range(1, length.bit_length())]
        beyond = sum(length // n * end_beyond(sums.of(n), -top, top) for n in sizes)
        return _outcome(Tree(sums, register, length).after(length), min(beyond, 1.0))
    beyond = way_beyond(sums, length, -top, top)
    return _outcome(Walk(sums, register, length).after(length), beyond)


def _outcome(trail: Trail, overflow: float) -> Outcome:
    return Outcome(
        trail.mean, trail.second, trail.with_sum, overflow, trail.counts, trail.step_errors
    )


def _promoted(sums: Sums, length: int, register: Accumulator, way: Order) -> Outcome:
    """Return what blocks cost, and adding them in FP32."""
    assert way.block is not None  # of an order in blocks
    block = min(way.block, length)
    many, rest = divmod(length, block)
    sizes = [(block, many)] + ([(rest, 1)] if rest else [])
    mean = spread = with_sum = 0.0
    safe = 0.0  # the logarithm of the chance that none overflows
    outcomes: list[Outcome] = []
    for size, count in sizes:
        one = accumulate(sums.terms, size, register, Order())
        outcomes.append(one)
        mean += count * one.mean
        spread += count * max(one.second - one.mean**2, 0.0)
        with_sum += count * one.with_sum
        safe += count * (math.log1p(-one.overflow) if one.overflow < 1 else -math.inf)
    found = outcomes[0]
    if many + bool(rest) > 1:
        outer = Walk(Sums(_blocks(sums, block, register)), PROMOTED, many + bool(rest))
        last = outer.after(many + bool(rest))
        mean += last.mean
        spread += max(last.second - last.mean**2, 0.0)
        with_sum += last.with_sum
    return Outcome(
        mean, spread + mean**2, with_sum, abs(math.expm1(safe)), found.counts, found.step_errors
    )


def _blocks(sums: Sums, block: int, register: Accumulator) -> Terms:
    """Return the law of a block's sum in its register."""
    if isinstance(register, IntegerAccumulator):
        return fused_terms(sums, block)
    walk = Walk(sums, register, block)
    trail = walk.after(block)
    return block_terms(walk.law(trail, block), walk.addition, trail.last)


def _integers(sums: Sums, length: int, register: IntegerAccumulator, way: Order) -> Outcome:
    """Return what the ends of an integer register cost."""
    terms = sums.terms
    step = 2.0**terms.finest
    half = step * 2.0 ** (width_of(register, terms) - 1)
    low, high = -half, half - step
    none = np.empty(0)
    if terms.largest * length <= high:
        return Outcome(0.0, 0.0, 0.0, 0.0, none, none)
    law = sums.of(length)
    if register.overflow == "wrap":
        mirrored = law.mirrored()
        mean, second = _wrapped(
            lambda x: law.tail(x - step / 2), lambda x: mirrored.tail(x + step / 2), 2 * half
        )
        beyond = end_beyond(law, low - step / 2, high + step / 2)
        return Outcome(mean, second, 0.0, beyond, none, none)
    sides = ((law, terms.mean, high), (law.mirrored(), -terms.mean, -low))
    if way.kind == "pairwise":
        beyond = end_beyond(law, low - step / 2, high + step / 2)
        (up, up2), (down, down2) = (end_excess(each, at) for each, _, at in sides)
    else:
        beyond = way_beyond(sums, length, low, high)
        spread = math.sqrt(terms.variance)
        (up, up2), (down, down2) = (excess(each, m, spread, length, at) for each, m, at in sides)
    return Outcome(down - up, up2 + down2, 0.0, beyond, none, none)


def width_of(register: IntegerAccumulator, terms: Terms) -> int:
    """Return the bits of a register that counts steps of the terms' finest lattice."""
    if register.width is not None:
        return register.width
    one = math.ceil(math.log2(terms.largest / 2.0**terms.finest + 1)) + 1
    return one + (register.guard or 0)


def _wrapped(above: Tail, below: Tail, period: float) -> tuple[float, float]:
    """Return the moments of what wrapping adds: -j times the period, j = round(S / period)."""
    mean = second = 0.0
    for j in range(1, 1000):
        up, down = above((j - 0.5) * period), below((j - 0.5) * period)
        mean += period * (down - up)
        second += period**2 * (2 * j - 1) * (up + down)
        if up + down < 1e-30:
            break
    return mean, second


def _share_of_product_error(w: ErrorReport[float], x: ErrorReport[float]) -> float:
    """Return the slope of the factors' error Qw Qx - w x on the product Qw Qx."""
    levels = [each.signal_power + 2 * each.cross_moment + each.mse for each in (w, x)]
    mixed = [each.signal_power + each.cross_moment for each in (w, x)]
    means = [each.signal_mean + each.mean_error for each in (w, x)]
    error = means[0] * means[1] - w.signal_mean * x.signal_mean
    variance = math.prod(levels) - math.prod(means) ** 2
    covariance = math.prod(levels) - math.prod(mixed) - math.prod(means) * error
    return covariance / variance if 0 < variance < math.inf else 0.0
