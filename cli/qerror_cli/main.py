"""The command ``qerror``: a group that imports a command only when it runs."""

import difflib
import errno
import importlib
from typing import Any

import click

COMMANDS = {
    "sweep": "Compare number formats, each at its best range, on densities.",
    "error": "Break down the error of one format on one density.",
    "expect": "Say where measurements on so many values should lie.",
    "formula": "Print the closed forms of a density's error, derived by sympy.",
    "optimize": "Find the best range of a format, or the best format.",
    "codebook": "Find the best levels for a density, or for blocks of its values.",
    "fixed-point": "Find the best fractional length of fixed point.",
    "quantize": "Quantize the arrays of a file and measure the errors.",
    "verify": "Check exact figures against samples.",
    "dot": "Break down the error of a scalar product, over pairs of formats.",
    "analyze": "Find the formats for the tensors of a checkpoint.",
    "network": "Quantize real networks: accuracy and predicted errors.",
    "figure": "Draw the papers' figures from exact data.",
    "explore": "Write a page to play with: formats, densities, your data.",
    "formats": "List the number formats.",
    "show": "Show a format's conventions and levels.",
    "densities": "List the densities, their parameters and examples.",
    "completion": "Print what bash, zsh or fish need to complete this command.",
}
"""The commands with what they do, so that listing them imports none of them."""

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group whose commands live in ``qerror_cli.commands``, one module each."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of this name, if there is one."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"qerror_cli.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name those that look like it."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            close = difflib.get_close_matches(name.lower(), COMMANDS, cutoff=0.5)
            hint = f"; did you mean {' or '.join(close)}?" if close else "."
            ctx.fail(f"no such command {name!r}{hint} The commands are {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands for ``--help``."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an interrupt exits with 130, a failing disk with 1."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe has seen enough
                raise
            raise click.ClickException(said(error)) from error


def said(error: OSError) -> str:
    """Return what failed, the output where no file is named."""
    return str(error) if error.filename else f"cannot write the output: {error.strerror}"


def _show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    import qerror

    click.echo(f"qerror {qerror.__version__}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: qerror sweep --dist student-t --nu 3",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Exact expected quantization error of number formats under densities.

    No sampling: rounding and clipping errors are integrals, evaluated to about 14 digits.
    """
