"""``qerror analyze``: which format for which tensor of a checkpoint."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command
from qerror_cli.data import FAMILIES
from qerror_cli.output import Output, output_options, say
from qerror_cli.parameters import FormatList
from qerror_cli.progress import ByteBar

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from qerror.checkpoints import CheckpointReport
    from qerror.formats import Format

_USUAL = "int8,e4m3,int4:g32,mxfp4,nvfp4:of=tensor"
_DAMAGED = 1


@click.command("analyze", cls=Command)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--formats",
    type=FormatList(),
    default=_USUAL,
    show_default=True,
    help="Compare these, separated by commas.",
)
@click.option(
    "--fit",
    metavar="NAMES",
    default=FAMILIES,
    show_default=True,
    help="Families of which the most likely density is fitted to each tensor, or none.",
)
@click.option(
    "--exact",
    is_flag=True,
    help="Keep every value of large 32-bit tensors, at 100 bytes of memory each; otherwise they "
    "are summarised, and the error of that is stated. 16 bits and fewer are always exact.",
)
@click.option("--details", is_flag=True, help="Tables with every figure of every format.")
@click.option("--strict", is_flag=True, help="Refuse a file with any damaged tensor.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that work."
)
@click.option(
    "--executor",
    metavar="ADDRESS",
    help="Work on a cluster: dask:tcp://host:8786 (needs qerror[distributed]).",
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Note every finished tensor in FILE: a run that was stopped goes on from it.",
)
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    checkpoint: Path,
    formats: "list[Format]",
    fit: str,
    exact: bool,
    details: bool,
    strict: bool,
    jobs: int,
    executor: str | None,
    journal: Path | None,
    output: Output,
) -> None:
    r"""Find out what formats do to every tensor of CHECKPOINT.

    CHECKPOINT is a .safetensors file or the index of several, a .gguf, .onnx, .pt, .npy or .npz
    file, or a folder of them. Each tensor is measured in full: with its largest magnitude as
    range, and at the best range of its values; a fitted density predicts the same. Nothing in
    a file is executed, and memory does not grow with the tensors.

    \b
    qerror analyze model.safetensors
    qerror analyze model.safetensors --formats nvfp4,mxfp4,int4:g32 --details
    qerror analyze model.safetensors.index.json --jobs 8 --journal run.jsonl -o rows.parquet
    """
    from qerror.checkpoints import analyze_checkpoint

    if executor is not None and jobs > 1:
        raise click.UsageError("--jobs and --executor each say where to work; give one of them")
    output.refuse_collisions({"--journal": journal}, {"CHECKPOINT": checkpoint})
    families = [] if fit == "none" else [name.strip() for name in fit.split(",") if name.strip()]
    with _executor(jobs, executor) as pool, ByteBar("analyze") as bar:
        report = analyze_checkpoint(
            checkpoint,
            formats,
            executor=pool,
            journal=journal,
            progress=bar,
            families=families,
            exact=exact,
            strict=strict,
        )
    _emit(report, output, details=details, exact=exact)


def _emit(report: "CheckpointReport", output: Output, **asked: bool) -> None:
    """Show what was found; end with 1 where something is damaged."""
    from qerror.reporting import analysis_document

    output.emit(analysis_document(report, **asked))
    for each in report.faults:
        say(f"damaged: {each}")
    if report.faults:
        sys.exit(_DAMAGED)


@contextmanager
def _executor(jobs: int, address: str | None) -> "Generator[Executor | None]":
    """Return where to work: here, in processes, or on a cluster."""
    from qerror.execution import executor_for, processes

    if address is not None:
        with executor_for(address) as pool:
            yield pool
    elif jobs > 1:
        with processes(jobs) as pool:
            yield pool
    else:
        yield None
