"""What narrow registers cost scalar products of FP8 numbers, by length and order."""

import math
from collections.abc import Iterator

import numpy as np

from qerror.accumulators import AccumulationReport, accumulation_error, simulate_accumulation
from qerror.formats import as_scalar_format
from qerror.products.factors import Factor, Operand
from qerror.reporting import Document, Row
from qerror.studies.study import STUDIES, Study, figure_data

FORMAT, DENSITY = "e4m3", "gaussian"
REGISTERS = ("fp32", "fp22", "tf32", "bf16")
ORDERS = ("sequential", "blocked:128", "pairwise")
ORDERED = ("fp22", "bf16")
"""Registers that are shown in every order."""
LENGTHS = tuple(4**k for k in range(2, 9))
SIMULATED = LENGTHS[:5]
_PRODUCTS = 2**20  # that are drawn for a point
_SURE = 0.2  # the largest relative standard error of a point


def data() -> Document:
    """Return what the SQNR of a scalar product loses, predicted and bit by bit.

    - panel "registers": summed one after the other in all registers.
    - panel "orders": two of them in all orders.
    - source "bit by bit" has the standard error of the loss in dB; points where it is more than
      20% of the loss are left out.
    """
    side = Operand(FORMAT, DENSITY).factor(as_scalar_format(FORMAT))
    params: Row = {"format": FORMAT, "density": DENSITY, "lengths": list(LENGTHS)}
    return figure_data(params, _rows(side))


def _rows(side: Factor) -> Iterator[Row]:
    known: dict[tuple[str, str], list[Row]] = {}
    for panel, registers, orders in (
        ("registers", REGISTERS, ORDERS[:1]),
        ("orders", ORDERED, ORDERS),
    ):
        for register in registers:
            for order in orders:
                if (register, order) not in known:
                    known[register, order] = list(_curve(side, register, order))
                yield from ({"panel": panel, **row} for row in known[register, order])


def _curve(side: Factor, register: str, order: str) -> Iterator[Row]:
    key: Row = {"accumulator": register, "order": order}
    rng = np.random.default_rng(16)
    for length in LENGTHS:
        found = accumulation_error(side, side, length, register, order)
        yield {**key, "source": "theory", "length": length, "loss_db": found.loss_db}
        if length in SIMULATED:
            size = _PRODUCTS // length
            sums = simulate_accumulation(side, side, length, register, order, size=size, rng=rng)
            if sums.mse > 0 and sums.standard_error < _SURE * sums.mse:
                loss = _loss_db(found, sums.mse)
                error = loss * sums.standard_error / sums.mse
                point: Row = {"source": "bit by bit", "length": length, "loss_db": loss}
                yield {**key, **point, "standard_error_db": error}


def _loss_db(found: AccumulationReport, mse: float) -> float:
    """Return the loss where summing has this error, with nothing to do with the factors' own."""
    return 10 / math.log(10) * math.log1p(mse / found.product.mse)


STUDIES.register(
    "accumulators",
    Study(
        "Loss of FP8 scalar products in narrow registers against their length",
        "our own",
        data,
        "By how many dB the SQNR of a scalar product of E4M3 numbers, Gaussian, at their best "
        "range, falls below that of an exact sum. Lines are predicted, points are sums bit by bit "
        "where enough of them have errors. (a) Products are added one after the other; FP16 has "
        "TF32's mantissa and is the same until it overflows. (b) In FP22, 14 bits with the one "
        "before the point, and in BF16: one after the other, in blocks of 128 whose sums are "
        "added in FP32, and in pairs.",
    ),
)
