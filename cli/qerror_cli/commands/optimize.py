"""``qerror optimize``: the best range of a format, the best format, and where it changes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatList, FormatType, Over, rounding_option
from qerror_cli.progress import Bar
from qerror_cli.spans import Span, SpanType

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.formats import BlockFormat, Format
    from qerror.optimize import RangeChoice
    from qerror.reporting import Document

_OF_FORMATS = ("max_value", "range", "block_size")


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
    help="With --data: along which the channels lie, each of which gets a range of its own; with "
    "--bits-per-value along which the blocks lie.  [default: one range; -1]",
)
@click.option(
    "--exhaustive",
    is_flag=True,
    help="With FORMAT and --data: try every range at which a value changes its level, so that none "
    "is better.",
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
    exhaustive: bool,
    output: Output,
) -> None:
    r"""Find the best range of FORMAT, or the best of many formats.

    With FORMAT: the range with the least mean squared error, all local minima, and what other
    ways to choose the range lose, or with --axis a range for every channel of the data; of a format
    that shares scales in blocks, the best threshold or multiplier of its scales. With --bits or
    --formats: the formats ranked, each at its best range, or ranges with --axis; with --over, where
    the best one changes, to ten digits. With --bits-per-value: block formats of equal cost, of
    --data measured in blocks as they lie. All values of --data must be finite.

    \b
    qerror optimize 3M4E --dist student-t --nu 3
    qerror optimize int8 --data weights.npy
    qerror optimize int8 --data weights.npy --axis 0
    qerror optimize --bits 8 --data weights.npy --axis 0
    qerror optimize --bits-per-value 4.5 --data weights.npy
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
        _check_axis(form, densities, over)
    if exhaustive and form is None:
        raise click.UsageError("--exhaustive searches the range of one FORMAT; name it")
    if form is not None and axis is not None:
        output.emit(_channels(form, densities, axis, rounding, exhaustive=exhaustive))
    elif form is not None:
        output.emit(_one(form, densities, averaged, rounding, exhaustive=exhaustive))
    elif bits_per_value is not None and densities.data is not None:
        _refuse_rounding(rounding)
        if binade_average:
            raise click.UsageError("--binade-average is for densities; data have their own spread")
        output.emit(_measured(formats, bits_per_value, densities, -1 if axis is None else axis))
    elif bits_per_value is not None:
        _refuse_rounding(rounding)
        output.emit(_at_cost(formats, bits_per_value, densities, averaged))
    else:
        _refuse_rounding(rounding)
        chosen = _chosen(bits, unsigned, formats)
        if axis is None:
            output.emit(_many(chosen, densities, over, averaged, warn=unsigned))
        else:
            output.emit(_many_by_channel(chosen, densities, axis))


def _check_axis(form: "Format | None", densities: Densities, over: Span | None) -> None:
    """Refuse --axis where there are no channels, or no range for each."""
    from qerror.formats import BlockFormat

    if densities.data is None:
        raise click.UsageError("--axis goes with --data: it says where their channels lie")
    if over is not None:
        raise click.UsageError("--over moves one range of all values; leave out --axis")
    if isinstance(form, BlockFormat):
        raise click.UsageError(
            f"{form.name} takes a scale for every block; what its blocks along an axis lose: "
            f"qerror error {form.name} --data FILE --axis N, and beside others of its cost: "
            "qerror optimize --bits-per-value B --data FILE --axis N"
        )


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
    from qerror.optimize import rank_blocks
    from qerror.reporting import blocks_ranking_document

    density, blocks = densities.parse_one(), _blocks(formats)
    ranking = rank_blocks(density, bits_per_value, blocks, binade_average=averaged)
    return blocks_ranking_document(
        ranking, density, bits_per_value, averaged=averaged, asked=blocks if formats else None
    )


def _measured(
    formats: "list[Format] | None", bits_per_value: float, densities: Densities, axis: int
) -> "Document":
    from qerror.optimize import rank_measured_blocks
    from qerror.reporting import measured_blocks_document

    blocks, array = _blocks(formats), densities.array()
    with Bar("formats") as bar:
        found = rank_measured_blocks(array, bits_per_value, blocks, axis=axis, progress=bar)
    asked = blocks if formats else None
    return measured_blocks_document(array, found, bits_per_value, axis, asked)


def _blocks(formats: "list[Format] | None") -> "Sequence[BlockFormat | str]":
    """Return the block formats to rank: those given, or the usual ones."""
    from qerror.formats import BlockFormat
    from qerror.optimize.blocks import RANKED

    if formats is None:
        return RANKED
    alone = [form.name for form in formats if not isinstance(form, BlockFormat)]
    if alone:
        raise click.UsageError(
            f"--bits-per-value ranks formats that share scales in blocks; for {alone[0]} write "
            f"{alone[0]}:g64, which stands for every block size"
        )
    return [form for form in formats if isinstance(form, BlockFormat)]


def _one(
    form: "Format", densities: Densities, averaged: bool, rounding: str, *, exhaustive: bool
) -> "Document":
    from qerror.formats import BlockFormat, FixedPoint
    from qerror.optimize import block_choices, compare_ranges, optimal_scale
    from qerror.reporting import blocks_optimum_document, optimum_document

    density = densities.parse_one()
    if isinstance(form, BlockFormat):
        _refuse_rounding(rounding)
        if exhaustive:
            raise click.UsageError(f"{form.name} has a scale for every block, and no one range")
        given, *others = block_choices(form, density, binade_average=averaged)
        return blocks_optimum_document(given, others, density)
    best = optimal_scale(form, density, rounding=rounding, exhaustive=exhaustive)
    # The range of fixed point is not free: other rules would choose none that it has. They
    # are rules for rounding to the nearest.
    nearest = rounding.startswith("nearest")
    free = not math.isnan(best.scale) and best.report.signal_power > 0
    compared = free and nearest and not isinstance(form, FixedPoint)
    choices: Sequence[RangeChoice] = []
    if compared:
        choices = compare_ranges(form, density, best=best if exhaustive else None)
    return optimum_document(form, density, best, choices)


def _channels(
    form: "Format", densities: Densities, axis: int, rounding: str, *, exhaustive: bool
) -> "Document":
    from qerror.densities import Empirical
    from qerror.formats import as_scalar_format
    from qerror.optimize import optimal_scale
    from qerror.optimize.stored import MOST_WEIGHED, best_of_channels
    from qerror.reporting import channels_document

    scalar, array = as_scalar_format(form), densities.array()
    with Bar("channels") as bar:
        best = best_of_channels(
            scalar, array, axis, exhaustive=exhaustive, rounding=rounding, progress=bar
        )
    whole = None
    if array.size <= MOST_WEIGHED:
        whole = optimal_scale(scalar, Empirical(array.values()), rounding=rounding)
    return channels_document(array, best, whole)


def _many_by_channel(formats: "list[Format]", densities: Densities, axis: int) -> "Document":
    from qerror.optimize import rank_by_channel
    from qerror.reporting import channel_ranking_document

    _refuse_blocks(formats)
    array = densities.array()
    with Bar("channels") as bar:
        found = rank_by_channel(formats, array, axis, progress=bar)
    return channel_ranking_document(array, found)


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
