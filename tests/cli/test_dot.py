"""``qerror dot``: terms, matrices, and what it refuses."""

import csv
import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import pytest
from mpmath import mp, mpf

from qerror import Gaussian, Laplace, optimal_scale, quantization_error, scalar_product_error
from tests.cli.conftest import Run


def normal(power: int, low: float, high: float) -> Any:
    """Return the integral of v^power times the density of N(0.3, 1)."""
    return mpmath.quad(lambda v: v**power * mpmath.npdf(v, 0.3), [low, high])


def uniform(power: int, low: float, high: float) -> Any:
    """Return the integral of v^power times the density on [-0.5, 2]."""
    return mpmath.quad(lambda v: v**power / mpf("2.5"), [low, high])


PAIR = "--weight 4M3E --weight-dist gaussian --activation int8 --activation-dist laplace"
TERMS = (
    *("weight_error", "activation_error", "both_errors", "cross_moments"),
    *("weight_error_cross", "activation_error_cross"),
)


def rows(run: Run, line: str) -> list[dict[str, Any]]:
    result = run("dot", *shlex.split(line), "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["schema"] == "qerror.dot/1"
    found: list[dict[str, Any]] = document["rows"]
    return found


def test_the_densities_take_their_parameters_as_options(run: Run) -> None:
    line = "--weight int8 --weight-dist student-t --weight-nu 5 --activation int8"
    line += " --activation-dist laplace --activation-density-scale 2"
    (row,) = rows(run, line)
    densities = (row["weight_density"], row["activation_density"])
    assert densities == ("student-t(nu=5)", "laplace(scale=2)")
    refused = run("dot", *PAIR.split(), "--weight-nu", "3")
    assert refused.exit_code == 2
    assert "--weight-nu is no parameter" in refused.stderr


def test_one_pair_shows_every_term(run: Run) -> None:
    result = run("dot", *PAIR.split(), "--length", "512")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert max(map(len, result.stdout.splitlines())) <= 80
    for words in (
        *("n = 512", "4M3E on gaussian, max value 5.1058995, bias 5.6020312", "INT8 on laplace"),
        *("n E[e_w^2] E[x^2]", "n E[e_x^2] E[w^2]", "n E[e_w^2] E[e_x^2]"),
        *("n 2 E[w e_w] E[x e_x]", "n 2 E[e_w^2] E[x e_x]", "n 2 E[e_x^2] E[w e_w]"),
        *("n (n - 1) E[e of one]^2", "MSE, their sum", "SQNR in dB"),
    ):
        assert words in result.stdout


def test_each_side_stands_at_its_best_range(run: Run) -> None:
    (row,) = rows(run, f"{PAIR} --length 512")
    w, x = optimal_scale("4M3E", Gaussian()), optimal_scale("int8", Laplace())
    expected = scalar_product_error(w.report, x.report, 512)
    assert {key: row[key] for key in expected.to_dict()} == expected.to_dict()
    assert (row["weight_scale"], row["activation_scale"]) == (w.scale, x.scale)
    assert (row["weight_bias"], row["activation_bias"]) == (w.bias, None)
    total = 512 * sum(row[term] for term in TERMS) + row["coherent"]
    assert row["mse"] == pytest.approx(total, rel=1e-14, abs=0)


def test_ranges_that_are_told(run: Run) -> None:
    by_scale = rows(run, f"{PAIR} --weight-scale 0.5 --activation-scale 0.25")
    (row,) = by_scale
    w, x = (
        quantization_error("4M3E", Gaussian(), 0.5),
        quantization_error("int8", Laplace(), 0.25),
    )
    assert row["mse"] == scalar_product_error(w, x).mse
    assert rows(run, f"{PAIR} --weight-max-value 7.75 --activation-max-value 31.75") == by_scale
    assert rows(run, f"{PAIR} --weight-bias 5 --activation-scale 0.25") == by_scale


def test_terms_are_the_double_integral(run: Run) -> None:
    """Levels -1, 0, 1 for w on a shifted Gaussian; -1, 0, 1, 2 scaled by 3/4 for x on a uniform."""
    (row,) = rows(
        run,
        "--weight codebook:-1,0,1 --weight-dist gaussian(mean=0.3) --weight-scale 1 "
        "--activation codebook:-1,0,1,2 --activation-dist uniform(low=-0.5,high=2) "
        "--activation-scale 0.75 --length 3",
    )
    cells: dict[str, list[tuple[float, float, float]]] = {
        "w": [(-math.inf, -0.5, -1), (-0.5, 0.5, 0), (0.5, math.inf, 1)],
        "x": [(-0.5, -0.375, -0.75), (-0.375, 0.375, 0), (0.375, 1.125, 0.75), (1.125, 2, 1.5)],
    }
    partial: dict[str, Callable[[int, float, float], Any]] = {"w": normal, "x": uniform}
    with mp.workdps(20):

        def moment(power: int, error: int, which: str) -> Any:
            """Return E[v^power Q(v)^error]."""
            total = mpf(0)
            for low, high, level in cells[which]:
                total += mpf(level) ** error * partial[which](power, low, high)
            return total

        def product(power: int, error: int) -> Any:
            return moment(power, error, "w") * moment(power, error, "x")

        # E[(Q(w) Q(x) - w x)^2] and E[Q(w) Q(x) - w x], each a double integral that factors
        square = product(0, 2) - 2 * product(1, 1) + product(2, 0)
        mean = product(0, 1) - product(1, 0)
        assert sum(row[term] for term in TERMS) == pytest.approx(float(square), rel=1e-12, abs=0)
        assert row["mean_error"] == pytest.approx(float(3 * mean), rel=1e-12, abs=0)
        assert row["mse"] == pytest.approx(float(3 * square + 6 * mean**2), rel=1e-12, abs=0)
        power = 3 * product(2, 0) + 6 * product(1, 0) ** 2
        assert row["signal_power"] == pytest.approx(float(power), rel=1e-12, abs=0)


BLOCKS = PAIR.replace("4M3E", "mxfp4,nvfp4").replace("int8", "mxfp8_e4m3")


def test_blocks(run: Run, tmp_path: Path) -> None:
    shown = run("dot", *BLOCKS.split(), "--length", "512", "--plot", "x.svg")
    assert shown.exit_code == 0, shown.stderr
    assert "by block" in shown.stdout
    assert "blocks lie along the sum, from its start" in shown.stdout
    assert (tmp_path / "x.csv").exists()
    one = run("dot", *BLOCKS.replace(",nvfp4", "").split(), "--length", "512")
    assert "MXFP4 on gaussian, a scale for each block, SQNR 18.79 dB" in one.stdout
    assert "sum of E[e_i e_j], i != j" in one.stdout
    assert max(map(len, one.stdout.splitlines())) <= 80
    w, x = quantization_error("mxfp4", Gaussian()), quantization_error("mxfp8_e4m3", Laplace())
    row, _ = rows(run, f"{BLOCKS} --length 512")
    assert row["mse"] == scalar_product_error(w, x, 512).mse
    assert (row["weight_scale"], row["weight_max_value"], row["weight_bias"]) == (None,) * 3


MATRIX = (
    "--weight int8,5M2E,4M3E --weight-dist gaussian "
    "--activation 5M2E,3M4E --activation-dist student-t(nu=3)"
)


def test_a_matrix(run: Run) -> None:
    result = run("dot", *MATRIX.split())
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[2].split() == ["w", "\\", "x", "5M2E", "3M4E"]
    assert [line.split()[0] for line in lines[4:7]] == ["INT8", "5M2E", "4M3E"]
    assert "best: w 5M2E, x 3M4E" in result.stdout
    found = rows(run, MATRIX)
    assert [(row["weight"], row["activation"]) for row in found[:3]] == [
        *(("INT8", "5M2E"), ("INT8", "3M4E"), ("5M2E", "5M2E"))
    ]
    assert [row["below_best_db"] == 0 for row in found].count(True) == 1


def test_a_wide_matrix_becomes_a_list(run: Run) -> None:
    names = ",".join(f"4M3E:bias={bias}.125" for bias in range(3, 12))
    line = (
        f"--weight {names} --weight-dist gaussian --activation {names} --activation-dist gaussian"
    )
    result = run("dot", *line.split(), "--weight-scale", "1", "--activation-scale", "1")
    assert result.exit_code == 0
    assert "dB below" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("kind", ["csv", "jsonl", "markdown"])
def test_other_forms(run: Run, kind: str) -> None:
    result = run("dot", *MATRIX.split(), "--format", kind)
    assert result.exit_code == 0
    assert "5M2E" in result.stdout


def test_a_heat_map_with_its_data(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        result = run("dot", *MATRIX.split(), "--plot", "x.svg")
        assert result.exit_code == 0, result.stderr
    svg = (tmp_path / "x.svg").read_text()
    assert "<title>SQNR in dB: w gaussian, x student-t(nu=3)" in svg
    table = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert [float(line["sqnr_db"]) for line in table] == [
        row["sqnr_db"] for row in rows(run, MATRIX)
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.svg"]


def test_a_register_by_the_length_of_the_sum(run: Run, tmp_path: Path) -> None:
    line = (
        "--weight int4 --weight-dist gaussian --activation int4 --activation-dist laplace "
        "--length 24 --accumulator e5m2"
    )
    result = run("dot", *line.split(), "--plot", "x.svg")
    assert result.exit_code == 0, result.stderr
    svg = (tmp_path / "x.svg").read_text()
    assert "<title>SQNR in dB, summed in E5M2, sequential: w INT4 gaussian, x INT4 laplace" in svg
    assert all(text in svg for text in ("the factors alone", "the summing alone", "both"))
    table = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert [int(each["length"]) for each in table] == [1, 2, 4, 8, 16, 24]
    (row,) = rows(run, line)
    for name in ("sqnr_db", "accumulation_sqnr_db", "total_sqnr_db", "accumulation_overflow"):
        assert float(table[-1][name]) == row[name]
    assert float(table[0]["total_sqnr_db"]) > float(table[-1]["total_sqnr_db"])
    fused = line.replace("e5m2", "bf16:fused=8")
    assert run("dot", *fused.split(), "--plot", "y.png").exit_code == 0
    table = list(csv.DictReader((tmp_path / "y.csv").read_text().splitlines()))
    assert [int(each["length"]) for each in table] == [8, 16, 24]
    assert run("dot", *line.replace("e5m2", "int32").split(), "--plot", "z.png").exit_code == 0


def test_registers_of_several_pairs(run: Run, tmp_path: Path) -> None:
    line = (
        "--weight int4,e2m1 --weight-dist gaussian --activation int4 --activation-dist laplace "
        "--length 16 --accumulator e4m3"
    )
    result = run("dot", *line.split(), "--plot", "x.svg")
    assert result.exit_code == 0, result.stderr
    assert (
        "<title>SQNR in dB, summed in E4M3FN, sequential: w gaussian"
        in (tmp_path / "x.svg").read_text()
    )
    table = list(csv.DictReader((tmp_path / "x.csv").read_text().splitlines()))
    assert [float(each["total_sqnr_db"]) for each in table] == [
        row["total_sqnr_db"] for row in rows(run, line)
    ]


def test_infinite_variance_is_answered_honestly(run: Run, tmp_path: Path) -> None:
    line = (
        "--weight int8,5M2E --weight-dist gaussian --activation int8 "
        "--activation-dist student-t(nu=2) --plot x.png"
    )
    result = run("dot", *line.split())
    assert result.exit_code == 0
    assert "E[x^2] is infinite" in result.stdout
    assert (tmp_path / "x.png").exists()
    for row in rows(run, line):
        assert (row["mse"], row["sqnr_db"], row["activation_scale"]) == ("inf", "nan", "nan")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{PAIR} --length 0", ["--length must be at least 1", "0"]),
        (f"{PAIR} --length -3", ["--length must be at least 1", "-3"]),
        (f"{PAIR} --length 2.5", ["--length", "2.5"]),
        (f"{PAIR} --length 99999999999999999999", ["length must lie in 1.."]),
        ("", ["--weight"]),
        ("--weight int8 --weight-dist gaussian --activation int8", ["--activation-dist"]),
        (PAIR.replace("4M3E", "4M3F"), ["'4M3F'", "qerror formats"]),
        (PAIR.replace("gaussian", "gausian"), ["'gausian'", "did you mean gaussian"]),
        (
            PAIR.replace("gaussian", "student-t"),
            ["student-t needs nu", "--weight-nu", "student-t(nu=3)"],
        ),
        (PAIR.replace("4M3E", "codebook:-2,-1"), ["no positive level"]),
        (PAIR.replace("4M3E", ","), ["no format given"]),
        (f"{PAIR} --weight-scale 0", ["scale must be finite and positive", "0"]),
        (f"{PAIR} --weight-max-value -1", ["max_value must be positive", "-1"]),
        (f"{PAIR} --weight-bias 1e9", ["bias must lie in"]),
        (f"{PAIR} --activation-bias 3", ["INT8 has no exponent bias", "--activation-scale"]),
        (f"{PAIR} --weight-scale 1 --weight-bias 3", ["--weight-scale and --weight-bias"]),
        (
            f"{BLOCKS} --weight-scale 2",
            ["MXFP4 takes its scales from the data", "out --weight-scale"],
        ),
        (
            f"{BLOCKS} --activation-bias 2",
            ["MXFP8_E4M3 takes its scales", "leave out --activation-bias"],
        ),
        (f"{BLOCKS} --accumulator fp16", ["MXFP4 shares scales between values"]),
        (f"{PAIR} --plot x.gif", ["'.gif'"]),
        (f"{PAIR} --plot no/x.svg", ["no folder"]),
        (
            f"{PAIR} --plot x.svg -o x.csv",
            ["'x.csv' is named twice", "written by the data of --plot"],
        ),
        (f"{PAIR} -o x.xyz", ["'.xyz'"]),
        (f"{PAIR} --accumulator fp99", ["'fp99'"]),
        (f"{PAIR} --accumulator int", ["its width or its guard bits"]),
        (f"{PAIR} --order pairwise", ["--order goes with --accumulator"]),
        (f"{PAIR} --accumulator fp16 --order blocked", ["blocked:<length>"]),
        (f"{PAIR} --length 5 --accumulator fp22:fused=2", ["multiple of fused=2"]),
    ],
)
def test_bad_input_exits_2_with_nothing_on_stdout(
    run: Run, tmp_path: Path, line: str, words: list[str]
) -> None:
    result = run("dot", *line.split())
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_register_adds_its_rows(run: Run) -> None:
    line = f"{PAIR} --length 64 --accumulator bf16 --order blocked:16"
    shown = run("dot", *shlex.split(line))
    assert shown.exit_code == 0
    assert "summed in BF16, blocked:16" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    (row,) = rows(run, line)
    assert (row["accumulator"], row["order"]) == ("BF16", "blocked:16")
    both = row["mse"] + row["accumulation_mse"]
    assert row["total_mse"] == pytest.approx(both, rel=0.01, abs=0)
    assert row["accumulation_loss_db"] == pytest.approx(
        row["sqnr_db"] - row["total_sqnr_db"], rel=1e-12, abs=0
    )


def test_every_pair_has_its_register(run: Run) -> None:
    line = "--weight int8,e5m2 --weight-dist gaussian --activation int8 --activation-dist laplace"
    line += " --length 64 --accumulator fp16"
    shown = run("dot", *shlex.split(line))
    assert "of the sums leave FP16's range" in shown.stdout
    first, second = rows(run, line)
    assert first["accumulation_overflow"] < 1e-9
    assert second["accumulation_overflow"] > 0.01
    counted = run("dot", *shlex.split(line.replace("fp16", "int:guard=0")))
    assert "leave" not in counted.stdout
