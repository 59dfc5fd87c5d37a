"""What every writer takes: parameters, rows, and the rows as a person reads them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias, cast

from qerror._arrays import FrozenMapping
from qerror.tables import html_table

Row: TypeAlias = Mapping[str, object]

ColumnKind: TypeAlias = Literal["number", "integer", "flag", "text", "list", "empty"]
"""What a column holds, None aside; "empty" has nothing but None."""

_UNITS = {
    "mse": "x^2",
    "rounding": "x^2",
    "clipping": "x^2",
    "clipping_low": "x^2",
    "clipping_high": "x^2",
    "cross_moment": "x^2",
    "signal_power": "x^2",
    "mean_error": "x",
    "signal_mean": "x",
    "max_value": "x",
    "plateau_low": "x",
    "plateau_high": "x",
    "min_value": "x",
    "finest_step": "x",
}
"""Units of the figures by the end of their names, with x that of the data."""


@dataclass(frozen=True)
class Column:
    """One column of a document with all of its values."""

    name: str
    """The key of the rows."""
    kind: ColumnKind
    """What its values are."""
    unit: str
    """"dB"; "x" and "x^2" for the data's own unit and its square; empty for pure numbers."""
    values: tuple[object, ...]
    """A value a row; None where the row has none."""


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
        The columns of words, which stand left and may be wrapped; numbers stand right.
    notes : sequence of str
        Sentences below the table.
    marked : collection of int
        The rows to point out: the best ones.
    spare : sequence of int
        The columns to leave out on a narrow terminal, the first one first. Those that are not
        named go on below the others.
    """

    title: str
    header: Sequence[str]
    body: Sequence[Sequence[str]]
    words: Collection[int] = (0,)
    notes: Sequence[str] = ()
    marked: Collection[int] = ()
    spare: Sequence[int] = ()

    def __post_init__(self) -> None:
        _freeze(self)


@dataclass(frozen=True, repr=False)
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

    def __post_init__(self) -> None:
        _freeze(self)

    @property
    def schema(self) -> str:
        """The schema's identifier; its number rises when a key changes its meaning."""
        return f"qerror.{self.name}/1"

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all rows, in the order of their first appearance."""
        return tuple(dict.fromkeys(key for row in self.rows for key in row))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The rows as typed columns, to sort or to draw by."""
        return tuple(self.column(key) for key in self.keys)

    def column(self, key: str) -> Column:
        """Return the values under one key, None where a row does not have it."""
        values = tuple(row.get(key) for row in self.rows)
        return Column(key, _kind_of(values), _unit_of(key), values)

    def __repr__(self) -> str:
        return f"<Document {self.schema}: {len(self.rows)} rows of {len(self.keys)} columns>"

    def _repr_html_(self) -> str:
        views = (html_table(v.title, v.header, v.body, v.marked) for v in self.views)
        return "\n".join(views)


def _freeze(value: "View | Document") -> None:
    """Let no later change of what an object was made from change the object."""
    for each in fields(value):
        object.__setattr__(value, each.name, _unchanging(getattr(value, each.name)))


def _unchanging(value: object) -> object:
    """Return plain data as tuples and frozen mappings, however deep."""
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return FrozenMapping({key: _unchanging(member) for key, member in members.items()})
    if isinstance(value, set | frozenset):
        return frozenset(cast("Collection[object]", value))
    if isinstance(value, list | tuple | range):
        return tuple(_unchanging(member) for member in cast("Collection[object]", value))
    return value


def _kind_of(values: Sequence[object]) -> ColumnKind:
    present = [value for value in values if value is not None]
    kinds: dict[ColumnKind, type | tuple[type, ...]] = {
        "flag": bool,
        "integer": int,
        "number": (int, float),
        "list": (list, tuple),
    }
    if not present:
        return "empty"
    fits = (kind for kind, types in kinds.items() if all(isinstance(v, types) for v in present))
    return cast("ColumnKind", next(fits, "text"))


def _unit_of(key: str) -> str:
    if key.endswith("_db"):
        return "dB"
    return next((unit for end, unit in _UNITS.items() if key == end or key.endswith(f"_{end}")), "")
