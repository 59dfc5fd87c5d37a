"""Floating-point formats: any split of mantissa and exponent, any real bias."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias, final, get_args

import numpy as np

from qerror._arrays import FrozenMapping, integer, real
from qerror.exceptions import InvalidValue
from qerror.formats.convention import CONVENTIONS, Convention, Reserved, Specials
from qerror.formats.format import FORMATS, Format, Resolved, ScalarFormat, flag, shortest
from qerror.formats.names import number, spelling
from qerror.grids import Grid

_LEAST_EXPONENT, _MOST_EXPONENT = -1074, 1023  # float64: 2^-1074 .. 2^1023 (2 - 2^-52)


@final
@dataclass(frozen=True, slots=True)
class FloatingPoint(ScalarFormat):
    """Sign, exponent e and mantissa f: (-1)^s 2^(e - bias) (1 + f / 2^mantissa_bits).

    At e = 0 stand zero and the subnormals, (-1)^s 2^(1 - bias) f / 2^mantissa_bits.

    Parameters
    ----------
    mantissa_bits : int
        0..52. Without mantissa bits there are no subnormals.
    exponent_bits : int
        1..11. One exponent bit makes a uniform grid.
    bias : float, optional
        Any real number: the grid at bias b is the grid at scale 2^(own bias - b). Left out, it
        is the convention's own: 2^(exponent_bits - 1), less 1 for "ieee" and "fn".
    signed : bool
        Whether codes have a sign bit.
    specials : {"none", "ieee", "fn", "fnuz", "p3109"}
        Which codes are no finite numbers.

        - "none": none; xMyE of Kuzmin et al. 2022, and OCP's 4- and 6-bit formats
        - "ieee": the top exponent holds infinity and NaN
        - "fn": the top code of each sign is NaN
        - "fnuz": the code of -0 is NaN; only for signed formats
        - "p3109": the code of -0 is NaN, or if unsigned the top code
    infinities : bool
        For "p3109" alone: the top code of each sign (below NaN, if unsigned) is infinity.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range, no normal number is left, or float64 cannot hold
        the largest binade. Levels below float64's smallest, 2^-1074, are left out; the others
        are exact, up to one rounding of 2^(fraction of the bias).

    References
    ----------
    .. [1] Kuzmin et al. 2022, FP8 Quantization: The Power of the Exponent (arXiv 2208.09225),
       before eq. 3 (values) and after eq. 8 (largest value).
    .. [2] IEEE 754-2019, section 3.4. OCP 8-bit Floating Point Specification 1.0, section 5.
       OCP Microscaling Formats 1.0, section 5.3. IEEE P3109 interim report.

    Examples
    --------
    >>> FloatingPoint(3, 4, specials="fn").max_value
    448.0
    """

    mantissa_bits: int
    exponent_bits: int
    bias: Resolved[float] = Resolved()  # noqa: RUF009 - it is immutable
    signed: bool = True
    specials: Specials = "none"
    infinities: bool = False

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping(
        {
            "bias": "bias=<real>",
            "specials": f"specials={'|'.join(get_args(Specials))}",
        }
    )

    def __post_init__(self) -> None:
        checked = {
            "mantissa_bits": integer("mantissa_bits", self.mantissa_bits, 0, 52),
            "exponent_bits": integer("exponent_bits", self.exponent_bits, 1, 11),
            "signed": flag("signed", self.signed),
            "infinities": flag("infinities", self.infinities),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_specials()
        object.__setattr__(self, "bias", self._bias_or_own(self.bias))
        self._check_range()

    def _bias_or_own(self, given: float | None) -> float:
        """Return the bias as a number; None is the convention's own."""
        # Adding zero turns -0.0, which would be written with its sign, into 0.0.
        return self._own_bias if given is None else real("bias", given) + 0.0

    def _check_specials(self) -> None:
        if self.specials not in get_args(Specials):
            allowed = ", ".join(get_args(Specials))
            raise InvalidValue(f"specials must be one of {allowed}, got {self.specials!r}")
        if self.infinities and self.convention.infinity != "by choice":
            raise InvalidValue("infinities is a choice of specials='p3109' alone")
        if not (self.signed or self.convention.unsigned):
            raise InvalidValue(
                f"specials={self.specials!r} puts NaN at the code of -0, which an unsigned "
                "format does not have; use 'fn' or 'p3109'"
            )
        if self.reserved.largest < 1 << self.mantissa_bits:
            raise InvalidValue(
                f"specials={self.specials!r} leaves no normal number with {self.exponent_bits} "
                f"exponent and {self.mantissa_bits} mantissa bits; give it more bits"
            )

    def _check_range(self) -> None:
        exponent = self.reserved.largest >> self.mantissa_bits
        # At least 2: a uniform grid's width, twice its largest value, must be finite too.
        low = max(exponent, 2) - _MOST_EXPONENT
        high = exponent - self.mantissa_bits - _LEAST_EXPONENT
        if not low <= self.bias <= high:
            raise InvalidValue(
                f"bias must lie in {low}..{high}, so that float64 holds the largest binade of "
                f"{self._shape}, got {shortest(self.bias)}"
            )

    @property
    def convention(self) -> Convention:
        """What `specials` names."""
        return CONVENTIONS[self.specials]

    @property
    def reserved(self) -> Reserved:
        """The codes that are no finite numbers."""
        shape = (self.exponent_bits, self.mantissa_bits, self.signed)
        return self.convention.reserved(*shape, self.infinities)

    @property
    def _own_bias(self) -> float:
        return self.convention.own_bias(self.exponent_bits)

    @property
    def _shape(self) -> str:
        """The name before options and standards: 4M3E."""
        return f"{'' if self.signed else 'U'}{self.mantissa_bits}M{self.exponent_bits}E"

    @property
    def bits(self) -> int:
        return self.signed + self.exponent_bits + self.mantissa_bits

    @property
    def name(self) -> str:
        own = self._own_bias
        exact, general = _NAMES.get(_identity(self, self.bias)), _NAMES.get(_identity(self, own))
        stem = general or self._systematic_name
        return exact or stem + ("" if self.bias == own else f":bias={shortest(self.bias)}")

    @property
    def _systematic_name(self) -> str:
        if self.specials == "p3109":
            width, precision = self.bits, self.mantissa_bits + 1
            sign, domain = "S" if self.signed else "U", "E" if self.infinities else "F"
            return f"P3109_K{width}P{precision}{sign}{domain}"
        return self._shape + ("" if self.specials == "none" else f":specials={self.specials}")

    @property
    def smallest_normal(self) -> float:
        """The smallest positive level of full precision: 2^(1 - bias) if float64 holds it so."""
        whole, factor = _split_bias(self.bias)
        return math.ldexp(factor, _lowest_exponent(self.mantissa_bits, whole) - whole)

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive level; without mantissa bits that is `smallest_normal`."""
        whole, factor = _split_bias(self.bias)
        lowest = _lowest_exponent(self.mantissa_bits, whole)
        return math.ldexp(factor, lowest - whole - self.mantissa_bits)

    def with_bias(self, bias: float) -> "FloatingPoint":
        """Return the same codes at another bias: the grid at scale 2^(own bias - new bias)."""
        return replace(self, bias=bias)

    def scale_at(self, bias: float) -> float:
        """Return the scale at which the grid is that of another bias: `bias_at` turned round."""
        return self.scale_for(self.with_bias(bias).max_value)

    def _exponent_bias(self) -> float:
        return self.bias

    def _base_grid(self) -> Grid:
        return _grid(self.mantissa_bits, self.reserved.largest, self.bias, self.signed)

    def _vary(self, options: Mapping[str, str]) -> Format:
        changes: dict[str, Any] = {}
        if "specials" in options:
            changes = {"specials": options["specials"], "bias": None}
        if "bias" in options:
            changes["bias"] = number("bias", options["bias"])
        return replace(self, **changes)

    def _card(self) -> dict[str, str]:
        own = " (the convention's own)" if self.bias == self._own_bias else ""
        subnormal = shortest(self.smallest_subnormal) if self.mantissa_bits else "none"
        return {
            "exponent bits": str(self.exponent_bits),
            "mantissa bits": str(self.mantissa_bits),
            "bias": f"{shortest(self.bias)}{own}",
            "smallest normal": shortest(self.smallest_normal),
            "smallest subnormal": subnormal,
            "special codes": self.convention.words(self.signed, self.infinities),
            "zero": "+0 and -0" if self.reserved.negative_zero else "one, without a sign",
            "source": self._source(),
        }

    def _source(self) -> str:
        """Say whose format this is, and which namesakes it must not be taken for."""
        source = _SOURCES.get(self.name, "no standard; its parameters define it")
        others = [
            f"{name} (max {shortest(other.max_value)})"
            for name, other in FORMATS.items()
            if isinstance(other, FloatingPoint) and self._is_namesake(other)
        ]
        e_name = f"E{self.exponent_bits}M{self.mantissa_bits}"
        return source + (f". Other tools' {e_name}: {', '.join(others)}" if others else "")

    def _is_namesake(self, other: "FloatingPoint") -> bool:
        return self != other and self._shape == other._shape


_Key: TypeAlias = tuple[int, int, bool, str, bool, float]
_NAMES: dict[_Key, str] = {}
_SOURCES: dict[str, str] = {}


def _identity(member: FloatingPoint, bias: float) -> _Key:
    """Return what `member` would be at a bias, which need not be legal."""
    shape = (member.mantissa_bits, member.exponent_bits, member.signed)
    return *shape, member.specials, member.infinities, bias


def standard(name: str, source: str, member: FloatingPoint, *aliases: str) -> None:
    """Register `member` under the name by which the field knows it, and say who defined it."""
    FORMATS.register(name, member, *aliases)
    _NAMES[_identity(member, member.bias)] = name
    _SOURCES[name] = source


@spelling(r"(?P<unsigned>u?)(?P<mantissa>[0-9]{1,4})m(?P<exponent>[0-9]{1,4})e", "4M3E")
def _mantissa_exponent(found: re.Match[str]) -> Format:
    mantissa, exponent = int(found["mantissa"]), int(found["exponent"])
    return FloatingPoint(mantissa, exponent, signed=not found["unsigned"])


@spelling(
    r"(?:p3109k|binary)(?P<width>[0-9]{1,4})p(?P<precision>[0-9]{1,4})(?P<sign>[su])(?P<domain>[ef])",
    "p3109_k8p4se",
)
def _p3109(found: re.Match[str]) -> Format:
    """Read P3109's K (width), P (precision), S/U (signed or not), E/F (infinities or not)."""
    width, precision, signed = int(found["width"]), int(found["precision"]), found["sign"] == "s"
    if not 1 <= precision <= width - signed:
        raise InvalidValue(f"P must lie in 1..{width - signed} for K = {width}, got {precision}")
    return FloatingPoint(
        precision - 1,
        width - precision + (not signed),
        signed=signed,
        specials="p3109",
        infinities=found["domain"] == "e",
    )


