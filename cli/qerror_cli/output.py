"""Where results go: standard output or a file, in which form; and what is said beside them."""

import functools
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from qerror.reporting import Document, Kind, View

ON_STDOUT = ("table", "json", "jsonl", "csv", "markdown")
_TERMINAL = "always", "auto", "never"


@dataclass(frozen=True)
class Output:
    """The place and form of a command's result; made, and so checked, before any work."""

    path: Path | None
    kind: "Kind"
    color: str

    @classmethod
    def checked(
        cls, path: Path | None, wanted: "Kind | None", as_json: bool, color: str
    ) -> "Output":
        """Refuse contradictions, unknown suffixes and places that cannot be written."""
        if as_json and wanted not in {None, "json"}:
            raise click.UsageError(f"--json contradicts --format {wanted}; give one of the two")
        wanted = "json" if as_json else wanted
        if path is None:
            return cls(None, wanted or "table", color)
        from qerror.reporting import kind_of
        from qerror.storage import check_writable

        check_writable(path)
        kind = kind_of(path, wanted)
        return cls(path, kind, color)

    def emit(self, document: "Document") -> None:
        """Write the document to its file, or show it."""
        from qerror.reporting import encode

        if self.path is not None:
            save(self.path, encode(document, self.kind))
        elif self.kind == "table" and self._is_terminal():
            _show(document.views, self.color)
        else:
            click.echo(encode(document, self.kind).decode(), nl=False)

    def _is_terminal(self) -> bool:
        return self.color == "always" or (self.color == "auto" and sys.stdout.isatty())


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add -o, --format, --json and --color; the command receives `output`."""

    @functools.wraps(command)
    def checked(
        output: Path | None, output_format: "Kind | None", as_json: bool, color: str, **given: Any
    ) -> None:
        command(output=Output.checked(output, output_format, as_json, color), **given)

    add: Sequence[Callable[[Callable[..., None]], Callable[..., None]]] = (
        file_option(
            "-o",
            "--output",
            help="Write to FILE instead; its suffix sets the format: .txt .json .jsonl .csv .md "
            ".parquet",
        ),
        click.option(
            "--format", "output_format", type=click.Choice(ON_STDOUT), help="Form of the output."
        ),
        click.option("--json", "as_json", is_flag=True, help="Short for --format json."),
        click.option(
            "--color",
            type=click.Choice(_TERMINAL),
            default="auto",
            show_default=True,
            help="Styled tables; auto: on a terminal. NO_COLOR is honoured.",
        ),
    )
    decorated: Callable[..., None] = checked
    for option in reversed(add):
        decorated = option(decorated)
    return decorated


def file_option(*names: str, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:  # noqa: A002
    """Return an option that takes a file to write."""
    return click.option(*names, type=click.Path(path_type=Path), metavar="FILE", help=help)


def save(path: Path, content: bytes) -> None:
    """Replace a file and say so on standard error."""
    from qerror.storage import write_atomically

    write_atomically(path, content)
    say(f"wrote {path}")


def say(message: str) -> None:
    """Tell the person something that is no data."""
    click.echo(message, err=True)


def _show(views: "Sequence[View]", color: str) -> None:
    """Draw tables on a terminal; NO_COLOR keeps them, without colour."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(force_terminal=True if color == "always" else None, highlight=False)
    if os.environ.get("TERM") == "dumb":
        console.no_color = True
    for number, view in enumerate(views):
        if number:
            console.print()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        if view.title:
            console.print(Text(view.title, "bold"))
            console.print()
        table.show_header = any(view.header)
        for i, title in enumerate(view.header):
            table.add_column(title, justify="left" if i in view.words else "right")
        for i, cells in enumerate(view.body):
            table.add_row(*map(Text, cells), style="bold green" if i in view.marked else None)
        console.print(table)
        if view.notes:
            console.print()
        for note in view.notes:
            console.print(Text(note, "yellow" if note.startswith("note:") else ""))
