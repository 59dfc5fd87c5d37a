"""``qerror formats``: what number formats there are."""

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, output_options


@click.command("formats", cls=Command)
@output_options
def command(output: Output) -> None:
    """List the number formats that go by a name."""
    from qerror.reporting import formats_document

    output.emit(formats_document())
