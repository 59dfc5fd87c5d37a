"""``qerror error --distribution``."""

import json
from pathlib import Path

import pytest

from qerror.analysis import error_distribution
from qerror.densities import Gaussian
from tests.cli.conftest import Run

GIVEN = ("error", "int8", "--dist", "gaussian", "--max-value", "4", "--distribution")


def test_figures(run: Run) -> None:
    result = run(*GIVEN, "--atol", "0.01", "--rtol", "0.01", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["schema"] == "qerror.distribution/1"
    values = {row["figure"]: row["value"] for row in document["rows"]}
    found = error_distribution("int8", Gaussian(), max_value=4.0)
    assert values["exceedance"] == pytest.approx(
        float(found.exceedance(0.01, 0.01)), rel=1e-12, abs=0
    )
    assert values["mean_absolute"] == pytest.approx(found.mean_absolute, rel=1e-12, abs=0)
    assert values["absolute_quantile_0.99"] == pytest.approx(
        float(found.absolute_quantile(0.99)), rel=1e-12, abs=0
    )
    table = run(*GIVEN, "--atol", "0.01").stdout
    assert "P(|e| > 0.01)" in table
    assert max(map(len, table.splitlines())) <= 80


def test_plot(run: Run, tmp_path: Path) -> None:
    result = run(*GIVEN, "--plot", "e.png", "--rounding", "RTZ")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "e.csv").read_text().splitlines()
    assert lines[0] == "curve,error,value"
    assert len(lines) > 500
    assert "rounding toward-zero" in result.stdout


@pytest.mark.parametrize(
    "more",
    [
        ("--rounding", "SR:8"),
        ("--atol", "-1"),
        ("--method", "closed-form"),
        ("--data", "x.npy"),
        ("--plot", "e.gif"),
    ],
)
def test_bad_input(run: Run, more: tuple[str, ...]) -> None:
    result = run(*GIVEN, *more)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_options_without_it_and_formats_without_it(run: Run) -> None:
    assert run("error", "int8", "--dist", "gaussian", "--atol", "1").exit_code == 2
    assert run("error", "mxfp4", "--dist", "gaussian", "--distribution").exit_code == 2
    assert run("error", "int32", "--dist", "gaussian", "--distribution").exit_code == 2
