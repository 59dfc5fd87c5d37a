"""Which codes of a floating-point format are no finite numbers: five conventions, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, final

from qerror._arrays import FrozenMapping

Specials: TypeAlias = Literal["none", "ieee", "fn", "fnuz", "p3109"]
NaN: TypeAlias = Literal["nowhere", "top exponent", "top code", "negative zero"]
Infinity: TypeAlias = Literal["never", "always", "by choice"]


@final
@dataclass(frozen=True, slots=True)
class Reserved:
    """The codes of one format that are no finite numbers, and whether -0 is a number.

    A magnitude code is a code without its sign: exponent and mantissa fields in one.
    """

    largest: int
    """The magnitude code of the largest finite number."""
    infinity: int | None = None
    """The magnitude code of infinity, if there is one."""
    nan: int | None = None
    """A code of NaN, its sign bit included; the quiet one where there are many."""
    negative_zero: bool = False
    """Whether the code of -0 stands for -0."""


@final
@dataclass(frozen=True, slots=True)
class Convention:
    """What a family of formats does with its outermost codes and with the code of -0."""

    name: Specials
    bias_offset: int
    """The convention's own bias is 2^(exponent_bits - 1) less this."""
    nan: NaN
    """Where NaN is. "negative zero" is the code of -0, or if unsigned the top code."""
    infinity: Infinity
    unsigned: bool = True
    """Whether formats without a sign can follow it."""

    def own_bias(self, exponent_bits: int) -> float:
        """Return the bias that goes with it."""
        return 2.0 ** (exponent_bits - 1) - self.bias_offset

    def has_negative_zero(self, signed: bool) -> bool:
        """Tell whether the code of -0 stands for -0."""
        return signed and self.nan != "negative zero"

    def reserved(
        self, exponent_bits: int, mantissa_bits: int, signed: bool, infinities: bool
    ) -> Reserved:
        """Return the reserved codes of a shape: from the top down, NaN, then infinity."""
        width = exponent_bits + mantissa_bits
        top = (1 << width) - 1
        above = self._nans_at_the_top(mantissa_bits, signed)
        infinite = self.infinity == "always" or infinities
        return Reserved(
            largest=top - above - infinite,
            infinity=top - above if infinite else None,
            nan=self._nan(top, mantissa_bits, signed),
            negative_zero=self.has_negative_zero(signed),
        )

    def _nans_at_the_top(self, mantissa_bits: int, signed: bool) -> int:
        """Return how many of the largest magnitude codes are NaN."""
        return {
            "nowhere": 0,
            "top exponent": (1 << mantissa_bits) - 1,
            "top code": 1,
            "negative zero": int(not signed),
        }[self.nan]

    def _nan(self, top: int, mantissa_bits: int, signed: bool) -> int | None:
        if self._nans_at_the_top(mantissa_bits, signed):
            # In a whole exponent of them the quiet one: IEEE 754-2019, section 6.2.1.
            return top - (1 << (mantissa_bits - 1)) + 1 if self.nan == "top exponent" else top
        return top + 1 if self.nan == "negative zero" else None

    def words(self, signed: bool, infinities: bool) -> str:
        """Say which codes are special, for the convention card."""
        each = " of each sign" if signed else ""
        if self.nan == "nowhere":
            return "none: every code is a finite number"
        if self.nan == "top exponent":
            return f"the top exponent{each} holds infinity and NaN"
        at_zero = self.nan == "negative zero" and signed
        nan = "NaN at the code of -0" if at_zero else f"NaN at the top code{each}"
        place = "the top code" if at_zero else "the code below it"
        infinite = f"infinity at {place}{each}" if infinities else "no infinity"
        return f"{nan}; {infinite}"


# "none": Kuzmin et al. 2022 (arXiv 2208.09225), after eq. 8, and OCP MX 1.0, section 5.3, for 4
# and 6 bits. "ieee": IEEE 754-2019, section 3.4. "fn": OCP OFP8 1.0, section 5. "fnuz": Noune
# et al. 2022 (arXiv 2206.02915). "p3109": IEEE P3109 interim report.
CONVENTIONS: Mapping[Specials, Convention] = FrozenMapping(
    {
        each.name: each
        for each in (
            Convention("none", 0, nan="nowhere", infinity="never"),
            Convention("ieee", 1, nan="top exponent", infinity="always"),
            Convention("fn", 1, nan="top code", infinity="never"),
            Convention("fnuz", 0, nan="negative zero", infinity="never", unsigned=False),
            Convention("p3109", 0, nan="negative zero", infinity="by choice"),
        )
    }
)
