"""``qerror show``: one number format."""

from typing import TYPE_CHECKING

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, output_options
from qerror_cli.parameters import FormatType

if TYPE_CHECKING:
    from qerror.formats import Format


@click.command("show", cls=Command)
@click.argument("form", metavar="FORMAT", type=FormatType())
@output_options
def command(form: "Format", output: Output) -> None:
    r"""Show the conventions of FORMAT, and its levels if there are at most 256.

    \b
    qerror show e4m3
    qerror show 4M3E:bias=3.9
    """
    from qerror.reporting import format_document

    output.emit(format_document(form))
