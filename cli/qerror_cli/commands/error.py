"""``qerror error``: one format on one density."""

from typing import TYPE_CHECKING

import click

from qerror_cli._command import Command
from qerror_cli.density_options import Densities, density_options
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatType

if TYPE_CHECKING:
    from qerror.formats import Format


@click.command("error", cls=Command)
@click.argument("number_format", metavar="FORMAT", type=FormatType())
@density_options
@click.option("--scale", type=float, help="Multiply every level of the format by this.")
@click.option("--max-value", type=float, help="Scale the format so that this is its largest level.")
@click.option("--bias", type=float, help="Exponent bias of a floating-point format, any real.")
@click.option(
    "--method",
    type=click.Choice(["quadrature", "closed-form"]),
    default="quadrature",
    show_default=True,
    help="closed-form: the papers' formulas, for comparison; they lose digits to cancellation.",
)
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    number_format: "Format",
    densities: Densities,
    scale: float | None,
    max_value: float | None,
    bias: float | None,
    method: str,
    output: Output,
) -> None:
    r"""Break down the error of FORMAT on a density into rounding and clipping.

    The format stands at a scale, a largest value or a bias of your choice.

    \b
    qerror error 4M3E --dist gaussian --max-value 4
    qerror error e4m3 --dist 'truncated(student-t(nu=2), low=-20, high=20)' --scale 0.1
    """
    from qerror.analysis import quantization_error
    from qerror.reporting import error_document

    density = densities.parse_one()
    chosen = _scale(number_format, scale, max_value, bias)
    report = quantization_error(number_format, density, chosen, method=method)
    if scale is max_value is bias is None:
        say("note: no --scale, --max-value or --bias given: scale 1")
    output.emit(error_document(number_format, density, chosen, report, method))


def _scale(
    number_format: "Format", scale: float | None, max_value: float | None, bias: float | None
) -> float:
    """Return the scale that the options ask for; without any it is 1."""
    given = {"--scale": scale, "--max-value": max_value, "--bias": bias}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise click.UsageError(
            f"{' and '.join(named)} each set the range; give one of --scale, --max-value, --bias"
        )
    if max_value is not None:
        return number_format.scale_for(max_value)
    if bias is not None:
        return _scale_of_bias(number_format, bias)
    return 1.0 if scale is None else scale


def _scale_of_bias(number_format: "Format", bias: float) -> float:
    from qerror.formats import FloatingPoint

    if not isinstance(number_format, FloatingPoint):
        raise click.UsageError(
            f"{number_format.name} has no exponent bias, got --bias {bias:g}; "
            "use --scale or --max-value"
        )
    return number_format.scale_for(number_format.with_bias(bias).max_value)
