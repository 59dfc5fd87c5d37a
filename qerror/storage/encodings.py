"""How the values of a tensor stand in a file: codes with a table, floats, or blocks to decode."""

import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.exceptions import MissingLibrary
from qerror.storage.narrow import NARROW

Bytes: TypeAlias = npt.NDArray[np.uint8]
Real: TypeAlias = npt.NDArray[Any]


class Encoding(ABC):
    """What stored bytes mean: so many bytes hold so many values."""

    name: str
    bytes_per_unit: int
    values_per_unit: int
    precision: float
    """Half a unit in the last place of 1: by how much a stored value may differ from one on a
    grid that is sought."""

    @property
    def bits(self) -> float:
        """Bits of a value."""
        return 8 * self.bytes_per_unit / self.values_per_unit

    @abstractmethod
    def decode(self, stored: Bytes) -> Real:
        """Return the values, exactly, as float32 or float64."""

    def size_of(self, values: int) -> int:
        """Return how many bytes so many values take; they must fill whole units."""
        units, rest = divmod(values, self.values_per_unit)
        if rest:
            raise ValueError(f"{values:,} values do not fill units of {self.values_per_unit}")
        return units * self.bytes_per_unit


@final
@dataclass(frozen=True)
class Coded(Encoding):
    """Codes of 8 or 16 bits, two of 4 in a byte, or four of 6 in three, each a value's.

    Codes that share bytes lie in them from the low bits up.
    """

    name: str
    code_bits: int
    precision: float

    @property
    def bytes_per_unit(self) -> int:  # type: ignore[override]
        """The fewest bytes that hold whole codes."""
        return math.lcm(self.code_bits, 8) // 8

    @property
    def values_per_unit(self) -> int:  # type: ignore[override]
        """How many codes these bytes hold."""
        return math.lcm(self.code_bits, 8) // self.code_bits

    @property
    def units(self) -> int:
        """How many different numbers `stored_units` can return: 256 or 65,536."""
        return 1 << (16 if self.code_bits == 16 else 8)

    @cached_property
    def table(self) -> FloatArray:
        """The value of every code, shape (2^code_bits,)."""
        return frozen(_table(self.name, self.code_bits))

    def stored_units(self, stored: Bytes) -> npt.NDArray[Any]:
        """Return the stored bytes as units, which can be counted: codes, or pairs of four bits."""
        if self.code_bits == 6:
            return _sixes(stored)
        return stored.view("<u2") if self.code_bits == 16 else stored

    def decode(self, stored: Bytes) -> Real:
        """Return the values as float32."""
        if self.name == "BF16":
            return NARROW["bfloat16"].decode(stored.view("<u2"))
        if self.name == "F16":
            with np.errstate(invalid="ignore"):  # signalling NaNs
                return stored.view("<f2").astype(np.float32)
        if self.code_bits == 4:
            return self._single[np.stack([stored & 15, stored >> 4], axis=-1).reshape(-1)]
        return self._single[_sixes(stored) if self.code_bits == 6 else stored]

    @cached_property
    def _single(self) -> npt.NDArray[np.float32]:
        with np.errstate(invalid="ignore"):  # signalling NaNs
            return frozen(self.table.astype(np.float32))

    def distribution(self, counts: IntArray) -> tuple[FloatArray, IntArray]:
        """Return the value of every code and how often it occurs.

        Parameters
        ----------
        counts : ndarray, shape (units,)
            How often each unit occurs.
        """
        if self.code_bits == 4:
            pairs = counts.reshape(16, 16)
            counts = pairs.sum(axis=0) + pairs.sum(axis=1)
        return self.table, counts[: self.table.size]


@final
@dataclass(frozen=True)
class Plain(Encoding):
    """float32 or float64, little-endian."""

    name: str
    bytes_per_unit: int
    precision: float
    values_per_unit: int = 1

    def decode(self, stored: Bytes) -> Real:
        """Return the values as they are stored."""
        return stored.view(f"<f{self.bytes_per_unit}")


@final
@dataclass(frozen=True)
class Whole(Encoding):
    """Whole numbers, little-endian: codes whose meaning another tensor says."""

    name: str
    bytes_per_unit: int
    values_per_unit: int = 1
    precision: float = 0.0

    def decode(self, stored: Bytes) -> Real:
        """Return the numbers as they are stored."""
        kind = "i" if self.name.startswith("I") else "u"
        return stored.view(f"<{kind}{self.bytes_per_unit}")


