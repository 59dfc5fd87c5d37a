"""Channels of stored arrays, whatever lies between their values."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from qerror.storage import StoredArray, open_arrays, source


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["npy", "npz", "bfloat16"])
@pytest.mark.parametrize("group", [1 << 26, 100])
def test_channels_are_those_of_the_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, kind: str, group: int
) -> None:
    monkeypatch.setattr(source, "_GROUP_BYTES", group)
    x = np.random.default_rng(1).normal(size=(3, 4, 5)).astype(np.float32)
    laid = np.asfortranarray(x) if order == "F" else x
    (array,) = _stored(tmp_path, laid, kind)
    wanted = x.astype(ml_dtypes.bfloat16).astype(np.float32) if kind == "bfloat16" else x
    for axis in range(3):
        found = list(array.channels(axis))
        assert len(found) == x.shape[axis]
        assert all((a == b).all() for a, b in zip(found, np.moveaxis(wanted, axis, 0), strict=True))


def _stored(folder: Path, x: npt.NDArray[Any], kind: str) -> list[StoredArray]:
    if kind == "npz":
        np.savez_compressed(folder / "x.npz", x=x)
        return open_arrays(folder / "x.npz")
    if kind == "bfloat16":
        np.save(folder / "x.npy", x.astype(ml_dtypes.bfloat16))
        return open_arrays(folder / "x.npy", dtype="bfloat16")
    np.save(folder / "x.npy", x)
    return open_arrays(folder / "x.npy")


def test_empty_channels(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.empty((2, 0, 3)))
    (array,) = open_arrays(tmp_path / "x.npy")
    assert [each.shape for each in array.channels(0)] == [(0, 3)] * 2
    assert not list(array.channels(1))


def test_channels_one_after_the_other_are_read_one_at_a_time(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(3, 4))
    (array,) = open_arrays(tmp_path / "x.npy")
    asked: list[int] = []

    def read(count: int) -> Iterator[npt.NDArray[Any]]:
        asked.append(count)
        return array.read(count)

    watched = replace(array, read=read, mapped=None)
    assert [each.sum() for each in watched.channels(0)] == [6.0, 22.0, 38.0]
    assert asked == [4]
