"""Documents as bytes: one function a kind of file."""

import csv
import importlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from qerror._arrays import FrozenMapping
from qerror.exceptions import InvalidValue, MissingLibrary
from qerror.reporting._document import Column, Document, View
from qerror.reporting._plain import encodable, for_cell, for_json, for_spreadsheet
from qerror.reporting._text import aligned, markdown

Kind: TypeAlias = Literal["table", "json", "jsonl", "csv", "markdown", "parquet"]

KINDS: Mapping[Kind, tuple[str, ...]] = FrozenMapping(
    {
        "table": (".txt",),
        "json": (".json",),
        "jsonl": (".jsonl", ".ndjson"),
        "csv": (".csv",),
        "markdown": (".md", ".markdown"),
        "parquet": (".parquet",),
    }
)
"""The kinds of output, each with the suffixes of its files."""


_FIGURES = (".svg", ".png", ".pdf")


def encode(document: Document, kind: Kind) -> bytes:
    """Return the document as a file of this kind holds it; text is UTF-8, lines end in LF.

    Raises
    ------
    MissingLibrary
        If the kind is Parquet and pyarrow is not installed.
    """
    return _ENCODERS[kind](document)


def kind_of(path: Path, wanted: Kind | None = None) -> Kind:
    """Return the kind of file that a path's suffix stands for.

    Parameters
    ----------
    path : Path
        The file to write.
    wanted : str, optional
        The kind asked for: a file without a suffix takes it, another suffix contradicts it.

    Raises
    ------
    InvalidValue
        If the suffix is unknown, or stands for another kind than the one asked for.
    MissingLibrary
        If the kind is Parquet and pyarrow is not installed.
    """
    suffix = path.suffix.lower()
    found: Kind | None = next((kind for kind, known in KINDS.items() if suffix in known), None)
    if found is None and (suffix or wanted is None):
        listed = " ".join(known for suffixes in KINDS.values() for known in suffixes)
        shown = f"the suffix {suffix!r}" if suffix else "no suffix"
        hint = ". Figures are drawn by --plot" if suffix in _FIGURES else ""
        raise InvalidValue(f"cannot write {str(path)!r}: it has {shown}; use one of {listed}{hint}")
    kind: Kind = found or wanted or "table"
    if wanted not in {None, kind}:
        raise InvalidValue(
            f"the format {wanted!r} contradicts the file {str(path)!r}, whose suffix stands for "
            f"{kind!r}; give one of the two"
        )
    if kind == "parquet":
        _pyarrow()
    return kind


def _json(document: Document) -> bytes:
    """Write one object; rows stand one a line, so that files compare well."""
    params = json.dumps(for_json(document.params), ensure_ascii=False)
    rows = ",\n".join(f"    {_json_row(row)}" for row in document.rows)
    body = f"[\n{rows}\n  ]" if rows else "[]"
    return (
        f'{{\n  "schema": {json.dumps(document.schema)},\n  "params": {params},\n'
        f'  "rows": {body}\n}}\n'
    ).encode()


def plain_json(content: object) -> bytes:
    """Return plain data as indented JSON, infinities and nan as text."""
    text = json.dumps(for_json(content), ensure_ascii=False, allow_nan=False, indent=2)
    return f"{text}\n".encode()


def _jsonl(document: Document) -> bytes:
    return "".join(f"{_json_row(row)}\n" for row in document.rows).encode()


def _json_row(row: Mapping[str, object]) -> str:
    return json.dumps(for_json(row), ensure_ascii=False, allow_nan=False)


def _csv(document: Document) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    keys = document.keys
    writer.writerow(keys)
    writer.writerows([for_spreadsheet(row.get(key)) for key in keys] for row in document.rows)
    return text.getvalue().encode()


def _table(document: Document) -> bytes:
    return "\n".join(map(aligned, _views(document))).encode()


def _markdown(document: Document) -> bytes:
    return "\n".join(map(markdown, _views(document))).encode()


def _views(document: Document) -> list[View]:
    if document.views:
        return list(document.views)
    header = document.keys
    body = [[for_cell(row.get(key)) for key in header] for row in document.rows]
    return [View("", header, body)]


def _parquet(document: Document) -> bytes:
    """Write the rows as columns; schema and parameters go to the file's metadata."""
    arrow = _pyarrow()
    arrays = [_arrow_array(arrow, column) for column in document.columns]
    notes = {
        "qerror.schema": document.schema,
        "qerror.params": json.dumps(for_json(document.params)),
    }
    table = arrow.Table.from_arrays(arrays, names=document.keys)
    sink = arrow.BufferOutputStream()
    parquet: Any = importlib.import_module("pyarrow.parquet")
    parquet.write_table(table.replace_schema_metadata(notes), sink)
    return cast("bytes", sink.getvalue().to_pybytes())


def _arrow_array(arrow: Any, column: Column) -> Any:
    if column.kind == "empty":
        return arrow.array(column.values, arrow.float64())  # only numbers can be absent: the bias
    if column.kind == "integer" and any(abs(cast("int", v or 0)) >= 2**63 for v in column.values):
        return arrow.array([None if v is None else float(cast("int", v)) for v in column.values])
    values = [dict(v) if isinstance(v, Mapping) else encodable(v) for v in column.values]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return arrow.array(values, from_pandas=False)


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise MissingLibrary(
            "Parquet files need pyarrow, which is not installed: pip install pyarrow"
        ) from error


_ENCODERS: Mapping[Kind, Callable[[Document], bytes]] = {
    "table": _table,
    "json": _json,
    "jsonl": _jsonl,
    "csv": _csv,
    "markdown": _markdown,
    "parquet": _parquet,
}
