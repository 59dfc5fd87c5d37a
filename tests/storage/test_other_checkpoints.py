"""GGUF, ONNX and files of PyTorch: read as their libraries read them, hostile ones refused."""

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import gguf
import hypothesis.strategies as st
import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper, numpy_helper

from qerror import analyze_checkpoint
from qerror.exceptions import InvalidValue
from qerror.storage import Contents, open_checkpoint

RNG = np.random.default_rng(11)
QUANTIZED = [gguf.GGMLQuantizationType[name] for name in ("Q4_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K")]


def opened(path: Path) -> Contents | None:
    """Return what a file holds, None if it is refused by its name."""
    try:
        return open_checkpoint(path)
    except InvalidValue as error:
        if str(path) not in str(error):
            raise
        return None


def write_gguf(path: Path) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.name", "a name")
    writer.add_array("tokenizer.ggml.tokens", ["a", "bc", ""])
    writer.add_array("some.numbers", [1, 2, 3])
    writer.add_tensor("plain", RNG.normal(size=(4, 8)).astype(np.float32))
    writer.add_tensor("half", RNG.normal(size=(3, 5)).astype(np.float16))
    writer.add_tensor("ids", np.arange(6, dtype=np.int32))
    for kind in QUANTIZED:
        _, width = gguf.GGML_QUANT_SIZES[kind]
        # Every pattern of bits is a block; scales are made finite.
        raw = RNG.integers(0, 60, (2, 3 * width)).astype(np.uint8)
        writer.add_tensor(kind.name.lower(), raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_gguf_is_read_as_its_library_reads_it(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    contents = open_checkpoint(path)
    assert not contents.faults
    assert [each.tensor for each in contents.skipped] == ["ids"]
    theirs = {each.name: each for each in gguf.GGUFReader(path).tensors}
    assert {each.name for each in contents.tensors} == set(theirs) - {"ids"}
    for each in contents.tensors:
        other = theirs[each.name]
        assert each.shape == tuple(reversed(other.shape.tolist()))
        wanted: Any = gguf.quants.dequantize(other.data, other.tensor_type)
        np.testing.assert_array_equal(each.values(), wanted.reshape(-1))
        unit = each.encoding.values_per_unit
        np.testing.assert_array_equal(
            each.values(unit, 2 * unit), wanted.reshape(-1)[unit : 2 * unit]
        )
    report = analyze_checkpoint(path, "int8,mxfp4")
    assert report["q4_k"].dtype == "Q4_K"
    assert report["q4_k"].bits_per_value == 4.5


def test_tensors_of_gguf_without_values(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_of(("blocks", [32, 0], 2, 0), ("plain", [0], 0, 0), ("one", [1], 0, 0)))
    contents = open_checkpoint(path)
    assert not contents.faults
    assert [each.values().size for each in contents.tensors] == [0, 0, 1]


def test_every_truncation_of_gguf_is_noticed(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "m.gguf"
    for length in [*range(0, 900, 7), *range(900, len(whole), 301)]:
        path.write_bytes(whole[:length])
        contents = opened(path)
        assert contents is None or contents.faults or length > len(whole) - 32, length


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_gguf_with_any_change(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "m.gguf"
    if not path.exists():
        write_gguf(path)
        (tmp_path / "good").write_bytes(path.read_bytes())
    whole = bytearray((tmp_path / "good").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 900))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    contents = opened(path)
    for each in contents.tensors if contents else ():
        assert each.values().size == each.size


def gguf_of(*tensors: tuple[str, list[int], int, int], body: bytes = b"\0" * 256) -> bytes:
    table = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0)
    for name, lengths, kind, offset in tensors:
        table += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(lengths))
        table += struct.pack(f"<{len(lengths)}Q", *lengths) + struct.pack("<IQ", kind, offset)
    return table + b"\0" * (-len(table) % 32) + body


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (("bad", [8], 99, 0), "type: 99 is unknown"),
        (("bad", [1 << 40], 0, 128), "go beyond the file"),
        (("bad", [8], 0, 1 << 20), "go beyond the file"),
        (("bad", [33], 2, 128), "blocks of 32"),
        (("bad", [8], 0, 0), "overlaps 'good'"),
        (("good", [8], 0, 128), "given twice"),
    ],
)
def test_a_damaged_tensor_of_gguf(
    tmp_path: Path, bad: tuple[str, list[int], int, int], reason: str
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_of(("good", [8], 0, 0), ("fine", [8], 0, 64), bad))
    contents = open_checkpoint(path)
    assert any(reason in each.reason and each.tensor == bad[0] for each in contents.faults)
    assert "fine" in {each.name for each in contents.tensors}


KINDS = ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT4E2M1"]


def write_onnx(path: Path, *tensors: TensorProto) -> Path:
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [], list(tensors))), str(path))
    return path


