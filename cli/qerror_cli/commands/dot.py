"""``qerror dot``: the error of a scalar product, over pairs of formats."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.density_options import Densities, add_parameters, take_parameters
from qerror_cli.output import Output, output_options, plot_option, plotted_files, save
from qerror_cli.parameters import DtypeType, FormatList
from qerror_cli.progress import Bar
from qerror_cli.ranges import check_range

if TYPE_CHECKING:
    from qerror.products import Operand


def side_options(side: str, letter: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options of one factor."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        command = add_parameters(command, f"{side}-")

        def option(name: str, *variable: str, **attributes: Any) -> None:
            nonlocal command
            command = click.option(f"--{side}{name}", *variable, **attributes)(command)

        option("-bias", type=float, help=f"Exponent bias of the formats of {letter}.")
        option("-max-value", type=float, help=f"The largest level of the formats of {letter}.")
        option("-scale", type=float, help=f"Scale of {letter}'s formats.  [default: the best]")
        option("-dtype", type=DtypeType(), help=f"As --dtype elsewhere, for --{side}-data.")
        option(
            "-axis",
            *(["--axis"] if side == "weight" else []),
            f"{side}_axis",
            type=int,
            help=f"With --{side}-data: along which the channels of {letter} lie, each of which "
            "stands at a range of its own.",
        )
        option(
            "-data",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"The values of {letter}: the array of a .npy or .npz file instead of a density.",
        )
        option(
            "-dist",
            metavar="DENSITY",
            help=f"Density of {letter}, such as gaussian or 'student-t(nu=3)'.  "
            f"[this or --{side}-data]",
        )
        option(
            "",
            f"{side}_formats",
            type=FormatList(),
            required=True,
            help=f"Format of {letter}; several, separated by commas, make a matrix.",
        )
        return command

    return decorate


@click.command("dot", cls=Command)
@side_options("weight", "w")
@side_options("activation", "x")
@click.option(
    "--length", type=int, default=1, show_default=True, help="How many products are summed."
)
@click.option(
    "--accumulator",
    metavar="REGISTER",
    help="Sum in this register: fp32, tf32, fp22, fp16, bf16 or 13M8E, with a rounding and fused "
    "products if need be (fp22:rtz:fused=32), int24, int24:wrap or int:guard=8.",
)
@click.option(
    "--order",
    metavar="ORDER",
    help="With --accumulator: sequential, pairwise, or blocked:128, whose blocks are added in "
    "FP32.  [default: sequential]",
)
@plot_option
@output_options
def command(
    length: int,
    accumulator: str | None,
    order: str | None,
    plot: Path | None,
    output: Output,
    **given: Any,
) -> None:
    r"""Break down the error of y = w x, or of a scalar product, with both factors quantized.

    Each factor stands at its best range unless a scale, largest level or bias is given; a block
    format takes its scales from the data, and its blocks lie along the sum. With --axis every
    output channel of the weights has its own, and the figures are means over them.
    With several formats on a side: the SQNR of every pair. With --accumulator, --plot draws one
    pair's SQNR by the length of the sum, and of several pairs the SQNR with the register's errors.

    \b
    qerror dot --weight 4M3E --weight-dist gaussian --activation int8 --activation-dist laplace \
        --length 512
    qerror dot --weight 4M3E --weight-data w.npy --axis 0 --activation int8 \
        --activation-data x.npy --length 512
    qerror dot --weight int8,5M2E,4M3E --weight-dist gaussian \
        --activation int8,5M2E,4M3E --activation-dist student-t --activation-nu 3 --plot pairs.svg
    qerror dot --weight e4m3 --weight-dist gaussian --activation e4m3 \
        --activation-dist gaussian --length 4096 --accumulator fp22 --order blocked:128
    """
    from qerror.accumulators import accumulation_error, as_accumulator, as_order
    from qerror.products import scalar_products
    from qerror.reporting import dot_document

    if length < 1:
        raise click.UsageError(f"--length must be at least 1, got {length}")
    if order is not None and accumulator is None:
        raise click.UsageError("--order goes with --accumulator")
    register = None if accumulator is None else as_accumulator(accumulator)
    way = as_order(order or "sequential")
    inputs = {f"--{side}-data": given[f"{side}_data"] for side in ("weight", "activation")}
    output.refuse_collisions(plotted_files(plot), inputs)
    weights, activations = _operand("weight", given), _operand("activation", given)
    with Bar("dot") as bar:
        products = scalar_products(weights, activations, length, progress=bar)
    sums = (
        []
        if register is None
        else [
            accumulation_error(row.weight, row.activation, length, register, way)
            for row in products
        ]
    )
    document = dot_document(products, sums)
    if plot is not None:
        from qerror.accumulators import accumulation_by_length
        from qerror.plotting.papers import dot_files, sum_files

        if register is not None and len(products) == 1:
            row = products.rows[0]
            found = accumulation_by_length(row.weight, row.activation, length, register, way)
            files = sum_files(document, found, plot)
        else:
            files = dot_files(document, plot)
        for path, content in files.items():
            save(path, content)
    output.emit(document)


def _operand(side: str, given: dict[str, Any]) -> "Operand":
    """Return one side from its options."""
    from qerror.formats import FloatingPoint, ScalarFormat
    from qerror.products import Operand

    ranges: dict[str, float | None] = {
        name: given[f"{side}_{name}"] for name in ("scale", "max_value", "bias")
    }
    options = {f"--{side}-{name.replace('_', '-')}": each for name, each in ranges.items()}
    check_range(options)
    chosen = next((option for option, each in options.items() if each is not None), None)
    formats = given[f"{side}_formats"]
    for form in formats:
        if chosen and not isinstance(form, ScalarFormat):
            raise click.UsageError(
                f"{form.name} takes its scales from the data: leave out {chosen}"
            )
        if ranges["bias"] is not None and not isinstance(form, FloatingPoint):
            raise click.UsageError(
                f"{form.name} has no exponent bias, got --{side}-bias {ranges['bias']:g}; "
                f"use --{side}-scale or --{side}-max-value"
            )
    parameters = take_parameters(given, f"{side}-")
    density = _density(side, given, parameters)
    return Operand(formats, density, axis=given[f"{side}_axis"], **ranges)


def _density(side: str, given: dict[str, Any], parameters: dict[str, float]) -> Any:
    """Return what one side is drawn from, or its values."""
    dist, data = given[f"{side}_dist"], given[f"{side}_data"]
    if (dist is None) == (data is None):
        both = "each say what the side holds" if dist else "is missing: say what the side holds"
        named = f"--{side}-dist and --{side}-data" if dist else f"--{side}-dist"
        raise click.UsageError(f"{named} {both}; give --{side}-dist DENSITY or --{side}-data FILE")
    if data is None:
        for option in ("axis", "dtype"):
            if given[f"{side}_{option}"] is not None:
                raise click.UsageError(f"--{side}-{option} goes with --{side}-data")
        return Densities([dist], parameters, f"{side}-").parse()[0]
    arrays = Densities((), parameters, f"{side}-", data, given[f"{side}_dtype"]).arrays()
    if len(arrays) > 1:
        raise click.UsageError(f"--{side}-data takes one array, {str(data)!r} holds {len(arrays)}")
    return arrays[0].values()
