"""``qerror verify``: exact figures against samples."""

import math
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command, was_given
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatList, rounding_option
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import Format

DEFAULT_FORMATS = "INT8,5M2E,4M3E,3M4E,2M5E,E4M3,E5M2"
SIZE, SIZE_OF_ALL = 1_000_000, 100_000
NOT_MET = 3


class Count(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """A whole number, also written 1e7."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (number >= 2 and number.is_integer()):
            self.fail(f"{value!r} is no whole number of at least 2, such as 1e7", param, ctx)
        return int(number)


@click.command("verify", cls=Command)
@click.argument("named", metavar="[FORMATS]", required=False, type=FormatList())
@density_options(instead="--all")
@click.option(
    "--formats",
    type=FormatList(),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="The formats, separated by commas. See: qerror formats",
)
@click.option("--all", "everything", is_flag=True, help="Every registered format and density.")
@click.option(
    "--scale",
    type=float,
    help="The scale of every format; not of formats that share scales in blocks.",
)
@click.option("--max-value", type=float, help="The largest level of every format.")
@rounding_option
@click.option(
    "--size",
    type=Count(),
    help=f"Samples per format and density, such as 1e7.  [default: {SIZE:,}; with --all "
    f"{SIZE_OF_ALL:,}]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random numbers.")
@click.option(
    "--check",
    is_flag=True,
    help="Exit with 3 if a figure is more than 5 standard errors off, all together are "
    "improbable (chi-square p below 1e-6, of all pairs below 1e-4), or nothing could be judged.",
)
@output_options
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    densities: Densities,
    named: "list[Format] | None",
    formats: "list[Format]",
    everything: bool,
    scale: float | None,
    max_value: float | None,
    rounding: str,
    size: int | None,
    seed: int,
    check: bool,
    output: Output,
) -> None:
    r"""Check the exact figures against samples that share no code with them.

    Samples are drawn, quantized by the array quantizer and averaged; the table shows by how
    many of its own standard errors each mean lies off (z). Figures are left out where too few
    samples had a part in them; where the fourth moment does not exist they are compared on the
    density cut to an interval. By default formats reach the 2% and 98% quantiles, so that
    there is something to clip. Formats that share scales, such as mxfp4, find their own, and
    their blocks are the samples: 10,000 of them at least, as far as four million values go.

    \b
    qerror verify --dist student-t --nu 3
    qerror verify --dist laplace --formats int8,e4m3 --size 1e7 --check
    qerror verify mxfp4,nvfp4,nf4:g64 --dist gaussian --dist laplace
    qerror verify --all --check
    """
    import numpy as np

    from qerror.crosscheck import verify
    from qerror.densities import DENSITIES
    from qerror.formats import FORMATS
    from qerror.reporting import unmet, verify_document

    if scale is not None and max_value is not None:
        raise click.UsageError("--scale and --max-value each set the range; give one of them")
    if named is not None and was_given(ctx, "formats"):
        raise click.UsageError("FORMATS and --formats name the same; give one of them")
    arguments = [] if named is None else ["FORMATS"]
    chosen_twice = [*densities.given, *arguments, *was_given(ctx, "formats")]
    if everything and chosen_twice:
        raise click.UsageError(
            f"--all takes every density and format, got {' and '.join(chosen_twice)} too; "
            "leave out the one or the other"
        )
    if seed < 0:
        raise click.UsageError(f"--seed must not be negative, got {seed}")
    on = [family.example for family in DENSITIES.values()] if everything else densities.parse()
    chosen = list(FORMATS.values()) if everything else named or formats
    samples = size or (SIZE_OF_ALL if everything else SIZE)
    with Bar("verify") as bar:
        pairs = verify(
            chosen,
            on,
            size=samples,
            rng=np.random.default_rng(seed),
            scale=scale,
            max_value=max_value,
            rounding=rounding,
            progress=bar,
        )
    output.emit(verify_document(pairs, samples, seed, rounding))
    failed = unmet(pairs)
    for line in failed:
        say(line)
    if check and failed:
        ctx.exit(NOT_MET)
