"""Documents as text."""

import csv
import dataclasses
import io
import json
import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror import Gaussian, StudentT, Truncated
from qerror.reporting import (
    KINDS,
    Document,
    View,
    decibels,
    encode,
    short,
    sweep_document,
)
from qerror.sweep import SweepResult, sweep
from qerror.tables import compact

ODD = Document(
    "odd",
    {"limit": math.inf, "list": [1, math.nan], "inner": {"a": -math.inf}},
    [{"a": math.nan, "b": None, "c": "x|y,z", "d": True, "e": 1}, {"a": 0.1, "f": [1.5, 2]}],
)


def read(document: Document, kind: Any) -> str:
    return encode(document, kind).decode()


def test_json_spells_infinities_and_nan_as_text() -> None:
    text = read(ODD, "json")
    assert json.loads(text) == {
        "schema": "qerror.odd/1",
        "params": {"limit": "inf", "list": [1, "nan"], "inner": {"a": "-inf"}},
        "rows": [
            {"a": "nan", "b": None, "c": "x|y,z", "d": True, "e": 1},
            {"a": 0.1, "f": [1.5, 2]},
        ],
    }
    assert "Infinity" not in text
    assert "NaN" not in text


def test_json_of_numpy_values() -> None:
    row = {
        "a": np.float64(0.5),
        "b": np.array([1.0, np.inf]),
        "c": np.int64(3),
        "d": np.bool_(True),
    }
    document = Document("odd", {}, [row])
    assert json.loads(read(document, "json"))["rows"] == [
        {"a": 0.5, "b": [1.0, "inf"], "c": 3, "d": True}
    ]
    assert read(document, "csv") == "a,b,c,d\n0.5,1.0 inf,3,true\n"


def test_json_without_rows() -> None:
    assert json.loads(read(Document("odd", {}, []), "json"))["rows"] == []


def test_json_lines_hold_a_row_each() -> None:
    lines = read(ODD, "jsonl").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(read(ODD, "json"))["rows"]


def test_csv_has_every_column_and_quotes_what_needs_it() -> None:
    rows = list(csv.reader(io.StringIO(read(ODD, "csv"))))
    assert rows == [
        ["a", "b", "c", "d", "e", "f"],
        ["nan", "", "x|y,z", "true", "1", ""],
        ["0.1", "", "", "", "", "1.5 2"],
    ]


@given(st.floats())
def test_numbers_read_back_exactly_from_csv_and_json(number: float) -> None:
    document = Document("odd", {}, [{"x": number}])
    from_csv = float(read(document, "csv").splitlines()[1])
    from_json = float(json.loads(read(document, "json"))["rows"][0]["x"])
    for back in (from_csv, from_json):
        assert back == number or (math.isnan(back) and math.isnan(number))


def test_parquet_reads_back() -> None:
    from pyarrow import parquet

    table: Any = parquet.read_table(io.BytesIO(encode(ODD, "parquet")))
    first, second = table.to_pylist()
    assert math.isnan(first.pop("a"))
    assert first == {"b": None, "c": "x|y,z", "d": True, "e": 1, "f": None}
    assert (second["a"], second["f"]) == (0.1, [1.5, 2.0])
    assert json.loads(table.schema.metadata[b"qerror.params"])["limit"] == "inf"


def test_every_kind_is_reproducible() -> None:
    for kind in KINDS:
        assert encode(ODD, kind) == encode(ODD, kind)


def test_tables_align_words_left_and_numbers_right() -> None:
    view = View("title", ("name", "x"), [("a", "1"), ("long", "10.5")], notes=["note: n"])
    assert read(Document("odd", {}, [], [view]), "table").splitlines() == [
        "title",
        "",
        "name     x",
        "----  ----",
        "a        1",
        "long  10.5",
        "",
        "note: n",
    ]


def test_markdown_escapes_bars() -> None:
    view = View("title", ("name", "x"), [("a|b", "1")], notes=["note: n"])
    assert read(Document("odd", {}, [], [view]), "markdown").splitlines() == [
        "## title",
        "",
        "| name | x |",
        "| --- | ---: |",
        "| a\\|b | 1 |",
        "",
        "note: n",
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.18543, "0.1854"),
        (0.001, "0.001"),
        (0.00012345, "1.234e-4"),
        (12345.6, "12346"),
        (57344.0, "57344"),
        (999999.4, "999999"),
        (1e6, "1.000e6"),
        (-1.5e-10, "-1.500e-10"),
        (4.0, "4"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (None, ""),
    ],
)
def test_short_numbers(number: float | None, text: str) -> None:
    assert short(number) == text


