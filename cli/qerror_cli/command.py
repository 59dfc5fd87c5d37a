"""A command whose bad input ends in one message and exit code 2."""

from typing import Any

import click


class Command(click.Command):
    """Turns what the library refuses into a message for the terminal."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.help:
            # Raw docstrings hold click's mark of a paragraph to leave alone as two characters.
            self.help = self.help.replace("\\b\n", "\b\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from qerror.exceptions import MissingLibrary, QErrorException

        try:
            return super().invoke(ctx)
        except MissingLibrary as error:
            raise click.ClickException(str(error)) from error
        except QErrorException as error:
            raise click.UsageError(str(error), ctx) from error
