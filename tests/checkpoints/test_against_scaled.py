"""Quantized files whose scales are tensors of their own, against their originals."""

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from qerror import Gaussian, StudentT, parse_format, quantization_error, quantize
from qerror.checkpoints import ComparisonReport, compare_checkpoints
from qerror.checkpoints.block_bands import block_band
from qerror.formats import BlockFormat
from qerror.simulation.block_sums import at_largest
from qerror.storage import open_checkpoint
from qerror.storage.scaled import joined

ROWS, COLUMNS = 320, 192


def tiles(x: Any, rows: int, columns: int) -> Any:
    """Return the largest magnitude of each tile, spread over it."""
    down, across = -(-x.shape[0] // rows), -(-x.shape[1] // columns)
    largest = [
        [
            np.abs(x[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]).max()
            for j in range(across)
        ]
        for i in range(down)
    ]
    return np.array(largest, np.float32)


def spread(scales: Any, rows: int, columns: int) -> Any:
    return np.kron(scales, np.ones((rows, columns), np.float32))[:ROWS, :COLUMNS]


def eight(x: Any, rows: int, columns: int) -> tuple[torch.Tensor, torch.Tensor]:
    scales = tiles(x, rows, columns) / np.float32(448)
    codes = torch.from_numpy(x / spread(scales, rows, columns)).to(torch.float8_e4m3fn)
    return codes, torch.from_numpy(scales)


def nvfp4(x: Any) -> dict[str, torch.Tensor]:
    factor = np.float32(np.abs(x).max()) / np.float32(6 * 448)
    scales = (tiles(x, 1, 16) / 6 / factor).astype(ml_dtypes.float8_e4m3fn)
    wide = spread(scales.astype(np.float32), 1, 16) * factor
    codes = (x / wide).astype(ml_dtypes.float4_e2m1fn).view(np.uint8)
    return {
        "": torch.from_numpy(codes[:, ::2] | codes[:, 1::2] << 4),
        "_scale": torch.from_numpy(scales.view(np.uint8)).view(torch.float8_e4m3fn),
        "_scale_2": torch.tensor(float(factor)),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scaled")
    x = np.random.default_rng(4).normal(size=(ROWS, COLUMNS)).astype(np.float32) * np.float32(0.02)
    names = ("tiles", "channels", "coarse", "one", "nvfp4", "wrong")
    save_file({name: torch.from_numpy(x.copy()) for name in names}, path / "a.safetensors")
    given: dict[str, torch.Tensor] = {}
    given["tiles"], given["tiles_scale_inv"] = eight(x, 128, 128)
    given["channels"], given["channels_scale"] = eight(x, 1, COLUMNS)
    step = tiles(x, 1, COLUMNS) / 127 * 4
    given["coarse"] = torch.from_numpy(np.rint(x / step).astype(np.int8))
    given["coarse_scale"] = torch.from_numpy(step)
    given["one"] = torch.from_numpy(x / np.float32(0.001)).to(torch.float8_e4m3fn)
    given["one_scale"] = torch.tensor(0.001)
    given |= {f"nvfp4{name}": each for name, each in nvfp4(x).items()}
    given["wrong"], given["wrong_scale"] = eight(x, 1, COLUMNS)[0], torch.ones(7)
    save_file(given, path / "b.safetensors")
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> ComparisonReport:
    return compare_checkpoints(folder / "a.safetensors", folder / "b.safetensors", "int8")


@pytest.mark.parametrize(
    ("name", "form", "loss"),
    [
        ("tiles", "E4M3FN:g16384", 0.0),
        ("channels", "E4M3FN:g192", 0.0),
        ("coarse", "INT8:g192", 12.0),
        ("one", "E4M3FN", 0.044),
        ("nvfp4", "NVFP4:of=tensor", 0.0),
    ],
)
def test_each_is_judged_in_the_blocks_of_its_own_scales(
    report: ComparisonReport, folder: Path, name: str, form: str, loss: float
) -> None:
    (found,) = [each for each in report.tensors if each.tensor == name]
    assert found.format == form
    assert found.is_detected
    assert found.loss_db == pytest.approx(loss, abs=0.3 if loss > 1 else 0.01)
    assert found.is_as_good is (loss < 0.1)

    x = load_file(folder / "a.safetensors")[name].double().numpy()
    contents, _ = joined(open_checkpoint(folder / "b.safetensors"))
    (values,) = [each.values() for each in contents.tensors if each.name == name]
    e = values.reshape(x.shape) - x
    measured = 10 * math.log10(np.mean(x**2) / np.mean(e**2))
    assert found.measured_sqnr_db == pytest.approx(measured, rel=1e-12, abs=0)
    # The values are Gaussian, and so is what was fitted.
    assert found.band_low < found.allowed_sqnr_db < found.band_high
    assert 0 < found.band_high - found.band_low < 1
    assert ("tiles of 128x128" in found.note) is (name == "tiles")


def test_scales_that_do_not_fit_are_a_fault(report: ComparisonReport) -> None:
    (fault,) = report.faults
    assert fault.tensor == "wrong"
    assert "do not fit values of" in fault.reason
    assert report.missing == ()  # it is there


def test_a_scaled_original_is_read_by_its_scales_too(folder: Path) -> None:
    path = folder / "b.safetensors"
    report = compare_checkpoints(path, path, "int8", only=["tiles", "nvfp4"])
    assert [each.tensor for each in report.tensors] == ["tiles", "nvfp4"]
    assert all(math.isinf(each.measured_sqnr_db) for each in report.tensors)
    assert report.faults == ()  # "wrong" was not asked for
    compare_checkpoints(path, path, "int8", only=["one"], strict=True)


@pytest.mark.thinned(4)
@pytest.mark.parametrize(
    ("name", "blocks"), [("mxfp4", 512), ("nvfp4:of=tensor", 1000), ("int4:g128", 100)]
)
@pytest.mark.parametrize("density", [Gaussian(), StudentT(6)])
def test_a_band_of_blocks_holds_as_often_as_it_says(name: str, blocks: int, density: Any) -> None:
    form = parse_format(name)
    assert isinstance(form, BlockFormat)
    n, runs, amax = form.block_size, 300, 40.0
    low, high = block_band(form, density, blocks * n, amax=amax)
    x = density.sample(runs * blocks * n, np.random.default_rng(9)).reshape(-1, n)
    e = quantize(x, at_largest(form, amax)) - x
    power, noise = ((each**2).sum(axis=1).reshape(runs, -1).sum(axis=1) for each in (x, e))
    measured = 10 * np.log10(power / noise)
    inside = np.mean((measured > low) & (measured < high))
    assert 0.90 < inside < 0.988  # 95%, within three standard errors and what is known of widths
    centre = quantization_error(at_largest(form, amax), density).sqnr_db
    assert low < centre < high
