"""What a sweep goes through, checked at the door."""

import dataclasses
import math
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from qerror._arrays import positive, real
from qerror.densities.density import Density
from qerror.densities.empirical import Empirical
from qerror.densities.names import (
    at_parameter,
    density_name,
    own_parameter,
    parameter_values,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format
from qerror.formats.names import as_format, parse_format
from qerror.optimize.channels import channels_of
from qerror.sweep.result import (
    BLOCK_SIZE,
    QUANTIZER_PARAMETERS,
)

_PLURAL = {"format": "formats", "density": "densities"}


@dataclass(frozen=True)
class Chosen:
    """What a sweep goes through."""

    formats: tuple[Format, ...]
    densities: tuple[Density, ...]
    parameter: str | None
    values: tuple[float, ...]
    range: tuple[str, float | str] | None = None
    """What sets the range of all formats, and its value: ("max_value", 4.0)."""
    rounding: str = "nearest-even"
    axis: int | None = None
    """Along which the channels lie that are swept; None where they are not."""

    @property
    def moves_formats(self) -> bool:
        """Whether the range of the formats is swept."""
        return self.parameter in QUANTIZER_PARAMETERS

    @property
    def tracks(self) -> bool:
        """Whether best ranges are wanted along a parameter of the densities."""
        return (
            bool(self.values)
            and self.range is None
            and self.rounding == "nearest-even"
            and not self.moves_formats
            and self.parameter != BLOCK_SIZE
        )

    @property
    def total(self) -> int:
        """How many rows there will be."""
        return len(self.densities) * len(self.formats) * max(1, len(self.values))

    def check(self) -> None:
        """Refuse a parameter that something does not have, and values that it cannot take."""
        if self.rounding != "nearest-even":
            refuse_blocks(self.formats, "they are analysed with rounding to nearest even only")
        if self.range is not None:
            name, given = self.range
            value = given if isinstance(given, str) else f"{given:g}"
            refuse_blocks(self.formats, f"{name} {value} cannot move them")
            if self.moves_formats:
                raise InvalidValue(
                    f"{name} {value} sets the range, and so does the sweep over "
                    f"{self.parameter}; give one of them"
                )
        if self.axis is not None:
            refuse_blocks(self.formats, "their blocks are taken from all values")
            return
        if self.moves_formats:
            refuse_blocks(self.formats, f"there is no {self.parameter} to sweep")
        if self.parameter == "bias":
            self._check_biases()
        elif self.parameter == BLOCK_SIZE:
            self._check_blocks()
        elif self.parameter is not None and not self.moves_formats:
            self._check_densities(self.parameter)

    def _check_blocks(self) -> None:
        for form in self.formats:
            if not isinstance(form, BlockFormat):
                raise InvalidValue(
                    f"{form.name} has no block size to sweep; that is for block formats such as "
                    "mxfp4, nf4 or int4:g32"
                )
            for value in self.values:
                resized(form, value)

    def _check_biases(self) -> None:
        for form in self.formats:
            if not isinstance(form, FloatingPoint):
                raise InvalidValue(
                    f"{form.name} has no exponent bias to sweep; sweep scale or max_value, or "
                    "leave it out"
                )

    def _check_densities(self, parameter: str) -> None:
        own = own_parameter(parameter)
        for density in self.densities:
            known = list(parameter_values(density))
            if own not in known:
                listed = ", ".join(_shown(name) for name in known)
                raise InvalidValue(
                    f"cannot sweep {parameter!r}: {density_name(density)} has "
                    f"{listed or 'no parameters'}; the formats have "
                    f"{', '.join(QUANTIZER_PARAMETERS)}"
                )
            for value in self.values:
                at_parameter(density, own, value)


def _shown(own: str) -> str:
    """Return the name under which a parameter of a density is swept."""
    return f"density.{own}" if own in QUANTIZER_PARAMETERS else own


def formats_of(given: Sequence[Format | str], parameter: str | None) -> tuple[Format, ...]:
    """Return the formats; where the block size is swept, "int4:gN" and "int4" have every size."""
    if parameter != BLOCK_SIZE:
        for each in given:
            if isinstance(each, str) and _ANY_SIZE.search(each):
                raise InvalidValue(
                    f"{each!r} stands for every block size; sweep the size, or write a number for N"
                )
        return tuple(as_format(form) for form in given)
    names = (_ANY_SIZE.sub(_SOME_SIZE, each) if isinstance(each, str) else each for each in given)
    return tuple(
        form if isinstance(form, BlockFormat) else parse_format(f"{form.name}{_SOME_SIZE}")
        for form in map(as_format, names)
    )


_ANY_SIZE = re.compile(r":gN(?=:|\Z)", re.IGNORECASE)
_SOME_SIZE = ":g32"


def listed(given: object, kind: type, what: str) -> Sequence[Any]:
    """Return what was given as a sequence; a single one stands for itself, as an array does."""
    if isinstance(given, str | kind) or hasattr(given, "__array__") or hasattr(given, "dist"):
        return (given,)
    try:
        found = list(cast("Sequence[Any]", given))
    except TypeError:
        raise InvalidType(
            f"a sweep takes a list of {_PLURAL[what]}, or one, got {given!r}"
        ) from None
    if not found:
        raise InvalidValue(f"a sweep needs at least one {what}, got none")
    return found


def checked_over(over: object) -> tuple[str | None, tuple[float, ...]]:
    """Return the swept name and its values as numbers."""
    if over is None:
        return None, ()
    how = 'over takes a name and its values, such as ("std", [0.5, 1, 2])'
    pair = cast("Sequence[object]", over)
    if isinstance(over, str) or not isinstance(over, Sequence) or len(pair) != 2:
        raise InvalidType(f"{how}, got {over!r}")
    name, given = pair
    if not isinstance(name, str) or isinstance(given, str):
        raise InvalidType(f"{how}, got {over!r}")
    check = positive if name in {"scale", "max_value"} else real
    try:
        values = tuple(check(name, value) for value in cast("Sequence[float]", given))
    except TypeError as error:
        if isinstance(error, InvalidType):
            raise
        raise InvalidType(f"{how}, got {over!r}") from None
    if not values:
        raise InvalidValue(f"over {name} needs at least one value, got none")
    return _short_name(name), values


def densities_by(
    densities: Sequence[Density], by: tuple[str, Sequence[float]] | None
) -> tuple[Density, ...]:
    """Return the densities at each value of a parameter of theirs."""
    if by is None:
        return tuple(densities)
    name, values = checked_over(by)
    if name in {*QUANTIZER_PARAMETERS, BLOCK_SIZE}:
        raise InvalidValue(
            f"by takes a parameter of the densities, and {name} is one of the formats: sweep it by "
            "over, and the density's by by"
        )
    own = own_parameter(str(name))
    for density in densities:
        known = parameter_values(density)
        if own not in known:
            listed = ", ".join(_shown(each) for each in known) or "no parameters"
            raise InvalidValue(f"cannot sweep {name!r}: {density_name(density)} has {listed}")
    return tuple(at_parameter(density, own, value) for density in densities for value in values)


def checked_range(
    scale: float | None, max_value: float | str | None
) -> tuple[str, float | str] | None:
    """Return what sets the range of all formats, and its value; None for the best."""
    if scale is not None and max_value is not None:
        raise InvalidValue("scale and max_value each set the range; give one of them")
    if isinstance(max_value, str):
        if max_value not in _RULES:
            raise InvalidValue(
                f"max_value is a number, {' or '.join(map(repr, _RULES))}, got {max_value!r}"
            )
        return None if max_value == "best" else ("max_value", max_value)
    given = {"scale": scale, "max_value": max_value}
    found = [(name, positive(name, value)) for name, value in given.items() if value is not None]
    return found[0] if found else None


def max_value_on(density: Density, rule: float | str) -> float:
    """Return the largest level on a density: the one given, or its own largest magnitude.

    Raises
    ------
    InvalidValue
        If the density has no largest magnitude, or that is 0.
    """
    if not isinstance(rule, str):
        return rule
    peak = max(map(abs, density.support))
    if not 0 < peak < math.inf:
        raise InvalidValue(
            f"{rule} takes the largest magnitude, and {density_name(density)} "
            f"{'has none but 0' if peak == 0 else 'is not bounded'}; give a number"
        )
    return peak


_RULES = ("best", "absmax")


def channels_along(given: Sequence[Any], axis: int) -> list[tuple[Empirical, ...]]:
    """Return the channels of arrays, all of which must have as many.

    Raises
    ------
    InvalidType
        If one is no array.
    InvalidValue
        If they have different numbers of channels, or `channels_of` refuses one.
    """
    for each in given:
        if isinstance(each, str | Density) or not np.ndim(each):
            raise InvalidType(
                f"axis says along which the channels of an array lie, got {reprlib.repr(each)}; "
                "leave axis out for a density"
            )
    found = [channels_of(each, axis) for each in given]
    counts = sorted({len(each) for each in found})
    if len(counts) > 1:
        raise InvalidValue(
            f"a sweep over channels takes arrays of as many each, got {counts[0]} to {counts[-1]}; "
            "sweep one array at a time"
        )
    return found


def refuse_blocks(formats: Sequence[Format], why: str) -> None:
    """Refuse formats whose scales come from the data, where they have no part."""
    for form in formats:
        if isinstance(form, BlockFormat):
            raise InvalidValue(f"{form.name} takes its scales from the data: {why}; leave it out")


def _short_name(name: str) -> str:
    """Return "std" for "density.std"; "density.scale" stays, as the formats have a scale too."""
    own = own_parameter(name)
    return name if own in QUANTIZER_PARAMETERS else own


def resized(form: BlockFormat, size: float) -> BlockFormat:
    """Return a block format with another block size."""
    if not float(size).is_integer():
        raise InvalidValue(f"block_size must be a whole number, got {size:g}")
    return dataclasses.replace(form, block_size=int(size))
