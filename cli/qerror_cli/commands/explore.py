"""``qerror explore``: a page to play with, in one file."""

from pathlib import Path

import click

from qerror_cli.command import Command
from qerror_cli.output import save


@click.command("explore", cls=Command)
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path, readable=False),
    default="explorer.html",
    show_default=True,
    metavar="FILE",
    help="The page to write, .html.",
)
def command(out: Path) -> None:
    r"""Write a page that shows what formats do to data; any browser opens it.

    One file, with the exact analysis in it: formats, densities and your own data beside each
    other, the range under a slider. It loads nothing and sends nothing.

    \b
    qerror explore
    qerror explore -o explorer.html
    """
    from qerror.explorer import explorer_page
    from qerror.storage import check_writable

    if out.suffix.lower() not in {".html", ".htm"}:
        raise click.UsageError(f"the page is HTML; name it .html, got {str(out)!r}")
    check_writable(out)
    save(out, explorer_page().encode())
