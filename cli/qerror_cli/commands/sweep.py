"""``qerror sweep``: formats against densities."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, file_option, output_options, save
from qerror_cli.parameters import FormatList, Over, OverType
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import Format

DEFAULT_FORMATS = "INT8,5M2E,4M3E,3M4E,2M5E,E4M3,E5M2"


@click.command("sweep", cls=Command)
@density_options
@click.option(
    "--formats",
    type=FormatList(),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="The formats, separated by commas. See: qerror formats",
)
@click.option(
    "--over",
    type=OverType(),
    metavar="NAME=VALUES",
    help="Sweep a parameter of the densities (nu, std, ...), or the formats' scale, max-value or "
    "bias. VALUES: LO:HI:N, LO:HI:Nlog or A,B,C.",
)
@click.option(
    "--limits",
    is_flag=True,
    help="Also show how many dB the MSE lies above the best quantizer of 2^bits levels "
    "(Lloyd-Max) and above Shannon's bound.",
)
@file_option(
    "--plot",
    help="Draw the SQNR into FILE (.svg, .png or .pdf); its data goes to a .csv beside it.",
)
@file_option("--csv", help="Also write all columns to FILE (.csv).")
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    densities: Densities,
    formats: "list[Format]",
    over: Over | None,
    limits: bool,
    plot: Path | None,
    csv: Path | None,
    output: Output,
) -> None:
    r"""Compare number formats on densities, each format at its best range.

    The table shows the range with the least mean squared error (its largest value, and the
    bias b or scale s that gives it), the error's parts, and by how many dB the SQNR stays
    below the best format's. With --over it shows the SQNR for each swept value; --format csv
    and json have every column.

    \b
    qerror sweep --dist student-t --nu 3
    qerror sweep --dist gaussian --formats int8,4M3E --over max-value=1:100:41log
    qerror sweep --dist student-t --over nu=2.5:10:16log --plot nu.svg
    """
    from qerror.reporting import encode, sweep_document
    from qerror.sweep import sweep

    _check_files(plot, csv, output.path)
    chosen = densities.parse(over)
    with Bar("sweep") as bar:
        result = sweep(formats, chosen, over, limits=limits, progress=bar)
    document = sweep_document(result)
    if plot is not None:
        from qerror.plotting import sweep_files

        beside = plot.with_suffix(".csv")
        for path, content in sweep_files(result, plot).items():
            if path != beside or not _is_among(beside, csv, output.path):
                save(path, content)
    if csv is not None:
        save(csv, encode(document, "csv"))
    output.emit(document)


def _check_files(plot: Path | None, csv: Path | None, output: Path | None) -> None:
    """Refuse files that cannot be written, before anything is computed."""
    from qerror.reporting import kind_of
    from qerror.storage import check_writable

    named = [path for path in (plot, csv, output) if path is not None]
    for i, path in enumerate(named):
        if _is_among(path, *named[:i]):
            raise click.UsageError(f"{str(path)!r} is named twice; give each output its own file")
    if plot is not None:
        from qerror.plotting import check_figure

        check_writable(plot)
        check_figure(plot)
        check_writable(plot.with_suffix(".csv"))
    if csv is not None:
        check_writable(csv)
        kind_of(csv, "csv")


def _is_among(path: Path, *others: Path | None) -> bool:
    return any(other is not None and path.resolve() == other.resolve() for other in others)
