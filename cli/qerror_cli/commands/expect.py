"""``qerror expect``: where a measurement should lie."""

from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command
from qerror_cli.commands.verify import NOT_MET, Count
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import ScalarFormatType, rounding_option
from qerror_cli.ranges import DataRange, MaxValue, range_options, scale_of_density

if TYPE_CHECKING:
    from qerror.formats import ScalarFormat


@click.command("expect", cls=Command)
@click.argument("form", metavar="FORMAT", type=ScalarFormatType())
@density_options(data=True)
@range_options
@click.option("--size", type=Count(), required=True, help="How many values are measured: 1e6.")
@click.option(
    "--confidence",
    type=float,
    default=0.95,
    show_default=True,
    help="The share of measurements that lie inside.",
)
@click.option("--measured", type=float, metavar="VALUE", help="What was measured.")
@click.option(
    "--figure",
    default="sqnr_db",
    show_default=True,
    metavar="NAME",
    help="What --measured is: sqnr_db, cosine_similarity, relative_l2, mse, mean_absolute or "
    "psnr_db.",
)
@click.option("--check", is_flag=True, help="Exit with 3 if --measured lies outside.")
@rounding_option
@output_options
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    form: "ScalarFormat",
    densities: Densities,
    scale: float | None,
    max_value: MaxValue | None,
    bias: float | None,
    size: int,
    confidence: float,
    measured: float | None,
    figure: str,
    check: bool,
    rounding: str,
    output: Output,
) -> None:
    r"""Say where measurements on values quantized to FORMAT should lie.

    A measurement on N values scatters about the exact figure. The bands come from the exact
    moments of x and its error where these decide (the delta method), else from simulated samples.
    With --measured and --check this is a test's threshold with a reason.

    \b
    qerror expect int8 --dist gaussian --max-value 4 --size 1e6
    qerror expect 4M3E --dist student-t --nu 5 --max-value 30 --size 4096 --measured 30.9 --check
    """
    from qerror.analysis.bands import as_figure, expected_bands
    from qerror.reporting import bands_document

    name = as_figure(figure)
    if check and measured is None:
        raise click.UsageError("--check judges what was measured: give --measured")
    if measured is not None and measured != measured:  # noqa: PLR0124 - nan
        raise click.UsageError("--measured must be a number, got nan")
    output.refuse_collisions({}, {"--data": densities.data})
    where = DataRange(scale, max_value, bias)
    density = densities.parse_one()
    chosen = scale_of_density(form, density, where, rounding)
    found = expected_bands(
        form, density, chosen, size=size, confidence=confidence, rounding=rounding
    )
    if scale is max_value is bias is None:
        say("note: no --scale, --max-value or --bias given: scale 1")
    given = None if measured is None else (name, measured)
    output.emit(bands_document(form, density, chosen, found, given))
    if check and measured is not None and not found[name].holds(measured):
        say(f"measured {name} {measured:g} lies outside of its band")
        ctx.exit(NOT_MET)
