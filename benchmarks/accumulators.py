"""Sums in narrow registers, predicted and bit by bit: python -m benchmarks.accumulators FILE.csv.

All registers are given the same products. `measured_db` is that of the errors of the sums;
`steps_db` that of the sum of the squared rounding errors of all additions, in units of the squared
exact sums that came with them, which scatters less and is the same on symmetric products. Where
hardly any addition rounds, `steps_db` comes of draws that are tilted towards those that do.
"""

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from qerror._arrays import FloatArray
from qerror.accumulators import (
    FloatAccumulator,
    accumulation_error,
    as_accumulator,
    simulate_accumulation,
)
from qerror.accumulators.simulate import Register, product_columns
from qerror.accumulators.terms import Terms, product_terms, unit_of
from qerror.formats import as_scalar_format
from qerror.products import Factor, Operand

REGISTERS = ("fp32", "tf32", "fp22", "fp16", "bf16")
TIERS = (((16, 64), 2**21), ((256, 1024), 2**17), ((4096, 16_384, 65_536), 2**12))
"""Lengths, and how many sums: short ones rarely round in wide registers."""
PAIRS = (
    (("int8", "gaussian"), ("int8", "laplace")),
    (("e4m3", "gaussian"), ("e4m3", "gaussian")),
)
SUMS = 8192
_COARSER = 8  # places above the spacing of a usual sum: large sums lose more bits
RARE_DB, RARE_LENGTH, RARE_SUMS = 95.0, 64, 2**20
OTHERS = (
    ("int8", "pairwise", "fp16", 256),
    ("int8", "pairwise", "bf16", 1024),
    ("int8", "blocked:128", "fp16", 4096),
    ("int8", "sequential", "bf16:stochastic", 1024),
    ("e4m3", "sequential", "fp22:toward-zero", 4096),
    ("e4m3", "sequential", "fp22:toward-zero:fused=32", 4096),
    ("e4m3", "blocked:128", "fp22:toward-zero:fused=32", 4096),
)


class Row(NamedTuple):
    """A case of the table."""

    weight: str
    activation: str
    accumulator: str
    order: str
    length: int
    predicted_db: float
    measured_db: float
    standard_error_db: float
    steps_db: float
    relative_error: float
    largest_relative_error: float
    overflow: float
    overflowed: float


def factor_of(form: str, density: str) -> Factor:
    """Return a side at its best range."""
    return Operand(form, density).factor(as_scalar_format(form))


def sequential(
    sides: tuple[tuple[str, str], tuple[str, str]],
    lengths: tuple[int, ...],
    size: int,
    rng: np.random.Generator,
) -> Iterator[Row]:
    """Yield rows of sums that go on to the longest, in all registers."""
    weight, activation = (factor_of(*side) for side in sides)
    held = [Register(as_accumulator(name), weight, activation, rng, size) for name in REGISTERS]
    totals, steps = np.zeros((len(held), size)), np.zeros(len(held))
    exact, power = np.zeros(size), 0.0
    columns = product_columns(weight, activation, lengths[-1], size, rng)
    terms, unit = product_terms(weight, activation), unit_of(weight, activation)
    for k, products in enumerate(columns, start=1):
        exact += products
        power += float(np.mean(exact**2))
        for i, register in enumerate(held):
            sums = totals[i] + products
            totals[i] = register(sums)
            steps[i] += float(np.mean((totals[i] - sums) ** 2))
        if k in lengths:
            share = power / (terms.variance * k * (k + 1) / 2)
            for i, name in enumerate(REGISTERS):
                found = accumulation_error(weight, activation, k, name)
                square = (unit * (totals[i] - exact)) ** 2
                signal = found.signal_power
                mse, spread = float(square.mean()), float(square.std()) / np.sqrt(size)
                squares = unit**2 * steps[i] / share
                if k <= RARE_LENGTH and RARE_DB < found.sqnr_db < np.inf:
                    squares = rare_steps(weight, activation, name, k, np.random.default_rng(k))
                yield Row(
                    sides[0][0], sides[1][0], name, "sequential", k, found.sqnr_db,
                    _db(signal, mse), 10 / np.log(10) * spread / mse if mse else 0.0,
                    _db(signal, squares), np.sqrt(mse / signal),
                    np.sqrt(square.max() / signal), found.overflow,
                    float(held[i].overflowed.mean()),
                )  # fmt: skip


