"""``qerror network f8net``: networks that are trained in fixed point."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from qerror_cli.command import Command
from qerror_cli.commands.network.options import (
    Names,
    check_integer_file,
    command,
    models_option,
    quick,
)
from qerror_cli.output import Output, file_option, output_options, say
from qerror_cli.progress import Bar


@command.command("f8net", cls=Command)
@models_option("Convolutional networks that are trained here, separated by commas.")
@click.option(
    "--lengths",
    "rules",
    type=Names(),
    default="exact",
    show_default=True,
    help="How fractional lengths follow: exact (the constants 39.224 and 72.118 over the standard "
    "deviation), paper (40 and 70), search (the least error on every batch).",
)
@click.option(
    "--training",
    "trainings",
    type=Names(),
    default="whole",
    show_default=True,
    help="whole, or tiny: two epochs at a hundredth of the learning rate.",
)
@click.option("--bits", type=int, default=8, show_default=True, help="Of codes.")
@click.option("--seeds", type=int, default=1, show_default=True, help="Trainings of a network.")
@click.option("--epochs", type=int, default=20, show_default=True, help="Of a whole training.")
@file_option("--integer", help="Write the last network, as integers, to FILE (.npz, .safetensors).")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that train."
)
@quick
@output_options
def f8net(
    *, models: list[str], integer: Path | None, jobs: int, output: Output, **given: Any
) -> None:
    r"""Train networks in fixed point: 8-bit products, sums and shifts alone (F8Net).

    Fractional lengths follow from standard deviations, clips learn, normalisations are folded at
    every step; the result is a network of integers, with the same logits.

    \b
    qerror network f8net --model digits-resnet --seeds 3
    qerror network f8net --model digits-resnet --lengths exact,paper,search
    qerror network f8net --model digits-mobilenet --integer net.npz
    """
    from qerror.execution import processes
    from qerror.integer import save_network
    from qerror.pytorch.studies import fixed_document, fixed_study

    for name in ("seeds", "epochs"):
        if given[name] < 1:
            raise click.UsageError(f"--{name} must be at least 1, got {given[name]}")
    output.refuse_collisions({"--integer": integer})
    check_integer_file(integer)
    pool: Any = processes(jobs) if jobs > 1 else nullcontext()
    with pool as where, Bar("f8net") as bar:
        rows, network = fixed_study(models, executor=where, progress=bar, **given)
    if integer is not None:
        save_network(network, integer)
        say(f"wrote {integer}")
    output.emit(fixed_document(rows))
