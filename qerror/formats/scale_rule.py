"""What every scale rule is: how the scale that a block shares follows from its values.

M is the largest magnitude in a block, q the largest magnitude among the element's levels. A rule
knows its thresholds; the arithmetic on arrays belongs to the simulator, the expected error to
the analysis.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from qerror._arrays import BoolArray, FloatArray, FrozenMapping, IntArray
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import ScalarFormat
from qerror.formats.integer import Integer

NOT_FINITE = "a NaN or an infinity makes the whole block NaN"


class ScaleSteps(NamedTuple):
    """A scale that is constant while M lies between neighbouring edges."""

    edges: FloatArray
    """Ascending, shape (k + 1,), from 0 to infinity."""
    scales: FloatArray
    """Shape (k,), ascending; the first may be 0: every value of the block becomes 0."""
    codes: IntArray
    """What is stored, shape (k,): the exponent of a power of two, else the scale's code."""
    upward: BoolArray
    """Whether an M on edges[1:-1] takes the scale above it, shape (k - 1,)."""


class ScaleRule(ABC):
    """How a block's scale follows from its values: frozen, hashable, checked at construction."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping({})
    """The options of a format's name that this rule takes, each with how it is written."""

    @abstractmethod
    def check(self, element: ScalarFormat, block_size: int) -> None:
        """Refuse elements and block sizes that the rule cannot serve."""

    @abstractmethod
    def bits(self, element: ScalarFormat, block_size: int) -> float:
        """Return what a block's scale costs in bits, with its share of a tensor scale."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """The rule in a few words, as in a table."""

    @abstractmethod
    def card(self, element: ScalarFormat) -> dict[str, str]:
        """Return the rule's part of the convention card."""

    @abstractmethod
    def options(self) -> dict[str, str]:
        """Return the options of a name that choose this rule: {"theta": "3.5"}, {"even": ""}."""

    @classmethod
    @abstractmethod
    def read(cls, options: Mapping[str, str], current: "ScaleRule") -> "ScaleRule":
        """Return the rule of this kind with these options, the rest taken from `current`."""

    def __reduce__(self) -> tuple[object, ...]:
        # A frozen dataclass with slots would otherwise come back unchecked.
        return type(self), tuple(getattr(self, field) for field in self.__match_args__)


def largest(element: ScalarFormat) -> float:
    """Return q, the largest magnitude among the element's levels."""
    grid = element.grid()
    return max(-grid.min, grid.max)


def top_exponent(element: ScalarFormat) -> int:
    """Return the exponent of the binade that holds q; the standards call it emax."""
    return math.frexp(largest(element))[1] - 1


def stored_digits(element: ScalarFormat) -> int | None:
    """Return how many binary digits follow the leading one in the largest binade, if binary."""
    match element:
        case FloatingPoint():
            return element.mantissa_bits
        case Integer():
            return top_exponent(element)
        case FixedPoint():
            return top_exponent(element) + element.fractional_length
        case _:
            return None


def bare(key: str, value: str) -> None:
    """Refuse a value where an option takes none."""
    if value:
        raise InvalidValue(f"{key} takes no value, got {value!r}")