class Tilt(NamedTuple):
    """Laws of the terms to draw from, and how much likelier each makes every value."""

    below: FloatArray
    """Cumulated probabilities."""
    gain: FloatArray


def tilts(terms: Terms, register: FloatAccumulator, length: int) -> list[Tilt]:
    """Return laws that bring fine bits, and of these some that bring large sums of either sign."""
    p, x = terms.probabilities, terms.values
    top = math.log2(math.sqrt(terms.variance * length)) - register.format.mantissa_bits
    places = np.minimum(terms.lattice, math.ceil(top) + _COARSER)
    by_place = {int(k): float(p[places == k].sum()) for k in np.unique(places)}
    share = min(2.5 / length, 0.5)
    even = p / np.array([by_place[int(k)] for k in places]) / len(by_place)
    base = (1 - share) * p + share * even
    found: list[FloatArray] = [base]
    edge = 2.0 ** (terms.finest + register.format.mantissa_bits + 1)
    if edge > math.sqrt(terms.variance * length):

        def tilted(theta: float) -> FloatArray:
            weight: FloatArray = base * np.exp(theta * (x - x[-1]))
            return np.asarray(weight / weight.sum())

        theta = brentq(lambda t: length * float(tilted(t) @ x) - edge, 0.0, 1e3 / x[-1])
        found += [tilted(theta), tilted(theta)[::-1]]
    return [Tilt(np.cumsum(each / each.sum()), each / each.sum() / p) for each in found]


def rare_steps(
    weight: Factor, activation: Factor, name: str, length: int, rng: np.random.Generator
) -> float:
    """Return the sum of E[e^2] of all additions, in units of the densities, by tilted draws."""
    register, terms = as_accumulator(name), product_terms(weight, activation)
    assert isinstance(register, FloatAccumulator)
    laws, unit = tilts(terms, register, length), unit_of(weight, activation)
    total, size = 0.0, 2**14
    for _ in range(RARE_SUMS // size):
        own = rng.integers(len(laws), size=size)
        gains = np.ones((len(laws), size))
        held, exact = np.zeros(size), Register(register, weight, activation, rng, size)
        for _ in range(length):
            drawn = rng.random(size)
            at = np.zeros(size, dtype=np.int64)
            for i, law in enumerate(laws):
                of = own == i
                at[of] = np.minimum(np.searchsorted(law.below, drawn[of]), terms.values.size - 1)
            gains *= np.stack([law.gain[at] for law in laws])
            sums = held + terms.values[at]
            held = exact(sums)
            total += float(((held - sums) ** 2 / gains.mean(axis=0)).sum())
    return unit**2 * total / RARE_SUMS


def others(rng: np.random.Generator) -> Iterator[Row]:
    """Yield rows of other orders and roundings."""
    for form, order, name, length in OTHERS:
        side = factor_of(form, "gaussian")
        found = accumulation_error(side, side, length, name, order)
        sums = simulate_accumulation(side, side, length, name, order, size=SUMS, rng=rng)
        yield Row(
            form, form, name, order, length, found.sqnr_db, _db(found.signal_power, sums.mse),
            10 / np.log(10) * sums.standard_error / sums.mse, np.nan, sums.relative_error,
            sums.largest_relative_error, found.overflow, float(sums.overflowed.mean()),
        )  # fmt: skip


def _db(power: float, mse: float) -> float:
    return 10 * float(np.log10(power / mse)) if mse else np.inf


def main(path: str) -> None:
    """Write the table, a row at a time."""
    first, second = (np.random.default_rng(seed) for seed in (20261125, 20261126))
    parts = (
        others(first),
        *(
            sequential(sides, lengths, size, rng)
            for sides, rng in zip(PAIRS, (first, second), strict=True)
            for lengths, size in TIERS
        ),
    )
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        for rows in parts:
            for row in rows:
                table.writerow(
                    format(each, ".6g") if isinstance(each, float) else each for each in row
                )
                file.flush()


if __name__ == "__main__":
    main(sys.argv[1])
