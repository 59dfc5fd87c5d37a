"""``qerror quantize``: real arrays in files."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command, was_given
from qerror_cli.data import DataErrors, data_options
from qerror_cli.output import Output, form_options, say
from qerror_cli.parameters import FormatType, rounding_option
from qerror_cli.progress import Bar
from qerror_cli.ranges import DataRange, MaxValue, range_options

if TYPE_CHECKING:
    from qerror.formats import Format
    from qerror.reporting import Kind


@click.command("quantize", cls=Command)
@click.argument("form", metavar="FORMAT", type=FormatType())
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
@data_options
@form_options
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    form: "Format",
    source: Path,
    output: Path,
    scale: float | None,
    max_value: MaxValue | None,
    bias: float | None,
    rounding: str,
    seed: int,
    axis: int | None,
    dtype: str | None,
    fit: str | None,
    output_format: "Kind | None",
    as_json: bool,
    color: str,
    force: bool,
) -> None:
    r"""Quantize the arrays of INPUT (.npy or .npz) to FORMAT and report what it cost.

    Beside the measured errors stands the exact prediction for a density fitted to the values.
    Without --scale, --max-value or --bias the scale is 1, and what that costs is said; block
    formats take their scales from the data. Files may be larger than memory: they pass through in
    pieces, except for block formats and --max-value best, which read an array at a time. The output
    appears when all is done; if anything fails, what was there stays.

    \b
    qerror quantize 4M3E weights.npy --max-value 4 -o weights-4m3e.npy
    qerror quantize int8 model.npz --scale 0.01 -o model-int8.npz
    qerror quantize int8 weights.npy --max-value best --axis 0 -o weights-int8.npy
    qerror quantize nvfp4 weights.npy -o weights-nvfp4.npy
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
    where = DataRange(scale, max_value, bias, axis)
    errors = DataErrors(source, form, where, dtype, rounding)
    errors.say_what_is_left_out("copied as they are")
    with Bar("range") as bar:
        scales = errors.scales(bar)
    errors.say_cost()
    with Bar("fit") as bar:
        fitted = errors.fit(fit, bar)  # first: OUTPUT may be INPUT
    with Bar("quantize") as bar:
        measured = quantize_file(
            source,
            output,
            form,
            scales,
            axis=errors.block_axis,
            rounding=rounding,
            rng=np.random.default_rng(seed),
            dtype=dtype,
            progress=bar,
        )
    say(f"wrote {output}")
    report.emit(errors.document("quantize", scales, measured, fitted, rounding=rounding))
