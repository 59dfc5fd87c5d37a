"""Files of NumPy: what is read is right, what is damaged or hostile is refused in one sentence."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qerror.exceptions import InvalidType, InvalidValue
from qerror.simulation import quantize, quantize_file, require_floats
from qerror.storage import StoredArray, open_arrays, other_members
from qerror.storage.narrow import NARROW

RNG = np.random.default_rng(3)


def everything(array: StoredArray) -> np.ndarray[Any, Any]:
    order = "F" if array.fortran_order else "C"
    flat = np.concatenate([*array.pieces(), np.empty(0, array.dtype)])
    return flat.reshape(array.shape, order=order)  # type: ignore[call-overload,no-any-return]


def npy(header: bytes, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    width = 2 if version[0] == 1 else 4
    return b"\x93NUMPY" + version + len(header).to_bytes(width, "little") + header + body


GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
HEADERS = {
    "negative": GOOD.replace(b"(3,)", b"(-3,)"),
    "unclosed": GOOD.replace(b"(3,)", b"(3,"),
    "absurd": GOOD.replace(b"(3,)", b"(10**30,)"),
    "huge": GOOD.replace(b"(3,)", b"(9999999999999999999999,)"),
    "huge product": GOOD.replace(b"(3,)", b"(4294967296, 4294967296, 4294967296)"),
    "true": GOOD.replace(b"(3,)", b"(True,)"),
    "float": GOOD.replace(b"(3,)", b"(3.0,)"),
    "list": GOOD.replace(b"(3,)", b"[3]"),
    "minus signs": b"-" * 9_000 + b"1",
    "brackets": b"[" * 5_000 + b"]" * 5_000,
    "open brackets": b"(" * 9_000,
    "no dictionary": b"7",
    "keys": b"{'descr': '<f4'}",
    "order": GOOD.replace(b"False", b"0"),
    "type": GOOD.replace(b"'<f4'", b"'<q9'"),
    "nested type": GOOD.replace(b"'<f4'", b"[('a', [('b', 7)])]"),
    "call": GOOD.replace(b"(3,)", b"__import__('os')"),
    "bytes": b"\xff\xfe\x00{",
    "escape": GOOD.replace(b"<f4", b"\\d"),
    "long": b" " * 20_000 + GOOD,
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_hostile_headers(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    content = npy(HEADERS[kind], bytes(12))
    if suffix == ".npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", content)
    with pytest.raises(InvalidValue, match=f"not a valid {suffix} file") as raised:
        open_arrays(path)
    assert len(str(raised.value)) < 600


def test_every_flipped_bit(tmp_path: Path) -> None:
    """A damaged file is read as some array, or refused by a QErrorException: nothing else."""
    x = np.arange(5, dtype=np.float32)
    for suffix, save in ((".npy", np.save), (".npz", np.savez_compressed)):
        path = tmp_path / f"x{suffix}"
        save(path, x)
        whole = path.read_bytes()
        for place in range(len(whole) * 8):
            damaged = bytearray(whole)
            damaged[place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            try:
                for array in open_arrays(path):
                    for piece in array.pieces():
                        assert piece.size
            except (InvalidValue, InvalidType):
                pass


def test_arrays_of_all_shapes_are_read(tmp_path: Path) -> None:
    arrays = {
        "c": RNG.normal(size=(3, 5)),
        "f": np.asfortranarray(RNG.normal(size=(3, 5, 2))),
        "scalar": np.array(2.5),
        "none": np.zeros((0, 4)),
        "big": np.arange(7, dtype=">f4"),
        "long": RNG.normal(size=700_001),
    }
    np.savez_compressed(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    found = {array.name: everything(array) for array in open_arrays(tmp_path / "x.npz")}
    for name, array in arrays.items():
        np.save(tmp_path / "x.npy", array)
        (alone,) = open_arrays(tmp_path / "x.npy")
        np.testing.assert_array_equal(everything(alone), array)
        np.testing.assert_array_equal(found[name], array)


def test_a_second_array_and_other_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    one = io.BytesIO()
    np.save(one, np.arange(3.0))
    path.write_bytes(one.getvalue() * 2)
    with pytest.raises(InvalidValue, match="a second array after its first"):
        open_arrays(path)
    path.write_bytes(one.getvalue() + b"abc")
    with pytest.raises(InvalidValue, match="3 bytes after"):
        open_arrays(path)


def test_encrypted_and_unknown_compression_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, a=np.arange(3.0))
    whole = bytearray(path.read_bytes())
    central = whole.rindex(b"PK\x01\x02")
    for place, value in ((8, 1), (10, 99)):
        damaged = bytearray(whole)
        damaged[central + place] = value
        path.write_bytes(damaged)
        with pytest.raises(InvalidValue, match=r"not a valid \.npz file"):
            open_arrays(path)


def test_every_other_member_is_copied_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "x.npz", tmp_path / "y.npz"

    def saved(array: Any) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()

    w = RNG.normal(size=100).astype(np.float32)
    members = [
        ("w.npy", saved(w[::-1])),  # hidden by the later one, as for NumPy
        ("notes.txt", b"hello"),
        (".npy", saved(np.arange(4.0))),
        ("when.npy", saved(np.array(["2020-01-01"], dtype="datetime64[D]"))),
        ("record.npy", saved(np.zeros(3, dtype=[("a", "<f4"), ("b", "<i2")]))),
        ("folder/", b""),
        ("folder/inner.npy", saved(np.arange(3))),
        ("w.npy", saved(w)),
    ]
    with zipfile.ZipFile(source, "w") as archive:
        archive.comment = b"kept"
        for name, content in members:
            if name == "w.npy" and name in archive.namelist():
                with pytest.warns(UserWarning, match="Duplicate"):
                    archive.writestr(name, content)
            else:
                archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    assert other_members(source) == ["w.npy", "notes.txt", "folder/"]
    measured = quantize_file(source, target, "int8", 0.1)
    assert set(measured) == {"w", ".npy"}
    with zipfile.ZipFile(target) as found, zipfile.ZipFile(source) as given:
        assert found.namelist() == [name for name, _ in members]
        assert found.comment == b"kept"
        for new, old in zip(found.infolist(), given.infolist(), strict=True):
            assert new.compress_type == old.compress_type
            if old.filename != ".npy" and new is not found.infolist()[-1]:
                assert found.open(new).read() == given.open(old).read()
    with np.load(target) as loaded:
        np.testing.assert_array_equal(loaded["w"], quantize(w, "int8", 0.1))
    same = quantize_file(target, target, "int8", 0.1)  # onto itself
    assert same["w"].figures.mse == 0


def test_a_member_with_a_wrong_shape_breaks_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "x.npz", tmp_path / "y.npz"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("a.npy", npy(GOOD, bytes(8)))  # 12 bytes are promised
    target.write_text("precious")
    with pytest.raises(InvalidValue, match=r"its header says"):
        quantize_file(source, target, "int8", 0.1)
    assert target.read_text() == "precious"


def test_a_zip_bomb_costs_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    size = 1 << 25
    header = GOOD.replace(b"(3,)", b"(%d,)" % size)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy(header))
        for _ in range(32):
            file.write(bytes(4 * size // 32))
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    (array,) = open_arrays(path)
    count = sum(piece.size for piece in array.pieces())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == size
    assert peak < 40 << 20  # of 128 MiB


@pytest.mark.parametrize("name", NARROW)
def test_narrow_types_decode_every_code(tmp_path: Path, name: str) -> None:
    kind: Any = getattr(ml_dtypes, name)
    width = np.dtype(kind).itemsize
    codes = np.arange(1 << 8 * width, dtype=f"u{width}")
    path = tmp_path / "x.npy"
    np.save(path, codes.view(kind))
    (array,) = open_arrays(path, dtype=name)
    np.testing.assert_array_equal(everything(array), codes.view(kind).astype(np.float32))
    assert array.is_float
    target = tmp_path / "y.npy"
    quantize_file(path, target, "bf16" if width == 2 else "fp16", dtype=name)
    finite = np.isfinite(everything(array))
    np.testing.assert_array_equal(np.load(target)[finite], everything(array)[finite])


def test_narrow_types_without_a_name_are_advised(tmp_path: Path) -> None:
    x = RNG.normal(size=9).astype(np.float32)
    np.save(tmp_path / "b.npy", x.astype(ml_dtypes.bfloat16))
    with pytest.raises(InvalidType, match="bfloat16") as raised:
        require_floats(open_arrays(tmp_path / "b.npy"))
    advice = str(raised.value).rpartition("widen x: ")[2]
    loaded = np.load(tmp_path / "b.npy")  # what is advised works on what NumPy loads
    widened = eval(advice, {"np": np, "x": loaded})
    np.testing.assert_array_equal(widened, x.astype(ml_dtypes.bfloat16).astype(np.float32))
    np.save(tmp_path / "e.npy", x.astype(ml_dtypes.float8_e5m2))
    with pytest.raises(InvalidType, match="float8"):
        require_floats(open_arrays(tmp_path / "e.npy"))
    with pytest.raises(InvalidValue, match="unknown dtype 'bf16'"):
        open_arrays(tmp_path / "b.npy", dtype="bf16")