@final
@dataclass(frozen=True)
class Blocks(Encoding):
    """Blocks of GGUF: codes with their scales, decoded to float32 by the package gguf."""

    name: str
    bytes_per_unit: int
    values_per_unit: int
    precision: float = 2.0**-24

    def decode(self, stored: Bytes) -> Real:
        """Return the values as float32.

        Raises
        ------
        MissingLibrary
            If the package gguf is not installed.
        """
        try:
            gguf: Any = importlib.import_module("gguf")
        except ImportError as error:
            raise MissingLibrary(
                f"{self.name} needs gguf, which is not installed: pip install gguf"
            ) from error
        kind = gguf.GGMLQuantizationType[self.name]
        if not stored.size:
            return np.empty(0, np.float32)
        rows = stored.reshape(-1, self.bytes_per_unit)
        with np.errstate(all="ignore"):
            found: Real = gguf.quants.dequantize(rows, kind)
        return found.reshape(-1)


def _table(name: str, bits: int) -> FloatArray:
    if bits == 16:
        codes = np.arange(1 << 16, dtype="<u2")
        values = codes.view("<f2") if name == "F16" else NARROW["bfloat16"].decode(codes)
        with np.errstate(invalid="ignore"):  # signalling NaNs
            return values.astype(np.float64)
    if name in _FEW_BITS:
        return _all_finite(*_FEW_BITS[name])
    if name == "F8_E8M0":
        codes = np.arange(256)
        return np.where(codes == 255, np.nan, np.exp2(codes - 127.0))  # OCP MX 1.0, 5.4.1
    assert bits == 8
    return NARROW[_EIGHT_BITS[name]].decode(np.arange(256, dtype=np.uint8)).astype(np.float64)


def _all_finite(exponent_bits: int, mantissa_bits: int) -> FloatArray:
    """Return the values of all codes of a type without infinities and NaN, by OCP MX 1.0, 5.3."""
    codes = np.arange(1 << (exponent_bits + mantissa_bits))
    exponent, fraction = np.divmod(codes, 1 << mantissa_bits)
    lowest = 1 - ((1 << (exponent_bits - 1)) - 1)  # the exponent of subnormals: 1 - bias
    steps = fraction + np.where(exponent > 0, 1 << mantissa_bits, 0)
    sizes = np.ldexp(steps.astype(np.float64), lowest - mantissa_bits + np.maximum(exponent, 1) - 1)
    return np.concatenate([sizes, -sizes])


def _sixes(stored: Bytes) -> Bytes:
    """Return codes of six bits, four of which lie in three bytes."""
    a, b, c = stored.reshape(-1, 3).T
    four = [a & 63, (a >> 6) | ((b & 15) << 2), (b >> 4) | ((c & 3) << 4), c >> 2]
    return np.stack(four, axis=-1, dtype=np.uint8).reshape(-1)


_FEW_BITS = {"F4": (2, 1), "F6_E2M3": (2, 3), "F6_E3M2": (3, 2)}
"""Bits of exponent and mantissa."""

_EIGHT_BITS = {
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}

_EXACT = 2.0**-24
"""Of types so coarse that they are a grid themselves."""

FLOATING: Mapping[str, Encoding] = MappingProxyType(
    {
        "F64": Plain("F64", 8, 2.0**-53),
        "F32": Plain("F32", 4, 2.0**-24),
        "F16": Coded("F16", 16, 2.0**-11),
        "BF16": Coded("BF16", 16, 2.0**-8),
        **{name: Coded(name, 8, _EXACT) for name in _EIGHT_BITS},
        "F8_E8M0": Coded("F8_E8M0", 8, _EXACT),
        "F6_E2M3": Coded("F6_E2M3", 6, _EXACT),
        "F6_E3M2": Coded("F6_E3M2", 6, _EXACT),
        "F4": Coded("F4", 4, _EXACT),
    }
)
"""The floating-point types by their names in safetensors."""

WHOLE_BYTES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("BOOL", "U8", "I8"), 1),
        **dict.fromkeys(("U16", "I16"), 2),
        **dict.fromkeys(("U32", "I32"), 4),
        **dict.fromkeys(("U64", "I64", "C64"), 8),
    }
)
"""Other types, which are not analysed, with their bytes a value."""


@lru_cache(maxsize=1)
def names_of_numpy() -> Mapping[str, str]:
    """Return the names here of NumPy's types, and of those of `NARROW`."""
    own = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}
    return {**own, **{theirs: name for name, theirs in _EIGHT_BITS.items()}}
