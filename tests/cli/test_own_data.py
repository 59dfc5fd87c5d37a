"""Data instead of a density, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from qerror.optimize import optimal_scale
from qerror_cli.main import main


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32))
    return path


def test_the_best_range_of_data(file: Path) -> None:
    found = CliRunner().invoke(main, ["optimize", "int8", "--data", str(file), "--json"])
    assert found.exit_code == 0, found.output
    row = json.loads(found.stdout)["rows"][0]
    assert row["mse"] == pytest.approx(optimal_scale("int8", np.load(file)).report.mse, rel=1e-12)


def test_formats_ranked_and_swept_on_data(file: Path) -> None:
    for arguments in (["optimize", "--bits", "4"], ["sweep", "--formats", "int4,e2m1"]):
        found = CliRunner().invoke(main, [*arguments, "--data", str(file), "--json"])
        assert found.exit_code == 0, found.output
        assert len(json.loads(found.stdout)["rows"]) >= 2


@pytest.mark.parametrize(
    "more", [["--dist", "gaussian"], ["--nu", "3"], ["--data", "missing.npy"]], ids=str
)
def test_refused(file: Path, more: list[str]) -> None:
    data = [] if "--data" in more else ["--data", str(file)]
    found = CliRunner().invoke(main, ["optimize", "int8", *data, *more])
    assert found.exit_code == 2
    assert found.stdout == ""
