"""``qerror optimize``: the best range of a format, the best format, and where it changes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatList, FormatType, Over, rounding_option
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.formats import Format
    from qerror.optimize import RangeChoice
    from qerror.reporting import Document

_OF_FORMATS = ("max_value", "range", "block_size")


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
    "--bits-per-value",
    type=float,
    help="Rank formats that share scales in blocks at this cost, scales included: every one of "
    "--formats, or the usual ones, in the smallest blocks that it pays for.",
)
@click.option(
    "--over",
    type=SpanType(),
    help="With --bits or --formats: where along a parameter another format becomes the best. "
    "A parameter of the density (nu, std, density.scale, ...); max-value, the largest level of "
    "all formats; range, to which the density is clipped too; or block-size.",
)
@click.option(
    "--binade-average/--own-spread",
    default=None,
    help="Whether formats whose scales are powers of two, such as mxfp4, are taken at the mean "
    "over a binade of the density's spread, or at its own.  [default: its own with FORMAT, else "
    "the mean]",
)
@rounding_option
@click.option(
    "--axis",
    type=int,
    help="With FORMAT and --data: along which the channels lie, each of which gets a range of its "
    "own.",
)
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    form: "Format | None",
    densities: Densities,
    bits: int | None,
    unsigned: bool,
    formats: "list[Format] | None",
    bits_per_value: float | None,
    over: Span | None,
    binade_average: bool | None,
    rounding: str,
    axis: int | None,
    output: Output,
) -> None:
    r"""Find the best range of FORMAT, or the best of many formats.

    With FORMAT: the range with the least mean squared error, all local minima, and what other
    ways to choose the range lose, or with --axis a range for every channel of the data; of a format
    that shares scales in blocks, the best threshold or multiplier of its scales. With --bits or
    --formats: the formats ranked, each at its best range; with --over, where the best one changes,
    to ten digits. With --bits-per-value: block formats of equal cost.

    \b
    qerror optimize 3M4E --dist student-t --nu 3
    qerror optimize int8 --data weights.npy
    qerror optimize int8 --data weights.npy --axis 0
    qerror optimize --bits 8 --dist gaussian
    qerror optimize --bits 8 --dist student-t --over nu=2.1:20
    qerror optimize --bits-per-value 4.5 --dist laplace
    qerror optimize mxfp4 --dist gaussian
    qerror optimize --formats nvfp4,nf4:g32 --dist student-t --over nu=3:30
    """
    _check_choice(form, bits, formats, unsigned=unsigned, over=over, bits_per_value=bits_per_value)
    output.refuse_collisions({}, {"--data": densities.data})
    averaged = binade_average if binade_average is not None else form is None
    if axis is not None:
        if form is None or densities.data is None:
            raise click.UsageError("--axis goes with FORMAT and --data: it names their channels")
        output.emit(_channels(form, densities, axis, rounding))
    elif form is not None:
        output.emit(_one(form, densities, averaged, rounding))
    elif bits_per_value is not None:
        _refuse_rounding(rounding)
        output.emit(_at_cost(formats, bits_per_value, densities, averaged))
    else:
        _refuse_rounding(rounding)
        chosen = _chosen(bits, unsigned, formats)
        output.emit(_many(chosen, densities, over, averaged, warn=unsigned))


def _check_choice(
    form: "Format | None",
    bits: int | None,
    formats: "list[Format] | None",
    *,
    unsigned: bool,
    over: Span | None,
    bits_per_value: float | None,
) -> None:
    """Refuse anything but one of FORMAT, --bits and --formats, and options beside the wrong one."""
    given = {"FORMAT": form, "--bits": bits, "--formats": formats}
    named = [name for name, value in given.items() if value is not None]
    if bits_per_value is not None:
        _check_cost(bits_per_value, named, over)
    elif len(named) != 1:
        found = " and ".join(named) if named else "none"
        raise click.UsageError(
            f"give one of FORMAT, --bits, --formats and --bits-per-value, got {found}; for "
            "example --bits 8"
        )
    if unsigned and bits is None:
        raise click.UsageError("--unsigned goes with --bits; a format's name says it: uint8, U4M4E")
    if over is not None and form is not None:
        raise click.UsageError("--over compares formats; add others by --formats, or use --bits")


def _refuse_rounding(rounding: str) -> None:
    """Refuse other rounding where formats are compared, or share scales."""
    if rounding != "nearest-even":
        raise click.UsageError(
            "--rounding goes with a FORMAT whose values stand alone; to compare formats use sweep"
        )


def _check_cost(bits_per_value: float, named: list[str], over: Span | None) -> None:
    """Refuse a cost that is no number of bits, and what does not go with one."""
    if not 0 < bits_per_value < math.inf:
        raise click.UsageError(f"--bits-per-value must be positive, got {bits_per_value:g}")
    beside = [name for name in named if name != "--formats"]
    beside += ["--over"] if over is not None else []
    if beside:
        raise click.UsageError(f"--bits-per-value ranks block formats: leave out {beside[0]}")


def _at_cost(
    formats: "list[Format] | None", bits_per_value: float, densities: Densities, averaged: bool
) -> "Document":
    from qerror.formats import BlockFormat
    from qerror.optimize import rank_blocks
    from qerror.reporting import blocks_ranking_document

    density = densities.parse_one()
    if formats is None:
        ranking = rank_blocks(density, bits_per_value, binade_average=averaged)
    else:
        blocks = [form for form in formats if isinstance(form, BlockFormat)]
        alone = [form.name for form in formats if not isinstance(form, BlockFormat)]
        if alone:
            raise click.UsageError(
                f"--bits-per-value ranks formats that share scales in blocks; for {alone[0]} write "
                f"{alone[0]}:g64, which stands for every block size"
            )
        ranking = rank_blocks(density, bits_per_value, blocks, binade_average=averaged)
    return blocks_ranking_document(ranking, density, bits_per_value, averaged=averaged)


def _one(form: "Format", densities: Densities, averaged: bool, rounding: str) -> "Document":
    from qerror.formats import BlockFormat, FixedPoint
    from qerror.optimize import block_choices, compare_ranges, optimal_scale
    from qerror.reporting import blocks_optimum_document, optimum_document

    density = densities.parse_one()
    if isinstance(form, BlockFormat):
        _refuse_rounding(rounding)
        given, *others = block_choices(form, density, binade_average=averaged)
        return blocks_optimum_document(given, others, density)
    best = optimal_scale(form, density, rounding=rounding)
    # The range of fixed point is not free: other rules would choose none that it has. They
    # are rules for rounding to the nearest.
    nearest = rounding.startswith("nearest")
    alone = math.isnan(best.scale) or isinstance(form, FixedPoint) or not nearest
    choices: Sequence[RangeChoice] = [] if alone else compare_ranges(form, density)
    return optimum_document(form, density, best, choices)


def _channels(form: "Format", densities: Densities, axis: int, rounding: str) -> "Document":
    from qerror.optimize import optimal_channel_scales, optimal_scale
    from qerror.reporting import channels_document

    arrays = densities.arrays()
    if len(arrays) > 1:
        raise click.UsageError(
            f"this command takes one array, {str(densities.data)!r} holds {len(arrays)}"
        )
    x = arrays[0].values()
    with Bar("channels") as bar:
        best = optimal_channel_scales(form, x, axis, rounding=rounding, progress=bar)
    whole = optimal_scale(form, x.reshape(-1), rounding=rounding)
    return channels_document(arrays[0].path, arrays[0], best, whole)


def _chosen(bits: int | None, unsigned: bool, formats: "list[Format] | None") -> "list[Format]":
    from qerror.optimize import formats_of_width

    if formats is not None:
        return formats
    assert bits is not None
    return list(formats_of_width(bits, signed=not unsigned))


def _many(
    formats: "list[Format]",
    densities: Densities,
    over: Span | None,
    averaged: bool,
    *,
    warn: bool,
) -> "Document":
    from qerror.optimize import format_switches, optimal_format
    from qerror.reporting import ranking_document, switches_document

    swept = None
    if over is not None and over.name not in _OF_FORMATS:
        swept = Over(over.name, [over.low, over.high])
    density = densities.parse_one(swept)
    if warn:
        _warn_of_signs(density)
    if over is None:
        _refuse_blocks(formats)
        return ranking_document(optimal_format(formats, density))
    found = format_switches(formats, density, *over, binade_average=averaged)
    return switches_document(found, formats, density)


def _refuse_blocks(formats: "list[Format]") -> None:
    """Say what compares formats whose ranges are not chosen."""
    from qerror.formats import BlockFormat

    blocks = [form.name for form in formats if isinstance(form, BlockFormat)]
    if blocks:
        raise click.UsageError(
            f"{', '.join(blocks)} share scales, so there is no best range; to compare formats use: "
            "qerror sweep; to rank them at equal cost add --bits-per-value"
        )


def _warn_of_signs(density: "Density") -> None:
    from qerror.densities import density_name

    if density.support[0] < 0:
        say(
            f"note: {density_name(density)} has values below 0, which formats without a sign set "
            "to 0; for a ReLU's output use 'rectified(...)'"
        )
