"""Sums in narrow registers bit by bit: what the theory is held against."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qerror._arrays import ArrayValue, BoolArray, FloatArray, frozen, integer
from qerror.accumulators.accumulator import (
    Accumulator,
    FloatAccumulator,
    IntegerAccumulator,
    Order,
    as_accumulator,
    as_order,
)
from qerror.accumulators.error import PROMOTED, width_of
from qerror.accumulators.terms import product_terms, unit_of
from qerror.exceptions import InvalidValue
from qerror.formats.floating import FloatingPoint
from qerror.formats.integer import Integer
from qerror.grids import MOST_POINTS
from qerror.products.factors import Factor
from qerror.simulation.quantize import quantize

_HELD = 2**20  # products that are drawn at a time


@dataclass(frozen=True, eq=False)
class SimulatedSums(ArrayValue):
    """Many sums of n products, in a register and exactly, in the densities' units."""

    register: FloatArray
    """What the register held at the end, one value a sum."""
    exact: FloatArray
    """The same sums without rounding."""
    overflowed: BoolArray
    """Where a sum left the register's range on the way; where it wraps, at the end."""

    @property
    def error(self) -> FloatArray:
        """What the register adds."""
        return self.register - self.exact

    @property
    def mse(self) -> float:
        """The mean squared error."""
        return float(np.mean(self.error**2))

    @property
    def standard_error(self) -> float:
        """Of `mse`."""
        return float(np.std(self.error**2) / math.sqrt(self.error.size))

    @property
    def relative_error(self) -> float:
        """The root of the mean squared error over that of the mean squared sum."""
        return math.sqrt(self.mse / float(np.mean(self.exact**2)))

    @property
    def largest_relative_error(self) -> float:
        """The largest error over the root mean square of the sums."""
        return float(np.abs(self.error).max() / np.sqrt(np.mean(self.exact**2)))


def simulate_accumulation(
    weight: Factor,
    activation: Factor,
    length: int,
    accumulator: Accumulator | FloatingPoint | Integer | str,
    order: Order | str = "sequential",
    *,
    size: int,
    rng: np.random.Generator,
) -> SimulatedSums:
    """Sum products of quantized values in a register, every addition rounded as it rounds.

    Parameters
    ----------
    weight, activation : Factor
        As for `accumulation_error`, without channels.
    length : int
        Products in a sum.
    accumulator, order
        As for `accumulation_error`.
    size : int
        How many sums.
    rng : numpy.random.Generator
        Draws the values, and what stochastic rounding needs.

    Returns
    -------
    SimulatedSums
        Floating-point sums are rounded by `quantize` to the format's mantissa and smallest
        exponent; those beyond its largest value go on as they are, and are marked. Sums are
        exact in float64 before they are rounded as long as 53 bits hold a product's finest step
        and the sum, as they do for formats of 8 bits.

    Raises
    ------
    InvalidValue
        If the weight has channels.
    """
    register, way = as_accumulator(accumulator), as_order(order)
    integer("length", length, 1, 2**24)
    integer("size", size, 1, 2**26)
    if weight.channels or activation.channels:
        raise InvalidValue("simulate one channel at a time")
    unit = unit_of(weight, activation)
    held = Register(register, weight, activation, rng, size)
    steps = product_columns(weight, activation, length, size, rng)
    if way.kind == "pairwise":
        total, exact = _pairwise(held, np.stack(list(steps)))
    else:
        total, exact = _sequential(held, steps, length, way, size)
    wraps = isinstance(register, IntegerAccumulator) and register.overflow == "wrap"
    overflowed = total != exact if wraps else held.overflowed
    return SimulatedSums(frozen(unit * total), frozen(unit * exact), frozen(overflowed))


