"""The benchmarks run, and what they compare computes the same thing. Nothing about time."""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from benchmarks import block_errors, checkpoints, own_data
from benchmarks.__main__ import main
from benchmarks.peers import (
    Cells,
    by_quad,
    closed_form,
    gaussian_moments,
    gaussian_pdf,
    samples_needed,
    squared_errors,
    student_moments,
    student_pdf,
)
from benchmarks.rows import LAWS, Row, speedup
from qerror import Gaussian, StudentT, quantization_error
from qerror.formats import as_scalar_format


def test_a_smoke_run_prints_and_saves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick", "--output", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["what", "ours", "other"]
    assert any(line.startswith("one error, INT8, gaussian") for line in lines)
    assert "A smoke run: its figures mean nothing." in lines
    document = json.loads((tmp_path / "results.json").read_text())
    against = {row["against"] for row in document["rows"]}
    assert against == {"closed form", "closed 8bit", "quad", "simulation", "whole", ""}
    assert all(row["ours"] > 0 for row in document["rows"])
    assert {entry["bits"] for entry in document["scaling"]} == {4, 6, 8, 10, 12}
    assert (tmp_path / "results.svg").read_bytes()[:5] == b"<?xml"
    table = lines[: next(i for i, line in enumerate(lines) if line.startswith("Ratio:"))]
    assert max(map(len, table)) <= 80
    assert isinstance(document["arrays"], list)
    if find_spec("torch"):
        blocks = [row for row in document["arrays"] if row.get("benchmark") == "block quantizers"]
        assert {"mxfp4", "nvfp4", "nf4:g64"} <= {row["case"] for row in blocks}


@pytest.mark.parametrize("name", ["int8", "4M3E", "e5m2"])
def test_peers_compute_the_exact_error(name: str) -> None:
    form = as_scalar_format(name)
    for law in LAWS:
        scales = np.array([1.0, 4.0, 16.0]) / form.max_value
        exact = quantization_error(form, law.density, scales).mse
        closed = closed_form(Cells(form), law.moments, scales)
        np.testing.assert_allclose(closed, exact, rtol=1e-6)
        for scale, wanted in zip(scales.tolist(), exact.tolist(), strict=True):
            assert by_quad(form, law.pdf, scale) == pytest.approx(wanted, rel=1e-6, abs=0)


def test_moments_are_those_of_the_densities() -> None:
    for density, moments, pdf in (
        (Gaussian(), gaussian_moments, gaussian_pdf),
        (StudentT(5), student_moments(5), student_pdf(5)),
    ):
        zeroth, _, second = moments(np.array([0.0, 1e6]))
        assert zeroth[0] - zeroth[1] == pytest.approx(0.5, rel=1e-12, abs=0)
        assert second[0] - second[1] == pytest.approx(density.variance / 2, rel=1e-12, abs=0)
        assert pdf(1.5) == pytest.approx(float(density.pdf(1.5)), rel=1e-12, abs=0)


def test_samples_needed_are_those_of_the_variance() -> None:
    form, rng = as_scalar_format("4M3E"), np.random.default_rng(1)
    needed = samples_needed(form, gaussian_pdf, 0.33, relative_error=1e-2)
    squared = squared_errors(form, rng.standard_normal, 0.33, size=2_000_000)
    assert needed == pytest.approx(squared.var() / squared.mean() ** 2 * 1e4, rel=0.05, abs=0)


def test_a_row_knows_whether_its_bar_is_met() -> None:
    assert speedup("x", 1.0, "y", 30.0, 25).is_met is True
    assert speedup("x", 1.0, "y", 20.0, 25).is_met is False
    assert speedup("x", 1.0, "y", 20.0).is_met is None
    assert Row("x", 2.0, "s", "", None, 2.0, 1.0, at_least=False).is_met is False
    assert math.isclose(speedup("x", 2.0, "y", 5.0).ratio or 0, 2.5)


def test_bad_folders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        (["--output", str(tmp_path / "no")], "there is no folder"),
        (["--peer", str(tmp_path), "--output", str(tmp_path)], "is no checkout"),
    ):
        with pytest.raises(SystemExit, match="2"):
            main(["--quick", *arguments])
        captured = capsys.readouterr()
        assert words in captured.err
        assert captured.out == ""


def test_fake_quantizers_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import fake_quantize

    rows = fake_quantize.run(1000, 1, compiled=False)
    assert len(rows) == 4
    assert all(row.ratio > 0 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert fake_quantize.Row("x", 1.0, "y", 0.4, 0.5).is_met is True
    assert fake_quantize.Row("x", 1.0, "y", 0.6, 0.5).is_met is False
    assert fake_quantize.Row("x", 1.0, "y", 0.6, None).is_met is None


def test_an_accelerator_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks import accelerator

    rows = accelerator.run("cpu", 8192, 1, compiled=False)
    assert {row.group for row in rows} >= {"forward", "forward and backward", "blocks"}
    assert all(row.ratio > 0 for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == len(rows) + 1


@pytest.mark.exhaustive
def test_block_errors_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    found = block_errors.rows(1, 131_072)
    assert [row.what.split(",")[0] for row in found] == [case[0] for case in block_errors.CASES]
    assert all(row.ours > 0 for row in found)
    endless = [row.what for row in found if row.other == math.inf]
    assert endless == ["mxfp8_e4m3:rceil, StudentT(nu=3.0, loc=0.0, scale=1.0)"]
    assert "nvfp4:of=65536" in capsys.readouterr().out


def test_checkpoints_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints.main(["--mebibytes", "1", "--tensors", "2", "--values", "65536"])
    lines = capsys.readouterr().out.splitlines()
    assert sum("GB/s" in line for line in lines) == (2 if find_spec("numba") else 1)
    assert [line for line in lines if line.startswith("1 MiB in 2 tensors, 7 formats")]


def test_own_data_is_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = own_data.rows(1, (500,), 3)
    assert len(found) == 2 * len(own_data.FORMATS)
    assert all(row.ratio is not None and row.ratio > 0 for row in found)
    assert "numpy.sort" in capsys.readouterr().out
    monkeypatch.setattr(own_data, "brute_force", lambda *_: 1.0)
    with pytest.raises(AssertionError, match="is not"):
        own_data.agree("int8", np.array([0.1, 0.7, -2.0]), 0.1)
