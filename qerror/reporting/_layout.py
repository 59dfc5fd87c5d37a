"""Tables laid out for a width: columns are wrapped, put below or left out, never cut."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

from qerror.reporting._document import View
from qerror.tables import printable

_GAP = "  "
_NARROWEST = 16  # of a wrapped column of words
_LONGEST_WORD = 40  # that is not broken for the sake of the columns beside it
_TEXT_WIDTH = 80  # of notes and columns of words where a table may be as wide as it likes

Style: TypeAlias = Literal["title", "header", "rule", "body", "marked", "note", "plain"]


class Line(NamedTuple):
    """One line of a table and what it is."""

    text: str
    """Without its end."""
    style: Style
    """How a terminal shows it."""


def lay_out(view: View, width: int | None = None) -> Iterator[Line]:
    """Yield the lines of a table.

    Parameters
    ----------
    view : View
        What to show.
    width : int, optional
        The columns of the terminal. A table that does not fit has its columns of words wrapped
        and its spare columns left out, named in a note; what still does not fit goes on below,
        with the first column repeated. None for any width: then words alone are wrapped.
    """
    table = _Table.of(view)
    dropped: list[str] = []
    if width is None:
        table = table.wrapped(_TEXT_WIDTH)
    else:
        table, dropped = table.fitted(width)
    if view.title:
        for line in view.title.split("\n"):
            yield from (Line(text, "title") for text in _broken(printable(line), width))
        yield Line("", "plain")
    for number, block in enumerate(table.blocks(width)):
        if number:
            yield Line("", "plain")
        yield from block.lines()
    notes = [*view.notes, *([_left_out(dropped)] if dropped else [])]
    if notes:
        yield Line("", "plain")
    for note in notes:
        style: Style = "note" if note.startswith("note:") else "plain"
        for text in _broken(printable(note), width or _TEXT_WIDTH):
            yield Line(text, style)


def _left_out(names: Sequence[str]) -> str:
    return f"note: too narrow for {', '.join(names)}; a wider terminal or --format csv has all"


def _broken(text: str, width: int | None) -> list[str]:
    """Break text at blanks; a word longer than a line goes on in the next one."""
    if width is None or len(text) <= width:
        return [text]
    return textwrap.wrap(text, width, break_on_hyphens=False) or [""]


@dataclass(frozen=True)
class _Column:
    """One column of text."""

    index: int
    title: str
    cells: tuple[str, ...]
    is_words: bool
    width: int

    def wrapped(self, room: int) -> "_Column":
        """Return it with cells of several lines, not wider than `room` where words allow it."""
        words = [word for cell in self.cells for word in cell.split()]
        room = max(room, min(max(map(len, words), default=0), _LONGEST_WORD), _NARROWEST)
        cells = tuple("\n".join(_broken(cell, room)) for cell in self.cells)
        lines = [line for cell in (*cells, *_broken(self.title, room)) for line in cell.split("\n")]
        return replace(self, cells=cells, width=max(map(len, lines)))

    def slim(self) -> "_Column":
        """Return it as narrow as its cells are, the title wrapped at blanks."""
        parts = [*self.title.split(), *(line for cell in self.cells for line in cell.split("\n"))]
        return replace(self, width=max(map(len, parts), default=0))

    def at(self, row: int) -> list[str]:
        """Return the lines of a cell."""
        return [self._aligned(line) for line in self.cells[row].split("\n")]

    def heading(self) -> list[str]:
        """Return the lines of the title."""
        return [self._aligned(line) for line in _broken(self.title, self.width)]

    def _aligned(self, text: str) -> str:
        return text.ljust(self.width) if self.is_words else text.rjust(self.width)


@dataclass(frozen=True)
class _Table:
    """Columns side by side, and which rows are marked."""

    columns: tuple[_Column, ...]
    spare: tuple[int, ...]
    """What may be left out, the first one first, by the index of the column."""
    marked: frozenset[int]

    @classmethod
    def of(cls, view: View) -> "_Table":
        """Take the cells of a view, freed of what a terminal would obey."""
        columns: list[_Column] = []
        for i, title in enumerate(map(printable, view.header)):
            cells = tuple(printable(row[i]) for row in view.body)
            width = max(map(len, (title, *cells)))
            columns.append(_Column(i, title, cells, i in view.words, width))
        return cls(tuple(columns), tuple(view.spare), frozenset(view.marked))

    @property
    def width(self) -> int:
        """The columns of a terminal that it takes."""
        return _span(self.columns)

    def fitted(self, width: int) -> tuple["_Table", list[str]]:
        """Return it narrowed, with the titles of the columns that were left out."""
        if self.width <= width:
            return self, []
        slim = replace(self, columns=tuple(column.slim() for column in self.columns))
        table = slim.wrapped(width)
        dropped: list[str] = []
        for index in self.spare:
            if table.width <= width:
                break
            dropped.append(self.columns[index].title)
            kept = tuple(column for column in slim.columns if column.index != index)
            slim = replace(slim, columns=kept)
            table = slim.wrapped(width)
        return table, dropped

    def wrapped(self, width: int) -> "_Table":
        """Wrap the widest columns of words into what the others leave of the line."""
        table = self
        for column in sorted(self.columns, key=lambda each: -each.width):
            room = width - (table.width - column.width)
            blanks = any(" " in cell.strip() for cell in column.cells)
            if table.width > width and column.is_words and blanks:
                narrow = column.wrapped(room)
                columns = tuple(narrow if each is column else each for each in table.columns)
                table = replace(table, columns=columns)
        return table

    def blocks(self, width: int | None) -> Iterator["_Table"]:
        """Yield it in parts that fit, each beginning with the first column."""
        if width is None or self.width <= width or not self.columns:
            yield self
            return
        first, *rest = self.columns
        if first.width > width // 2:
            first = first.wrapped(max(width // 2, 1))
        own: list[_Column] = []
        for column in rest:
            if own and _span((first, *own, column)) > width:
                yield replace(self, columns=(first, *own))
                own = []
            own.append(column)
        yield replace(self, columns=(first, *own))

    def lines(self) -> Iterator[Line]:
        """Yield the header, a rule, and the rows."""
        if any(column.title for column in self.columns):
            headings = [column.heading() for column in self.columns]
            # The last lines of the titles stand above the rule.
            most = max(map(len, headings))
            padded = [[""] * (most - len(lines)) + lines for lines in headings]
            yield from (Line(text, "header") for text in self._joined(padded))
            yield Line(_GAP.join("-" * column.width for column in self.columns), "rule")
        rows = max((len(column.cells) for column in self.columns), default=0)
        for row in range(rows):
            style: Style = "marked" if row in self.marked else "body"
            cells = [column.at(row) for column in self.columns]
            yield from (Line(text, style) for text in self._joined(cells))

    def _joined(self, cells: Sequence[Sequence[str]]) -> Iterator[str]:
        """Yield the lines of cells that stand side by side."""
        for texts in itertools.zip_longest(*cells, fillvalue=""):
            padded = (
                text.ljust(each.width) for text, each in zip(texts, self.columns, strict=True)
            )
            yield _GAP.join(padded).rstrip()


def _span(columns: Sequence[_Column]) -> int:
    return sum(column.width for column in columns) + len(_GAP) * max(len(columns) - 1, 0)
