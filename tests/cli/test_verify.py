"""``qerror verify``: z-scores, a table, and a check that can fail."""

import dataclasses
import json
import sys
from typing import Any

import pytest

from qerror.analysis.single import quantization_error
from qerror.densities import DENSITIES
from qerror.formats import FORMATS, BlockFormat
from qerror.simulation.figures import NAMES, OF_BLOCKS
from tests.cli.conftest import Run

LINE = "verify --dist student-t --nu 3 --size 2e5"


def test_a_table_of_the_default_formats(run: Run) -> None:
    result = run(*LINE.split(), "--check")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("student-t(nu=3)")
    names = [line.split()[0] for line in lines[4:11]]
    assert names == ["INT8", "5M2E", "4M3E", "3M4E", "2M5E", "E4M3FN", "E5M2"]
    assert "E[x^4] does not exist (tail exponent 3)" in result.stdout
    assert result.stdout.count("note:") == 1
    assert lines[-1].startswith("all: chi-square")


def test_one_pair_in_detail(run: Run) -> None:
    result = run(*["verify", "--dist", "laplace", "--formats", "int8", "--size", "100000"])
    assert result.exit_code == 0
    assert "100,000 samples" in result.stdout
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[5 : 5 + len(NAMES)]] == list(NAMES)
    assert max(map(len, lines)) <= 80


def test_json_has_a_row_a_figure(run: Run) -> None:
    line = "verify --dist gaussian --formats int8,e4m3 --size 1e4 --seed 3 --json"
    document = json.loads(run(*line.split()).stdout)
    assert document["schema"] == "qerror.verify/1"
    params = document["params"]
    assert (params["size"], params["seed"], params["passed"]) == (10_000, 3, True)
    assert [row["figure"] for row in document["rows"]] == [*NAMES, *NAMES]
    for row in document["rows"]:
        assert (row["z"] == "nan") == (row["not_judged"] is not None)
        if row["z"] != "nan":
            z = (row["sampled"] - row["exact"]) / row["standard_error"]
            assert row["z"] == pytest.approx(z, rel=1e-12, abs=0)
    assert run(*line.split()).stdout == run(*line.split()).stdout


@pytest.mark.parametrize("option", ["--scale 0.5", "--max-value 63.5"])
def test_the_range(run: Run, option: str) -> None:
    line = f"verify --dist gaussian --formats int8 --size 1000 --json {option}"
    rows = json.loads(run(*line.split()).stdout)["rows"]
    assert (rows[0]["scale"], rows[0]["max_value"]) == (0.5, 63.5)


@pytest.mark.parametrize(("check", "code"), [(["--check"], 3), ([], 0)])
def test_a_check_that_judges_nothing_is_not_met(run: Run, check: list[str], code: int) -> None:
    result = run("verify", "--dist", "student-t", "--nu", "1", "--size", "2", *check)
    assert result.exit_code == code, result.output
    assert "not met: no figure could be judged" in result.stderr


@pytest.mark.exhaustive
@pytest.mark.slow
def test_all_formats_on_all_densities(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # That one takes seconds a density; the tests of cross-checks have it on a few.
    slow = {"NVFP4:4over6"}
    chosen = {name: form for name, form in FORMATS.items() if form.name not in slow}
    assert len(FORMATS) - len(chosen) == len(slow)
    monkeypatch.setattr("qerror.formats.FORMATS", chosen)
    result = run("verify", "--all", "--size", "3e4", "--check", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert len(document["params"]["formats"]) == len(chosen)
    assert len(document["params"]["densities"]) == len(DENSITIES)
    blocks = sum(isinstance(form, BlockFormat) for form in chosen.values())
    figures = len(chosen) * len(NAMES) + blocks * len(OF_BLOCKS)
    assert len(document["rows"]) == figures * len(DENSITIES)


@pytest.mark.parametrize(("check", "code"), [(["--check"], 3), ([], 0)])
def test_a_figure_one_percent_off_is_not_met(
    run: Run, monkeypatch: pytest.MonkeyPatch, check: list[str], code: int
) -> None:
    def wrong(*given: Any, **options: Any) -> Any:
        report = quantization_error(*given, **options)
        return dataclasses.replace(report, rounding=1.01 * report.rounding)

    monkeypatch.setattr(sys.modules["qerror.crosscheck.judgement"], "quantization_error", wrong)
    line = "verify --dist uniform --low -1 --high 1 --formats int8 --size 6e5"
    result = run(*line.split(), *check)
    assert result.exit_code == code
    assert "not met: INT8 on uniform" in result.stderr
    assert "rounding" in result.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("verify", ["--dist student-t --nu 3"]),
        ("verify --all --dist gaussian", ["--all takes every density", "--dist"]),
        ("verify --all --formats int8", ["--all takes every density and format", "--formats"]),
        ("verify --all --nu 3", ["--all takes every density", "--nu"]),
        ("verify --dist gaussian --size 1", ["'1'", "whole number of at least 2", "1e7"]),
        ("verify --dist gaussian --size 1.5e0", ["'1.5e0'", "whole number"]),
        ("verify --dist gaussian --size many", ["'many'", "1e7"]),
        ("verify --dist gaussian --scale 1 --max-value 2", ["--scale and --max-value"]),
        ("verify --dist gaussian --scale -1", ["scale must be positive", "-1"]),
        ("verify --dist gaussian --seed -3", ["--seed must not be negative"]),
        ("verify --dist gaussian --formats e4m9", ["'e4m9'"]),
        ("verify --dist gausian", ["did you mean gaussian"]),
    ],
)
def test_bad_input(run: Run, line: str, words: list[str]) -> None:
    result = run(*line.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr


def test_blocks_by_argument(run: Run) -> None:
    line = "verify mxfp4,nf4:g64 --dist gaussian --dist laplace --size 1e5 --check"
    result = run(*line.split())
    assert result.exit_code == 0, result.output
    assert sum(line.startswith("MXFP4") for line in result.stdout.splitlines()) == 2
    document = json.loads(run(*line.split(), "--json").stdout)
    figures = {row["figure"] for row in document["rows"]}
    assert {"pair_error", "clipped_blocks", *NAMES} <= figures
    assert {row["max_value"] for row in document["rows"]} == {None}
    detail = run("verify", "mxfp4", "--dist", "laplace", "--size", "1e4").stdout
    assert detail.splitlines()[1] == "320,000 samples"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("verify mxfp4 --formats int8 --dist gaussian", "FORMATS and --formats name the same"),
        ("verify mxfp4 --all", "--all takes every density and format, got FORMATS"),
        ("verify mxfp4 --dist gaussian --scale 2", "MXFP4 find their scales in the values"),
    ],
)
def test_bad_input_with_blocks(run: Run, line: str, words: str) -> None:
    result = run(*line.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert words in " ".join(result.stderr.split())
