"""``qerror figure``: the papers' analytic figures, exact."""

from collections.abc import Sequence
from pathlib import Path

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, save


@click.command("figure", cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--list", "wants_list", is_flag=True, help="List the figures.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, readable=False),
    default=".",
    metavar="DIR",
    help="The folder to write to, which must exist.  [default: the current one]",
)
@click.option(
    "--format",
    "kinds",
    type=click.Choice(["svg", "png", "pdf"]),
    multiple=True,
    help="The kind of file; repeat it for several.  [default: svg and png]",
)
def command(names: Sequence[str], wants_list: bool, out: Path, kinds: Sequence[str]) -> None:
    r"""Draw figures of the papers from exact data, with the data as CSV beside each.

    The same figure gives the same bytes every time.

    \b
    qerror figure --list
    qerror figure fp8-fig3 --out figures/
    qerror figure int8-fig5 --format pdf
    """
    from qerror.plotting.papers import figures_document, file_names, paper_files
    from qerror.storage import check_writable

    if wants_list:
        if names:
            raise click.UsageError("--list takes no figure; leave it out to draw one")
        Output(None, "table", "auto").emit(figures_document())
        return
    if not names:
        raise click.UsageError("no figure named; see: qerror figure --list")
    wanted = tuple(kinds) or ("svg", "png")
    # All names and files are checked before the first figure is computed.
    for name in names:
        for file in file_names(name, wanted):
            check_writable(out / file)
    for name in dict.fromkeys(names):
        for file, content in paper_files(name, wanted).items():
            save(out / file, content)
