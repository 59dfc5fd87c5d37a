"""``qerror network weights``, ``formats`` and ``noise``: layer by layer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.commands.network.options import (
    check_plot,
    command,
    emit_plotted,
    formats_option,
    one_model,
    plot_option,
    quick,
)
from qerror_cli.output import Output, output_options
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import Format


@command.command("weights", cls=Command)
@one_model
@formats_option
@output_options
def weights(model: str, formats: "list[Format]", output: Output) -> None:
    r"""Predict the SQNR of a network's weights from fitted densities, and measure it.

    Twice: fitted to a whole tensor, at its best range; and fitted to one half of its values, at
    that half's best range, and measured on the other half.

    \b
    qerror network weights --model minilm --formats int8,5M2E,4M3E,3M4E
    """
    from qerror.pytorch import NETWORKS
    from qerror.pytorch.studies import weight_document, weight_study

    network = NETWORKS[model]
    with Bar("weights") as bar:
        rows = weight_study(network.tensors(), [form.name for form in formats], progress=bar)
    output.emit(weight_document(network.name, rows))


@command.command("noise", cls=Command)
@one_model
@click.option("--layer", help="Whose weights get noise.  [default: the one in the middle]")
@click.option("--draws", type=int, default=10, show_default=True, help="Of noise, a strength.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of training and noise.")
@output_options
def noise(model: str, output: Output, **given: Any) -> None:
    r"""Add noise to a layer's weights: the error of its output against the accuracy.

    \b
    qerror network noise --model digits-resnet
    """
    from qerror.pytorch.studies import noise_document, noise_study

    for name, least in (("draws", 1), ("seed", 0)):
        if given[name] < least:
            raise click.UsageError(f"--{name} must be at least {least}, got {given[name]}")
    with Bar("noise") as bar:
        rows = noise_study(model, progress=bar, **given)
    output.emit(noise_document(rows))


@command.command("formats", cls=Command)
@one_model
@formats_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of training and samples.")
@plot_option("the SQNR of every tensor, and the gain over the first format against kurtosis")
@quick
@output_options
def formats_of_layers(
    *, model: str, formats: "list[Format]", plot: Path | None, output: Output, **given: Any
) -> None:
    r"""Measure every weight and layer input in every format, and name the best.

    At the range with the least error; floating point also at its own bias, without a scale.

    \b
    qerror network formats --model minilm
    qerror network formats --model efficientnet-lite0 --plot formats.svg
    """
    from qerror.pytorch.studies import format_document, format_study

    if given["seed"] < 0:
        raise click.UsageError(f"--seed must not be negative, got {given['seed']}")
    check_plot(output, plot)
    with Bar("formats") as bar:
        rows = format_study(model, [form.name for form in formats], progress=bar, **given)
    emit_plotted(output, format_document(rows), plot)
