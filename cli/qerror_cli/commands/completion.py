"""``qerror completion``: what a shell needs to complete the command."""

import click
from click.shell_completion import get_completion_class

from qerror_cli.command import Command
from qerror_cli.main import main

SHELLS = ("bash", "zsh", "fish")

_UNENDED = r"""
    # Readline ends an only candidate with a blank, and closes the quote before it. A value that
    # follows "=", and more within a quote, must come first: a second candidate keeps it open.
    local typed=${COMP_WORDS[COMP_CWORD]}
    if [[ ${#COMPREPLY[@]} == 1 && ( $typed == [\"\']* || ${COMPREPLY[0]} == *= ) ]]; then
        COMPREPLY+=("${COMPREPLY[0]}...")
    fi

    return 0
"""


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
    source = kind(main, {}, "qerror", "_QERROR_COMPLETE").source()
    click.echo(source.replace("\n    return 0\n", _UNENDED) if shell == "bash" else source)
