"""``qerror analyze``: which format for which tensor of a checkpoint."""

import math
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qerror_cli.command import Command
from qerror_cli.data import FAMILIES
from qerror_cli.output import Output, file_option, output_options, save, say
from qerror_cli.parameters import FormatList
from qerror_cli.progress import Bar, ByteBar

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from qerror.checkpoints import BudgetPlan, CheckpointReport
    from qerror.formats import Format
    from qerror.storage import Fault

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
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Only tensors whose names fit, such as '*.weight' or 'encoder.layer.0'; repeats.",
)
@click.option(
    "--by",
    metavar="ROWS",
    help="A row a channel (channel: along the first axis), or a row a group of neighbours "
    "(group:128: along the last), not a tensor.",
)
@click.option(
    "--budget",
    type=float,
    metavar="BITS",
    help="Assign formats to tensors: the least summed error at so many bits a value.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="PATTERN=FORMAT",
    help="With --budget: the format of tensors whose names fit, such as 'lm_head=bf16'; repeats.",
)
@click.option(
    "--sensitivities",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --budget: weights of the errors instead of the sizes, a JSON table of patterns.",
)
@file_option("--plan", help="With --budget: write the assignment to FILE, as JSON.")
@file_option(
    "--recipe", help="With --budget: write it to FILE as a recipe for qerror network, as JSON."
)
@file_option("--report", "page", help="Write a page with tables and figures to FILE (.html).")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Measure FILE, a quantized version of CHECKPOINT, instead: is each tensor as good as its "
    "format allows? Scales may be tensors of their own, such as weight_scale_inv.",
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
    help="Note finished tensors in FILE, and parts of large ones: a run that was stopped goes on.",
)
@output_options
def command(  # noqa: PLR0917 - click passes them by name
    checkpoint: Path,
    formats: "list[Format]",
    fit: str,
    exact: bool,
    only: tuple[str, ...],
    by: str | None,
    budget: float | None,
    keep: tuple[str, ...],
    sensitivities: Path | None,
    plan: Path | None,
    recipe: Path | None,
    page: Path | None,
    against: Path | None,
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
    qerror analyze model.safetensors --formats mxfp4,nvfp4,mxfp8_e4m3 --budget 5 --keep lm_head=bf16
    qerror analyze model.safetensors --only lm_head --by channel -o channels.csv
    qerror analyze model.safetensors --against quantized.gguf
    qerror analyze model.safetensors.index.json --jobs 8 --journal run.jsonl -o rows.parquet
    """
    from qerror.checkpoints import (
        analyze_checkpoint,
        compare_checkpoints,
        plan_budget,
        read_sensitivities,
    )
    from qerror.reporting import analysis_page, comparison_document

    if executor is not None and jobs > 1:
        raise click.UsageError("--jobs and --executor each say where to work; give one of them")
    if budget is not None and by is not None:
        raise click.UsageError("--by does not go with --budget: whole tensors get formats")
    pinned = _pinned(keep)
    _check_page(page)
    _check_budget(budget, keep, sensitivities, plan, recipe)
    output.refuse_collisions(
        {"--journal": journal, "--plan": plan, "--recipe": recipe, "--report": page},
        {"CHECKPOINT": checkpoint, "--sensitivities": sensitivities, "--against": against},
    )
    weights = None if sensitivities is None else read_sensitivities(sensitivities)
    families = [] if fit == "none" else [name.strip() for name in fit.split(",") if name.strip()]
    if against is not None:
        _refuse_beside_against(
            budget=budget, journal=journal, report=page, details=details, exact=exact, by=by
        )
        with _executor(jobs, executor) as pool, Bar("compare") as counter:
            compared = compare_checkpoints(
                checkpoint,
                against,
                formats,
                executor=pool,
                progress=counter,
                families=families,
                strict=strict,
                only=only,
            )
        output.emit(comparison_document(compared))
        _end(compared.faults)
        return
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
            only=only,
            by=by,
        )
    found = None
    if budget is not None:
        found = plan_budget(report, budget, keep=pinned, sensitivities=weights)
        _write(plan, found.to_dict())
        _write(recipe, found.to_recipe())
    if page is not None:
        save(page, analysis_page(report))
    _emit(report, found, output, details=details, exact=exact, only=list(only), by=by)


def _refuse_beside_against(**given: object) -> None:
    named = [name for name, value in given.items() if value]
    if named:
        raise click.UsageError(f"--{named[0]} does not go with --against")


def _pinned(keep: tuple[str, ...]) -> "dict[str, Format]":
    """Read PATTERN=FORMAT; of two formats for one pattern the first counts."""
    from qerror.formats import parse_format

    found: dict[str, Format] = {}
    for each in keep:
        pattern, equals, name = each.rpartition("=")
        if not (pattern and equals and name):
            raise click.UsageError(
                f"--keep is PATTERN=FORMAT, such as 'lm_head=bf16'; got {each!r}"
            )
        found.setdefault(pattern, parse_format(name))
    return found


def _check_page(path: Path | None) -> None:
    from qerror.storage import check_writable

    if path is None:
        return
    if path.suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError(f"--report writes a page: {str(path)!r} must end in .html")
    check_writable(path)


def _check_budget(budget: float | None, *others: object) -> None:
    """Refuse what goes with a budget alone, and a file that cannot be written."""
    from qerror.storage import check_writable

    keep, sensitivities, plan, recipe = others
    given = {
        "--keep": keep,
        "--sensitivities": sensitivities,
        "--plan": plan,
        "--recipe": recipe,
    }
    named = [name for name, value in given.items() if value]
    if budget is None and named:
        raise click.UsageError(f"{named[0]} goes with --budget")
    if budget is not None and not 0 < budget < math.inf:
        raise click.UsageError(f"--budget must be positive, got {budget:g}")
    for path in (plan, recipe):
        if isinstance(path, Path):
            check_writable(path)


def _write(path: Path | None, content: object) -> None:
    from qerror.reporting import plain_json

    if path is not None:
        save(path, plain_json(content))


def _emit(
    report: "CheckpointReport", plan: "BudgetPlan | None", output: Output, **asked: Any
) -> None:
    """Show what was found; end with 1 where something is damaged."""
    from qerror.reporting import analysis_document

    output.emit(analysis_document(report, plan, **asked))
    _end(report.faults)


def _end(faults: "Sequence[Fault]") -> None:
    for each in faults:
        say(f"damaged: {each}")
    if faults:
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
