"""``--rounding`` on every command that has it."""

import json
from pathlib import Path

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import Empirical, Gaussian
from qerror.optimize import optimal_scale
from tests.cli.conftest import Run


def test_error(run: Run) -> None:
    result = run(
        "error", "4M3E", "--dist", "gaussian", "--max-value", "4", "--rounding", "sr:6", "--json"
    )
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["params"]["rounding"] == "stochastic:6"
    wanted = quantization_error("4M3E", Gaussian(), max_value=4.0, rounding="stochastic:6")
    assert document["rows"][0]["mse"] == pytest.approx(wanted.mse, rel=1e-14, abs=0)
    shown = run("error", "4M3E", "--dist", "gaussian", "--max-value", "4", "--rounding", "RTZ")
    assert "rounding toward-zero" in shown.stdout


def test_error_of_data(run: Run, tmp_path: Path) -> None:
    x = np.random.default_rng(5).normal(size=400)
    np.save(tmp_path / "x.npy", x)
    given = ("error", "int4", "--data", str(tmp_path / "x.npy"), "--max-value", "2")
    for name, rounding in (("SR", "stochastic"), ("RTZ", "toward-zero")):
        result = run(*given, "--rounding", name, "--json")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert document["params"]["rounding"] == rounding
        wanted = quantization_error("int4", Empirical(x), max_value=2.0, rounding=rounding)
        assert document["rows"][0]["mse"] == pytest.approx(wanted.mse, rel=1e-12)
        fitted = document["rows"][0]["predicted_mse"]
        assert fitted == pytest.approx(wanted.mse, rel=0.2)
        assert fitted != wanted.mse
        assert ("expectations" in result.stderr) == (name == "SR")
    shown = run(*given, "--rounding", "SR", "--band")
    assert "rounding stochastic" in shown.stdout
    assert "95% of samples" in shown.stdout
    np.save(tmp_path / "b.npy", x[:384])
    refused = run("error", "mxfp4", "--data", str(tmp_path / "b.npy"), "--rounding", "SR")
    assert refused.exit_code == 2
    assert "stand alone" in refused.stderr


def test_optimize_and_sweep(run: Run) -> None:
    best = optimal_scale("int4", Gaussian(), rounding="up").max_value
    for command in (
        ("optimize", "int4", "--dist", "gaussian", "--rounding", "RTP", "--json"),
        ("sweep", "--formats", "int4", "--dist", "gaussian", "--rounding", "ceil", "--json"),
    ):
        document = json.loads(run(*command).stdout)
        assert document["rows"][0]["max_value"] == pytest.approx(best, rel=1e-12, abs=0)
        assert document["params"]["rounding"] == "up"


def test_verify_and_quantize(run: Run) -> None:
    given = ("--dist", "laplace", "--rounding", "stochastic:2", "--size", "20000", "--check")
    result = run("verify", "int8,4M3E", *given)
    assert result.exit_code == 0, result.stderr
    assert "stochastic:2" in result.stdout
    np.save("x.npy", np.random.default_rng(1).standard_normal(20_000))
    result = run("quantize", "int8", "x.npy", "--scale", "0.05", "--rounding", "RTZ", "-o", "y.npy")
    assert result.exit_code == 0, result.stderr
    line = next(line for line in result.stdout.splitlines() if line.startswith("MSE"))
    measured, predicted = (float(word) for word in line.split()[-2:])
    assert predicted == pytest.approx(measured, rel=0.05, abs=0)


@pytest.mark.parametrize(
    "command",
    [
        ("error", "int8", "--dist", "gaussian", "--rounding", "sideways"),
        ("error", "int8", "--dist", "gaussian", "--rounding", "up:4"),
        ("error", "int8", "--dist", "gaussian", "--rounding", "stochastic:99"),
        ("error", "int8", "--data", "x.npy", "--rounding", "stochastic:99"),
        ("error", "mxfp4", "--dist", "gaussian", "--rounding", "up"),
        ("error", "int8", "--dist", "gaussian", "--rounding", "up", "--method", "closed-form"),
        ("optimize", "--bits", "8", "--dist", "gaussian", "--rounding", "up"),
        ("sweep", "--formats", "mxfp4", "--dist", "gaussian", "--rounding", "up"),
        ("verify", "mxfp4", "--dist", "gaussian", "--rounding", "up"),
    ],
)
def test_bad_input(run: Run, command: tuple[str, ...]) -> None:
    np.save("x.npy", np.ones(3))
    result = run(*command)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
