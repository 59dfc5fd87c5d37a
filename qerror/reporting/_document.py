"""What every writer takes: parameters, rows, and the rows as a person reads them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Row: TypeAlias = Mapping[str, object]


@dataclass(frozen=True)
class View:
    """A table for reading: every cell is text already.

    Parameters
    ----------
    title : str
        What the rows have in common.
    header : sequence of str, length n
        The columns' titles.
    body : sequence of sequences of str, each of length n
        The cells.
    words : collection of int
        The columns of words, which stand left; numbers stand right.
    notes : sequence of str
        Sentences below the table.
    marked : collection of int
        The rows to point out: the best ones.
    """

    title: str
    header: Sequence[str]
    body: Sequence[Sequence[str]]
    words: Collection[int] = (0,)
    notes: Sequence[str] = ()
    marked: Collection[int] = ()


@dataclass(frozen=True)
class Document:
    """A result as plain data.

    Parameters
    ----------
    name : str
        Names the schema: "sweep" makes "qerror.sweep/1".
    params : mapping
        What was asked for.
    rows : sequence of mappings
        What came out, at full precision: numbers, text, True, False, None, lists of these.
    views : sequence of View
        The same for reading; left out, a plain table of all columns.
    """

    name: str
    params: Row
    rows: Sequence[Row]
    views: Sequence[View] = field(default=())

    @property
    def schema(self) -> str:
        """The schema's identifier; its number rises when a key changes its meaning."""
        return f"qerror.{self.name}/1"

    @property
    def columns(self) -> list[str]:
        """The keys of all rows, in the order of their first appearance."""
        return list(dict.fromkeys(key for row in self.rows for key in row))
