"""``qerror optimize``: the best range of a format, the best format, and where it changes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatList, FormatType, Over, rounding_option

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.formats import Format
    from qerror.optimize import RangeChoice
    from qerror.reporting import Document

_RANGES = ("max_value", "range")


class Span(NamedTuple):
    """A parameter and the limits between which it moves."""

    name: str
    low: float
    high: float


class SpanType(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A parameter to look along: NAME=LO:HI."""

    name = "NAME=LO:HI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Span:
        """Parse the name and the limits."""
        name, equals, text = (part.strip() for part in value.partition("="))
        limits = text.split(":")
        if not (name and equals) or len(limits) != 2:
            self._refuse(value, "it is not NAME=LO:HI", param, ctx)
        try:
            low, high = (float(limit) for limit in limits)
        except ValueError:
            self._refuse(value, "LO and HI must be numbers", param, ctx)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            self._refuse(value, "LO must be below HI, both finite", param, ctx)
        return Span(name.replace("-", "_"), low, high)

    def _refuse(
        self, value: str, why: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> NoReturn:
        self.fail(
            f"cannot look along {value!r}: {why}; for example nu=2.1:20, std=0.1:10, "
            "max-value=1:100 or range=1:1000",
            param,
            ctx,
        )


@click.command("optimize", cls=Command)
@click.argument("form", metavar="[FORMAT]", type=FormatType(), required=False)
@density_options(data=True)
@click.option("--bits", type=int, help="Rank all formats of this bit width instead.")
@click.option("--unsigned", is_flag=True, help="With --bits: formats without a sign.")
@click.option("--formats", type=FormatList(), help="Rank these formats, separated by commas.")
@click.option(
    "--over",
    type=SpanType(),
    help="With --bits or --formats: where along a parameter another format becomes the best. "
    "A parameter of the density (nu, std, density.scale, ...); max-value, the largest level of "
    "all formats; or range, to which the density is clipped too.",
)
@rounding_option
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    form: "Format | None",
    densities: Densities,
    bits: int | None,
    unsigned: bool,
    formats: "list[Format] | None",
    over: Span | None,
    rounding: str,
    output: Output,
) -> None:
    r"""Find the best range of FORMAT, or the best of many formats.

    With FORMAT: the range with the least mean squared error, all local minima, and what other
    ways to choose the range lose. With --bits or --formats: the formats ranked, each at its
    best range; with --over, where the best one changes, to ten digits.

    \b
    qerror optimize 3M4E --dist student-t --nu 3
    qerror optimize int8 --data weights.npy
    qerror optimize --bits 8 --dist gaussian
    qerror optimize --bits 8 --dist student-t --over nu=2.1:20
    """
    _check_choice(form, bits, formats, unsigned, over)
    output.refuse_collisions({}, {"--data": densities.data})
    if form is not None:
        output.emit(_one(form, densities, rounding))
    else:
        if rounding != "nearest-even":
            raise click.UsageError("--rounding goes with FORMAT; to compare formats use sweep")
        chosen = _chosen(bits, unsigned, formats)
        output.emit(_many(chosen, densities, over, warn=unsigned))


def _check_choice(
    form: "Format | None",
    bits: int | None,
    formats: "list[Format] | None",
    unsigned: bool,
    over: Span | None,
) -> None:
    """Refuse anything but one of FORMAT, --bits and --formats, and options beside the wrong one."""
    given = {"FORMAT": form, "--bits": bits, "--formats": formats}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        found = " and ".join(named) if named else "none"
        raise click.UsageError(
            f"give one of FORMAT, --bits and --formats, got {found}; for example --bits 8"
        )
    if unsigned and bits is None:
        raise click.UsageError("--unsigned goes with --bits; a format's name says it: uint8, U4M4E")
    if over is not None and form is not None:
        raise click.UsageError("--over compares formats; add others by --formats, or use --bits")


def _one(form: "Format", densities: Densities, rounding: str) -> "Document":
    from qerror.formats import FixedPoint
    from qerror.optimize import compare_ranges, optimal_scale
    from qerror.reporting import optimum_document

    density = densities.parse_one()
    best = optimal_scale(form, density, rounding=rounding)
    # The range of fixed point is not free: other rules would choose none that it has. They
    # are rules for rounding to the nearest.
    nearest = rounding.startswith("nearest")
    alone = math.isnan(best.scale) or isinstance(form, FixedPoint) or not nearest
    choices: Sequence[RangeChoice] = [] if alone else compare_ranges(form, density)
    return optimum_document(form, density, best, choices)


def _chosen(bits: int | None, unsigned: bool, formats: "list[Format] | None") -> "list[Format]":
    from qerror.optimize import formats_of_width

    if formats is not None:
        return formats
    assert bits is not None
    return list(formats_of_width(bits, signed=not unsigned))


def _many(
    formats: "list[Format]", densities: Densities, over: Span | None, *, warn: bool
) -> "Document":
    from qerror.optimize import format_switches, optimal_format
    from qerror.reporting import ranking_document, switches_document

    swept = None
    if over is not None and over.name not in _RANGES:
        swept = Over(over.name, [over.low, over.high])
    density = densities.parse_one(swept)
    if warn:
        _warn_of_signs(density)
    if over is None:
        return ranking_document(optimal_format(formats, density))
    return switches_document(format_switches(formats, density, *over), formats, density)


def _warn_of_signs(density: "Density") -> None:
    from qerror.densities import density_name

    if density.support[0] < 0:
        say(
            f"note: {density_name(density)} has values below 0, which formats without a sign set "
            "to 0; for a ReLU's output use 'rectified(...)'"
        )
