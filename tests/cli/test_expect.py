"""``qerror expect``: bands and verdicts."""

import json

import numpy as np
import pytest

from qerror.analysis import sqnr_band
from qerror.densities import Gaussian
from tests.cli.conftest import Run

GIVEN = ("expect", "int8", "--dist", "gaussian", "--max-value", "4", "--size", "1e5")


def test_bands(run: Run) -> None:
    result = run(*GIVEN, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    row = document["rows"][0]
    assert row["figure"] == "sqnr_db"
    wanted = sqnr_band("int8", Gaussian(), size=100_000, max_value=4.0)
    assert (row["low"], row["high"]) == pytest.approx(wanted, rel=1e-12, abs=0)
    table = run(*GIVEN).stdout
    assert "95% of measurements on 100,000 values" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("value", "figure", "code"),
    [("40.52", "sqnr_db", 0), ("30.9", "sqnr_db", 3), ("8.9e-5", "mse", 0), ("1", "mse", 3)],
)
def test_verdicts(run: Run, value: str, figure: str, code: int) -> None:
    result = run(*GIVEN, "--measured", value, "--figure", figure, "--check")
    assert result.exit_code == code, result.stdout
    assert ("lies inside" in result.stdout) == (code == 0)
    assert run(*GIVEN, "--measured", value, "--figure", figure).exit_code == 0


@pytest.mark.parametrize(
    "more",
    [
        ("--check",),
        ("--figure", "snr"),
        ("--confidence", "1.5"),
        ("--measured", "nan"),
        ("--rounding", "SR:20"),
        ("--scale", "1"),
    ],
)
def test_bad_input(run: Run, more: tuple[str, ...]) -> None:
    result = run(*GIVEN, *more)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert run("expect", "mxfp4", "--dist", "gaussian", "--size", "10").exit_code == 2


def test_the_band_of_data(run: Run) -> None:
    rng = np.random.default_rng(4)
    np.save("x.npy", rng.standard_normal(5000).astype(np.float32))
    given = ("error", "int8", "--data", "x.npy", "--scale", "0.05", "--fit", "gaussian", "--band")
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    assert "the measured one lies inside" in result.stdout.replace("\n", " ")
    row = json.loads(run(*given, "--json").stdout)["rows"][0]
    assert row["band_low"] < row["sqnr_db"] < row["band_high"]
    assert row["inside"] is True
    assert run("error", "int8", "--dist", "gaussian", "--band").exit_code == 2
    assert "inside" not in json.loads(run(*given[:-1], "--json").stdout)["rows"][0]
