"""Powers of two: exponents without sign and mantissa, as the scales of MX formats are stored."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

import numpy as np

from qerror._arrays import FrozenMapping, integer
from qerror.formats.convention import Reserved
from qerror.formats.format import FORMATS, Format, Resolved, ScalarFormat, shortest
from qerror.formats.names import spelling, whole
from qerror.grids import Grid

_LEAST_EXPONENT, _MOST_EXPONENT = -1074, 1023  # float64: smallest number, largest binade


@final
@dataclass(frozen=True, slots=True)
class ExponentOnly(ScalarFormat):
    """The code c stands for 2^(c - bias); there is neither zero nor sign, and the top code is NaN.

    Unlike `FloatingPoint` without mantissa bits, whose code 0 is zero. Nearest is meant as for
    every format, by distance: the threshold between 1 and 2 is 1.5, not the square root of 2.

    Parameters
    ----------
    exponent_bits : int
        2..11.
    bias : int, optional
        Left out, it is 2^(exponent_bits - 1) - 1, so that 1 stands in the middle.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range, or float64 does not hold the levels.

    References
    ----------
    OCP Microscaling Formats 1.0, section 5.4.1 (E8M0).

    Examples
    --------
    >>> ExponentOnly(8).max_value == 2.0**127
    True
    """

    exponent_bits: int
    bias: Resolved[int] = Resolved()  # noqa: RUF009 - it is immutable

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping({"bias": "bias=<integer>"})

    def __post_init__(self) -> None:
        exponent_bits = integer("exponent_bits", self.exponent_bits, 2, 11)
        object.__setattr__(self, "exponent_bits", exponent_bits)
        object.__setattr__(self, "bias", self._bias_or_own(self.bias))

    def _bias_or_own(self, given: int | None) -> int:
        low, high = self.reserved.largest - _MOST_EXPONENT, -_LEAST_EXPONENT
        return self._own_bias if given is None else integer("bias", given, low, high)

    @property
    def _own_bias(self) -> int:
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def reserved(self) -> Reserved:
        top = (1 << self.exponent_bits) - 1
        return Reserved(largest=top - 1, nan=top)

    @property
    def bits(self) -> int:
        return self.exponent_bits

    @property
    def name(self) -> str:
        own = self.bias == self._own_bias
        return f"E{self.exponent_bits}M0" + ("" if own else f":bias={self.bias}")

    def _exponent_bias(self) -> float:
        return float(self.bias)

    def _base_grid(self) -> Grid:
        exponents = np.arange(self.reserved.largest + 1) - self.bias
        points = np.ldexp(1.0, exponents)
        return Grid(points, points[:-1], np.ones(points.size - 1, dtype=np.int64))

    def _vary(self, options: Mapping[str, str]) -> Format:
        return replace(self, bias=whole("bias", options["bias"]))

    def _card(self) -> dict[str, str]:
        own = " (the convention's own)" if self.bias == self._own_bias else ""
        return {
            "exponent bits": str(self.exponent_bits),
            "mantissa bits": "0",
            "bias": f"{self.bias}{own}",
            "smallest": shortest(math.ldexp(1.0, -self.bias)),
            "special codes": "NaN at the top code; no infinity",
            "zero": "no code",
        }


@spelling(r"u?e(?P<exponent>[0-9]{1,4})m0(?:fnu)?", "ue8m0")
def _power_of_two(found: re.Match[str]) -> Format:
    return ExponentOnly(int(found["exponent"]))


# The last three: ml_dtypes, PyTorch, safetensors.
_NAMES = ("ue8m0", "e8m0fnu", "float8_e8m0fnu", "torch.float8_e8m0fnu", "f8_e8m0")
FORMATS.register("E8M0", ExponentOnly(8), *_NAMES)
