"""Safetensors: what is read is what the library reads, and what is damaged is named."""

import json
import pickle
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from qerror import analyze_checkpoint
from qerror.exceptions import InvalidValue
from qerror.storage import Contents, open_checkpoint
from tests.storage.safetensors_files import entries, saved, written

RNG = np.random.default_rng(4)
TYPES: dict[str, tuple[Any, Any]] = {
    "F64": (torch.float64, np.float64),
    "F32": (torch.float32, np.float32),
    "F16": (torch.float16, np.float16),
    "BF16": (torch.bfloat16, ml_dtypes.bfloat16),
    "F8_E4M3": (torch.float8_e4m3fn, ml_dtypes.float8_e4m3fn),
    "F8_E5M2": (torch.float8_e5m2, ml_dtypes.float8_e5m2),
    "F8_E8M0": (torch.float8_e8m0fnu, ml_dtypes.float8_e8m0fnu),
}
Arrays: TypeAlias = dict[str, np.ndarray[Any, Any]]
GOOD: Arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float16)}


@pytest.mark.parametrize("name", TYPES)
def test_every_code_of_a_type_is_read(tmp_path: Path, name: str) -> None:
    kind, own = TYPES[name]
    width = np.dtype(own).itemsize
    codes = np.arange(1 << 8 * min(width, 2), dtype=f"u{min(width, 2)}")
    body = codes.view(np.uint8) if width <= 2 else RNG.normal(size=300).astype(own).view(np.uint8)
    tensor = torch.from_numpy(body.copy()).view(kind)
    save_file({"x": tensor}, tmp_path / "x.safetensors")
    (found,) = open_checkpoint(tmp_path / "x.safetensors").tensors
    assert found.dtype == name
    with np.errstate(invalid="ignore"):  # signalling NaNs
        wanted = body.view(own).astype(np.float64)
        np.testing.assert_array_equal(found.values().astype(np.float64), wanted)
        np.testing.assert_array_equal(found.values(5, 9).astype(np.float64), wanted[5:9])


