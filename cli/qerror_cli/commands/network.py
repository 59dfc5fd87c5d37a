"""``qerror network``: what formats cost real networks, predicted and measured."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, output_options
from qerror_cli.parameters import FormatList
from qerror_cli.progress import Bar

if TYPE_CHECKING:
    from qerror.formats import Format

_EIGHT_BITS = "int8,5M2E,4M3E,3M4E,2M5E"


class Names(click.ParamType):  # type: ignore[type-arg] # pyright: ignore[reportMissingTypeArgument]
    """Names separated by commas."""

    name = "name,name,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        """Split them; one that is repeated counts once."""
        if isinstance(value, list):
            return value  # pyright: ignore[reportUnknownVariableType] - a default
        names = [part.strip() for part in value.split(",") if part.strip()]
        if not names:
            self.fail(f"{value!r} names nothing", param, ctx)
        return list(dict.fromkeys(names))


@click.group("network", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    r"""Real networks: what formats cost them, predicted and measured.

    Needs PyTorch: pip install 'qerror[torch]'. Three networks are trained on scikit-learn's
    digits, in seconds, and kept in the cache; others come with packages: qerror network list.

    \b
    qerror network ptq --model digits-resnet --formats int8,5M2E --seeds 3
    qerror network predict --model digits-resnet --formats int8,4M3E
    """


command.help = (command.help or "").replace("\\b\n", "\b\n")


def _models_option(help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:  # noqa: A002
    return click.option("--model", "models", type=Names(), required=True, help=help)


_one_model = click.option(
    "--model", required=True, metavar="NAME", help="A network: see qerror network list."
)
_formats = click.option(
    "--formats",
    type=FormatList(),
    default=_EIGHT_BITS,
    show_default=True,
    help="For weights and layer inputs.",
)
_qat_formats = click.option(
    "--formats",
    type=FormatList(),
    required=True,
    help="For weights and layer inputs: integers, or xMyE.",
)
_quick = click.option("--quick", is_flag=True, help="Train and judge on less: under a minute.")


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
@_models_option("Networks, separated by commas: see qerror network list.")
@_formats
@click.option(
    "--calibration",
    "calibrations",
    type=Names(),
    default="mse",
    show_default=True,
    help="How ranges come from data: minmax, quantile, mse, optimal, fitted, kld, norm, mean-std.",
)
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of a network.")
@click.option(
    "--granularity",
    default="tensor",
    show_default=True,
    help="What shares a scale of weights: tensor, channel or group:N.",
)
@click.option("--weights-only", is_flag=True, help="Leave the activations as they are.")
@click.option("--first", metavar="FORMAT", help="Another format for the first layer, or none.")
@click.option("--last", metavar="FORMAT", help="Another format for the last layer, or none.")
@click.option("--exclude", type=Names(), help="Patterns of names of modules to leave as they are.")
@click.option("--update-bn", is_flag=True, help="Estimate batch normalisations anew.")
@_quick
@output_options
def ptq(
    models: list[str],
    formats: "list[Format]",
    calibrations: list[str],
    exclude: list[str] | None,
    output: Output,
    **given: Any,
) -> None:
    r"""Quantize networks after training and judge them, format by format.

    \b
    qerror network ptq --model digits-resnet,digits-vit --seeds 5
    qerror network ptq --model crepe-tiny --formats int4 --calibration minmax,mse --weights-only
    """
    from qerror.pytorch.studies import ptq_document, ptq_study

    if given["seeds"] < 1:
        raise click.UsageError(f"--seeds must be at least 1, got {given['seeds']}")
    with Bar("ptq") as bar:
        rows = ptq_study(
            models,
            [form.name for form in formats],
            calibrations=calibrations,
            exclude=exclude or (),
            progress=bar,
            **given,
        )
    output.emit(ptq_document(rows))


@command.command("predict", cls=Command)
@_one_model
@_formats
@click.option("--calibration", default="mse", show_default=True, help="How ranges come from data.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the training.")
@click.option("--exclude", type=Names(), help="Patterns of names of modules to leave out.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw predicted against measured SQNR into FILE (.svg, .png or .pdf).",
)
@_quick
@output_options
def predict(
    model: str,
    formats: "list[Format]",
    exclude: list[str] | None,
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
    from qerror_cli.output import plotted_files, save

    if given["seed"] < 0:
        raise click.UsageError(f"--seed must not be negative, got {given['seed']}")
    output.refuse_collisions(plotted_files(plot))
    with Bar("predict") as bar:
        found = predict_study(
            model, [form.name for form in formats], exclude=exclude or (), progress=bar, **given
        )
    document = predict_document(model, found)
    if plot is not None:
        from qerror.plotting import network_files

        for path, content in network_files(document, plot).items():
            save(path, content)
    output.emit(document)


@command.command("qat", cls=Command)
@_models_option("Networks that are trained here, separated by commas.")
@_qat_formats
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
@click.option("--epochs", type=int, default=10, show_default=True, help="With quantizers in place.")
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep a checkpoint of every case in DIR, and go on from those that are there.",
)
@_quick
@output_options
def qat(models: list[str], formats: "list[Format]", output: Output, **given: Any) -> None:
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
    with processes():
        with Bar("qat") as bar:
            rows = qat_study(models, [form.name for form in formats], progress=bar, **given)
        is_first = rank() == 0
    if is_first:
        output.emit(qat_document(rows))


@command.command("weights", cls=Command)
@_one_model
@_formats
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
@_one_model
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
