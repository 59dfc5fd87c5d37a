"""Click types: formats and swept values."""

import difflib
import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from qerror.formats import Format, ScalarFormat

MOST_VALUES = 10_000
_RANGE = re.compile(r"(?P<low>[^:]+):(?P<high>[^:]+):(?P<count>[^:]+?)(?P<log>log)?")


class FormatType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """One number format by its name."""

    name = "format"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Format":
        """Parse the name."""
        from qerror.exceptions import QErrorException, UnknownName
        from qerror.formats import parse_format

        try:
            return parse_format(value)
        except UnknownName as error:
            self.fail(str(error), param, ctx)
        except QErrorException as error:
            self.fail(f"{value!r}: {error}. See: qerror formats", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the registered formats that begin so."""
        del ctx, param
        from qerror.formats import FORMATS

        return _beginning(FORMATS, incomplete)


class ScalarFormatType(FormatType):
    """One number format whose values stand alone, by its name."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "ScalarFormat":
        """Parse the name and refuse formats that share scales."""
        from qerror.exceptions import InvalidType
        from qerror.formats import as_scalar_format

        try:
            return as_scalar_format(super().convert(value, param, ctx))
        except InvalidType as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the registered scalar formats that begin so."""
        del ctx, param
        from qerror.formats import scalar_formats

        return _beginning(scalar_formats(), incomplete)


class FormatList(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """Number formats, separated by commas, or as a range: int4..int16."""

    name = "name,name,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "list[Format]":
        """Parse the names; one that is repeated counts once."""
        from qerror.exceptions import QErrorException, UnknownName
        from qerror.formats import parse_formats

        try:
            return list(parse_formats(value))
        except UnknownName as error:
            self.fail(str(error), param, ctx)
        except QErrorException as error:
            self.fail(f"{error}. See: qerror formats", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last name of the list."""
        del ctx, param
        from qerror.formats import FORMATS

        done, comma, last = incomplete.rpartition(",")
        return _beginning(FORMATS, last, done + comma)


class RoundingType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A rounding mode by one of its names."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the mode's own name."""
        from qerror.exceptions import QErrorException
        from qerror.rounding import as_rule

        try:
            return as_rule(value).name
        except QErrorException as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the modes that begin so."""
        del ctx, param
        from qerror.rounding import ROUNDINGS

        return _beginning(ROUNDINGS, incomplete)


rounding_option = click.option(
    "--rounding",
    type=RoundingType(),
    default="nearest-even",
    show_default=True,
    metavar="MODE",
    help="nearest-even, nearest-away, toward-zero, up, down, to-odd or stochastic; or RNE, RNA, "
    "RTZ, RTP, RTN, RTO, SR; stochastic:8 draws 8 random bits.",
)


class MaxValueType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A largest level, or the rule by which it is found."""

    name = "number|best|absmax"
    _RULES = ("best", "absmax")

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | str:
        """Parse a number or a rule."""
        if value in self._RULES:
            return str(value)
        text = str(value)
        try:
            return float(text)
        except ValueError:
            close: list[str] = difflib.get_close_matches(text.lower(), self._RULES, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.fail(f"{value!r} is no number, and neither 'best' nor 'absmax'{hint}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the rules that begin so."""
        del ctx, param
        return _beginning(self._RULES, incomplete)


class DtypeType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A narrow type whose name NumPy does not save; `torch.` in front does not matter."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Find the name."""
        from qerror.storage import NARROW

        name = str(value).lower().removeprefix("torch.").replace("-", "_")
        if name not in NARROW:
            close: list[str] = difflib.get_close_matches(name, list(NARROW), 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            self.fail(f"{value!r} is none of {', '.join(NARROW)}{hint}", param, ctx)
        return name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names that begin so."""
        del ctx, param
        from qerror.storage import NARROW

        return _beginning(NARROW, incomplete)


class DensityText(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A density as text, which is read when its parameters are known."""

    name = "density"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the densities that begin so; within parentheses also the parameters there."""
        del ctx, param
        from qerror.densities import DENSITIES
        from qerror.densities.names import parameter_names

        before, last = _last_word(incomplete)
        caller = _caller(before)
        if caller is None:
            return _beginning(DENSITIES, last, before)
        if caller not in DENSITIES:
            return []
        names = parameter_names(DENSITIES[caller])
        taken = {name for name in names if re.search(rf"\b{name}\s*=", before)}
        found = _beginning((f"{name}=" for name in names if name not in taken), last, before)
        holds_others = {"density", "components"} & set(names)
        return found + (_beginning(DENSITIES, last, before) if holds_others else [])


def _last_word(text: str) -> tuple[str, str]:
    """Return a text up to its last name, and the name."""
    end = len(text) - len(re.search(r"[\w-]*\Z", text)[0])  # type: ignore[index]
    return text[:end], text[end:]


def _caller(before: str) -> str | None:
    """Return the name before the innermost parenthesis that is still open."""
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(before[at], 0)
        if depth < 0:
            return _last_word(before[:at])[1]
    return None


def _beginning(names: Iterable[str], start: str, before: str = "") -> list[CompletionItem]:
    """Return the names that begin with `start`, whatever its case, after what stands already."""
    from qerror.registry import fold

    return [CompletionItem(before + name) for name in names if fold(name).startswith(fold(start))]


class Over(NamedTuple):
    """A parameter and the increasing values that it takes."""

    name: str
    values: list[float]


class OverType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A swept parameter: NAME=LO:HI:N, NAME=LO:HI:Nlog or NAME=A,B,C."""

    name = "NAME=LO:HI:N[log] or NAME=A,B,C"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Over:
        """Parse the name and its values."""
        name, equals, text = (part.strip() for part in value.partition("="))
        if not (name and equals):
            self._refuse(value, "it has no NAME=", param, ctx)
        if not text:
            self._refuse(value, "it has no values", param, ctx)
        found = _RANGE.fullmatch(text)
        values: list[float] | str
        values = _spaced(found) if found else [_number(part) for part in text.split(",")]
        if isinstance(values, str):
            self._refuse(value, values, param, ctx)
        if not found and ":" in text:
            self._refuse(value, "a range needs N, how many values it has", param, ctx)
        if not all(math.isfinite(number) for number in values):
            self._refuse(value, "every value must be a finite number", param, ctx)
        if any(a >= b for a, b in pairwise(values)):
            self._refuse(value, "the values must increase", param, ctx)
        return Over(name.replace("-", "_"), values)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the parameters of densities and formats that begin so."""
        del ctx, param
        from qerror.densities import DENSITIES
        from qerror.densities.names import parameter_values

        names = {"scale", "max-value", "bias", "block-size"}
        names.update(*(parameter_values(family.example) for family in DENSITIES.values()))
        return _beginning((f"{name}=" for name in sorted(names)), incomplete)

    def _refuse(
        self, value: str, why: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> NoReturn:
        self.fail(
            f"cannot sweep {value!r}: {why}; write NAME=LO:HI:N (evenly spaced), "
            "NAME=LO:HI:Nlog or NAME=A,B,C, for example nu=2.5:10:16log or std=0.5,1,2",
            param,
            ctx,
        )


def _spaced(found: re.Match[str]) -> list[float] | str:
    """Return the values of LO:HI:N, or what is wrong with it."""
    import numpy as np

    low, high = _number(found["low"]), _number(found["high"])
    if not found["count"].strip().isdecimal():
        return f"N must be a whole number, got {found['count']!r}"
    # A count of thousands of digits is more than Python would read.
    count = int(found["count"]) if len(found["count"]) < 20 else MOST_VALUES + 1
    if not 2 <= count <= MOST_VALUES:
        return f"N must lie in 2..{MOST_VALUES}, got {found['count'].strip()[:20]}"
    if not (math.isfinite(low) and math.isfinite(high)):
        return "LO and HI must be finite numbers"
    if not low < high:
        return f"LO must be below HI, got {low:g} and {high:g}"
    if found["log"] and low <= 0:
        return f"LO must be positive for a logarithmic sweep, got {low:g}"
    space = np.geomspace if found["log"] else np.linspace
    # To 12 digits: 0.30000000000000004 would be the name of a density.
    return [float(f"{value:.12g}") for value in space(low, high, count)]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
