"""What every number format is: a named rule that says which values can be stored, and how."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, Generic, TypeVar, cast, final, overload

import numpy as np

from qerror._arrays import FrozenMapping, positive
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.convention import Reserved
from qerror.grids import Grid
from qerror.registry import Registry, fold, nearest

T = TypeVar("T")


class Resolved(Generic[T]):
    """The type of a field that may be given as None and is always read as a T.

    For type checkers: in the finished class the field's slot takes its place, and
    `__post_init__` puts what None stands for there.
    """

    @overload
    def __get__(self, instance: None, owner: type) -> None: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | None:
        return None  # the field's default

    def __set__(self, instance: object, value: T | None) -> None:
        raise AttributeError(value)


class Format(ABC):
    """A number format: frozen, hashable, checked at construction.

    What a value costs, a name that reads back, and a card of conventions. Formats whose levels
    stand alone are `ScalarFormat`; others share something between values, as a scale.
    A variation wraps or parametrises; it never subclasses a family.
    """

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]]  # of a dataclass: the names of its fields

    OPTIONS: ClassVar[Mapping[str, str]] = FrozenMapping({})
    """The options that may follow a name, each with how it is written: "bias=<real>"."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A name that `parse_format` reads back to an equal format."""

    @property
    @abstractmethod
    def bits_per_value(self) -> float:
        """What storing one value costs in bits, with its share of whatever values share."""

    @abstractmethod
    def _facts(self) -> dict[str, str]:
        """Return the convention card without the name, in reading order."""

    def _vary(self, options: Mapping[str, str]) -> "Format":  # noqa: ARG002 - a hook
        """Return this format with these options, whose names are known to be in `OPTIONS`."""
        return self

    @final
    def with_options(self, options: Mapping[str, str]) -> "Format":
        """Return this format varied by options as text, as they follow a name: ``bias=3.9``.

        Raises
        ------
        InvalidValue
            If the family has no such option, or the value is not one that it takes.
        """
        for key in options:
            if key not in self.OPTIONS:
                known = ", ".join(self.OPTIONS.values())
                takes = f"it takes {known}" if known else "it takes none"
                close = nearest(key, {fold(option): option for option in self.OPTIONS})
                hint = f", did you mean {' or '.join(close)}?" if close else ""
                raise InvalidValue(f"{self.name} has no option {key!r}{hint}; {takes}")
        return self._vary(options) if options else self

    @final
    def conventions(self) -> dict[str, str]:
        """Return the convention card: what was decided, in words, in reading order."""
        return {"name": self.name, **self._facts()}

    @final
    def __str__(self) -> str:
        return self.name

    @final
    def __reduce__(self) -> tuple[object, ...]:
        # A frozen dataclass with slots would otherwise come back unchecked.
        return type(self), tuple(getattr(self, field) for field in self.__match_args__)


class ScalarFormat(Format):
    """A format whose every value is a level of one grid times one scale.

    A family is a frozen dataclass that fills four hooks: `bits`, `name`, `_base_grid` and
    `_card`; one whose names take options also lists them in `OPTIONS` and fills `_vary`.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def bits(self) -> int:
        """Width of one code in bits."""

    @abstractmethod
    def _base_grid(self) -> Grid:
        """Return the grid at scale 1."""

    @abstractmethod
    def _card(self) -> dict[str, str]:
        """Return the family's part of the convention card."""

    @property
    def reserved(self) -> Reserved | None:
        """The codes that are no finite numbers; None in families that have no such codes."""
        return None

    def _exponent_bias(self) -> float | None:
        """Return the exponent bias of the grid at scale 1, if the family has one."""
        return None

    @property
    @final
    def bits_per_value(self) -> float:
        """What storing one value costs in bits: a code's width."""
        return float(self.bits)

    @property
    @final
    def max_value(self) -> float:
        """The largest level at scale 1."""
        return _grid_of(self).max

    @final
    def grid(self, scale: float = 1.0) -> Grid:
        """Return the representable values, each multiplied by `scale` > 0.

        Raises
        ------
        InvalidValue
            If the scale is not a positive finite number.
        """
        factor = positive("scale", scale)
        base = _grid_of(self)
        return base if factor == 1 else base.scaled(factor)

    @final
    def scale_for(self, max_value: float) -> float:
        """Return the scale at which the largest level is `max_value` > 0.

        Raises
        ------
        InvalidValue
            If `max_value` is not positive and finite, or no level of the format is positive.
        """
        if self.max_value <= 0:
            raise InvalidValue(f"{self.name} has no positive level, so no scale gives it one")
        return positive("max_value", max_value) / self.max_value

    @final
    def bias_at(self, scale: float) -> float | None:
        """Return the exponent bias at which the format's own grid is ``grid(scale)``.

        None for formats without exponents; nan at the scale nan, which stands for "none is
        best" in optima.

        Raises
        ------
        InvalidValue
            If the scale is neither nan nor a positive finite number.
        """
        own = self._exponent_bias()
        factor = scale if math.isnan(scale) else positive("scale", scale)
        return None if own is None else own - math.log2(factor)

    @final
    def _facts(self) -> dict[str, str]:
        grid = self.grid()
        return {
            "bits": str(self.bits),
            "levels": f"{grid.size:,}",
            "min": shortest(grid.min),
            "max": shortest(grid.max),
            **self._card(),
            "overflow": "saturates: beyond the range, the nearest end of it",
            "ties": "to the even code",
        }


@lru_cache(maxsize=256)
def _grid_of(form: ScalarFormat) -> Grid:
    """Return a format's own grid, made once: it remembers the cells that analyses list."""
    return form._base_grid()  # pyright: ignore[reportPrivateUsage] - the hook of the class above


FORMATS: Registry[Format] = Registry("format", "qerror formats")
"""Every registered format by its name, scalar or not."""


def scalar_formats() -> dict[str, ScalarFormat]:
    """Return the registered formats whose levels stand alone, by name."""
    return {name: form for name, form in FORMATS.items() if isinstance(form, ScalarFormat)}


def shortest(value: float) -> str:
    """Return the shortest decimal that reads back as `value`, without a trailing ".0"."""
    return repr(float(value)).removesuffix(".0")


def flag(name: str, value: object) -> bool:
    """Return `value` as a bool, or say which parameter is not one."""
    if not isinstance(value, bool | np.bool_):
        raise InvalidType(f"{name} must be True or False, got {value!r}")
    return bool(cast("bool", value))
