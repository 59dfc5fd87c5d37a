"""What ``qerror optimize`` answers and refuses."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from qerror import Gaussian, StudentT, format_switches, optimal_format, optimal_scale
from qerror.optimize import compare_ranges, formats_of_width, optimal_multiplier, rank_blocks
from tests.cli.conftest import Run

T3 = ["--dist", "student-t", "--nu", "3"]


def test_one_format_in_80_columns(run: Run) -> None:
    result = run("optimize", "3M4E", *T3)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "3M4E on student-t(nu=3)"
    assert lines[2].split() == ["best", "max", "value", "12866.93998"]
    assert "Ways to choose the range" in lines
    assert any(line.startswith("best integer bias") for line in lines)
    assert max(map(len, lines)) <= 80


def test_local_minima_are_listed(run: Run) -> None:
    best = optimal_scale("4M3E", Gaussian())
    text = run("optimize", "4M3E", "--dist", "gaussian").stdout
    assert "Local minima" in text
    rows = json.loads(run("optimize", "4M3E", "--dist", "gaussian", "--json").stdout)["rows"]
    minima = [row for row in rows if row["rule"] == "local minimum"]
    assert [row["scale"] for row in minima] == [m.scale for m in best.local_minima]
    assert [row["mse"] for row in minima] == [m.mse for m in best.local_minima]
    assert min(row["loss_db"] for row in minima) == 0


def test_one_format_is_what_the_library_returns(run: Run) -> None:
    best, choices = optimal_scale("int8", StudentT(3)), compare_ranges("int8", StudentT(3))
    document = json.loads(run("optimize", "int8", *T3, "--json").stdout)
    assert document["schema"] == "qerror.optimize/1"
    assert document["params"]["format"] == "INT8"
    assert document["params"]["density"] == "student-t(nu=3)"
    assert document["params"]["at_edge"] is False
    first = document["rows"][0]
    assert (first["rule"], first["scale"], first["loss_db"]) == ("best scale", best.scale, 0)
    assert first["mse"] == best.report.mse
    rules = [row["rule"] for row in document["rows"] if row["rule"] != "local minimum"]
    assert rules == [choice.rule for choice in choices]


def test_zero_points_and_widths_fit_the_table(run: Run) -> None:
    result = run("optimize", "int8", "--dist", "rectified(gaussian(std=0.001))")
    assert "best scale and zero point" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_infinite_variance_is_an_answer(run: Run) -> None:
    for arguments in (["4M3E"], ["--bits", "8"]):
        result = run("optimize", *arguments, "--dist", "student-t", "--nu", "2")
        assert result.exit_code == 0
        assert "note: E[x^2] is infinite" in result.stdout
        document = json.loads(
            run("optimize", *arguments, "--dist", "student-t", "--nu", "2", "--json").stdout
        )
        assert document["rows"][0]["mse"] == "inf"
        assert document["rows"][0]["scale"] == "nan"


@pytest.mark.exhaustive
def test_an_optimum_at_the_edge_is_said(run: Run) -> None:
    result = run("optimize", "--formats", "2M5E,3M4E", "--dist", "student-t", "--nu", "2.001")
    assert "note: 2M5E" in result.stdout
    assert "the optimum lies beyond" in result.stdout
    one = run("optimize", "2M5E", "--dist", "student-t", "--nu", "2.001")
    assert "note: the end of the searched ranges is best" in one.stdout


def test_long_lists_stay_short_and_narrow(run: Run, tmp_path: Path) -> None:
    # The ripples that point masses make stand for one minimum each octave at the most.
    rng = np.random.default_rng(7)
    np.save(tmp_path / "x.npy", rng.standard_t(5, 20_000).astype(np.float32))
    text = run("optimize", "int8", "--data", str(tmp_path / "x.npy")).stdout
    assert "Local minima" not in text
    result = run("optimize", "int8", "--dist", "discrete([0, 1], [0.5, 0.5])")
    assert "more are in the JSON output" in result.stdout
    assert len(result.stdout.splitlines()) < 50
    wide = run("optimize", "--bits", "16", *T3).stdout
    assert "the optimum lies beyond" in " ".join(wide.split())
    assert max(map(len, wide.splitlines())) <= 80


def test_fixed_point_is_offered_its_own_ranges_only(run: Run) -> None:
    result = run("optimize", "fixed8.4", "--dist", "gaussian", "--std", "0.3")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[2].split() == ["best", "fractional", "length", "7"]
    assert lines[3].split() == ["max", "value", "0.9921875"]
    assert "scale" not in result.stdout
    line = ["optimize", "fixed8.4", "--dist", "gaussian", "--std", "0.3", "--json"]
    row = json.loads(run(*line).stdout)["rows"][0]
    assert (row["fractional_length"], row["scale"]) == (7, 0.125)
    assert "Ways to choose" not in result.stdout


def test_a_ranking_of_a_width(run: Run) -> None:
    result = run("optimize", "--bits", "8", *T3)
    lines = result.stdout.splitlines()
    assert lines[0] == "student-t(nu=3)"
    ranking = optimal_format(8, StudentT(3)).ranking
    assert [line.split()[1] for line in lines[4 : 4 + len(ranking)]] == [
        entry.format.name for entry in ranking
    ]
    assert lines[4].split()[1] == "3M4E"
    assert max(map(len, lines)) <= 80


def test_a_ranking_is_what_the_library_returns(run: Run) -> None:
    expected = optimal_format(["int8", "4M3E"], Gaussian()).ranking
    arguments = ["optimize", "--formats", "int8,4M3E", "--dist", "gaussian"]
    rows = json.loads(run(*arguments, "--json").stdout)["rows"]
    assert [(row["rank"], row["format"], row["mse"]) for row in rows] == [
        (i, entry.format.name, entry.optimum.report.mse)
        for i, entry in enumerate(expected, start=1)
    ]
    text = run(*arguments, "--format", "csv").stdout
    read = list(csv.DictReader(io.StringIO(text)))
    assert [float(row["below_best_db"]) for row in read] == [e.below_best_db for e in expected]


def test_unsigned_formats(run: Run) -> None:
    rows = json.loads(
        run("optimize", "--bits", "4", "--unsigned", "--dist", "half-gaussian", "--json").stdout
    )["rows"]
    names = {row["format"].split(".")[0] for row in rows}
    assert names == {form.name.split(".")[0] for form in formats_of_width(4, signed=False)}


def test_unsigned_formats_on_signed_data_are_warned_of(run: Run) -> None:
    line = ["optimize", "--bits", "4", "--unsigned", "--dist"]
    assert "gaussian has values below 0" in run(*line, "gaussian").stderr
    assert run(*line, "half-gaussian").stderr == ""


def test_switches_along_a_scale_of_the_density(run: Run) -> None:
    base = ["optimize", "--formats", "int8,5M2E", "--dist", "laplace", "--over"]
    result = run(*base, "density.scale=1:3")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("laplace over density.scale: the best format")


def test_switches_along_a_parameter(run: Run) -> None:
    expected = format_switches(["5M2E", "4M3E"], StudentT(3), "nu", 3, 20)
    arguments = ["optimize", "--formats", "5M2E,4M3E", "--dist", "student-t", "--over", "nu=3:20"]
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["schema"] == "qerror.switches/1"
    rows = document["rows"]
    assert [row["best_format"] for row in rows] == [form.name for form in expected.winners]
    assert rows[0]["from"] == 3
    assert rows[0]["to"] == rows[1]["from"] == expected.switches[0].value
    assert rows[1]["to"] == 20
    assert rows[1]["mse_at_end"] is None
    text = run(*arguments).stdout.splitlines()
    assert text[0] == "student-t over nu: the best format"
    assert text[4].split()[1] == "7.1977691042"


def test_switches_along_the_range(run: Run) -> None:
    base = ["optimize", "--formats", "int8,5M2E", "--dist", "gaussian"]
    for over in ("max-value=1:6", "range=1:1e3"):
        result = run(*base, "--over", over)
        assert result.exit_code == 0, result.output
        assert [line.split()[2] for line in result.stdout.splitlines()[4:]] == ["INT8", "5M2E"]


def test_block_formats_of_equal_cost(run: Run) -> None:
    asked = ["optimize", "--bits-per-value", "4.5", "--dist", "laplace"]
    asked += ["--formats", "nvfp4,nf4:g64,int4:g8"]
    rows = json.loads(run(*asked, "--json").stdout)["rows"]
    expected = rank_blocks("laplace", 4.5, ["nvfp4", "nf4:g64", "int4:g8"])
    assert [row["format"] for row in rows] == [entry.form.name for entry in expected]
    assert [row["mse"] for row in rows] == [entry.report.mse for entry in expected]
    lines = run(*asked).stdout.splitlines()
    assert lines[0] == "laplace: at most 4.5 bits a value, scales included"
    assert max(map(len, lines)) <= 80


def test_the_scale_of_a_block_format(run: Run) -> None:
    rows = json.loads(run("optimize", "int4:g64", "--dist", "gaussian", "--json").stdout)["rows"]
    assert [row["given"] for row in rows] == [False, True]
    assert rows[0]["mse"] == optimal_multiplier("int4:g64", "gaussian").report.mse
    assert rows[1]["loss_db"] == pytest.approx(
        rows[0]["sqnr_db"] - rows[1]["sqnr_db"], rel=1e-12, abs=0
    )
    text = run("optimize", "nvfp4", "--dist", "laplace").stdout
    assert "note: NVFP4 leaves no choice of its scale" in text


def test_switches_between_block_formats(run: Run) -> None:
    asked = ["optimize", "--formats", "nf4:g64,int4:g64:affine", "--dist", "gaussian"]
    result = run(*asked, "--over", "block-size=8:1024")
    assert [line.split()[2] for line in result.stdout.splitlines()[4:6]] == [
        "INT4:gN:affine", "NF4:gN",
    ]  # fmt: skip
    asked[2] = "nf4:g64,int4:g64"
    document = json.loads(run(*asked, "--over", "block-size=1:16", "--json").stdout)
    ends = [(row["from"], row["to"]) for row in document["rows"]]
    assert ends == [(1, 1), (2, 7), (8, 16)]


def test_formats_that_do_not_fit_are_named(run: Run, tmp_path: Path) -> None:
    asked = ["optimize", "--bits-per-value", "4.5", "--formats", "nf4:g64,mxfp8_e4m3"]
    note = "note: left out, as they do not fit: MXFP8_E4M3:gN"
    assert note in run(*asked, "--dist", "gaussian").stdout
    np.save(tmp_path / "x.npy", np.random.default_rng(3).normal(size=(4, 32)))
    assert note in run(*asked, "--data", str(tmp_path / "x.npy")).stdout
    assert "left out" not in run(*asked[:3], "--dist", "gaussian").stdout


def test_scales_that_make_no_difference(run: Run) -> None:
    """Every threshold has an infinite error, or none: no best one is made up."""
    zero = "discrete(values=[0],probabilities=[1])"
    for density, loss in (("student-t(nu=1.5)", "nan"), (zero, "0.00")):
        lines = run("optimize", "mxfp4", "--dist", density).stdout.splitlines()[5:]
        assert [line.split()[0] for line in lines] == [
            "MXFP4", "MXFP4:ceil", "MXFP4:rceil", "MXFP4:even",
        ]  # fmt: skip
        assert {line.split()[-1] for line in lines} == {loss}


def test_the_average_is_said_where_there_is_one(run: Run) -> None:
    asked = ["optimize", "--bits-per-value", "4.5", "--dist", "gaussian", "--formats"]
    assert "note:" not in run(*asked, "nf4:g64,int4:g64").stdout
    assert "mean over a binade" in run(*asked, "nf4:g64,mxfp4").stdout
    assert "own spread" in run(*asked, "nf4:g64,mxfp4", "--own-spread").stdout


def test_files_and_markdown(run: Run, tmp_path: Path) -> None:
    assert run("optimize", "--bits", "4", *T3, "-o", "x.csv").exit_code == 0
    assert (tmp_path / "x.csv").read_text().startswith("density,rank,format,")
    text = run("optimize", "--bits", "4", *T3, "--format", "markdown").stdout
    assert text.startswith("## student-t(nu=3)")


def test_limits_in_a_sweep(run: Run) -> None:
    result = run("sweep", *T3, "--limits")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "> L-Max" in lines[2]
    assert "> Shannon" in lines[2]
    best = next(line for line in lines if line.startswith("3M4E"))
    assert best.split()[-2:] == ["4.11", "18.77"]
    assert max(map(len, lines)) <= 80


CASES: list[tuple[str, list[str]]] = [
    (
        "optimize --dist gaussian",
        ["FORMAT, --bits, --formats and --bits-per-value", "got none", "--bits 8"],
    ),
    ("optimize int8 --bits 8 --dist gaussian", ["got FORMAT and --bits"]),
    ("optimize --bits 8 --formats int8 --dist gaussian", ["got --bits and --formats"]),
    ("optimize int8 --unsigned --dist gaussian", ["--unsigned goes with --bits", "uint8"]),
    ("optimize int8 --over std=1:2 --dist gaussian", ["--over compares formats", "--bits"]),
    ("optimize --bits-per-value 0 --dist gaussian", ["--bits-per-value must be positive"]),
    ("optimize --bits-per-value 4 --dist gaussian", ["no format fits 4 bits a value"]),
    ("optimize int8 --bits-per-value 4.5 --dist gaussian", ["leave out FORMAT"]),
    ("optimize --formats int4 --bits-per-value 4.5 --dist gaussian", ["INT4:g64"]),
    ("optimize --formats mxfp4,int8 --dist gaussian", ["MXFP4 share scales", "qerror sweep"]),
    ("optimize e4m9 --dist gaussian", ["'e4m9'", "did you mean"]),
    ("optimize --bits 1 --dist gaussian", ["bits must lie in 2..53", "1"]),
    ("optimize --bits eight --dist gaussian", ["eight"]),
    ("optimize --bits 8", ["--dist"]),
    ("optimize --bits 8 --dist gaussian --dist laplace", ["one --dist", "got 2"]),
    ("optimize --bits 8 --dist gaussian --over nu=2:3", ["cannot sweep 'nu'", "mean, std"]),
    ("optimize --bits 8 --dist student-t --over nu=2", ["'nu=2'", "NAME=LO:HI", "nu=2.1:20"]),
    ("optimize --bits 8 --dist student-t --over nu=3:2", ["LO must be below HI"]),
    ("optimize --bits 8 --dist student-t --over nu=a:b", ["must be numbers"]),
    ("optimize --bits 8 --dist student-t --over nu=2:inf", ["both finite"]),
    ("optimize --bits 8 --dist student-t --over nu=1:3", ["E[X^2] is infinite at nu = 1"]),
    ("optimize --bits 8 --dist student-t --nu 3 --over nu=3:4", ["--nu", "--over"]),
    ("optimize --bits 8 --dist gaussian --over range=-1:2", ["low must be positive", "-1"]),
    ("optimize --formats fixed8.4 --dist gaussian --over range=1:2", ["no range to sweep"]),
    ("optimize int8 --dist gaussian -o no/where.csv", ["no folder"]),
    ("optimize int8 --dist gaussian --json --format csv", ["--json", "--format csv"]),
]


@pytest.mark.parametrize(("line", "words"), CASES, ids=[line for line, _ in CASES])
def test_bad_input_ends_in_one_helpful_message(
    run: Run, tmp_path: Path, line: str, words: list[str]
) -> None:
    result = run(*line.split(" "))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("Error:") == 1
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_codebook_of_one_level_is_compared(run: Run) -> None:
    result = run("sweep", "--formats", "codebook:1", "--dist", "gaussian")
    assert result.exit_code == 0, result.stderr
    assert "codebook:1" in result.stdout
