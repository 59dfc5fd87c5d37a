"""Values of 8 and 16 bits that NumPy stores without knowing what they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Float32: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Narrow:
    """A narrow floating-point type of the OCP, of ml_dtypes and of PyTorch, by its bits."""

    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: str
    """Which codes are no numbers: "ieee", "fn" (all ones), "fnuz" (that of -0)."""

    @property
    def itemsize(self) -> int:
        """Bytes of a value."""
        return (1 + self.exponent_bits + self.mantissa_bits) // 8

    def decode(self, items: npt.NDArray[Any]) -> Float32:
        """Return the values of stored items, exactly."""
        if self.itemsize == 2:  # bfloat16 is the upper half of float32
            return (items.view("<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
        return self._values()[items.view(np.uint8)]

    def _values(self) -> Float32:
        """Return the value of every code, in the order of the codes."""
        code = np.arange(256)
        fraction = code & ((1 << self.mantissa_bits) - 1)
        power = (code >> self.mantissa_bits) & ((1 << self.exponent_bits) - 1)
        hidden = np.where(power > 0, 1 << self.mantissa_bits, 0)
        exponent = np.maximum(power, 1) - self.bias - self.mantissa_bits
        size = np.ldexp((hidden + fraction).astype(np.float64), exponent)
        last = power == (1 << self.exponent_bits) - 1
        if self.specials == "ieee":
            size = np.where(last, np.where(fraction == 0, np.inf, np.nan), size)
        elif self.specials == "fn":
            full = fraction == (1 << self.mantissa_bits) - 1
            size = np.where(last & full, np.nan, size)
        else:
            size = np.where(code == 128, np.nan, size)
        return np.where(code >= 128, -size, size).astype(np.float32)


NARROW: Mapping[str, Narrow] = MappingProxyType(
    {
        "bfloat16": Narrow(8, 7, 127, "ieee"),
        "float8_e3m4": Narrow(3, 4, 3, "ieee"),
        "float8_e4m3": Narrow(4, 3, 7, "ieee"),
        "float8_e4m3fn": Narrow(4, 3, 7, "fn"),
        "float8_e4m3fnuz": Narrow(4, 3, 8, "fnuz"),
        "float8_e4m3b11fnuz": Narrow(4, 3, 11, "fnuz"),
        "float8_e5m2": Narrow(5, 2, 15, "ieee"),
        "float8_e5m2fnuz": Narrow(5, 2, 16, "fnuz"),
    }
)
"""The types that can be named."""
