"""A command whose bad input ends in one message and exit code 2."""

from collections import Counter
from typing import Any

import click


class Command(click.Command):
    """Refuses options that are given twice; turns what the library refuses into a message."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.help:
            # Raw docstrings hold click's mark of a paragraph to leave alone as two characters.
            self.help = self.help.replace("\\b\n", "\b\n")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments; an option that takes one value is given once."""
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
            for parameter, times in Counter(order).items():
                if isinstance(parameter, click.Option) and times > 1 and not _repeats(parameter):
                    names = "/".join(parameter.opts)
                    raise click.UsageError(f"{names} is given {times} times; give it once", ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from qerror.exceptions import MissingLibrary, QErrorException

        try:
            return super().invoke(ctx)
        except MissingLibrary as error:
            raise click.ClickException(str(error)) from error
        except QErrorException as error:
            raise click.UsageError(str(error), ctx) from error


def _repeats(option: click.Option) -> bool:
    return option.multiple or option.is_flag or option.count


def was_given(ctx: click.Context, *names: str) -> list[str]:
    """Return those of the parameters that stand on the command line, as they are spelled there."""
    spelled = {param.name: max(param.opts, key=len) for param in ctx.command.params}
    return [
        spelled[name]
        for name in names
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
