"""Errors of files measured piece by piece, against the same by NumPy on the whole array."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qerror import quantize
from qerror.exceptions import InvalidValue
from qerror.simulation import measure_error, quantize_file
from qerror.storage import open_arrays
from qerror.storage import source as storage_source

RNG = np.random.default_rng(8)


@pytest.fixture(params=["C", "F"])
def saved(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an array and its file, read in pieces that end inside rows."""
    monkeypatch.setattr(storage_source, "PIECE_BYTES", 4 * 37)
    x = np.asarray(RNG.standard_t(4, size=(6, 5, 32)), dtype=np.float32, order=request.param)
    np.save(tmp_path / "x.npy", x)
    return x, tmp_path / "x.npy"


def test_scales_by_channel(saved: Any, tmp_path: Path) -> None:
    x, path = saved
    (array,) = open_arrays(path)
    shapes: list[tuple[int, int, int]] = [(6, 1, 1), (1, 5, 1), (1, 1, 32), (6, 1, 4), (6, 5, 32)]
    for shape in shapes:
        scale = RNG.uniform(0.01, 0.1, size=shape)
        whole = quantize(x, "int4", scale).astype(float)
        error = whole - x
        found = measure_error(array, "int4", scale)
        assert found.figures.mse == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
        assert found.figures.cross_moment == pytest.approx(np.mean(x * error), rel=1e-9, abs=0)
        single = scale.astype(np.float32).astype(float)
        spread = np.repeat(single, 32 // shape[2], 2) if shape[2] == 4 else single
        tops = np.broadcast_to(7 * spread, x.shape)
        assert found.clipped == (int((x < -tops).sum()), int((x > tops).sum()))
        quantize_file(path, tmp_path / "y.npy", "int4", {"": scale})
        assert (np.load(tmp_path / "y.npy") == whole.astype(np.float32)).all()
    with pytest.raises(InvalidValue, match="scale has shape"):
        measure_error(array, "int4", np.ones((7, 1, 1)))
    with pytest.raises(InvalidValue, match="no scale for the array ''"):
        quantize_file(path, tmp_path / "y.npy", "int4", {"a": 1.0})


@pytest.mark.parametrize("form", ["mxfp4", "nvfp4", "nf4:g16", "int4:g16:affine", "int8:g8"])
def test_blocks(saved: Any, tmp_path: Path, form: str) -> None:
    x, path = saved
    (array,) = open_arrays(path)
    whole = quantize(x, form)
    error = whole.astype(float) - x
    found = measure_error(array, form)
    figures = found.figures
    assert figures.mse == pytest.approx(np.mean(error**2), rel=1e-12, abs=0)
    assert figures.rounding + figures.clipping == pytest.approx(figures.mse, rel=1e-12, abs=0)
    assert (found.size, found.spoiled) == (x.size, 0)
    quantize_file(path, tmp_path / "y.npy", form)
    saved_again = np.load(tmp_path / "y.npy")
    assert (saved_again == whole).all()
    assert saved_again.flags.c_contiguous == x.flags.c_contiguous
    if form == "int8:g8":  # scaled to the largest magnitude: nothing clips
        assert found.clipped == (0, 0)


def test_clipping_of_blocks_is_what_lies_beyond_their_last_level() -> None:
    x = np.array([[0.1, 7.9, -0.3, 1.0], [0.2, -0.1, 6.0, -5.0]], dtype=np.float32)
    found = measure_error(x, "mxfp4:g4")  # both blocks stand at scale 1, up to 6
    assert found.clipped == (0, 1)
    assert found.figures.clipping_high == pytest.approx((7.9 - 6) ** 2 / 8, rel=1e-6, abs=0)


def test_another_axis(saved: Any) -> None:
    x, path = saved
    (array,) = open_arrays(path)
    found = measure_error(array, "int4:g5", axis=1)
    e = quantize(x, "int4:g5", axis=1).astype(np.float64) - x
    assert found.figures.mse == pytest.approx(np.mean(e**2), rel=1e-12, abs=0)
    with pytest.raises(InvalidValue, match="do not divide"):
        measure_error(array, "int4:g5", axis=0)


def test_blocks_that_become_nan_are_counted() -> None:
    x = np.ones((2, 4), dtype=np.float32)
    x[0, 1] = np.nan
    found = measure_error(x, "int8:g4")
    assert (found.size, found.nan, found.spoiled) == (4, 1, 3)
    assert found.figures.mse == pytest.approx(0, abs=1e-12)


def test_blocks_beyond_the_dtype_are_refused() -> None:
    """The scale of the block is rounded up, and a level times it leaves float16."""
    x = np.full((2, 4), 65504, dtype=np.float16)
    assert np.isinf(quantize(x, "mxfp4:g4:even")).all()
    with pytest.raises(InvalidValue, match="beyond float16, whose largest number is 65504"):
        measure_error(x, "mxfp4:g4:even")
    assert measure_error(x.astype(np.float32), "mxfp4:g4:even").figures.mse == 32.0**2
