"""``qerror network bench``: algorithms on backends, foldings and graphs."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from qerror_cli.command import Command
from qerror_cli.commands.network.options import Names, command, emit_plotted, plot_option
from qerror_cli.output import Output, output_options, plotted_files
from qerror_cli.progress import Bar

_ALL = "all"


@command.command("bench", cls=Command)
@click.option(
    "--model",
    "models",
    type=Names(),
    default="digits-resnet,digits-mobilenet",
    show_default=True,
    help="Convolutional networks that are trained here.",
)
@click.option(
    "--algorithms",
    type=Names(),
    default="lsq,lsq+,pact,dorefa,dsq,qil,apot",
    show_default=True,
    help="How ranges learn.",
)
@click.option(
    "--backends",
    type=Names(),
    default=_ALL,
    show_default=True,
    help="Names of qerror network backends, or all.",
)
@click.option("--bits", type=int, default=4, show_default=True, help="Of weights and activations.")
@click.option("--seeds", type=int, help="Trainings of each; 5, or 2 with --quick.")
@click.option("--epochs", type=int, default=20, show_default=True, help="With quantizers in place.")
@click.option(
    "--parts",
    type=Names(),
    default="backends,foldings,graphs",
    show_default=True,
    help="The tables; the last two change one rule of the academic setting.",
)
@click.option(
    "--compared",
    type=Names(),
    help="Algorithms of foldings and graphs: all that hardware computes, or lsq and pact with "
    "--quick.",
)
@click.option(
    "--quick", is_flag=True, help="Two seeds, three epochs: under 15 minutes on two cores."
)
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Note every finished training in FILE, and go on from those that are there.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that train."
)
@click.option("--executor", metavar="dask:ADDRESS", help="Train on a dask cluster instead.")
@plot_option("accuracies of all algorithms on all backends")
@output_options
def bench(
    *,
    models: list[str],
    algorithms: list[str],
    backends: list[str],
    seeds: int | None,
    quick: bool,
    jobs: int,
    executor: str | None,
    journal: Path | None,
    plot: Path | None,
    output: Output,
    **given: Any,
) -> None:
    r"""Train networks with every algorithm on every backend, folding and graph.

    Tables as MQBench has them: accuracy with intervals, mean and spread of each algorithm over
    backends and of each backend over algorithms, foldings, graphs, and what new statistics of
    normalisations give before training.

    \b
    qerror network bench --quick --journal run.jsonl --jobs 2
    qerror network bench --algorithms lsq,pact --backends Academic,TVM --seeds 5
    qerror network bench --parts foldings --compared lsq,pact --bits 3
    """
    from qerror.execution import executor_for, processes
    from qerror.pytorch.studies import bench_document, bench_study
    from qerror.storage import check_writable

    seeds = seeds if seeds is not None else 2 if quick else 5
    for name, value in (("seeds", seeds), ("epochs", given["epochs"])):
        if value < 1:
            raise click.UsageError(f"--{name} must be at least 1, got {value}")
    if _ALL in backends and backends != [_ALL]:
        raise click.UsageError("--backends all has every backend: leave out the other names")
    if executor is not None and jobs > 1:
        raise click.UsageError("--jobs and --executor each say where to work; give one of them")
    output.refuse_collisions({"--journal": journal, **plotted_files(plot)})
    if journal is not None:
        check_writable(journal)
    pool: Any = nullcontext()
    if executor is not None or jobs > 1:
        pool = executor_for(executor) if executor is not None else processes(jobs)
    with pool as where, Bar("bench") as bar:
        found = bench_study(
            models,
            algorithms,
            () if backends == [_ALL] else backends,
            seeds=seeds,
            quick=quick,
            journal=journal,
            executor=where,
            progress=bar,
            **given,
        )
    emit_plotted(output, bench_document(found), plot)
