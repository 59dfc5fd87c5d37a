"""Quantized files against their originals."""

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import save_file

from qerror.checkpoints import ComparisonReport, compare_checkpoints
from qerror.exceptions import InvalidValue
from qerror_cli.main import main


def int8(x: torch.Tensor, top: float) -> torch.Tensor:
    scale = top / 127
    return torch.clamp(torch.round(x / scale), -127, 127) * scale


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("against")
    torch.manual_seed(1)
    x = torch.randn(32, 256)
    original = {
        "good": x.half(),
        "bad": x.half(),
        "float8": x.clone(),
        "same": x.half(),
        "blocks": x.clone(),
        "other": torch.randn(4, 8),
        "gone": x.half(),
    }
    save_file({name: each.contiguous() for name, each in original.items()}, path / "a.safetensors")
    from qerror import optimal_scale, quantize

    best = optimal_scale("int8", original["good"].double().numpy()).max_value
    quantized = {
        "good": int8(original["good"].float(), best),
        "bad": int8(original["bad"].float(), 1.5),
        "float8": original["float8"].to(torch.float8_e4m3fn),
        "same": original["same"].clone(),
        "blocks": torch.from_numpy(quantize(x.numpy(), "mxfp4")),
        "other": torch.randn(8, 4),
    }
    save_file(quantized, path / "b.safetensors")
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> ComparisonReport:
    formats = "mxfp4,int4:g32,e4m3"
    return compare_checkpoints(folder / "a.safetensors", folder / "b.safetensors", formats)


def test_each_is_judged_by_its_own_format(report: ComparisonReport, folder: Path) -> None:
    found = {each.tensor: each for each in report.tensors}
    assert found["good"].format == found["bad"].format == "INT8"
    assert found["good"].is_detected
    assert found["good"].is_as_good
    assert abs(found["good"].loss_db) < 1e-3
    assert found["good"].band_low < found["good"].allowed_sqnr_db + 0.3
    assert found["bad"].is_as_good is False
    assert found["bad"].loss_db > 5
    assert found["float8"].format == "E4M3FN"
    assert 0 < found["float8"].loss_db < 0.4  # at scale 1, which is not the best
    assert found["same"].is_as_good
    assert math.isinf(found["same"].measured_sqnr_db)
    assert (found["blocks"].format, found["blocks"].is_as_good) == ("MXFP4", True)
    assert report.missing == ("gone",)
    assert "shape is [8, 4]" in report.faults[0].reason
    from safetensors.torch import load_file

    x = load_file(folder / "a.safetensors")["float8"].double().numpy()
    e = x.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) - x
    wanted = 10 * math.log10(np.mean(x**2) / np.mean(e**2))
    assert found["float8"].measured_sqnr_db == pytest.approx(wanted, rel=1e-12, abs=0)


def test_what_cannot_be_compared(folder: Path, tmp_path: Path) -> None:
    save_file({"x": torch.ones(3)}, tmp_path / "c.safetensors")
    with pytest.raises(InvalidValue, match="of codes with scales, of one name"):
        compare_checkpoints(folder / "a.safetensors", tmp_path / "c.safetensors")
    with pytest.raises(InvalidValue, match="shape"):
        compare_checkpoints(folder / "a.safetensors", folder / "b.safetensors", strict=True)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="qerror")


def test_on_the_command_line(folder: Path) -> None:
    some = "--only", "good", "--only", "bad", "--only", "other", "--only", "gone"
    files = str(folder / "a.safetensors"), "--against", str(folder / "b.safetensors"), *some
    shown = run("analyze", *files, "--formats", "mxfp4,int8")
    assert shown.exit_code == 1  # one tensor has another shape
    assert "as good" in shown.stdout
    assert "dB worse" in shown.stdout
    assert "damaged: " in shown.stderr
    document = json.loads(run("analyze", *files, "--formats", "mxfp4,int8", "--json").stdout)
    assert document["schema"] == "qerror.compare/1"
    assert document["params"]["missing"] == ["gone"]
    refused = run("analyze", *files, "--budget", "4")
    assert refused.exit_code == 2
    assert "does not go with --against" in refused.stderr
