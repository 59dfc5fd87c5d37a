"""Files of every kind with some bytes changed: read, or refused with their names."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from qerror.exceptions import QErrorException
from qerror.storage import open_checkpoint
from qerror.storage.scaled import joined

RNG = np.random.default_rng(12)


def _npy(path: Path) -> None:
    np.save(path, RNG.normal(size=(5, 6)).astype(np.float16))


def _npz(path: Path) -> None:
    a, b = RNG.normal(size=(5, 6)), np.asfortranarray(RNG.normal(size=(3, 4)).astype(np.float32))
    np.savez_compressed(path, a=a, b=b, ids=np.arange(3))


def _onnx(path: Path) -> None:
    typed = helper.make_tensor("t", TensorProto.FLOAT16, [3], [0.5, 1.0, 2.0])
    raw = numpy_helper.from_array(RNG.normal(size=(4, 6)).astype(np.float32), "raw")
    beside = TensorProto(name="beside", data_type=TensorProto.FLOAT, dims=[4])
    beside.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "beside.data"), ("offset", "0"), ("length", "16")):
        entry = beside.external_data.add()
        entry.key, entry.value = key, value
    (path.parent / "beside.data").write_bytes(b"\0" * 64)
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], [typed, raw, beside])), path)


def _torch(path: Path) -> None:
    torch.save({"a": torch.randn(3, 4), "l": [torch.randn(2).half(), torch.arange(3)]}, path)


def _legacy(path: Path) -> None:
    torch.save({"a": torch.randn(3, 4)}, path, _use_new_zipfile_serialization=False)


def _safetensors(path: Path) -> None:
    codes = torch.randn(4, 16).to(torch.float8_e4m3fn)
    packed, scales = torch.zeros(2, 16, dtype=torch.uint8), torch.ones(2, 2, dtype=torch.uint8)
    tensors = {"w": codes, "w_scale": torch.rand(4, 1), "v_packed": packed, "v_scale": scales}
    save_file(tensors, path)


def _index(path: Path) -> None:
    _safetensors(path.parent / "part.safetensors")
    path.write_text(json.dumps({"weight_map": dict.fromkeys(("w", "w_scale"), "part.safetensors")}))


KINDS: dict[str, Callable[[Path], Any]] = {
    "x.npy": _npy,
    "x.npz": _npz,
    "x.onnx": _onnx,
    "x.pt": _torch,
    "x.bin": _legacy,
    "x.safetensors": _safetensors,
    "x.safetensors.index.json": _index,
}


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_any_change(tmp_path: Path, name: str, data: st.DataObject) -> None:
    path, good = tmp_path / name, tmp_path / "good"
    if not good.exists():
        KINDS[name](path)
        good.write_bytes(path.read_bytes())
    whole = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        length = data.draw(st.sampled_from([1, 1, 1, 8]))
        whole[at : at + length] = data.draw(st.binary(min_size=0, max_size=length))
    path.write_bytes(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found, _ = joined(open_checkpoint(path))
            for each in found.tensors:
                assert each.values().size == each.size
        except QErrorException as error:
            if tmp_path.name not in str(error):
                raise
            return
    for fault in found.faults:
        assert fault.reason
        assert fault.path.parent == tmp_path
