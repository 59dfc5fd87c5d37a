"""Channels and blocks of own data from the command line, and values that are no numbers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from qerror import optimal_scale, quantization_error, quantize
from qerror.optimize import optimal_fractional_length
from qerror_cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with arrays."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    np.save("x.npy", (rng.normal(size=(3, 80)) * [[0.1], [1], [9]]).astype(np.float32))
    np.save("holes.npy", np.array([1.0, np.nan, -2.5, np.inf, 0.5, -np.inf]))
    np.save("zeros.npy", np.zeros(12))
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(main, line.split(), prog_name="qerror")


def document(line: str) -> dict[str, Any]:
    found = run(f"{line} --json")
    assert found.exit_code == 0, found.output
    parsed: dict[str, Any] = json.loads(found.stdout)
    return parsed


def test_formats_ranked_with_a_range_for_every_channel() -> None:
    x = np.load("x.npy")
    rows = document("optimize --formats int4,2M1E,fixed4.0 --data x.npy --axis 0")["rows"]
    assert {row["format"] for row in rows} == {"INT4", "2M1E", "FIXED4.0"}
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert rows[0]["mse"] <= rows[1]["mse"] <= rows[2]["mse"]
    for row in rows:
        scale = np.array(row["scale"])[:, None]
        wanted = optimal_scale(row["format"], x, axis=0)
        assert (scale == wanted.scale).all()
        error = quantize(x.astype(float), row["format"], scale) - x
        assert row["mse"] == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
    text = run("optimize --bits 4 --data x.npy --axis 1").stdout
    assert "a range for each of 80 channels along axis 1" in text
    assert "FIXED4.0: each channel has a fractional length of its own" in " ".join(text.split())


def test_block_formats_measured_as_they_lie() -> None:
    x = np.load("x.npy")
    for axis, length in ((1, 80), (0, 3)):
        found = document(f"optimize --bits-per-value 9 --data x.npy --axis {axis}")
        assert found["params"]["axis"] == axis
        for row in found["rows"]:
            assert length % row["block_size"] == 0
            assert row["bits_per_value"] <= 9
            error = quantize(x, row["format"], axis=axis).astype(float) - x
            assert row["mse"] == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
    last = document("optimize --bits-per-value 4.5 --data x.npy --formats nf4:g64,nvfp4")
    assert {row["format"] for row in last["rows"]} == {"NF4:g40", "NVFP4"}
    text = " ".join(run("optimize --bits-per-value 4.5 --data x.npy").stdout.split())
    assert "as those do not divide 80: " in text
    assert "NF4:g40 (32)" in text


def test_the_exhaustive_search_is_never_worse() -> None:
    near = document("optimize 3M4E --data x.npy")["rows"][0]
    best = document("optimize 3M4E --data x.npy --exhaustive")["rows"][0]
    wanted = optimal_scale("3M4E", np.load("x.npy"), exhaustive=True)
    assert best["scale"] == wanted.scale
    assert best["mse"] <= near["mse"] <= best["mse"] * (1 + 1e-4)
    (row, *_) = document("optimize 3M4E --data x.npy --axis 0 --exhaustive")["rows"]
    assert row["scale"] == optimal_scale("3M4E", np.load("x.npy")[0], exhaustive=True).scale


def test_a_sweep_over_channels() -> None:
    x = np.load("x.npy")
    found = document("sweep --data x.npy --axis 0 --formats int8,4M3E --max-value absmax")
    assert found["params"]["over"] == {"name": "channel", "values": [0, 1, 2]}
    for row in found["rows"]:
        channel = x[int(row["channel"])]
        peak = float(np.abs(channel).max())
        assert row["max_value"] == peak
        wanted = quantization_error(row["format"], channel, max_value=peak)
        assert row["mse"] == pytest.approx(wanted.mse, rel=1e-12, abs=0)
    best = document("sweep --data x.npy --axis 0 --formats int8 --max-value best")["rows"]
    assert [row["scale"] for row in best] == [optimal_scale("int8", each).scale for each in x]
    text = run("sweep --data x.npy --axis 0 --formats int8,4M3E --plot p.svg").stdout
    assert text.splitlines()[2].split() == ["channel", "INT8", "4M3E"]
    assert Path("p.svg").exists()


def test_a_fractional_length_for_every_channel() -> None:
    x = np.load("x.npy")
    rows = document("fixed-point --data x.npy --axis 0")["rows"]
    assert [row["fractional_length"] for row in rows] == [
        optimal_fractional_length(each, 8) for each in x
    ]
    np.save("r.npy", np.vstack([np.maximum(x, 0), np.zeros((1, 80))]))
    rows = document("fixed-point --data r.npy --axis 0")["rows"]
    assert [row["signed"] for row in rows] == [True] * 4 + [False] * 4
    assert [row["channel"] for row in rows if "fractional_length" not in row] == [3, 3]
    assert "how many channels have each" in run("fixed-point --data x.npy --axis 1").stdout


@pytest.mark.parametrize("rule", ["best", "absmax", "3"])
def test_what_is_not_finite_has_no_part_in_quantize_and_error(rule: str) -> None:
    x, kept = np.load("holes.npy"), np.array([1.0, -2.5, 0.5])
    (row,) = document(f"quantize int4 holes.npy --max-value {rule} -o y.npy")["rows"]
    y = np.load("y.npy")
    assert np.isnan(y).tolist() == np.isnan(x).tolist()
    assert (row["nan"], row["infinite"], row["size"]) == (1, 2, 3)
    scale = {"best": optimal_scale("int4", kept).scale, "absmax": 2.5 / 7, "3": 3 / 7}[rule]
    assert row["scale"] == pytest.approx(scale, rel=1e-15, abs=0)
    assert row["mse"] == pytest.approx(
        quantization_error("int4", kept, scale).mse, rel=1e-12, abs=0
    )
    (again,) = document(f"error int4 --data holes.npy --max-value {rule}")["rows"]
    assert again["mse"] == row["mse"]


@pytest.mark.parametrize(
    "line",
    [
        "optimize int8",
        "optimize int8 --axis 0",
        "optimize --bits 4",
        "optimize --bits-per-value 4.5",
        "sweep --formats int8",
        "sweep --formats int8 --axis 0",
        "fixed-point",
        "dot --weight int8 --weight-dist gaussian --activation int8 --activation",
    ],
)
def test_what_is_not_finite_is_refused_elsewhere(line: str) -> None:
    command, _, rest = line.partition(" ")
    given = f"{rest}-data" if command == "dot" else f"{rest} --data"
    found = run(f"{command} {given} holes.npy")
    assert found.exit_code == 2, found.output
    assert found.stdout == ""
    assert "nan" in found.stderr or "not finite" in found.stderr


def test_zeros_and_squares_beyond_float64_are_told() -> None:
    text = " ".join(run("optimize int8 --data zeros.npy").stdout.split())
    assert "all values are 0, which every range holds" in text
    assert "Ways to choose" not in text
    said = run("quantize int8 zeros.npy --max-value best -o y.npy").stdout
    assert "all values are 0, which every range holds" in said
    np.save("tiny.npy", np.array([1e-199, -3e-199, 2e-199]))
    said = " ".join(run("quantize int8 tiny.npy --scale 1e-201 -o y.npy").stdout.split())
    assert "squares of these values leave float64" in said
    np.savez("some.npz", a=np.load("x.npy"), b=np.full(3, np.nan))
    said = run("quantize int8 some.npz --max-value best -o some-q.npz").stderr
    assert "no finite value, taken at scale 1: 'b'" in said
