"""``qerror network list``, ``backends``, ``ptq``, ``predict``, ``recipe``: networks as they are."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.commands.network.options import (
    Names,
    check_plot,
    command,
    emit_plotted,
    formats_option,
    models_option,
    one_model,
    plot_option,
    quick,
    recipe_option,
    refuse_beside_recipe,
)
from qerror_cli.output import Output, output_options
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import Format
    from qerror.pytorch import ModelRecipe

_SAID = ("calibrations", "granularity", "weights_only", "first", "last", "exclude", "update_bn")


def _makes_recipes(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of which recipes are made, but for formats and calibration."""
    options = (
        click.option(
            "--granularity",
            default="tensor",
            show_default=True,
            help="What shares a scale of weights: tensor, channel or group:N.",
        ),
        click.option("--weights-only", is_flag=True, help="Leave the activations as they are."),
        click.option(
            "--first", metavar="FORMAT", help="Another format for the first layer, or none."
        ),
        click.option(
            "--last", metavar="FORMAT", help="Another format for the last layer, or none."
        ),
        click.option(
            "--exclude", type=Names(), help="Patterns of names of modules to leave as they are."
        ),
        click.option("--update-bn", is_flag=True, help="Estimate batch normalisations anew."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command.command("list", cls=Command)
@output_options
def list_networks(output: Output) -> None:
    """List the networks, what they are judged by, and how to install those that are missing."""
    from qerror.pytorch.studies import networks_document

    output.emit(networks_document())


@command.command("backends", cls=Command)
@output_options
def list_backends(output: Output) -> None:
    """List what deployment backends ask of a quantized network."""
    from qerror.pytorch.studies import backends_document

    output.emit(backends_document())


@command.command("ptq", cls=Command)
@models_option("Networks, separated by commas: see qerror network list.")
@formats_option
@click.option(
    "--calibration",
    "calibrations",
    type=Names(),
    default="mse",
    show_default=True,
    help="How ranges come from data: minmax, quantile, mse, optimal, fitted, kld, norm, mean-std.",
)
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of a network.")
@_makes_recipes
@recipe_option("--formats and all options below it, --seeds excepted")
@quick
@output_options
def ptq(
    *,
    models: list[str],
    formats: "list[Format]",
    calibrations: list[str],
    exclude: list[str] | None,
    recipe: "ModelRecipe | None",
    output: Output,
    **given: Any,
) -> None:
    r"""Quantize networks after training and judge them, format by format.

    \b
    qerror network ptq --model digits-resnet,digits-vit --seeds 5
    qerror network ptq --model crepe-tiny --formats int4 --calibration minmax,mse --weights-only
    qerror network ptq --model digits-vit --recipe recipe.toml --seeds 3
    """
    from qerror.pytorch.studies import ptq_document, ptq_study

    if given["seeds"] < 1:
        raise click.UsageError(f"--seeds must be at least 1, got {given['seeds']}")
    refuse_beside_recipe(recipe, "formats", *_SAID)
    with Bar("ptq") as bar:
        rows = ptq_study(
            models,
            [form.name for form in formats],
            recipes=None if recipe is None else [recipe],
            calibrations=calibrations,
            exclude=exclude or (),
            progress=bar,
            **given,
        )
    output.emit(ptq_document(rows))


@command.command("predict", cls=Command)
@one_model
@formats_option
@click.option("--calibration", default="mse", show_default=True, help="How ranges come from data.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the training.")
@click.option("--exclude", type=Names(), help="Patterns of names of modules to leave out.")
@recipe_option("--formats", "--calibration", "--exclude")
@plot_option("predicted against measured SQNR")
@quick
@output_options
def predict(
    *,
    model: str,
    formats: "list[Format]",
    exclude: list[str] | None,
    recipe: "ModelRecipe | None",
    plot: Path | None,
    output: Output,
    **given: Any,
) -> None:
    r"""Predict the error of every layer from densities alone, and measure it.

    Weights and layer inputs get densities, fitted and cut at their limits; the output's error
    follows from both as that of a scalar product. Where a prediction is off, the reason is named.

    \b
    qerror network predict --model digits-resnet --formats int8,5M2E
    qerror network predict --model minilm --json
    """
    from qerror.pytorch.studies import predict_document, predict_study

    if given["seed"] < 0:
        raise click.UsageError(f"--seed must not be negative, got {given['seed']}")
    check_plot(output, plot)
    refuse_beside_recipe(recipe, "formats", "calibration", "exclude")
    with Bar("predict") as bar:
        found = predict_study(
            model,
            [form.name for form in formats],
            recipes=None if recipe is None else [recipe],
            exclude=exclude or (),
            progress=bar,
            **given,
        )
    emit_plotted(output, predict_document(model, found), plot)


@command.command("recipe", cls=Command)
@click.argument("form", metavar="FORMAT")
@click.option("--calibration", default="mse", show_default=True, help="How ranges come from data.")
@_makes_recipes
@click.option("--json", "as_json", is_flag=True, help="Write JSON, not TOML.")
def recipe_of(*, form: str, as_json: bool, exclude: list[str] | None, **given: Any) -> None:
    r"""Write the recipe that options make, to change it and hand it to --recipe.

    FORMAT is a format's name, or best:8 for the best one of so many bits on each tensor.

    \b
    qerror network recipe best:8 --exclude head > recipe.toml
    qerror network ptq --model digits-vit --recipe recipe.toml
    """
    from qerror.pytorch import ModelRecipe

    activations = not given.pop("weights_only")
    found = ModelRecipe.of(form, activations=activations, exclude=tuple(exclude or ()), **given)
    click.echo(found.to_json() if as_json else found.to_toml(), nl=False)