@pytest.mark.parametrize("raw", [True, False])
def test_onnx_is_read_as_its_library_reads_it(tmp_path: Path, raw: bool) -> None:
    made = []
    for kind in KINDS:
        number = getattr(TensorProto, kind)
        dtype = helper.tensor_dtype_to_np_dtype(number)
        x = RNG.normal(size=(4, 6)).astype(dtype)
        made.append(numpy_helper.from_array(x, kind) if raw else _typed(kind, number, x))
    ids = numpy_helper.from_array(np.arange(3), "ids")
    path = write_onnx(tmp_path / "m.onnx", *made, ids)
    contents = open_checkpoint(path)
    assert not contents.faults
    assert [each.tensor for each in contents.skipped] == ["ids"]
    assert [each.name for each in contents.tensors] == KINDS
    for each, proto in zip(contents.tensors, made, strict=True):
        wanted = numpy_helper.to_array(proto).astype(np.float64)
        np.testing.assert_array_equal(each.values().astype(np.float64), wanted.reshape(-1))
    assert len(analyze_checkpoint(path, "int8")) == len(KINDS)


def _typed(kind: str, number: int, x: Any) -> TensorProto:
    return helper.make_tensor(kind, number, x.shape, x.astype(np.float64).reshape(-1).tolist())


def test_external_data_of_onnx(tmp_path: Path) -> None:
    x = RNG.normal(size=(40, 60)).astype(np.float32)
    proto = helper.make_model(helper.make_graph([], "g", [], [], [numpy_helper.from_array(x, "x")]))
    path = tmp_path / "m.onnx"
    onnx.save(proto, str(path), save_as_external_data=True, location="m.data", size_threshold=0)
    (found,) = open_checkpoint(path).tensors
    assert found.path.name == "m.data"
    np.testing.assert_array_equal(found.values(), x.reshape(-1))
    (tmp_path / "m.data").write_bytes(b"\0" * 100)
    (fault,) = open_checkpoint(path).faults
    assert "'x'" in str(fault)
    assert "which has 100" in fault.reason
    (tmp_path / "m.data").unlink()
    assert "there is no file 'm.data'" in open_checkpoint(path).faults[0].reason


def test_external_data_outside_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 64)
    (tmp_path / "in").mkdir()
    for place in ("../secret", str(tmp_path / "secret")):
        tensor = TensorProto(name="x", data_type=TensorProto.FLOAT, dims=[4])
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", place
        (fault,) = open_checkpoint(write_onnx(tmp_path / "in" / "m.onnx", tensor)).faults
        assert "leads out of the model's folder" in fault.reason


def test_damaged_onnx(tmp_path: Path) -> None:
    short = TensorProto(name="short", data_type=TensorProto.FLOAT, dims=[4], raw_data=b"\0" * 8)
    negative = TensorProto(name="neg", data_type=TensorProto.FLOAT, dims=[-4], raw_data=b"")
    unknown = TensorProto(name="what", data_type=77, dims=[1], raw_data=b"\0")
    good = numpy_helper.from_array(np.ones(3, np.float32), "good")
    path = write_onnx(tmp_path / "m.onnx", short, negative, unknown, good, good)
    contents = open_checkpoint(path)
    assert {each.tensor for each in contents.faults} == {"short", "neg", "what", "good"}
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        opened(path)
    path.write_bytes(whole.replace(b"short", b"sh\xf0rt"))  # a name that is no UTF-8
    assert "sh\\xf0rt" in {each.tensor for each in open_checkpoint(path).faults}


def test_torch_files(tmp_path: Path) -> None:
    base = torch.randn(6, 8)
    state = {
        "model": {"a": base.bfloat16(), "b": base.T, "c": base.half()},
        "list": [base.double(), {"d": torch.tensor(2.5)}],
        "ids": torch.arange(3),
        "step": 3,
    }
    for legacy in (False, True):
        path = tmp_path / f"m{legacy}.pt"
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        contents = open_checkpoint(path)
        found = {each.name: each for each in contents.tensors}
        assert set(found) == {"model.a", "model.b", "model.c", "list.0", "list.1.d"}
        wanted = {"model.b": base.T, "list.0": base.double(), "model.a": base.bfloat16()}
        for name, tensor in wanted.items():
            values = found[name].values().reshape(found[name].shape)
            np.testing.assert_array_equal(values, tensor.to(torch.float64).numpy())
        again = pickle.loads(pickle.dumps(found["model.c"]))
        np.testing.assert_array_equal(again.values(), base.half().float().numpy().reshape(-1))
        assert [each.tensor for each in contents.skipped] == ["ids"]
        assert len(analyze_checkpoint(path, "int8")) == 5


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("was-executed",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_is_never_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, legacy: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.pt"
    torch.save({"w": torch.ones(3), "x": Evil()}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InvalidValue, match=r"m\.pt.*more than weights"):
        open_checkpoint(path)
    path.write_bytes(pickle.dumps(Evil()))
    assert opened(path) is None
    assert not (tmp_path / "was-executed").exists()


def test_truncated_torch_files(tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    torch.save({"w": torch.randn(64)}, path)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:length])
        assert opened(path) is None
