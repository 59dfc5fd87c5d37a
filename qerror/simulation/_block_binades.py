"""Rounding floating-point elements where they are, without dividing by a power of two.

A scale 2^k moves every binade of the levels by k: the addition that rounds (`Binade` of the
kernels) is then made in units of the values. Signs are left aside meanwhile, so that limits and
magnitudes are compared as integers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from qerror.formats.block_scales import PowerOfTwo
from qerror.formats.scale_rule import ScaleRule
from qerror.simulation._chunks import AnyArray
from qerror.simulation._kernels import LAYOUTS, AnyReal, Binade, Kernel, Layout


@dataclass(frozen=True)
class MovedBinades:
    """What rounding needs of the format, as bits of the working dtype."""

    layout: Layout
    kernel: Binade
    limit: int
    """The largest level."""
    lowest: int
    """Of the bits of scales: with smaller ones a step, or its magic number, leaves the dtype."""
    highest: int

    @classmethod
    def of(cls, rule: ScaleRule, kernel: Kernel, layout: Layout) -> "MovedBinades | None":
        """Return it where scales are powers of two and levels symmetric and floating."""
        suits = (
            isinstance(rule, PowerOfTwo)
            and isinstance(kernel, Binade)
            and kernel.kind is layout.kind
            and kernel.sign is not None
            and kernel.low == -kernel.high
        )
        if not (suits and isinstance(kernel, Binade)):
            return None
        bias = 1 - layout.lowest
        top = math.frexp(float(kernel.high))[1] - 1
        first = (int(kernel.first) >> layout.digits) - bias
        # With the scale 2^k the binades first + k to top + k, and the magic number 2^(digits + 1)
        # times as large, are to be normal numbers.
        low, high = layout.lowest - first, layout.highest - top - layout.digits - 2
        limit = int(np.array(kernel.high).view(layout.unsigned))
        return cls(
            LAYOUTS[layout.kind],
            kernel,
            limit,
            max(low + bias, 1) << layout.digits,
            (high + bias) << layout.digits,
        )

    def suits(self, unit: AnyReal) -> bool:
        """Tell whether all scales are finite and move no level out of the dtype."""
        bits: Any = unit.view(self.layout.unsigned)
        return bits.size > 0 and bool(self.lowest <= bits.min() and bits.max() <= self.highest)

    def round(
        self, values: AnyReal, unit: AnyReal, out: AnyReal, scratch: tuple[AnyArray, AnyArray]
    ) -> None:
        """Write what each row of values becomes at its scale."""
        layout, unsigned = self.layout, self.layout.unsigned
        size, shape = values.size, values.shape
        bits = values.view(unsigned)
        magnitude = scratch[0][:size].reshape(shape)
        magic = scratch[1][:size].reshape(shape)
        moved: Any = unit.view(unsigned)
        moved = moved - unsigned((1 - layout.lowest) << layout.digits)
        found = out.view(unsigned)
        np.bitwise_and(bits, unsigned(layout.sign - 1), out=magnitude)
        # One number a row is copied once: short rows cost an operation three times as much.
        np.copyto(magic, (moved + unsigned(self.limit))[:, None])
        np.minimum(magnitude, magic, out=magnitude)
        np.subtract(magic, unsigned(self.limit) - self.kernel.first, out=magic)
        np.bitwise_and(magnitude, self.kernel.exponent, out=found)
        np.maximum(found, magic, out=magic)
        np.add(magic, self.kernel.raise_by, out=magic)
        np.add(magnitude.view(layout.kind), magic.view(layout.kind), out=out)
        np.subtract(out, magic.view(layout.kind), out=out)
        np.bitwise_and(bits, unsigned(layout.sign), out=magic)
        np.bitwise_or(found, magic, out=found)
