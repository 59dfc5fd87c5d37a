"""``qerror error --certify`` and ``--digits``."""

import json
import sys

import pytest

from qerror.rigorous import enclosure
from tests.cli.conftest import Run

GIVEN = ("error", "int8", "--dist", "gaussian", "--scale", "0.03125")


def test_value_and_radius(run: Run) -> None:
    result = run(*GIVEN, "--certify")
    assert result.exit_code == 0, result.stderr
    proved = enclosure("int8", "gaussian", 0.03125)
    assert f"{proved.mse.middle:.17g} +- " in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = json.loads(run(*GIVEN, "--certify", "--json").stdout)["rows"]
    mse = next(row for row in rows if row["figure"] == "mse")
    assert (mse["low"], mse["high"]) == proved.mse


def test_digits(run: Run) -> None:
    given = ("error", "int4", "--dist", "gaussian", "--scale", "0.3", "--digits", "40")
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    assert "0.015797585597546837411025689294" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    "more",
    [
        ("--certify", "--digits", "20"),
        ("--certify", "--distribution"),
        ("--certify", "--method", "closed-form"),
        ("--digits", "3"),
        ("--certify", "--rounding", "SR"),
    ],
)
def test_bad_input(run: Run, more: tuple[str, ...]) -> None:
    result = run(*GIVEN, *more)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_without_the_library(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flint", None)
    result = run(*GIVEN, "--certify")
    assert result.exit_code == 1
    assert "pip install" in result.stderr
