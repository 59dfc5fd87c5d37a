"""Where results go: standard output or a file, in which form; and what is said beside them."""

import functools
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from qerror.reporting import Document, Kind, View

ON_STDOUT = ("table", "json", "jsonl", "csv", "markdown")
_TERMINAL = "always", "auto", "never"
_NARROWEST = 20  # columns; a narrower terminal wraps by itself
_STYLES = {"title": "bold", "header": "bold", "marked": "bold green", "note": "yellow"}


@dataclass(frozen=True)
class Output:
    """The place and form of a command's result; made, and so checked, before any work."""

    path: Path | None
    kind: "Kind"
    color: str
    force: bool = False
    """Whether files may share a name, or take the place of an input."""

    @classmethod
    def checked(
        cls,
        path: Path | None,
        wanted: "Kind | None",
        as_json: bool,
        color: str,
        force: bool = False,
    ) -> "Output":
        """Refuse contradictions, unknown suffixes and places that cannot be written."""
        if as_json and wanted not in {None, "json"}:
            raise click.UsageError(f"--json contradicts --format {wanted}; give one of the two")
        wanted = "json" if as_json else wanted
        if path is None:
            return cls(None, wanted or "table", color, force)
        from qerror.reporting import kind_of
        from qerror.storage import check_writable, is_stream

        check_writable(path)
        if is_stream(path) and not path.suffix:
            wanted = wanted or "table"
        return cls(path, kind_of(path, wanted), color, force)

    def refuse_collisions(
        self, outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None] | None = None
    ) -> None:
        """Refuse a file that two options write, or that is read and written; --force allows it.

        Parameters
        ----------
        outputs, inputs : mapping
            What else the command writes and reads, by the option that names it.
        """
        if self.force:
            return
        taken = {_real(path): name for name, path in (inputs or {}).items() if path is not None}
        reads = set(taken)
        own = {} if self.path is None else {"-o": self.path}
        for name, path in {**outputs, **own}.items():
            if path is None:
                continue
            other = taken.setdefault(_real(path), name)
            if other != name:
                does = "is read as" if _real(path) in reads else "is written by"
                raise click.UsageError(
                    f"{str(path)!r} is named twice: by {name}, and it {does} {other}; give each "
                    "output its own file, or --force to let the last one win"
                )

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


def _real(path: Path) -> str:
    return os.path.realpath(path)


def form_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --format, --json, --color and --force, from which `Output.checked` is made."""
    add: Sequence[Callable[[Callable[..., Any]], Callable[..., Any]]] = (
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
        click.option(
            "--force", is_flag=True, help="Let files share a name, or an output replace an input."
        ),
    )
    for option in reversed(add):
        command = option(command)
    return command


def output_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add -o and the options of its form; the command receives `output`."""

    @functools.wraps(command)
    def checked(
        output: Path | None,
        output_format: "Kind | None",
        as_json: bool,
        color: str,
        force: bool,
        **given: Any,
    ) -> None:
        made = Output.checked(output, output_format, as_json, color, force)
        command(output=made, **given)

    return file_option(
        "-o",
        "--output",
        help="Write to FILE instead; its suffix sets the format: .txt .json .jsonl .csv .md "
        ".parquet",
    )(form_options(checked))


def file_option(*names: str, help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:  # noqa: A002
    """Return an option that takes a file to write."""
    return click.option(*names, type=click.Path(path_type=Path), metavar="FILE", help=help)


def plot_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add --plot."""
    return file_option(
        "--plot",
        help="Draw the SQNR into FILE (.svg, .png or .pdf); its data goes to a .csv beside it.",
    )(command)


def plotted_files(plot: Path | None) -> dict[str, Path | None]:
    """Return the files that --plot writes, found to be writable, by what names them."""
    if plot is None:
        return {}
    from qerror.plotting import check_figure
    from qerror.storage import check_writable

    beside = plot.with_suffix(".csv")
    check_writable(plot)
    check_figure(plot)
    check_writable(beside)
    return {"--plot": plot, "the data of --plot": beside}


def save(path: Path, content: bytes) -> None:
    """Replace a file and say so on standard error."""
    from qerror.storage import write_atomically

    write_atomically(path, content)
    say(f"wrote {path}")


def say(message: str) -> None:
    """Tell the person something that is no data."""
    from qerror.tables import printable

    click.echo(printable(message), err=True)


def _show(views: "Sequence[View]", color: str) -> None:
    """Draw tables on a terminal; NO_COLOR keeps them, without colour."""
    from rich.console import Console
    from rich.text import Text

    from qerror.reporting import lay_out

    console = Console(force_terminal=True if color == "always" else None, highlight=False)
    if os.environ.get("TERM") == "dumb":
        console.no_color = True
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    for number, view in enumerate(views):
        if number:
            console.print()
        for line in lay_out(view, width):
            if line.style != "rule":
                console.print(Text(line.text, _STYLES.get(line.style, "")), soft_wrap=True)
