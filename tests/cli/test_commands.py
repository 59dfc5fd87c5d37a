"""What the commands answer."""

import csv
import io
import json
import math
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from qerror import FloatingPoint, Gaussian, StudentT, parse_density
from qerror.analysis import quantization_error
from qerror.densities import DENSITIES
from qerror.formats import FORMATS, ScalarFormat, as_scalar_format, parse_format, parse_formats
from qerror.sweep import sweep
from qerror_cli.commands.sweep import DEFAULT_FORMATS
from qerror_cli.parameters import OverType
from tests.cli.conftest import Run

T3 = ["--dist", "student-t", "--nu", "3"]
ROW = [
    *("density", "format", "scale", "max_value", "bias", "rounding"),
    *("clipping_low", "clipping_high", "clipping", "mse", "sqnr_db", "mean_error", "cross_moment"),
    *("signal_power", "signal_mean"),
]


def strictly(text: str) -> Any:
    """Read JSON as the standard has it: no Infinity, no NaN."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


# ---- sweep


def test_sweep_prints_the_default_formats_in_80_columns(run: Run) -> None:
    result = run("sweep", *T3)
    assert result.exit_code == 0
    assert result.stderr == ""
    lines = result.stdout.splitlines()
    assert lines[0] == "student-t(nu=3)"
    titles = ["max value", "bias/scale", "rounding", "clipping", "MSE", "SQNR dB", "dB below"]
    assert all(title in lines[2] for title in titles)
    names = [line.split()[0] for line in lines[4:11]]
    assert names == ["INT8", "5M2E", "4M3E", "3M4E", "2M5E", "E4M3FN", "E5M2"]
    assert lines[12].startswith("Max values that lose less than 0.1 dB")
    assert [line.split()[0] for line in lines[16:]] == names
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in result.stdout
    assert [line.split()[0] for line in lines[4:11] if line.endswith(" 0.00")] == ["3M4E"]


def test_the_default_formats_are_those_that_the_table_shows() -> None:
    names = [form.name for form in parse_formats(DEFAULT_FORMATS)]
    assert names == ["INT8", "5M2E", "4M3E", "3M4E", "2M5E", "E4M3FN", "E5M2"]


def test_sweep_prints_what_the_library_returns(run: Run) -> None:
    expected = sweep(["int8", "4M3E"], [StudentT(3)])
    document = strictly(run("sweep", *T3, "--formats", "int8,4M3E", "--json").stdout)
    assert document == {
        "schema": "qerror.sweep/1",
        "params": {
            "formats": list(expected.params["formats"]),  # type: ignore[call-overload]
            "densities": list(expected.params["densities"]),  # type: ignore[call-overload]
            "over": None,
        },
        "rows": expected.to_records(),
    }
    assert set(document["rows"][0]) == {
        *ROW,
        *("bits_per_value", "below_best_db", "at_edge", "note"),
        *("plateau_low", "plateau_high", "smallest_max_value"),
    }


def test_csv_reads_back_to_the_same_numbers(run: Run) -> None:
    expected = sweep(["int8", "4M3E"], [StudentT(2.5), Gaussian()])
    arguments = ["--dist", "student-t", "--nu", "2.5", "--dist", "gaussian"]
    text = run("sweep", *arguments, "--formats", "int8,4M3E", "--format", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 4
    for row, wanted in zip(rows, expected.to_records(), strict=True):
        assert list(row) == list(wanted)
        for key, value in wanted.items():
            if isinstance(value, bool):
                assert row[key] == str(value).lower()
            elif isinstance(value, float):
                assert float(row[key]) == value
            else:
                assert row[key] == (value or "")


def test_infinite_variance_is_an_answer(run: Run) -> None:
    result = run("sweep", "--dist", "student-t", "--nu", "2")
    assert result.exit_code == 0
    assert "inf" in result.stdout
    assert "note: E[x^2] is infinite" in result.stdout
    rows = strictly(run("sweep", "--dist", "student-t", "--nu", "2", "--json").stdout)["rows"]
    assert all(row["mse"] == "inf" and row["cross_moment"] == "-inf" for row in rows)
    assert all(row["sqnr_db"] == "nan" and row["scale"] == "nan" for row in rows)
    assert all(row["at_edge"] is True for row in rows)


def test_json_lines_and_markdown(run: Run) -> None:
    lines = run("sweep", *T3, "--format", "jsonl").stdout.splitlines()
    assert [strictly(line)["format"] for line in lines][:2] == ["INT8", "5M2E"]
    text = run("sweep", *T3, "--format", "markdown").stdout.splitlines()
    assert text[0] == "## student-t(nu=3)"
    assert text[2].startswith("| format | max value |")
    assert text[11:13] == [
        "",
        "## Max values that lose less than 0.1 dB, and the smallest for 0.01 dB",
    ]
    assert len(text) == 2 * (4 + 7) + 1


def test_over_a_density_parameter_gives_a_line_a_value(run: Run) -> None:
    result = run("sweep", "--dist", "student-t", "--over", "nu=2,3,5.5", "--formats", "int8,4M3E")
    lines = result.stdout.splitlines()
    assert lines[0] == "student-t over nu: SQNR in dB"
    assert lines[2].split() == ["nu", "INT8", "4M3E"]
    assert [line.split()[0] for line in lines[4:7]] == ["2", "3", "5.5"]
    assert lines[4].split() == ["2", "nan", "nan"]
    assert "note: nu = 2: E[x^2] is infinite" in result.stdout
    library = sweep(["int8"], [StudentT(3)]).rows[0].report.sqnr_db
    assert lines[5].split()[1] == f"{library:.2f}"


def test_over_the_range_applies_to_every_density(run: Run) -> None:
    arguments = ["--dist", "gaussian", "--dist", "laplace", "--formats", "4M3E"]
    text = run("sweep", *arguments, "--over", "max-value=1:100:3log").stdout
    assert "gaussian over max_value" in text
    assert "laplace over max_value" in text
    rows = strictly(run("sweep", *arguments, "--over", "bias=3,4", "--json").stdout)["rows"]
    assert [(row["density"], row["bias"]) for row in rows] == [
        (name, bias) for name in ("gaussian", "laplace") for bias in (3.0, 4.0)
    ]
    wanted = quantization_error(FloatingPoint(4, 3).with_bias(3.0), Gaussian())
    assert rows[0]["mse"] == pytest.approx(wanted.mse, rel=1e-14, abs=0)


def test_many_formats_are_written_long_and_still_fit(run: Run) -> None:
    names = ",".join(f"4M3E:bias={bias}.25" for bias in range(1, 9))
    result = run("sweep", "--dist", "gaussian", "--over", "scale=0.5,1", "--formats", names)
    lines = result.stdout.splitlines()
    assert lines[2].split()[:2] == ["scale", "format"]
    assert len(lines) == 4 + 2 * 8
    assert max(map(len, lines)) <= 80


def test_a_parameter_goes_to_the_densities_that_have_it(run: Run) -> None:
    arguments = ["--dist", "gaussian", "--dist", "student-t", "--nu", "4", "--std", "2"]
    rows = strictly(run("sweep", *arguments, "--formats", "int8", "--json").stdout)["rows"]
    assert [row["density"] for row in rows] == ["gaussian(std=2)", "student-t(nu=4)"]


def test_parameters_complete_a_call(run: Run) -> None:
    arguments = ["--dist", "truncated(student-t(nu=2))", "--low", "-20", "--high", "30"]
    rows = strictly(run("sweep", *arguments, "--formats", "int8", "--json").stdout)["rows"]
    assert rows[0]["density"] == "truncated(student-t(nu=2), low=-20, high=30)"
    assert rows[0]["mse"] > 0


def test_a_density_has_a_scale_of_its_own(run: Run) -> None:
    arguments = ["error", "int8", "--dist", "laplace", "--density-scale", "3", "--scale", "0.1"]
    row = strictly(run(*arguments, "--json").stdout)["rows"][0]
    assert (row["density"], row["scale"]) == ("laplace(scale=3)", 0.1)


def test_progress_is_told_to_the_library_but_not_to_a_pipe(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qerror_cli.progress.PATIENCE_S", 0.0)
    assert run("sweep", *T3, "--formats", "int8").stderr == ""


def test_progress_is_drawn_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from qerror_cli import progress

    monkeypatch.setattr(progress, "PATIENCE_S", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    with progress.Bar("sweep") as bar:
        bar(1, 4)
        bar(4, 4)
    assert "sweep" in capsys.readouterr().err


# ---- outputs


@pytest.mark.parametrize("suffix", [".txt", ".json", ".jsonl", ".csv", ".md"])
def test_a_file_holds_what_the_screen_would_show(run: Run, tmp_path: Path, suffix: str) -> None:
    kind = {".txt": "table", ".md": "markdown"}.get(suffix, suffix[1:])
    shown = run("sweep", *T3, "--format", kind).stdout
    written = run("sweep", *T3, "-o", f"x{suffix}")
    assert written.stdout == ""
    assert written.stderr == f"wrote x{suffix}\n"
    assert (tmp_path / f"x{suffix}").read_text() == shown


def test_parquet_reads_back_to_the_same_numbers(run: Run, tmp_path: Path) -> None:
    from pyarrow import parquet

    assert run("sweep", "--dist", "student-t", "--nu", "2", "-o", "x.parquet").exit_code == 0
    table: Any = parquet.read_table(tmp_path / "x.parquet")
    expected = sweep(parse_formats(DEFAULT_FORMATS), [StudentT(2)])
    assert [str(row) for row in table.to_pylist()] == [str(row) for row in expected.to_records()]
    assert table.schema.metadata[b"qerror.schema"] == b"qerror.sweep/1"


def test_plot_writes_the_figure_and_its_data(run: Run, tmp_path: Path) -> None:
    arguments = ["--dist", "student-t", "--over", "nu=3,5,9", "--formats", "int8,4M3E"]
    result = run("sweep", *arguments, "--plot", "x.svg", "--csv", "all.csv")
    assert result.exit_code == 0
    assert "student-t over nu" in result.stdout
    assert result.stderr == "wrote x.svg\nwrote x.csv\nwrote all.csv\n"
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert list(rows[0]) == ["density", "nu", "format", "sqnr_db"]
    everything = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert [row["sqnr_db"] for row in rows] == [row["sqnr_db"] for row in everything]


def test_the_full_table_takes_the_place_of_the_plotted_data_by_force(
    run: Run, tmp_path: Path
) -> None:
    line = ["sweep", *T3, "--formats", "int8", "--plot", "x.svg", "--csv", "x.csv"]
    refused = run(*line)
    assert refused.exit_code == 2
    assert "'x.csv' is named twice" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    assert run(*line, "--force").exit_code == 0
    assert "rounding" in (tmp_path / "x.csv").read_text().splitlines()[0]


def test_color_is_for_those_who_ask(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;32m3M4E" in run("sweep", *T3, "--color", "always").stdout
    assert "\x1b" not in run("sweep", *T3, "--color", "never").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    plain = run("sweep", *T3, "--color", "always").stdout
    assert "3M4E" in plain
    assert "[1;32m" not in plain


# ---- error


def test_error_prints_the_breakdown(run: Run) -> None:
    result = run("error", "4M3E", "--dist", "gaussian", "--max-value", "4")
    report = quantization_error("4M3E", Gaussian(), 4 / 15.5)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "4M3E on gaussian" in result.stdout
    assert f"{report.sqnr_db:.10g}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_error_json_has_the_fields_of_a_report(run: Run) -> None:
    document = strictly(
        run("error", "4M3E", "--dist", "student-t", "--nu", "3", "--scale", "0.7", "--json").stdout
    )
    assert document["schema"] == "qerror.error/1"
    row = document["rows"][0]
    assert list(row) == ROW
    wanted = quantization_error("4M3E", StudentT(3), 0.7).to_dict()
    assert {key: row[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    "option", [["--scale", "2"], ["--max-value", "31"], ["--bias", "3"]], ids=lambda o: o[0]
)
def test_scale_max_value_and_bias_are_three_views_of_one_range(run: Run, option: list[str]) -> None:
    row = strictly(run("error", "4M3E", "--dist", "gaussian", *option, "--json").stdout)["rows"][0]
    assert (row["scale"], row["max_value"], row["bias"]) == (2.0, 31.0, 3.0)


def test_error_without_a_range_says_that_the_scale_is_1(run: Run) -> None:
    result = run("error", "int8", "--dist", "gaussian", "--json")
    assert "scale 1" in result.stderr
    row = strictly(result.stdout)["rows"][0]
    assert (row["scale"], row["bias"]) == (1.0, None)


def test_closed_form_agrees_with_quadrature(run: Run) -> None:
    arguments = ["error", "3M4E", "--dist", "gaussian", "--max-value", "4", "--json"]
    exact = strictly(run(*arguments).stdout)["rows"][0]
    closed = strictly(run(*arguments, "--method", "closed-form").stdout)
    assert closed["params"]["method"] == "closed-form"
    assert closed["rows"][0]["mse"] == pytest.approx(exact["mse"], rel=1e-9, abs=0)


def test_error_with_infinite_variance(run: Run) -> None:
    result = run("error", "e4m3", "--dist", "student-t", "--nu", "1.5", "--scale", "1")
    assert result.exit_code == 0
    assert "E[x^2] is infinite" in result.stdout


# ---- formats, show, densities


def test_formats_lists_every_registered_format(run: Run) -> None:
    text = run("formats").stdout
    assert max(map(len, text.splitlines())) <= 80
    rows = strictly(run("formats", "--json").stdout)["rows"]
    assert [row["format"] for row in rows] == list(FORMATS)
    for row in rows:
        assert row["format"] in text
        member = parse_format(row["format"])
        assert member.bits_per_value == row["bits"]
        if isinstance(member, ScalarFormat):
            assert member.max_value == row["max_value"]
        else:
            assert parse_format(row["element"]).bits_per_value < row["bits"]
        assert all(parse_format(alias).name == row["format"] for alias in row["also"])


def test_a_block_format_has_a_card(run: Run) -> None:
    text = run("show", "mxfp8_e4m3:rceil").stdout
    for said in ("RCEIL", "(224, 448]", "E8M0", "0xFF", "2^-127", "8.25"):
        assert said in text


@pytest.mark.parametrize("kind", ["csv", "jsonl", "markdown"])
@pytest.mark.parametrize("command", ["formats", "densities", "show e2m1"])
def test_every_listing_has_every_form(run: Run, command: str, kind: str) -> None:
    result = run(*command.split(), "--format", kind)
    assert result.exit_code == 0
    assert result.stdout


@pytest.mark.parametrize("command", ["formats", "densities", "show fp64"])
def test_every_listing_fits_into_parquet(run: Run, command: str) -> None:
    assert run(*command.split(), "-o", "x.parquet").exit_code == 0


@pytest.mark.parametrize("name", ["e4m3", "int8", "uint4", "nf4", "fp64", "4M3E:bias=3.9"])
def test_show_prints_the_card_and_the_levels(run: Run, name: str) -> None:
    text = run("show", name).stdout
    assert max(map(len, text.splitlines())) <= 80
    member = as_scalar_format(name)
    row = strictly(run("show", name, "--json").stdout)["rows"][0]
    assert row["conventions"] == member.conventions()
    if member.grid().size <= 256:
        assert row["points"] == member.grid().points.tolist()
        assert "levels" in text
    else:
        assert row["points"] is None


def test_show_lists_the_levels_of_a_small_format(run: Run) -> None:
    assert run("show", "e2m1").stdout.endswith("\n0 0.5 1 1.5 2 3 4 6\n")


def test_densities_lists_every_family_with_an_example_that_parses(run: Run) -> None:
    text = run("densities").stdout
    assert max(map(len, text.splitlines())) <= 80
    rows = strictly(run("densities", "--json").stdout)["rows"]
    assert [row["density"] for row in rows] == sorted(DENSITIES)
    for row in rows:
        assert f"--dist '{row['example']}'" in " ".join(text.split())
        assert parse_density(row["example"]) == DENSITIES[row["density"]].example


# ---- help


@pytest.mark.parametrize("command", ["", "sweep", "error", "formats", "show", "densities"])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(run: Run, command: str, flag: str) -> None:
    result = run(*command.split(), flag)
    assert result.exit_code == 0
    assert "Usage: qerror" in result.stdout
    assert result.stderr == ""


def test_an_interrupt_exits_with_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    # The package's attribute of this name is the function.
    monkeypatch.setattr(sys.modules["qerror.sweep"], "sweep", interrupted)
    result = run("sweep", *T3)
    assert result.exit_code == 130
    assert result.stdout == ""


# ---- values of parameters


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("nu=2,3,5", "nu", [2.0, 3.0, 5.0]),
        ("std=0.1:0.5:5", "std", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("max-value=0.1:10:3log", "max_value", [0.1, 1.0, 10.0]),
        ("bias=-1:1:3", "bias", [-1.0, 0.0, 1.0]),
        ("nu=3", "nu", [3.0]),
    ],
)
def test_swept_values(text: str, name: str, values: list[float]) -> None:
    assert OverType().convert(text, None, None) == (name, values)


def test_the_error_of_blocks(run: Run) -> None:
    shown = run("error", "mxfp4", "--dist", "gaussian")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.startswith("MXFP4 on gaussian\nblocks of 32\n")
    (row,) = json.loads(run("error", "mxfp4", "--dist", "gaussian", "--json").stdout)["rows"]
    assert row["bits_per_value"] == 4.25
    assert math.fsum(row["scale_probabilities"]) == pytest.approx(1, abs=1e-12)
    line = ["error", "mxfp4", "--dist", "gaussian", "--binade-average", "--json"]
    (average,) = json.loads(run(*line).stdout)["rows"]
    assert average["mse"] != row["mse"]
    assert average["binade_average"] is True


def test_a_long_table_of_block_sizes_names_no_other_size(run: Run) -> None:
    names = "nvfp4,nf4:g32,int4:gN,int4:g64:affine,mxfp8_e4m3:rceil,mxfp6_e3m2:even"
    asked = ["sweep", "--dist", "gaussian", "--over", "block-size=8,16", "--formats", names]
    title, _, header, _, *lines = run(*asked).stdout.splitlines()
    assert title == "gaussian over block_size"
    assert header.split() == ["block_size", "format", "MSE", "SQNR", "dB", "dB", "below"]
    assert [line.split()[1] for line in lines[:6]] == [
        "NVFP4:gN", "NF4:gN", "INT4:gN", "INT4:gN:affine", "MXFP8_E4M3:gN:rceil",
        "MXFP6_E3M2:gN:even",
    ]  # fmt: skip


def test_blocks_without_a_ratio_are_told_from_those_without_an_error(run: Run) -> None:
    asked = ["sweep", "--dist", "student-t", "--nu", "1.5", "--formats", "nf4:g32,nvfp4"]
    said = " ".join(run(*asked).stdout.split())
    assert "note: NF4:g32: E[x^2] is infinite, the MSE is not: the SQNR is undefined" in said
    assert "note: NVFP4: E[x^2] is infinite: so is the MSE" in said


def test_block_sizes_without_a_density_are_those_of_the_standard_one(run: Run) -> None:
    line = "sweep --over block_size=8:1024:8log --formats mxfp4,nf4,int4:gN"
    shown = run(*line.split())
    assert shown.exit_code == 0, shown.stderr
    assert "no density given: gaussian is taken" in shown.stderr
    assert shown.stdout == run(*line.split(), "--dist", "gaussian").stdout
    assert shown.stdout.startswith("gaussian over block_size: SQNR in dB")
    refused = run("sweep", "--over", "block_size=8,16", "--formats", "mxfp4", "--nu", "3")
    assert refused.exit_code == 2
    assert "no density given; add one" in refused.stderr
    refused = run(*line.split(), "--by", "nu=3,4")
    assert refused.exit_code == 2
    assert "no density given; add one" in refused.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("error mxfp4 --dist gaussian --scale 2", "leave out --scale"),
        ("error mxfp4 --dist gaussian --method closed-form", "leave out --method"),
        ("error int8 --dist gaussian --binade-average", "--binade-average is for block formats"),
        ("sweep --dist gaussian --scale 1 --max-value 2", "--scale and --max-value each set"),
        (
            "sweep --dist gaussian --scale 1 --over max-value=1,2",
            "so does the sweep over max_value",
        ),
        ("sweep --dist gaussian --std 1 --by std=1,2", "given by --std and by --by"),
        ("sweep --dist gaussian --by max-value=1,2", "--by sweeps a parameter of the densities"),
        ("sweep --dist gaussian --by nu=3,4", "--nu is no parameter of any density"),
        ("sweep --dist gaussian --formats nf4,int4:gN", "stands for every block size"),
        ("sweep --dist gaussian --formats nf4,int4:gM --over block-size=8,16", "no option 'gm'"),
    ],
)
def test_ranges_that_cannot_be(run: Run, line: str, words: str) -> None:
    refused = run(*line.split())
    assert refused.exit_code == 2
    assert words in " ".join(refused.stderr.split())
