"""``qerror network export`` and ``run``: networks of integers alone."""

import io
from pathlib import Path
from typing import Any

import click

from qerror_cli.command import Command, was_given
from qerror_cli.commands.network.options import check_integer_file, command, one_model
from qerror_cli.output import Output, file_option, output_options, save, say

_WHOLE = 32


@command.command("export", cls=Command)
@one_model
@file_option("--integer", help="Write the network to FILE (.npz or .safetensors).")
@click.option(
    "--backend",
    metavar="NAME",
    help="Scales and zero points as a backend has them, with multipliers and shifts: int8, or a "
    "name of qerror network backends. Without it scales are powers of two.",
)
@click.option("--calibration", metavar="NAME", help="Of a backend's scales: minmax, as in ptq.")
@click.option(
    "--rounding",
    type=click.Choice(["once", "twice", "even"]),
    help="Of a backend's products: once with ties up (even: to the even code, as --algorithm has "
    "it by default), or twice, in the end away from 0, as gemmlowp.",
)
@click.option(
    "--algorithm",
    metavar="NAME",
    help="Train with the backend's quantizers first (lsq, pact, ..., as in bench), and keep the "
    "scales that are learnt.",
)
@click.option("--epochs", type=int, default=5, show_default=True, help="Of that training.")
@click.option("--weight-bits", type=int, default=8, show_default=True, help="Of codes of weights.")
@click.option("--activation-bits", type=int, default=8, show_default=True, help="Of other codes.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the training.")
@output_options
def export(
    *,
    model: str,
    integer: Path | None,
    output: Output,
    **given: Any,
) -> None:
    r"""Export a network that computes with integers alone: sums, shifts and clamps.

    Every tensor gets the fractional length with the least error, or by --backend a scale and a zero
    point, which --algorithm learns; the accumulator that each layer needs is shown, in the worst
    case and on the test's inputs.

    \b
    qerror network export --model digits-resnet --integer net.npz
    qerror network export --model digits-resnet --backend int8 --integer net.npz
    qerror network export --model digits-resnet --backend TensorRT --algorithm lsq
    qerror network run net.npz images.npy
    """
    from qerror.integer import save_network
    from qerror.pytorch.studies import integer_document, integer_study

    output.refuse_collisions({"--integer": integer})
    check_integer_file(integer)
    if given["algorithm"] is None and was_given(click.get_current_context(), "epochs"):
        raise click.UsageError("--epochs are those of --algorithm: give one, or leave it out")
    study = integer_study(model, **given)
    if integer is not None:
        save_network(study.network, integer)
        say(f"wrote {integer}")
    output.emit(integer_document(study))


@command.command("run", cls=Command)
@click.argument("network", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path))
@file_option("--logits", help="Write the logits, integers, to FILE (.npy).")
@click.option(
    "--accumulator",
    type=int,
    default=_WHOLE,
    show_default=True,
    help="Bits of the sums of products.",
)
@click.option(
    "--overflow",
    type=click.Choice(["wrap", "saturate"]),
    default="wrap",
    show_default=True,
    help="What a narrower accumulator does.",
)
@output_options
def run(  # noqa: PLR0917 - click passes them by name
    network: Path,
    images: Path,
    logits: Path | None,
    accumulator: int,
    overflow: str,
    output: Output,
) -> None:
    r"""Run a network of integers on the images of a .npy file; no PyTorch is needed.

    \b
    qerror network run net.npz images.npy
    qerror network run net.safetensors images.npy
    qerror network run net.npz images.npy --logits logits.npy
    qerror network run net.npz images.npy --accumulator 16 --overflow saturate
    """
    import numpy as np

    from qerror.integer import load_network
    from qerror.reporting import classes_document
    from qerror.storage import check_writable, open_arrays

    output.refuse_collisions({"--logits": logits}, {"NETWORK": network, "IMAGES": images})
    if logits is not None:
        check_writable(logits)
    net = load_network(network)
    arrays = open_arrays(images)
    if len(arrays) != 1:
        raise click.UsageError(f"{str(images)!r} must hold one array of images, not {len(arrays)}")
    codes = net.encode(arrays[0].values())
    found = net.run(codes, accumulator=accumulator, overflow=overflow)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - click has checked it
    if found.ndim != 2:
        raise click.UsageError(
            f"{str(network)!r} ends in images, not logits: its result has {found.ndim} axes"
        )
    if logits is not None:
        buffer = io.BytesIO()
        np.save(buffer, found)
        save(logits, buffer.getvalue())
    output.emit(classes_document(found))
