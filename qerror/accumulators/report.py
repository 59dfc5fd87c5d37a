"""What a register costs a scalar product: a frozen report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qerror._arrays import ArrayValue, FloatArray
from qerror.accumulators.accumulator import Accumulator, Order
from qerror.analysis.report import decibels
from qerror.analysis.scalar_product import ScalarProductReport


@dataclass(frozen=True, eq=False)
class AccumulationReport(ArrayValue):
    """The expected error of summing n products of quantized factors in one register.

    With S the exact sum of the quantized products and T what the register holds in the end,
    A = T - S. Where floating-point sums leave the format's range, which `overflow` counts, its
    infinities are not: errors are those of a register of the same mantissa and a larger range.
    """

    accumulator: Accumulator
    order: Order
    length: int
    """How many products are summed."""
    step_mse: float
    """E[e^2] of the last addition to the register; of integers 0."""
    mse: float
    """E[A^2]."""
    mean_error: float
    """E[A]."""
    signal_power: float
    """E[S^2]."""
    overflow: float
    """The probability that a sum leaves the register's range on the way; where an integer
    register wraps, at the end, as only that matters."""
    total_mse: float
    """E[(T - y)^2], y the sum of the products before quantization."""
    product: ScalarProductReport[float]
    """The error of the quantized factors alone, summed exactly."""
    counts: FloatArray
    """Along the sum, how many products a partial sum holds; empty for integers."""
    step_errors: FloatArray
    """E[e^2] of the additions that lead to these, between the places on average."""

    @property
    def relative_error(self) -> float:
        """The square root of E[A^2] / E[S^2]."""
        return math.sqrt(self.mse / self.signal_power) if self.signal_power > 0 else math.nan

    @property
    def sqnr_db(self) -> float:
        """Of the summing alone: 10 log10(E[S^2] / E[A^2])."""
        return float(decibels(self.signal_power, self.mse))

    @property
    def total_sqnr_db(self) -> float:
        """Of the factors' and the register's errors together: 10 log10(E[y^2] / E[(T - y)^2])."""
        return float(decibels(self.product.signal_power, self.total_mse))

    @property
    def loss_db(self) -> float:
        """How far the register pulls the SQNR of the exact sum down."""
        return self.product.sqnr_db - self.total_sqnr_db

    def to_dict(self) -> dict[str, Any]:
        """Return every single figure by its name."""
        return {
            "accumulator": self.accumulator.name,
            "order": self.order.name,
            "length": self.length,
            **{name: getattr(self, name) for name in FIGURES},
            "relative_error": self.relative_error,
            "sqnr_db": self.sqnr_db,
            "total_sqnr_db": self.total_sqnr_db,
            "loss_db": self.loss_db,
        }


FIGURES = ("step_mse", "mse", "mean_error", "signal_power", "overflow", "total_mse")
"""What is averaged over channels."""


def mean_accumulation(
    reports: Sequence[AccumulationReport], product: ScalarProductReport[float]
) -> AccumulationReport:
    """Return the average over channels, all equally likely."""
    first = reports[0]
    if len(reports) == 1:
        return first
    means: dict[str, Any] = {
        name: sum(getattr(each, name) for each in reports) / len(reports)
        for name in (*FIGURES, "step_errors")
    }
    return replace(first, product=product, **means)