def _split_bias(bias: float) -> tuple[int, float]:
    """Return (w, r) with 2^-bias = 2^-w r and 1 <= r < 2, or 2 by rounding."""
    whole = math.ceil(bias)
    return whole, 2.0 ** (whole - bias)


def _lowest_exponent(mantissa_bits: int, whole: int) -> int:
    """Return the first exponent field whose steps float64 holds; 1 unless the bias is huge."""
    return max(1, whole + mantissa_bits + _LEAST_EXPONENT)


@lru_cache(maxsize=256)
def _grid(mantissa_bits: int, top: int, bias: float, signed: bool) -> Grid:
    """Return the levels of the magnitude codes 0..top: a run around zero, then one per binade.

    Subnormals and the first binade have the same step, on both sides of zero: one segment.
    The segments are exact; the factor in [1, 2), never below, keeps float64's smallest
    numbers apart when it multiplies them.
    """
    whole, factor = _split_bias(bias)
    mantissas = 1 << mantissa_bits
    lowest = _lowest_exponent(mantissa_bits, whole)
    last, rest = divmod(top, mantissas)
    positive = top - (lowest - 1) * mantissas  # number of levels above zero
    middle = min(2 * mantissas, positive)

    # A top level that starts its binade ends the one before.
    exponents = np.arange(lowest + 1, last + 1 if rest else last) - whole
    edges = np.append(
        np.ldexp(1.0, exponents), math.ldexp(mantissas + rest, last - whole - mantissa_bits)
    )
    steps = np.ldexp(1.0, exponents - mantissa_bits)
    counts = np.full(exponents.size, mantissas)
    if rest and counts.size:
        counts[-1] = rest

    step = math.ldexp(1.0, lowest - whole - mantissa_bits)
    if not signed:
        return Grid(
            np.append(0.0, edges), np.append(step, steps), np.append(middle, counts), factor
        )
    return Grid(
        np.append(-edges[::-1], edges),
        np.concatenate([steps[::-1], [step], steps]),
        np.concatenate([counts[::-1], [2 * middle], counts]),
        factor,
        even_first=positive % 2 == 0,
    )
