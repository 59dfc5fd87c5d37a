"""Sums in narrow registers, predicted and bit by bit: python -m benchmarks.accumulators FILE.csv.

All registers are given the same products. `measured_db` is that of the errors of the sums;
`steps_db` that of the sum of the squared rounding errors of all additions, in units of the squared
exact sums that came with them, which scatters less and is the same on symmetric products.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qerror.accumulators import accumulation_error, as_accumulator, simulate_accumulation
from qerror.accumulators.simulate import Register, product_columns
from qerror.accumulators.terms import product_terms, unit_of
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
                yield Row(
                    sides[0][0], sides[1][0], name, "sequential", k, found.sqnr_db,
                    _db(signal, mse), 10 / np.log(10) * spread / mse if mse else 0.0,
                    _db(signal, unit**2 * steps[i] / share), np.sqrt(mse / signal),
                    np.sqrt(square.max() / signal), found.overflow,
                    float(held[i].overflowed.mean()),
                )  # fmt: skip


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
