"""``qerror sweep``: formats against densities."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import (
    Output,
    file_option,
    output_options,
    plot_option,
    plotted_files,
    save,
)
from qerror_cli.parameters import FormatList, MaxValueType, Over, OverType, rounding_option
from qerror_cli.progress import Bar
from qerror_cli.ranges import MaxValue, check_range

if TYPE_CHECKING:
    from qerror.densities.names import DensityLike
    from qerror.formats import Format

DEFAULT_FORMATS = "INT8,5M2E,4M3E,3M4E,2M5E,E4M3,E5M2"


class SweptFormats(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """Number formats as `FormatList` reads them; int4:gN, a block of any size, stays a name."""

    name = FormatList.name
    _plain = FormatList()

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "list[Format | str]":
        """Parse the names; those with gN are checked, and left to the sweep."""
        if not isinstance(value, str) or not _ANY_SIZE.search(value):
            return [*self._plain.convert(value, param, ctx)]
        self._plain.convert(_ANY_SIZE.sub(":g32", value), param, ctx)
        found: list[Format | str] = []
        for name in (part.strip() for part in value.split(",")):
            found += [name] if _ANY_SIZE.search(name) else self._plain.convert(name, param, ctx)
        return found

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last name of the list."""
        return self._plain.shell_complete(ctx, param, incomplete)


_ANY_SIZE = re.compile(r":gN(?=:|,|\s*\Z)", re.IGNORECASE)


@click.command("sweep", cls=Command)
@density_options(data=True)
@click.option(
    "--formats",
    type=SweptFormats(),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="The formats, separated by commas. See: qerror formats",
)
@click.option(
    "--over",
    type=OverType(),
    metavar="NAME=VALUES",
    help="Sweep a parameter of the densities (nu, std, density.scale, ...), or the formats' "
    "scale, max-value or bias, or the block-size of block formats, by default on the standard "
    "gaussian. VALUES: LO:HI:N, LO:HI:Nlog or A,B,C.",
)
@click.option(
    "--by",
    type=OverType(),
    metavar="NAME=VALUES",
    help="A second parameter of the densities to sweep: a table, and a panel of --plot, a value.",
)
@click.option("--scale", type=float, help="Where every format stands.  [default: the best]")
@click.option(
    "--max-value",
    type=MaxValueType(),
    help="The largest level of every format; 'absmax' for the largest magnitude of --data.",
)
@rounding_option
@click.option(
    "--axis",
    type=int,
    help="With --data: along which the channels lie; each is then a line of the table.",
)
@click.option(
    "--limits",
    is_flag=True,
    help="Also show how many dB the MSE lies above the best quantizer of 2^bits levels "
    "(Lloyd-Max) and above Shannon's bound.",
)
@plot_option
@file_option("--csv", help="Also write all columns to FILE (.csv).")
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    densities: Densities,
    formats: "list[Format | str]",
    over: Over | None,
    by: Over | None,
    scale: float | None,
    max_value: MaxValue | None,
    rounding: str,
    axis: int | None,
    limits: bool,
    plot: Path | None,
    csv: Path | None,
    output: Output,
) -> None:
    r"""Compare number formats on densities, each format at its best range.

    The table shows the range with the least mean squared error (its largest value, and the
    bias b or scale s that gives it), the error's parts, and by how many dB the SQNR stays
    below the best format's. --scale or --max-value put every format there instead. With --over it
    shows the SQNR for each swept value, and with --axis for each channel of --data, whose values
    must all be finite; --format csv and json have every column. Without, --plot
    draws a bar a format, or the SQNR against bits where every format has another width.

    \b
    qerror sweep --dist student-t --nu 3
    qerror sweep --dist gaussian --formats int8,4M3E --over max-value=1:100:41log
    qerror sweep --dist student-t --over nu=2.5:10:16log --plot nu.svg
    qerror sweep --dist gaussian --formats int4..int16 --plot bits.svg
    qerror sweep --dist gaussian --formats int8,4M3E --max-value 4 --over std=0.5,1,2
    qerror sweep --dist student-t --by nu=3,5,9 --over max-value=1:100:21log --plot clip.png
    qerror sweep --data weights.npy --axis 0 --formats int8,4M3E --max-value absmax
    qerror sweep --dist gaussian --formats mxfp4,nf4,int4:gN --over block-size=8:1024:8log
    """
    from qerror.reporting import encode, sweep_document
    from qerror.sweep import sweep

    check_range({"--scale": scale, "--max-value": max_value})
    _check_csv(csv)
    output.refuse_collisions({**plotted_files(plot), "--csv": csv}, {"--data": densities.data})
    if over is not None and over.name == "block_size" and by is None and axis is None:
        densities = densities.standard()
    chosen: Sequence[DensityLike]
    if axis is None:
        chosen = (densities if by is None else densities.starting(by)).parse(over)
    else:
        chosen = _arrays(densities, over, by)
    with Bar("sweep") as bar:
        result = sweep(
            formats,
            chosen,
            over,
            by=by,
            scale=scale,
            max_value=max_value,
            limits=limits,
            rounding=rounding,
            axis=axis,
            progress=bar,
        )
    document = sweep_document(result)
    if plot is not None:
        from qerror.plotting import sweep_files

        for path, content in sweep_files(result, plot).items():
            save(path, content)
    if csv is not None:
        save(csv, encode(document, "csv"))
    output.emit(document)


def _arrays(densities: Densities, over: Over | None, by: Over | None) -> "Sequence[DensityLike]":
    """Return the arrays whose channels are swept."""
    if densities.data is None:
        raise click.UsageError("--axis goes with --data: it says where their channels lie")
    if over is not None or by is not None:
        raise click.UsageError("--axis sweeps the channels; leave out --over and --by")
    arrays = densities.arrays()
    densities.say_order(arrays)
    return [array.values() for array in arrays]


def _check_csv(path: Path | None) -> None:
    """Refuse a file that is no CSV file or cannot be written."""
    if path is None:
        return
    from qerror.storage import check_writable, is_stream

    check_writable(path)
    if path.suffix.lower() not in {".csv", ""} or not (path.suffix or is_stream(path)):
        raise click.UsageError(
            f"--csv writes a .csv file, got {str(path)!r}; for another kind use -o"
        )