def test_four_bits_lie_in_pairs_the_low_half_first(tmp_path: Path) -> None:
    body = np.arange(256, dtype=np.uint8).tobytes()
    header = {"x": {"dtype": "F4", "shape": [16, 32], "data_offsets": [0, 256]}}
    path = written(tmp_path / "x.safetensors", json.dumps(header), body)
    with safe_open(path, "pt") as file:  # the library agrees that this is the size
        assert file.get_slice("x").get_dtype() == "F4"
    (found,) = open_checkpoint(path).tensors
    codes = np.frombuffer(body, np.uint8)
    pairs = np.stack([codes & 15, codes >> 4], axis=-1).reshape(-1)
    wanted = pairs.astype(np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    np.testing.assert_array_equal(found.values(), wanted)
    assert np.signbit(found.values()).tolist() == np.signbit(wanted).tolist()


@pytest.mark.parametrize(
    ("name", "own"),
    [("F6_E2M3", ml_dtypes.float6_e2m3fn), ("F6_E3M2", ml_dtypes.float6_e3m2fn)],
)
def test_six_bits_lie_four_in_three_bytes(tmp_path: Path, name: str, own: Any) -> None:
    codes = np.concatenate([np.arange(64), RNG.integers(0, 64, 192)])
    number = sum(int(code) << 6 * i for i, code in enumerate(codes))  # from the low bits up
    body = number.to_bytes(192, "little")
    header = {"x": {"dtype": name, "shape": [4, 64], "data_offsets": [0, 192]}}
    path = written(tmp_path / "x.safetensors", json.dumps(header), body)
    with safe_open(path, "np") as file:  # the library agrees that this is the size
        assert file.get_slice("x").get_dtype() == name
    (found,) = open_checkpoint(path).tensors
    wanted = codes.astype(np.uint8).view(own).astype(np.float64)
    np.testing.assert_array_equal(found.values().astype(np.float64), wanted)
    np.testing.assert_array_equal(found.values(8, 20).astype(np.float64), wanted[8:20])
    row = analyze_checkpoint(path, "int8,mxfp4")["x"]
    assert row.bits_per_value == 6
    assert row.signal_power == pytest.approx(np.mean(wanted**2), rel=1e-14, abs=0)
    assert row.absmax == np.abs(wanted).max()
    header["x"]["shape"] = [3]
    path = written(tmp_path / "x.safetensors", json.dumps(header), body)
    assert "do not fill units of 4" in open_checkpoint(path).faults[0].reason


def test_the_library_reads_the_same(tmp_path: Path) -> None:
    tensors = {f"t{i}": torch.randn(i, 3, dtype=torch.float16) for i in range(5)}
    tensors["ids"] = torch.arange(4)
    save_file(tensors, tmp_path / "m.safetensors", {"format": "pt"})
    contents = open_checkpoint(tmp_path / "m.safetensors")
    assert [each.tensor for each in contents.skipped] == ["ids"]
    assert not contents.faults
    with safe_open(tmp_path / "m.safetensors", "np") as file:
        assert {each.name for each in contents.tensors} == set(file.keys()) - {"ids"}
        for each in contents.tensors:
            np.testing.assert_array_equal(
                each.values().reshape(each.shape), file.get_tensor(each.name)
            )


def test_a_tensor_can_be_sent_to_another_process(tmp_path: Path) -> None:
    (found,) = open_checkpoint(saved(tmp_path / "a.safetensors", {"a": GOOD["a"]})).tensors
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    np.testing.assert_array_equal(again.values(), GOOD["a"].reshape(-1))


def changed(**fields: object) -> tuple[str, bytes]:
    header, body = entries(GOOD)
    header["a"] |= fields
    return json.dumps(header), body


B = {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}
TENSORS: dict[str, tuple[tuple[str, bytes], str]] = {
    "unknown dtype": (changed(dtype="F7"), "dtype: 'F7' is unknown"),
    "dtype of another kind": (changed(dtype=4), "dtype: 4 is no text"),
    "negative size": (changed(shape=[-2, -3]), "shape: [-2, -3] is no list"),
    "true as a size": (changed(shape=[True, 6]), "shape: [True, 6] is no list"),
    "a real size": (changed(shape=[2.0, 3]), "shape: [2.0, 3] is no list"),
    "text as shape": (changed(shape="23"), "shape: '23' is no list"),
    "huge": (changed(shape=[2**61, 2**61]), "data_offsets: [0, 24] hold 24 bytes"),
    "beyond the file": (changed(data_offsets=[8, 1000]), "do not lie in 0..32"),
    "negative offset": (changed(data_offsets=[-24, 0]), "is no pair of whole numbers"),
    "backwards": (changed(data_offsets=[24, 0]), "do not lie in 0..32"),
    "one offset": (changed(data_offsets=[24]), "is no pair of whole numbers"),
    "another size": (changed(data_offsets=[0, 20]), "takes 24"),
    "overlap": (changed(data_offsets=[4, 28]), "overlaps 'b'"),
    "no shape": (
        ('{"a": {"dtype": "F32", "data_offsets": [0, 0]}, "b": ' + json.dumps(B) + "}", b"\0" * 8),
        "shape: its entry has 0 of them",
    ),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_a_damaged_tensor_is_named_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    (header, body), reason = TENSORS[kind]
    path = written(tmp_path / "x.safetensors", header, body)
    with pytest.raises(SafetensorError):  # the library gives up the whole file
        safe_open(path, "np")
    contents = open_checkpoint(path)
    by_name = {each.tensor: each.reason for each in contents.faults}
    assert reason in by_name["a"]
    good = {each.name for each in contents.tensors}
    assert good == ({"b"} if kind != "overlap" else set())
    with pytest.raises(InvalidValue, match=r"tensor '[ab]'"):
        contents.checked(strict=True)


def test_two_tensors_of_one_name_are_both_refused(tmp_path: Path) -> None:
    header, body = entries(GOOD)
    text = json.dumps(header)[:-1] + ', "b": ' + json.dumps(header["b"]) + "}"
    contents = open_checkpoint(written(tmp_path / "x.safetensors", text, body))
    assert [each.name for each in contents.tensors] == ["a"]
    assert {each.tensor for each in contents.faults} == {"b"}
    assert "given twice" in contents.faults[0].reason


def test_bytes_that_belong_to_no_tensor_are_said(tmp_path: Path) -> None:
    header, body = entries(GOOD)
    path = written(tmp_path / "x.safetensors", json.dumps(header), body + b"more")
    contents = open_checkpoint(path)
    assert len(contents.tensors) == 2
    assert "belong to no tensor" in str(contents.faults[0])


FILES = {
    "empty": (b"", "8 bytes"),
    "short": (b"\x00\x00", "8 bytes"),
    "length beyond": ((1 << 20).to_bytes(8, "little") + b"{}", "header length 1,048,576"),
    "length huge": (b"\xff" * 8 + b"{}", "at most"),
    "no JSON": ((4).to_bytes(8, "little") + b"{{{{", "not a valid"),
    "no text": ((2).to_bytes(8, "little") + b"\xff\xfe", "not a valid"),
    "a list": ((2).to_bytes(8, "little") + b"[]", "no table"),
    "deep": ((100_000).to_bytes(8, "little") + b"[" * 100_000, "not a valid"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_header_is_refused(tmp_path: Path, kind: str) -> None:
    content, reason = FILES[kind]
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InvalidValue, match=r"x\.safetensors") as raised:
        open_checkpoint(path)
    assert reason in str(raised.value)


def opened(path: Path) -> Contents | None:
    """Return what a file holds, None if it is refused by its name."""
    try:
        return open_checkpoint(path)
    except InvalidValue as error:
        if str(path) not in str(error):
            raise
        return None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_no_other_exception_comes_out(
    tmp_path: Path, data: st.DataObject
) -> None:
    header, body = entries(GOOD)
    text = json.dumps(header).encode()
    whole = bytearray(len(text).to_bytes(8, "little") + text + body)
    cut = data.draw(st.integers(0, len(whole)))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.safetensors"
    path.write_bytes(whole[:cut])
    contents = opened(path)
    if contents is None:
        return
    for each in contents.tensors:
        assert each.values().size == each.size
    for fault in contents.faults:
        assert str(path) in str(fault)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    whole = saved(tmp_path / "x.safetensors", GOOD).read_bytes()
    for length in range(len(whole)):
        path = tmp_path / "x.safetensors"
        path.write_bytes(whole[:length])
        contents = opened(path)
        assert contents is None or contents.faults, length


def test_several_files_by_their_index(tmp_path: Path) -> None:
    saved(tmp_path / "m-1.safetensors", {"a": GOOD["a"]})
    saved(tmp_path / "m-2.safetensors", {"b": GOOD["b"]})
    index = tmp_path / "m.safetensors.index.json"
    shards = {"a": "m-1.safetensors", "b": "m-2.safetensors"}
    index.write_text(json.dumps({"weight_map": shards}))
    assert [each.name for each in open_checkpoint(index).tensors] == ["a", "b"]
    assert open_checkpoint(tmp_path) == open_checkpoint(index)
    more = {"gone": "m-3.safetensors", "c": "m-2.safetensors", "up": "../m-1.safetensors"}
    index.write_text(json.dumps({"weight_map": shards | more}))
    contents = open_checkpoint(index)
    assert len(contents.tensors) == 2
    faults = sorted(map(str, contents.faults))
    assert len(faults) == 3
    assert any("'c': it is not in the file" in each for each in faults)
    assert any("there is no such file" in each for each in faults)
    assert any("does not lie beside the index" in each for each in faults)


@pytest.mark.parametrize("text", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": 3}', "{"])
def test_an_index_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(InvalidValue, match=r"index\.json"):
        open_checkpoint(path)


def test_folders_of_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.asfortranarray(GOOD["a"]))
    np.save(tmp_path / "big.npy", GOOD["a"].astype(">f4"))
    np.savez(tmp_path / "z.npz", w=GOOD["b"], ids=np.arange(3))
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    (tmp_path / "read.me").write_text("of no interest")
    contents = open_checkpoint(tmp_path)
    found = {each.name: each.values().reshape(each.shape) for each in contents.tensors}
    assert set(found) == {"w.npy:w", "big", "z.npz:w"}
    np.testing.assert_array_equal(found["w.npy:w"], GOOD["a"])
    np.testing.assert_array_equal(found["big"], GOOD["a"])
    np.testing.assert_array_equal(found["z.npz:w"], GOOD["b"])
    assert [each.tensor for each in contents.skipped] == ["ids"]
    assert "bad.npy" in str(contents.faults[0])


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="there is no such file"):
        open_checkpoint(tmp_path / "gone.safetensors")
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(InvalidValue, match="suffix is none of"):
        open_checkpoint(tmp_path / "x.txt")
    with pytest.raises(InvalidValue, match="no file in it ends in"):
        open_checkpoint(tmp_path)
