"""Integer formats: one run of consecutive codes around a zero point."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, final

from qerror._arrays import FrozenMapping, integer
from qerror.exceptions import InvalidValue
from qerror.formats.format import FORMATS, Format, ScalarFormat, flag
from qerror.formats.names import spelling, whole
from qerror.grids import Grid

MOST_BITS = 53  # float64 holds every integer up to 2^53


@final
@dataclass(frozen=True, slots=True)
class Integer(ScalarFormat):
    """Integers of `bits` bits; the level of a code is code - zero_point.

    Parameters
    ----------
    bits : int
        1..53, so that float64 holds every code; at least 2 if signed.
    signed : bool
        Signed codes, or 0 .. 2^bits - 1.
    symmetric : bool
        Signed codes are -(2^(bits-1) - 1) .. 2^(bits-1) - 1, as in van Baalen et al. 2023
        (arXiv 2303.17951); otherwise they start at -2^(bits-1), two's complement. It means
        nothing for unsigned codes and is stored as False there: equal grids, equal formats.
    zero_point : int
        The code whose level is zero, within the range of codes.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range.

    Examples
    --------
    >>> Integer(8).max_value
    127.0
    """

    # Not a bare annotation: that would take the base's property for a default.
    bits: int = field()  # pyright: ignore[reportIncompatibleMethodOverride]
    signed: bool = True
    symmetric: bool = True
    zero_point: int = 0

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping({"full": "full", "zp": "zp=<integer>"})

    def __post_init__(self) -> None:
        signed = flag("signed", self.signed)
        symmetric = flag("symmetric", self.symmetric) and signed
        checked = {
            "bits": integer("bits", self.bits, 2 if signed else 1, MOST_BITS),
            "signed": signed,
            "symmetric": symmetric,
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        zero_point = integer("zero_point", self.zero_point, self.min_code, self.max_code)
        object.__setattr__(self, "zero_point", zero_point)

    @property
    def min_code(self) -> int:
        """The smallest code."""
        return self.symmetric - (1 << (self.bits - 1)) if self.signed else 0

    @property
    def max_code(self) -> int:
        """The largest code."""
        return (1 << (self.bits - self.signed)) - 1

    @property
    def name(self) -> str:
        full = full_option(self.signed, self.symmetric)
        zero_point = f":zp={self.zero_point}" if self.zero_point else ""
        return f"{'' if self.signed else 'U'}INT{self.bits}{full}{zero_point}"

    def _base_grid(self) -> Grid:
        low, high = self.min_code, self.max_code
        return Grid.uniform(low - self.zero_point, 1.0, high - low, even_first=low % 2 == 0)

    def _vary(self, options: Mapping[str, str]) -> Format:
        check_full(self.name, self.signed, options)
        return replace(
            self,
            symmetric=self.symmetric and "full" not in options,
            zero_point=whole("zp", options["zp"]) if "zp" in options else self.zero_point,
        )

    def _card(self) -> dict[str, str]:
        unused = f"; the code {self.min_code - 1} is not used" if self.symmetric else ""
        return {
            "codes": f"{self.min_code}..{self.max_code}",
            "step": "1",
            "special codes": f"none{unused}",
            "zero": f"one, the code {self.zero_point}",
        }


def full_option(signed: bool, symmetric: bool) -> str:
    """Return what follows the name of signed codes that start at the most negative one."""
    return ":full" if signed and not symmetric else ""


def check_full(name: str, signed: bool, options: Mapping[str, str]) -> None:
    """Refuse the option "full" with a value, and where no code is left out."""
    if options.get("full"):
        raise InvalidValue(f"full takes no value, got {options['full']!r}")
    if "full" in options and not signed:
        raise InvalidValue(f"full is for signed codes; {name} has all its codes already")


@spelling(r"(?P<unsigned>u?)int(?P<bits>[0-9]{1,4})", "int8")
def _integer(found: re.Match[str]) -> Format:
    return Integer(int(found["bits"]), signed=not found["unsigned"])


for _bits in (4, 8, 16, 32):
    FORMATS.register(f"INT{_bits}", Integer(_bits))
# A dtype has all its codes.
FORMATS.register("INT8:full", Integer(8, symmetric=False), "torch.int8", "torch.qint8")
FORMATS.register("UINT4", Integer(4, signed=False))
FORMATS.register("UINT8", Integer(8, signed=False), "torch.uint8", "torch.quint8")
