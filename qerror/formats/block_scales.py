"""Scales that follow a rule alone: powers of two, real ones by the maximum, minimum and maximum.

M is the largest magnitude in a block, q the largest magnitude among the element's levels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeAlias, cast, final, get_args

import numpy as np

from qerror._arrays import FrozenMapping, positive
from qerror.exceptions import InvalidValue, UnknownName
from qerror.formats.format import ScalarFormat, shortest
from qerror.formats.integer import Integer
from qerror.formats.names import number
from qerror.formats.scale_rule import (
    NOT_FINITE,
    ScaleRule,
    ScaleSteps,
    bare,
    largest,
    stored_digits,
    top_exponent,
)
from qerror.registry import fold, nearest

Rule: TypeAlias = Literal["floor", "ceil", "rceil", "even"]
RULES: tuple[Rule, ...] = get_args(Rule)

LEAST_EXPONENT, MOST_EXPONENT = -127, 127
"""Of a power-of-two scale: the bytes 0..254 of E8M0."""
MOST_AFFINE_BITS = 24
"""Of an element between minimum and maximum: float32 holds its codes."""
REAL_BITS = 16
"""What a real scale is counted as: tools keep it in FP16 or BF16."""


@final
@dataclass(frozen=True, slots=True)
class PowerOfTwo(ScaleRule):
    """A power of two, s = 2^k while M lies between theta 2^k and theta 2^(k+1): E8M0.

    k is kept within -127..127. At the upper end the simulator follows the tools: beyond it the
    byte is NaN, but for "rceil", which saturates; no finite float32 gets there if q >= 2.

    Parameters
    ----------
    rule : {"floor", "ceil", "rceil", "even"} or float
        - "floor": theta = 2^emax, 2^emax the binade of q; values beyond q saturate
        - "ceil": theta = 2^(emax - 1), and M = theta 2^k takes the scale below
        - "rceil": theta = q / 2, and M = theta 2^k takes the scale below: nothing clips
        - "even": theta = 2^emax (1 - 2^-(m + 2)), m the element's mantissa bits: floor of M
          rounded to m bits
        - a number: that theta

    Raises
    ------
    UnknownName
        If there is no rule of that name.
    InvalidValue
        If theta is not positive and finite.

    References
    ----------
    .. [1] OCP Microscaling Formats (MX) 1.0, section 6.3 ("floor"; a recommendation).

    Examples
    --------
    >>> PowerOfTwo("rceil").theta_for(Integer(4))
    3.5
    """

    rule: Rule | float = "floor"

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping(
        {
            **{rule: rule for rule in RULES},
            "theta": "theta=<real>",
        }
    )

    def __post_init__(self) -> None:
        if not isinstance(self.rule, str):
            object.__setattr__(self, "rule", positive("theta", self.rule))
            return
        name = fold(self.rule)
        if name not in RULES:
            raise UnknownName(unknown_rule(self.rule))
        object.__setattr__(self, "rule", name)

    @property
    def takes_edge(self) -> bool:
        """Whether M = theta 2^k takes the scale 2^k, not the one below."""
        return self.rule not in {"ceil", "rceil"}

    def theta_for(self, element: ScalarFormat) -> float:
        """Return theta for an element format: the smallest M / s there is, or its bound."""
        top = top_exponent(element)
        match self.rule:
            case "floor":
                return math.ldexp(1.0, top)
            case "ceil":
                return math.ldexp(1.0, top - 1)
            case "rceil":
                return 0.5 * largest(element)
            case "even":
                digits = cast("int", stored_digits(element))
                return math.ldexp(1.0 - math.ldexp(1.0, -digits - 2), top)
            case theta:
                return theta

    def steps(self, element: ScalarFormat) -> ScaleSteps:
        """Return the scales 2^-127 .. 2^127 and the maxima between which each holds."""
        exponents = np.arange(LEAST_EXPONENT, MOST_EXPONENT + 1)
        scales = np.ldexp(1.0, exponents)
        edges = np.concatenate([[0.0], self.theta_for(element) * scales[1:], [np.inf]])
        return ScaleSteps(edges, scales, exponents, np.full(scales.size - 1, self.takes_edge))

    def check(self, element: ScalarFormat, block_size: int) -> None:
        del block_size
        if self.rule == "even" and stored_digits(element) is None:
            raise InvalidValue(
                f"the rule 'even' rounds to the mantissa of the element, and {element.name} has "
                "none; give its threshold as theta=<real>"
            )

    def bits(self, element: ScalarFormat, block_size: int) -> float:
        del element, block_size
        return 8.0

    def card(self, element: ScalarFormat) -> dict[str, str]:
        theta = shortest(self.theta_for(element))
        left, right = "[)" if self.takes_edge else "(]"
        return {
            "scale": "2^k, k = -127..127, stored as the byte k + 127 (E8M0)",
            "rule": f"{self.summary}: k such that M / 2^k lies in "
            f"{left}{theta}, {shortest(2 * self.theta_for(element))}{right}",
            "zero blocks": "k = -127, every code 0",
            "not finite": f"{NOT_FINITE}, byte 0xFF",
            "smallest scale": "2^-127, a subnormal of float32",
            "other tools": self._elsewhere(element),
        }

    @property
    def summary(self) -> str:
        if not isinstance(self.rule, str):
            return f"2^k, theta = {shortest(self.rule)}"
        return f"2^k, {self.rule.upper()}" + (" (OCP)" if self.rule == "floor" else "")

    def _elsewhere(self, element: ScalarFormat) -> str:
        """Say where tools that claim the same rule differ."""
        common = (
            "some saturate the byte of a block that is not finite to 0xFE, and some read byte 0 "
            "as 2^-126 or 0"
        )
        if self.rule == "floor":
            return f"floor(log2 M) in floating point is one too high just below a power; {common}"
        if self.rule == "even":
            four_bits = math.ldexp(0.875, top_exponent(element))
            return (
                "some round M to FP4's single mantissa bit for every element, "
                f"theta={shortest(four_bits)}; {common}"
            )
        return common

    def options(self) -> dict[str, str]:
        if isinstance(self.rule, str):
            return {self.rule: ""}
        return {"theta": shortest(self.rule)}

    @classmethod
    def read(cls, options: Mapping[str, str], current: ScaleRule) -> ScaleRule:
        if not options:
            return current if isinstance(current, cls) else cls()
        if len(options) > 1:
            raise InvalidValue(f"one rule sets the scale, got {' and '.join(options)}")
        key, value = next(iter(options.items()))
        if key == "theta":
            return cls(number("theta", value))
        bare(key, value)
        return cls(cast("Rule", key))


def unknown_rule(name: str) -> str:
    """Return the message about a rule that does not exist."""
    close = nearest(name, {rule: rule for rule in RULES})
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    return f"unknown rule {name!r}{hint} The rules are {', '.join(RULES)}, or a number theta"


@final
@dataclass(frozen=True, slots=True)
class Absmax(ScaleRule):
    """A real scale, s = multiplier * M / divisor; M itself becomes the level of the divisor.

    NF4, INT groups, and a tensor or channel at its largest magnitude: the block is then the whole
    of it. The scale is kept as a real number and counted as 16 bits, as tools store it; to round
    it too, use ``StoredScale("fp16")``.

    Parameters
    ----------
    multiplier : float
        Below 1 the largest values clip.
    divisor : float, optional
        By default q.

    Raises
    ------
    InvalidValue
        If one is not positive and finite.

    Examples
    --------
    >>> Absmax(0.95).gain_for(Integer(4))
    0.1357142857142857
    """

    multiplier: float = 1.0
    divisor: float | None = None

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping(
        {"alpha": "alpha=<real>", "divisor": "divisor=<real>"}
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "multiplier", positive("alpha", self.multiplier))
        if self.divisor is not None:
            object.__setattr__(self, "divisor", positive("divisor", self.divisor))

    def divisor_for(self, element: ScalarFormat) -> float:
        """Return what the maximum is divided by: the divisor given, or q."""
        return largest(element) if self.divisor is None else self.divisor

    def gain_for(self, element: ScalarFormat) -> float:
        """Return s / M."""
        return self.multiplier / self.divisor_for(element)

    def check(self, element: ScalarFormat, block_size: int) -> None:
        del element, block_size

    def bits(self, element: ScalarFormat, block_size: int) -> float:
        del element, block_size
        return REAL_BITS

    @property
    def summary(self) -> str:
        return "real, absmax"

    def card(self, element: ScalarFormat) -> dict[str, str]:
        factor = "" if self.multiplier == 1 else f"{shortest(self.multiplier)} "
        return {
            "scale": "a real number, counted as 16 bits",
            "rule": f"s = {factor}M / {shortest(self.divisor_for(element))}",
            "zero blocks": "s = 0, every value 0",
            "not finite": NOT_FINITE,
            "smallest scale": "none; in floating point that of the data's type",
            "other tools": "a scale in FP16 or BF16 is itself rounded (scale=fp16, scale=bf16); "
            "some multiply by a rounded 1 / s; GGUF's Q4_0 and Q8_0 differ in sign and divisor",
        }

    def options(self) -> dict[str, str]:
        alpha = {} if self.multiplier == 1 else {"alpha": shortest(self.multiplier)}
        divisor = {} if self.divisor is None else {"divisor": shortest(self.divisor)}
        return alpha | divisor

    @classmethod
    def read(cls, options: Mapping[str, str], current: ScaleRule) -> ScaleRule:
        start = current if isinstance(current, cls) else cls()
        named = {"alpha": "multiplier", "divisor": "divisor"}
        return replace(start, **{named[key]: number(key, text) for key, text in options.items()})


@final
@dataclass(frozen=True, slots=True)
class MinMax(ScaleRule):
    """Integer levels from the smallest to the largest value: s = (max - min) / (2^b - 1).

    All 2^b codes are used, whatever the element's own range.

    Parameters
    ----------
    zero : {"real", "integer"}
        - "real": the level of code c is min + c s; the offset is stored beside the scale
        - "integer": min <= 0 <= max is enforced and the level is (c - z) s, with the zero point
          z = round(-min / s)

    Raises
    ------
    UnknownName
        If `zero` is neither.
    """

    zero: Literal["real", "integer"] = "real"

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping({"affine": "affine|affine=integer"})

    def __post_init__(self) -> None:
        if self.zero not in {"real", "integer"}:
            raise UnknownName(f"affine must be 'real' or 'integer', got {self.zero!r}")

    def check(self, element: ScalarFormat, block_size: int) -> None:
        del block_size
        if not isinstance(element, Integer):
            raise InvalidValue(
                f"a scale from minimum to maximum has equal steps, so its elements are integers: "
                f"int4:g32:affine; got {element.name}"
            )
        if element.zero_point:
            raise InvalidValue(
                f"a scale from minimum to maximum sets its own zero point; got {element.name}"
            )
        if element.bits > MOST_AFFINE_BITS:
            raise InvalidValue(
                f"affine elements have at most {MOST_AFFINE_BITS} bits, got {element.name}"
            )

    def bits(self, element: ScalarFormat, block_size: int) -> float:
        del block_size
        return REAL_BITS + (REAL_BITS if self.zero == "real" else element.bits)

    @property
    def summary(self) -> str:
        return f"real, min-max, {self.zero} zero"

    def card(self, element: ScalarFormat) -> dict[str, str]:
        most = 2**element.bits - 1
        real = self.zero == "real"
        offset = "min + c s" if real else "(c - z) s, z = round(-min / s), min <= 0 <= max"
        return {
            "scale": f"a real number, counted as 16 bits; the "
            f"{'offset as 16' if real else f'zero point as {element.bits}'}",
            "rule": f"s = (max - min) / {most}; code c = 0..{most} stands for {offset}",
            "zero blocks": "of equal values: s = 0, exact" if real else "s = 0, every value 0",
            "not finite": NOT_FINITE,
            "smallest scale": "none; in floating point that of the data's type",
            "other tools": "GGUF's Q4_1 stores scale and minimum in FP16; AWQ and GPTQ an integer "
            "zero point; some do not extend the range to 0 and clamp the zero point",
        }

    def options(self) -> dict[str, str]:
        return {"affine": "" if self.zero == "real" else "integer"}

    @classmethod
    def read(cls, options: Mapping[str, str], current: ScaleRule) -> ScaleRule:
        if not options:
            return current
        return cls(cast("Literal['real', 'integer']", options["affine"] or "real"))
