"""Views as text."""

from collections.abc import Sequence

from qerror.reporting._document import View
from qerror.reporting._layout import lay_out
from qerror.tables import printable


def aligned(view: View, width: int | None = None) -> str:
    """Return the table as aligned text without any control character."""
    return "".join(f"{line.text}\n" for line in lay_out(view, width))


def markdown(view: View) -> str:
    """Return the table in Markdown, the title as a heading."""
    rules = ["---" if i in view.words else "---:" for i in range(len(view.header))]
    table = [_markdown_line(row) for row in (view.header, rules, *view.body)]
    heading = [f"## {_printable_lines(view.title)}", ""] if view.title else []
    footing = [line for note in view.notes for line in ("", printable(note))]
    return "\n".join([*heading, *table, *footing]) + "\n"


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _markdown_line(cells: Sequence[str]) -> str:
    escaped = (printable(cell).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