class Register:
    """Rounds sums and remembers which have left its range."""

    def __init__(
        self,
        register: Accumulator,
        weight: Factor,
        activation: Factor,
        rng: np.random.Generator,
        size: int,
    ) -> None:
        self.overflowed = np.zeros(size, dtype=np.bool_)
        self.fused = register.fused if isinstance(register, FloatAccumulator) else 1
        self._rng = rng
        self._register = register
        if isinstance(register, FloatAccumulator):
            self._wide = _wider(register.format)
            self._top = register.format.max_value
            self._rule = register.rounding
            return
        terms = product_terms(weight, activation)
        self._step = 2.0**terms.finest
        self._half = self._step * 2.0 ** (width_of(register, terms) - 1)

    def __call__(self, sums: FloatArray) -> FloatArray:
        """Return sums, of shape (..., size), as the register holds them."""
        if isinstance(self._register, IntegerAccumulator):
            return self._counted(sums, self._register.overflow == "wrap")
        draws = self._rng if self._rule.startswith("stochastic") else None
        held: FloatArray = quantize(sums, self._wide, rounding=self._rule, rng=draws)
        self._mark(np.abs(held) > self._top)
        return held

    def _counted(self, sums: FloatArray, wrap: bool) -> FloatArray:
        low, high = -self._half, self._half - self._step
        self._mark((sums < low) | (sums > high))
        if wrap:
            turns = np.floor((sums + self._half) / (2 * self._half))
            return sums - turns * (2 * self._half)
        return np.clip(sums, low, high)

    def _mark(self, beyond: BoolArray) -> None:
        self.overflowed |= beyond.reshape(-1, self.overflowed.size).any(axis=0)


def _wider(form: FloatingPoint) -> FloatingPoint:
    """Return a format of the same mantissa and smallest exponent, and a larger range."""
    bits = min(form.exponent_bits + 2, 11)
    if bits == form.exponent_bits:
        return form
    return FloatingPoint(form.mantissa_bits, bits, bias=form.bias)


def product_columns(
    weight: Factor, activation: Factor, length: int, size: int, rng: np.random.Generator
) -> Iterator[FloatArray]:
    """Yield products, a term of all sums at a time, in units of both formats' levels."""
    many = max(_HELD // size, 1)
    for start in range(0, length, many):
        count = min(many, length - start)
        products = np.ones(count * size)
        for side in (weight, activation):
            products = products * _levels(side, products.size, rng)
        yield from products.reshape(count, size)


def _levels(side: Factor, size: int, rng: np.random.Generator) -> FloatArray:
    """Draw values and return the levels that they are rounded to, before factor and scale."""
    drawn = side.density.sample(size, rng)
    grid = side.scalar_format.grid()
    levels = quantize(drawn, side.scalar_format, side.scale) / (grid.factor * side.scale)
    if grid.size > min(MOST_POINTS, 2**17):
        return levels
    points = grid.base_points  # the quotient is rounded: the level itself is not
    return points[np.searchsorted((points[1:] + points[:-1]) / 2, levels)]


def _sequential(
    held: Register, steps: Iterator[FloatArray], length: int, way: Order, size: int
) -> tuple[FloatArray, FloatArray]:
    exact, total, block, group = (np.zeros(size) for _ in range(4))
    for k, products in enumerate(steps, start=1):
        exact += products
        group += products
        if k % held.fused == 0:
            total = held(total + group)
            group[:] = 0
        if way.block is not None and (k % way.block == 0 or k == length):
            block = quantize(block + total, PROMOTED.format)
            total = np.zeros(size)
    return (total if way.block is None else block), exact


def _pairwise(held: Register, products: FloatArray) -> tuple[FloatArray, FloatArray]:
    exact = products.sum(axis=0)
    nodes = products.reshape(-1, held.fused, products.shape[1]).sum(axis=1)
    while len(nodes) > 1:
        pairs = len(nodes) // 2
        added = held(nodes[0 : 2 * pairs : 2] + nodes[1 : 2 * pairs : 2])
        nodes = np.concatenate([added, nodes[2 * pairs :]])
    return nodes[0], exact
