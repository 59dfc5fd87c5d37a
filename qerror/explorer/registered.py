"""What the page has to know of the registries: names, and what each format is made of."""

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeAlias, cast

from qerror.densities.density import DENSITIES, Density, Family
from qerror.densities.names import density_name, parameter_names
from qerror.exceptions import UnknownName
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax, MinMax, PowerOfTwo
from qerror.formats.codebook import Codebook
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import FORMATS, Format, ScalarFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.integer import Integer
from qerror.formats.names import parse_format
from qerror.formats.power import ExponentOnly
from qerror.formats.scale_rule import ScaleRule
from qerror.formats.stored_scales import Amax, StoredScale

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def page_data() -> dict[str, Json]:
    """Return what the page's scripts read: the registered formats and densities, and all names.

    Returns
    -------
    dict
        ``FORMATS``: folded names to descriptions; ``AMBIGUOUS``: names that several formats go
        by; ``FAMILIES``: densities to their parameters ``[name, kind, default]``;
        ``DENSITY_NAMES``: folded names to densities; ``EXAMPLES``: densities to a text each.
    """
    formats: dict[str, Json] = {
        key: format_description(FORMATS[shown]) for key, shown in FORMATS.spellings.items()
    }
    return {
        "FORMATS": {key: value for key, value in formats.items() if value is not None},
        "AMBIGUOUS": _ambiguous(),
        "FAMILIES": {name: _parameters(family) for name, family in DENSITIES.items()},
        "DENSITY_NAMES": dict(DENSITIES.spellings),
        "EXAMPLES": {name: density_name(family.example) for name, family in DENSITIES.items()},
    }


def format_description(form: Format) -> dict[str, Json] | None:
    """Return what a format is made of; None of a family that the page does not know."""
    if isinstance(form, BlockFormat):
        element, rule = format_description(form.element), _rule(form.scale)
        if element is None or rule is None:
            return None
        return {
            "kind": "block",
            "name": form.name,
            "element": element,
            "rule": rule,
            "size": form.block_size,
        }
    known = _scalar(form)
    return None if known is None else {"name": form.name, **known}


def _scalar(form: Format) -> dict[str, Json] | None:
    match form:
        case Integer():
            return {
                "kind": "integer",
                "bits": form.bits,
                "signed": form.signed,
                "full": form.signed and not form.symmetric,
                "zero_point": form.zero_point,
            }
        case FixedPoint():
            return {
                "kind": "fixed",
                "word": form.word_length,
                "fraction": form.fractional_length,
                "signed": form.signed,
                "full": form.signed and not form.symmetric,
            }
        case FloatingPoint():
            return {
                "kind": "float",
                "mantissa": form.mantissa_bits,
                "exponent": form.exponent_bits,
                "bias": form.bias,
                "signed": form.signed,
                "specials": form.specials,
                "infinities": form.infinities,
            }
        case ExponentOnly():
            return {"kind": "power", "exponent": form.exponent_bits, "bias": form.bias}
        case Codebook():
            return {"kind": "codebook", "values": list(form.values)}
        case _:
            return None


def _rule(rule: ScaleRule) -> dict[str, Json] | None:
    match rule:
        case PowerOfTwo():
            return {"kind": "power-of-two", "rule": rule.rule}
        case StoredScale():
            return {
                "kind": "stored",
                "format": _described(rule.format),
                "tensor": None if isinstance(rule.tensor, Amax) else rule.tensor,
                "smallest": rule.smallest,
                "divisor": rule.divisor,
            }
        case Absmax():
            return {"kind": "absmax", "alpha": rule.multiplier, "divisor": rule.divisor}
        case MinMax() | FourOverSix():
            return {"kind": "command-line"}
        case _:
            return None


def _described(form: ScalarFormat) -> Json:
    return format_description(form)


def _ambiguous() -> dict[str, Json]:
    """Return the names that several formats go by, with what each may mean."""
    found: dict[str, Json] = {}
    for stem in ("fp", "float", "f"):
        for bits in (4, 6, 8):
            name = f"{stem}{bits}"
            try:
                parse_format(name)
            except UnknownName as error:
                listed = str(error).partition("may be any of ")[2].partition("; name one")[0]
                if listed:
                    found[name] = [part.split(" (")[0] for part in listed.split(", ")]
    return found


def _parameters(family: Family) -> list[Json]:
    """Return ``[name, kind, default]`` of each parameter, without a default if it needs a value."""
    found: list[Json] = []
    for name in parameter_names(family):
        field = next(each for each in _fields(family) if each.name == name)
        given: list[Json] = [name, _kind(getattr(family.example, name))]
        if field.default is not dataclasses.MISSING:
            given.append(_default(field.default))
        found.append(given)
    return found


def _fields(family: Family) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(cast("Any", family.make))


def _kind(value: object) -> str:
    """Return what the page's reader of densities takes for a parameter, by an example of it."""
    if isinstance(value, float):
        return "number"
    if isinstance(value, Density):
        return "density"
    items = cast("Iterable[object]", value) if isinstance(value, Iterable) else ()
    first = next(iter(items), None)
    return "densities" if isinstance(first, Density) else "numbers"


def _default(value: object) -> Json:
    """Return a default as JSON; infinities as the texts that JavaScript's Number reads."""
    if isinstance(value, float) and value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    return value if isinstance(value, float | int) or value is None else str(value)
