"""``qerror network qat`` and ``tails``: networks that are trained with quantizers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.commands.network.options import (
    Names,
    check_plot,
    command,
    emit_plotted,
    models_option,
    one_model,
    plot_option,
    qat_formats,
    quick,
    recipe_option,
    refuse_beside_recipe,
)
from qerror_cli.output import Output, output_options
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import Format
    from qerror.pytorch import ModelRecipe


@command.command("qat", cls=Command)
@models_option("Networks that are trained here, separated by commas.")
@qat_formats
@click.option(
    "--start",
    "starts",
    type=Names(),
    default="flexible-bias",
    show_default=True,
    help="Where training starts: fixed-format (the format's own bias), flexible-bias (the best "
    "range), flexible-format (the best mantissa bits too), minmax, or norm (integers).",
)
@click.option(
    "--learn",
    "modes",
    type=Names(),
    default="range",
    show_default=True,
    help="What learns beside the weights: fixed (nothing), range, or format (range and mantissa "
    "bits).",
)
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of a network.")
@click.option("--epochs", type=int, default=20, show_default=True, help="With quantizers in place.")
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep a checkpoint of every case in DIR, and go on from those that are there.",
)
@recipe_option("--formats", "--start", "--learn")
@quick
@output_options
def qat(
    models: list[str],
    formats: "list[Format] | None",
    recipe: "ModelRecipe | None",
    output: Output,
    **given: Any,
) -> None:
    r"""Train networks with quantizers in place, from quantization after training.

    The table has the accuracy before and after, the share of the loss that came back, and the
    accuracy once the trained network is converted to INT8.

    \b
    qerror network qat --model digits-resnet --formats int3 --start norm --seeds 3
    qerror network qat --model digits-vit --formats 3M4E --learn fixed,range,format
    torchrun --nproc-per-node 2 -m qerror_cli network qat --model digits-resnet --formats int3
    """
    from qerror.pytorch.studies import qat_document, qat_study
    from qerror.pytorch.training import processes, rank

    for name in ("seeds", "epochs"):
        if given[name] < 1:
            raise click.UsageError(f"--{name} must be at least 1, got {given[name]}")
    refuse_beside_recipe(recipe, "formats", "starts", "modes")
    if recipe is None and formats is None:
        raise click.UsageError("give --formats, or --recipe")
    names = [form.name for form in formats or ()]
    with processes():
        with Bar("qat") as bar:
            rows = qat_study(models, names, recipe=recipe, progress=bar, **given)
        is_first = rank() == 0
    if is_first:
        output.emit(qat_document(rows))


@command.command("tails", cls=Command)
@click.argument("form", metavar="FORMAT")
@one_model
@click.option("--start", default="flexible-bias", show_default=True, help="As in qat.")
@click.option("--learn", "mode", default="range", show_default=True, help="As in qat.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the trainings.")
@click.option("--epochs", type=int, default=20, show_default=True, help="Of the trainings.")
@plot_option("kurtosis, largest levels and mantissa bits of every layer")
@quick
@output_options
def tails(*, model: str, form: str, plot: Path | None, output: Output, **given: Any) -> None:
    r"""Train with quantizers, and once without, and look at every tensor before and after.

    Kurtosis and the largest magnitude of weights and inputs, the degrees of freedom of the
    likeliest Student-t, the largest levels and the mantissa bits that were learnt.

    \b
    qerror network tails int3 --model digits-vit
    qerror network tails 4M3E --model digits-resnet --start flexible-format --learn format
    """
    from qerror.pytorch.studies import tail_document, tail_study

    for name, least in (("epochs", 1), ("seed", 0)):
        if given[name] < least:
            raise click.UsageError(f"--{name} must be at least {least}, got {given[name]}")
    check_plot(output, plot)
    with Bar("tails") as bar:
        rows = tail_study(model, form, progress=bar, **given)
    emit_plotted(output, tail_document(rows), plot)
