"""A figure as data: what is shown is computed here, and drawn elsewhere."""

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from qerror.registry import Registry
from qerror.reporting import Document, Row, View

_ABOUT = """\
# Figures

Every figure is computed exactly, 8.5 cm wide for a column of a paper, with its data in the CSV
file of the same name. `make figures` writes them all, and this page;
`qerror figure NAME --format pdf` draws one."""


@dataclass(frozen=True)
class Study:
    """What a figure shows, without the drawing."""

    title: str
    source: str
    """Which figure of which paper it reproduces, or that it is our own."""
    data: Callable[[], Document]
    """Computes what is shown: rows of plain values."""
    caption: str
    """What each panel shows, as it stands below the figure in print."""


STUDIES: Registry[Study] = Registry("figure", "qerror figure --list")


def figures_document() -> Document:
    """Return the list of figures."""
    rows = [
        {"figure": name, "shows": study.title, "source": study.source}
        for name, study in STUDIES.items()
    ]
    body = [(name, f"{study.title} ({study.source})") for name, study in STUDIES.items()]
    return Document("figures", {}, rows, [View("", ("figure", "shows (source)"), body, (0, 1))])


def captions() -> str:
    """Return a page in Markdown that shows every figure above its caption."""
    parts = [_ABOUT]
    for name, study in STUDIES.items():
        parts.append(f"## {name}: {study.title}")
        parts.append(f"![{study.title}]({name}.svg)")
        text = f"*{study.source[0].upper()}{study.source[1:]}.* {study.caption}"
        parts.append(textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False))
    return "\n\n".join(parts) + "\n"


def figure_data(params: Row, rows: Iterable[Row]) -> Document:
    """Return a figure's data as a document."""
    return Document("figure", params, list(rows))


def select(document: Document, **wanted: object) -> list[Row]:
    """Return the rows that have these values."""
    return [
        row for row in document.rows if all(row.get(key) == value for key, value in wanted.items())
    ]


def column(rows: Iterable[Row], key: str) -> list[float]:
    """Return one number of every row."""
    return [cast("float", row[key]) for row in rows]


def distinct(rows: Iterable[Row], key: str) -> list[Any]:
    """Return the values of a key in the order of their first appearance."""
    return list(dict.fromkeys(row[key] for row in rows))
