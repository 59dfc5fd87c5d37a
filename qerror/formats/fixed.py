"""Fixed-point formats: integers times a power of two."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, final

from qerror._arrays import FrozenMapping, integer
from qerror.formats.format import FORMATS, Format, ScalarFormat, flag, shortest
from qerror.formats.integer import MOST_BITS, check_full, full_option
from qerror.formats.names import spelling
from qerror.grids import Grid

_LEAST_EXPONENT, _MOST_EXPONENT = -1074, 1024  # float64: smallest step, bound of the range


@final
@dataclass(frozen=True, slots=True)
class FixedPoint(ScalarFormat):
    """Fixed point: codes times 2^-fractional_length.

    Parameters
    ----------
    word_length : int
        Bits of a code, the sign included: 2..53 signed, 1..53 unsigned.
    fractional_length : int
        Any integer for which float64 holds step and range; negative ones make steps above 1.
        F8Net's own range is 0 .. word_length, one less if signed.
    signed : bool
        Signed codes, or 0 .. 2^word_length - 1.
    symmetric : bool
        Signed codes are -(2^(word_length-1) - 1) .. 2^(word_length-1) - 1, as in F8Net;
        otherwise they start at -2^(word_length-1), two's complement. It means nothing for
        unsigned codes and is stored as False there: equal grids, equal formats.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range.

    References
    ----------
    Jin et al., F8Net, ICLR 2022 (arXiv 2202.05239), section 3.

    Examples
    --------
    >>> FixedPoint(8, 4).max_value
    7.9375
    """

    word_length: int
    fractional_length: int
    signed: bool = True
    symmetric: bool = True

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping({"full": "full"})

    def __post_init__(self) -> None:
        signed = flag("signed", self.signed)
        word_length = integer("word_length", self.word_length, 2 if signed else 1, MOST_BITS)
        low, high = word_length - _MOST_EXPONENT, -_LEAST_EXPONENT
        checked = {
            "signed": signed,
            "symmetric": flag("symmetric", self.symmetric) and signed,
            "word_length": word_length,
            "fractional_length": integer("fractional_length", self.fractional_length, low, high),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def bits(self) -> int:
        return self.word_length

    @property
    def min_code(self) -> int:
        """The smallest code."""
        return self.symmetric - (1 << (self.word_length - 1)) if self.signed else 0

    @property
    def max_code(self) -> int:
        """The largest code."""
        return (1 << (self.word_length - self.signed)) - 1

    @property
    def name(self) -> str:
        sign, full = "" if self.signed else "U", full_option(self.signed, self.symmetric)
        return f"{sign}FIXED{self.word_length}.{self.fractional_length}{full}"

    def with_fractional_length(self, fractional_length: int) -> "FixedPoint":
        """Return the same codes at another fractional length."""
        return replace(self, fractional_length=fractional_length)

    def _base_grid(self) -> Grid:
        low, high = self.min_code, self.max_code
        start, step = self._times_step(low), self._times_step(1)
        return Grid.uniform(start, step, high - low, even_first=low % 2 == 0)

    def _vary(self, options: Mapping[str, str]) -> Format:
        check_full(self.name, self.signed, options)
        return replace(self, symmetric=self.symmetric and "full" not in options)

    def _times_step(self, code: int) -> float:
        return math.ldexp(code, -self.fractional_length)

    def _card(self) -> dict[str, str]:
        unused = f"; the code {self.min_code - 1} is not used" if self.symmetric else ""
        return {
            "codes": f"{self.min_code}..{self.max_code}",
            "step": f"{shortest(self._times_step(1))} = 2^{-self.fractional_length}",
            "special codes": f"none{unused}",
            "zero": "one, the code 0",
        }


@spelling(r"(?P<unsigned>u?)fixed(?P<word>[0-9]{1,4})\.(?P<fraction>-?[0-9]{1,5})", "fixed8.4")
def _fixed(found: re.Match[str]) -> Format:
    return FixedPoint(int(found["word"]), int(found["fraction"]), signed=not found["unsigned"])


@spelling(r"q:(?P<vendor>ti|arm)(?P<whole>-?[0-9]{1,5})\.(?P<fraction>-?[0-9]{1,5})", "q:ti3.4")
def _q_notation(found: re.Match[str]) -> Format:
    """Read Qm.n: n is the fractional length; TI's m leaves the sign out, ARM's counts it.

    So ``q:ti3.4`` and ``q:arm4.4`` are both FIXED8.4. Only the word's layout is taken from
    the notation; the most negative code stays unused unless ``:full`` follows.
    """
    fraction = int(found["fraction"])
    sign = 1 if found["vendor"] == "ti" else 0
    return FixedPoint(int(found["whole"]) + fraction + sign, fraction)


FORMATS.register("FIXED8.4", FixedPoint(8, 4))
FORMATS.register("UFIXED8.4", FixedPoint(8, 4, signed=False))
