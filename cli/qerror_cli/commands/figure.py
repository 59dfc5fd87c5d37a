"""``qerror figure``: the papers' analytic figures, exact."""

from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from qerror_cli.command import Command, was_given
from qerror_cli.output import Output, save


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the figures that begin so."""
    del ctx, param
    from qerror.plotting.papers import figures_document
    from qerror.registry import fold

    names = ["all", *(str(row["figure"]) for row in figures_document().rows)]
    return [CompletionItem(name) for name in names if fold(name).startswith(fold(incomplete))]


@click.command("figure", cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=_complete)
@click.option("--list", "wants_list", is_flag=True, help="List the figures.")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, readable=False),
    default=".",
    metavar="DIR",
    help="The folder to write to, which must exist.  [default: the current one]",
)
@click.option("--out", "old_out", type=click.Path(path_type=Path, readable=False), hidden=True)
@click.option(
    "--format",
    "kinds",
    type=click.Choice(["svg", "png", "pdf"]),
    multiple=True,
    help="The kind of file; repeat it for several.  [default: svg and png]",
)
@click.pass_context
def command(  # noqa: PLR0917 - click passes them by name
    ctx: click.Context,
    names: Sequence[str],
    wants_list: bool,
    out: Path,
    old_out: Path | None,
    kinds: Sequence[str],
) -> None:
    r"""Draw figures of the papers from exact data, with the data as CSV beside each.

    The same figure gives the same bytes every time. The name all stands for every figure.

    \b
    qerror figure --list
    qerror figure fp8-fig3 -o figures/
    qerror figure int8-fig5 --format pdf
    qerror figure all -o figures/
    """
    from qerror.plotting.papers import figures_document, file_names, paper_files
    from qerror.storage import check_writable

    if wants_list:
        others = was_given(ctx, "out", "old_out", "kinds")
        if names or others:
            what = ", ".join(others) or "figure"
            raise click.UsageError(f"--list takes no {what}; leave it out to draw one")
        Output(None, "table", "auto").emit(figures_document())
        return
    if not names:
        raise click.UsageError("no figure named; see: qerror figure --list")
    if old_out is not None:
        if was_given(ctx, "out"):
            raise click.UsageError("-o and --out each name the folder; give -o alone")
        out = old_out
    if "all" in names:
        names = [str(row["figure"]) for row in figures_document().rows]
    wanted = tuple(kinds) or ("svg", "png")
    # All names and files are checked before the first figure is computed.
    for name in names:
        for file in file_names(name, wanted):
            check_writable(out / file)
    for name in dict.fromkeys(names):
        for file, content in paper_files(name, wanted).items():
            save(out / file, content)