@given(st.floats(-1e308, 1e308))  # above, rounding up leaves float64
def test_short_numbers_are_right_to_their_digits_and_short(number: float) -> None:
    text = short(number)
    assert len(text) <= 11
    assert float(text) == pytest.approx(number, rel=6e-4, abs=1e-320)


def test_compact_numbers_are_exact_where_they_fit() -> None:
    assert compact(15.9375) == "15.9375"
    assert compact(0.0009765625) == "9.766e-4"
    assert compact(None) == ""


def test_decibels_have_no_negative_zero() -> None:
    assert decibels(-0.001) == "0.00"
    assert decibels(31.0899) == "31.09"


def test_a_sweep_is_divided_by_density_even_if_two_are_equal() -> None:
    result = sweep(["int8"], [Gaussian(), Gaussian(), StudentT(3)], ("scale", [0.1, 0.2]))
    parts = result.series
    assert [title for title, _ in parts] == ["gaussian", "gaussian", "student-t(nu=3)"]
    assert all(len(rows) == 2 for _, rows in parts)


@pytest.mark.parametrize(
    ("density", "name", "title"),
    [
        (StudentT(3), "nu", "student-t"),
        (StudentT(3, 1.0), "nu", "student-t(loc=1)"),
        (Gaussian(), "std", "gaussian"),
        (Truncated(Gaussian(0.0, 2.0), -1.0, 2.0), "low", "truncated(gaussian(std=2), high=2)"),
    ],
)
def test_the_title_leaves_out_what_is_swept(density: Any, name: str, title: str) -> None:
    values = [-3.0, -2.0] if name == "low" else [2.5, 3.5]
    assert sweep(["int8"], [density], (name, values)).series[0].title == title


def test_notes_say_what_they_are_about() -> None:
    result = sweep(["int8", "4M3E"], [StudentT(3)], ("nu", [1.5, 2.0, 3.0]))
    view = sweep_document(result).views[0]
    assert len(view.notes) == 1
    assert view.notes[0].startswith("note: nu = 1.5, 2: E[x^2] is infinite")
    one = sweep(["int8", "4M3E"], [Gaussian()])
    assert sweep_document(_remarked(one, 1)).views[0].notes == ("note: 4M3E: odd",)
    view = sweep_document(_remarked(result, 5)).views[0]
    assert view.notes[1] == "note: 4M3E, nu = 3: odd"


def _remarked(result: SweepResult, index: int) -> SweepResult:
    """Return the result with a remark on one row."""
    rows = [
        dataclasses.replace(row, note="odd") if i == index else row
        for i, row in enumerate(result.rows)
    ]
    return dataclasses.replace(result, rows=tuple(rows))


def test_the_best_format_is_marked() -> None:
    view = sweep_document(sweep(["int8", "5M2E", "2M5E"], [Gaussian()])).views[0]
    assert view.marked == {1}
    assert cast("list[tuple[str, ...]]", view.body)[1][-1] == "0.00"


def test_columns_are_typed() -> None:
    columns = {column.name: column for column in ODD.columns}
    kinds = {name: column.kind for name, column in columns.items()}
    assert kinds == {
        "a": "number",
        "b": "empty",
        "c": "text",
        "d": "flag",
        "e": "integer",
        "f": "list",
    }
    assert columns["e"].values == (1, None)
    document = sweep_document(sweep(["int8"], [Gaussian()]))
    units = {column.name: column.unit for column in document.columns}
    assert (units["sqnr_db"], units["mse"], units["max_value"]) == ("dB", "x^2", "x")
    assert (units["format"], units["scale"]) == ("", "")
    assert repr(document) == "<Document qerror.sweep/1: 1 rows of 22 columns>"


def test_a_spreadsheet_runs_no_cell() -> None:
    names = ["=1+1", "+cmd", "-cmd", "@x", "\tx", "-1.5", "a=b"]
    document = Document("odd", {}, [{"x": name, "y": -1.5} for name in names])
    rows = list(csv.reader(io.StringIO(read(document, "csv"))))[1:]
    assert [row[0] for row in rows] == ["'=1+1", "'+cmd", "'-cmd", "'@x", "'\tx", "-1.5", "a=b"]
    assert {row[1] for row in rows} == {"-1.5"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_no_utf_8_is_written(kind: Any) -> None:
    document = Document("odd", {"file": "a\udcff"}, [{"file": "a\udcff"}])
    assert encode(document, kind)


def test_what_a_terminal_obeys_is_shown_instead() -> None:
    view = View("\x1b[31mred", ("a\x07", "b"), [("\x1b]0;x", "1")], notes=["\x1b[2J"])
    for kind in ("table", "markdown"):
        text = read(Document("odd", {}, [], [view]), kind)
        assert "\\x1b[31mred" in text
        assert "\x1b" not in text
        assert "\x07" not in text
