"""``qerror quantize``: real arrays in files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command, was_given
from qerror_cli.data import DataErrors, families_option, range_options, scale_of
from qerror_cli.output import Output, form_options, say
from qerror_cli.parameters import ScalarFormatType, rounding_option
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import ScalarFormat
    from qerror.reporting import Kind


@click.command("quantize", cls=Command)
@click.argument("form", metavar="FORMAT", type=ScalarFormatType())
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the quantized arrays go, of the same kind as INPUT: .npy or .npz.",
)
@range_options
@rounding_option
@click.option("--seed", type=int, default=0, show_default=True, help="For stochastic rounding.")
@families_option
@form_options
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    form: "ScalarFormat",
    source: Path,
    output: Path,
    scale: float | None,
    max_value: float | None,
    bias: float | None,
    rounding: str,
    seed: int,
    fit: str | None,
    output_format: "Kind | None",
    as_json: bool,
    color: str,
    force: bool,
) -> None:
    r"""Quantize the arrays of INPUT (.npy or .npz) to FORMAT and report what it cost.

    Beside the measured errors stands the exact prediction for a density fitted to the values.
    Files may be larger than memory: they pass through in pieces. The output appears when all
    is done; if anything fails, what was there stays.

    \b
    qerror quantize 4M3E weights.npy --max-value 4 -o weights-4m3e.npy
    qerror quantize int8 model.npz --scale 0.01 -o model-int8.npz
    """
    import numpy as np

    from qerror.simulation import quantize_file
    from qerror.storage import check_writable

    report = Output.checked(None, output_format, as_json, color, force)
    check_writable(output)
    report.refuse_collisions({"-o": output}, {"INPUT": source})
    if seed < 0:
        raise click.UsageError(f"--seed must not be negative, got {seed}")
    if was_given(ctx, "seed") and not rounding.startswith("stochastic"):
        raise click.UsageError(f"--seed is for --rounding stochastic; {rounding} draws nothing")
    errors = DataErrors(source, form, scale_of(form, scale, max_value, bias))
    with Bar("fit") as bar:
        fitted = errors.fit(fit, bar)  # first: OUTPUT may be INPUT
    with Bar("quantize") as bar:
        measured = quantize_file(
            source,
            output,
            form,
            errors.scale,
            rounding=rounding,
            rng=np.random.default_rng(seed),
            progress=bar,
        )
    say(f"wrote {output}")
    errors.note_scale(scale, max_value, bias)
    report.emit(errors.document("quantize", measured, fitted, rounding=rounding))
