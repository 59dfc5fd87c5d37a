"""``qerror densities``: what densities there are."""

import click

from qerror_cli.command import Command
from qerror_cli.output import Output, output_options


@click.command("densities", cls=Command)
@output_options
def command(output: Output) -> None:
    """List the densities, their parameters and an example of each to copy."""
    from qerror.reporting import densities_document

    output.emit(densities_document())
