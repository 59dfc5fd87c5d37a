"""``qerror dot``: the error of a scalar product, over pairs of formats."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, file_option, output_options, save
from qerror_cli.parameters import FormatList
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.densities import Density
    from qerror.formats import ScalarFormat
    from qerror.reporting import Factor


@dataclass(frozen=True)
class Range:
    """Where the formats of one side stand: at most one of the three is given."""

    side: str
    scale: float | None
    max_value: float | None
    bias: float | None

    def check(self, formats: "list[ScalarFormat]") -> None:
        """Refuse more than one option, and a bias for a format that has none."""
        from qerror.formats import FloatingPoint

        given = {"scale": self.scale, "max-value": self.max_value, "bias": self.bias}
        named = [f"--{self.side}-{name}" for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise click.UsageError(f"{' and '.join(named)} each set the range; give one of them")
        for form in formats:
            if self.bias is not None and not isinstance(form, FloatingPoint):
                raise click.UsageError(
                    f"{form.name} has no exponent bias, got --{self.side}-bias {self.bias:g}; "
                    f"use --{self.side}-scale or --{self.side}-max-value"
                )

    def scale_of(self, form: "ScalarFormat") -> float | None:
        """Return the scale that was asked for, or None for the best one."""
        from qerror.formats import FloatingPoint

        if self.max_value is not None:
            return form.scale_for(self.max_value)
        if self.bias is not None and isinstance(form, FloatingPoint):
            return form.scale_for(form.with_bias(self.bias).max_value)
        return self.scale


def side_options(side: str, letter: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options of one factor."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def option(name: str, *variable: str, **attributes: Any) -> None:
            nonlocal command
            command = click.option(f"--{side}{name}", *variable, **attributes)(command)

        option("-bias", type=float, help=f"Exponent bias of the formats of {letter}.")
        option("-max-value", type=float, help=f"The largest level of the formats of {letter}.")
        option("-scale", type=float, help=f"Scale of {letter}'s formats.  [default: the best]")
        option(
            "-dist",
            required=True,
            metavar="DENSITY",
            help=f"Density of {letter}, such as gaussian or 'student-t(nu=3)'.",
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
@file_option(
    "--plot",
    help="Draw a heat map of the SQNR into FILE (.svg, .png or .pdf); its data goes to a .csv "
    "beside it.",
)
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    weight_formats: "list[ScalarFormat]",
    weight_dist: str,
    weight_scale: float | None,
    weight_max_value: float | None,
    weight_bias: float | None,
    activation_formats: "list[ScalarFormat]",
    activation_dist: str,
    activation_scale: float | None,
    activation_max_value: float | None,
    activation_bias: float | None,
    length: int,
    plot: Path | None,
    output: Output,
) -> None:
    r"""Break down the error of y = w x, or of a scalar product, with both factors quantized.

    Each factor stands at its best range unless a scale, largest level or bias is given. With
    several formats on a side: the SQNR of every pair.

    \b
    qerror dot --weight 4M3E --weight-dist gaussian --activation int8 --activation-dist laplace \
        --length 512
    qerror dot --weight int8,5M2E,4M3E --weight-dist gaussian \
        --activation int8,5M2E,4M3E --activation-dist 'student-t(nu=3)' --plot pairs.svg
    """
    from qerror.analysis import scalar_product_error
    from qerror.densities import parse_density
    from qerror.reporting import Product, dot_document

    _check_length(length)
    _check_plot(plot, output.path)
    ranges = (
        Range("weight", weight_scale, weight_max_value, weight_bias),
        Range("activation", activation_scale, activation_max_value, activation_bias),
    )
    ranges[0].check(weight_formats)
    ranges[1].check(activation_formats)
    laws = parse_density(weight_dist), parse_density(activation_dist)
    total = len(weight_formats) + len(activation_formats)
    with Bar("dot") as bar:
        sides: list[list[Factor]] = [[], []]
        for place, formats in enumerate((weight_formats, activation_formats)):
            for form in formats:
                sides[place].append(_factor(form, laws[place], ranges[place]))
                bar(sum(map(len, sides)), total)
    products = [
        Product(w, x, scalar_product_error(w.report, x.report, length))
        for w in sides[0]
        for x in sides[1]
    ]
    document = dot_document(products)
    if plot is not None:
        from qerror.plotting.papers import dot_files

        for path, content in dot_files(document, plot).items():
            save(path, content)
    output.emit(document)


def _factor(form: "ScalarFormat", law: "Density", place: Range) -> "Factor":
    from qerror.analysis import quantization_error
    from qerror.optimize import optimal_scale
    from qerror.reporting import Factor

    scale = place.scale_of(form)
    if scale is not None:
        return Factor(form, law, scale, quantization_error(form, law, scale))
    best = optimal_scale(form, law)
    return Factor(form, law, best.scale, best.report, best.at_edge)


def _check_length(length: int) -> None:
    if length < 1:
        raise click.UsageError(f"--length must be at least 1, got {length}")


def _check_plot(plot: Path | None, output: Path | None) -> None:
    """Refuse files that cannot be written, before anything is computed."""
    if plot is None:
        return
    from qerror.plotting import check_figure
    from qerror.storage import check_writable

    check_writable(plot)
    check_figure(plot)
    beside = plot.with_suffix(".csv")
    check_writable(beside)
    for path in (plot, beside):
        if output is not None and path.resolve() == output.resolve():
            raise click.UsageError(f"{str(path)!r} is written by --plot; give -o another file")
