"""``qerror completion``: what a shell needs to complete the command."""

import click
from click.shell_completion import get_completion_class

from qerror_cli.command import Command
from qerror_cli.main import main

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    r"""Print the script with which SHELL completes commands, options, formats, densities and files.

    \b
    bash: eval "$(qerror completion bash)"      in ~/.bashrc
    zsh:  eval "$(qerror completion zsh)"       in ~/.zshrc, after compinit
    fish: qerror completion fish > ~/.config/fish/completions/qerror.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    click.echo(kind(main, {}, "qerror", "_QERROR_COMPLETE").source())
