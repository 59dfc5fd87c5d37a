"""Codes with scales in tensors beside them, as published checkpoints keep them."""

import pickle
import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from qerror.formats import as_format
from qerror.storage import StoredTensor, open_checkpoint
from qerror.storage.scaled import Scheme, Tile, joined

RNG = np.random.default_rng(15)
E2M1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float64)


def read(path: Path, tensors: dict[str, torch.Tensor]) -> tuple[StoredTensor, Scheme]:
    save_file(tensors, path / "q.safetensors")
    found, schemes = joined(open_checkpoint(path / "q.safetensors"))
    assert not found.faults
    names = [each.name for each in found.tensors] + [each.tensor for each in found.skipped]
    assert names == ["w"], names
    return found.tensors[0], schemes["w"]


def check(tensor: StoredTensor, wanted: Any) -> None:
    """Compare all values and parts of them, here and as another process gets it."""
    assert tensor.shape == wanted.shape
    flat = wanted.reshape(-1)
    np.testing.assert_array_equal(tensor.values(), flat)
    sent: StoredTensor = pickle.loads(pickle.dumps(tensor))
    for start, stop in ((0, 1), (3, 11), (flat.size // 2 + 1, flat.size), (5, 5)):
        np.testing.assert_array_equal(sent.values(start, stop), flat[start:stop])


def eight(shape: tuple[int, ...]) -> tuple[torch.Tensor, Any]:
    codes = torch.from_numpy(RNG.normal(size=shape) * 50).to(torch.float8_e4m3fn)
    return codes, codes.double().numpy()


def four(shape: tuple[int, ...]) -> tuple[torch.Tensor, Any]:
    codes = RNG.integers(0, 16, shape)
    packed = (codes[..., ::2] | codes[..., 1::2] << 4).astype(np.uint8)
    return torch.from_numpy(packed), E2M1[codes]


def test_tiles_of_128_by_128_as_deepseek_has_them(tmp_path: Path) -> None:
    codes, values = eight((300, 200))
    scales = RNG.uniform(0.001, 0.1, (3, 2)).astype(np.float32)
    given = {"w": codes, "w_scale_inv": torch.from_numpy(scales)}
    found, scheme = read(tmp_path, given)
    wide = np.kron(scales.astype(np.float64), np.ones((128, 128)))[:300, :200]
    check(found, values * wide)
    assert found.dtype == "F8_E4M3 x F32"
    assert scheme == Scheme("e4m3:g16384", Tile(128, 128))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_scale_for_all(tmp_path: Path, shape: tuple[int, ...]) -> None:
    codes, values = eight((6, 10))
    given = {"w": codes, "w_scale": torch.full(shape, 0.37)}
    found, scheme = read(tmp_path, given)
    check(found, values * float(np.float32(0.37)))
    assert scheme == Scheme("e4m3", None)


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_scales_of_channels(tmp_path: Path, shape: tuple[int, ...], kind: torch.dtype) -> None:
    codes, values = eight((6, 10))
    scales = torch.rand(shape).add(0.1).to(kind)
    found, scheme = read(tmp_path, {"w": codes, "w_scale": scales})
    check(found, values * scales.double().numpy().reshape(6, 1))
    stored = "" if kind is torch.float32 else ":scale=bf16"
    assert scheme == Scheme(f"e4m3:g10{stored}", Tile(1, 10))


def test_whole_numbers_of_eight_bits(tmp_path: Path) -> None:
    codes = RNG.integers(-127, 128, (4, 12)).astype(np.int8)
    scales = RNG.uniform(0.1, 1, (4, 3)).astype(np.float16)
    given = {"w": torch.from_numpy(codes), "w_scale": torch.from_numpy(scales)}
    found, scheme = read(tmp_path, given)
    check(found, codes * np.repeat(scales.astype(np.float64), 4, axis=1))
    assert scheme == Scheme("int8:g4:scale=fp16", Tile(1, 4))


@pytest.mark.parametrize("name", ["w_scale_2", "w_global_scale"])
def test_nvfp4_with_a_factor_that_multiplies_or_divides(tmp_path: Path, name: str) -> None:
    packed, values = four((8, 64))
    scales = torch.rand(8, 4).mul(400).to(torch.float8_e4m3fn)
    factor = np.float32(3e-4 if name == "w_scale_2" else 2560.0)
    codes = "w" if name == "w_scale_2" else "w_packed"
    given = {codes: packed, "w_scale": scales, name: torch.tensor(float(factor))}
    found, scheme = read(tmp_path, given)
    whole = float(factor) if name == "w_scale_2" else 1 / float(factor)
    check(found, values * (np.repeat(scales.double().numpy(), 16, axis=1) * whole))
    assert scheme == Scheme("nvfp4:of=tensor", Tile(1, 16))


def test_mxfp4_as_gpt_oss_has_it(tmp_path: Path) -> None:
    packed, values = four((2, 5, 3, 32))
    scales = RNG.integers(110, 130, (2, 5, 3)).astype(np.uint8)
    given = {"w_blocks": packed, "w_scales": torch.from_numpy(scales)}
    found, scheme = read(tmp_path, given)
    wide = values * np.exp2(scales.astype(np.float64) - 127)[..., None]
    check(found, wide.reshape(2, 5, 96))
    assert scheme == Scheme("mxfp4", Tile(1, 32))


def test_mxfp4_packed_in_rows(tmp_path: Path) -> None:
    packed, values = four((5, 96))
    scales = RNG.integers(110, 130, (5, 3)).astype(np.uint8)
    given = {"w_packed": packed, "w_scale": torch.from_numpy(scales)}
    found, scheme = read(tmp_path, given)
    check(found, values * np.repeat(np.exp2(scales.astype(np.float64) - 127), 32, axis=1))
    assert scheme.format == "mxfp4"


def test_packed_rows_with_a_scale_each(tmp_path: Path) -> None:
    packed, values = four((5, 96))
    found, scheme = read(tmp_path, {"w_packed": packed, "w_scale": torch.arange(1.0, 6)})
    check(found, values * np.arange(1.0, 6)[:, None])
    assert scheme == Scheme("e2m1:g96", Tile(1, 96))


@pytest.mark.parametrize("bits", [4, 8])
def test_whole_numbers_packed_in_words(tmp_path: Path, bits: int) -> None:
    half, per = 1 << (bits - 1), 32 // bits
    codes = RNG.integers(-half, half, (3, 64))
    words = np.zeros((3, 64 // per), np.uint32)
    for i in range(per):
        words |= (codes[:, i::per] + half).astype(np.uint32) << np.uint32(bits * i)
    scales = RNG.uniform(0.1, 1, (3, 2)).astype(np.float32)
    given = {
        "w_packed": torch.from_numpy(words.view(np.int32)),
        "w_scale": torch.from_numpy(scales),
        "w_shape": torch.tensor([3, 64]),
    }
    found, scheme = read(tmp_path, given)
    check(found, codes * np.repeat(scales.astype(np.float64), 32, axis=1))
    assert scheme == Scheme(f"int{bits}:full:g32", Tile(1, 32))


def test_what_has_no_scales_is_left_as_it_is(tmp_path: Path) -> None:
    given = {
        "a": eight((3, 4))[0],
        "b": torch.randn(3, 4),
        "b_scale": torch.randn(1),
        "ids": torch.arange(3),
    }
    save_file(given, tmp_path / "q.safetensors")
    before = open_checkpoint(tmp_path / "q.safetensors")
    found, schemes = joined(before)
    assert found == before
    assert not schemes


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"w_scale": torch.ones(5)}, "do not fit values of"),
        ({"w_scale": torch.ones(4, 3)}, "do not fit values of|tiles"),
        ({"w_scale_inv": torch.ones(0)}, "scales of shape"),
        ({"w_scale": torch.ones(1), "w_zero_point": torch.ones(1)}, "zero points"),
        ({"w_scale": torch.ones(1), "w_scale_2": torch.zeros(1)}, "scales nothing"),
        ({"w_scale": torch.ones(1), "w_global_scale": torch.zeros(1)}, "scales nothing"),
        ({"w_scale": torch.ones(1), "w_global_scale": torch.ones(2)}, "it must be one"),
        ({"w_scale": torch.arange(4)}, "scales of type I64"),
    ],
)
def test_scales_that_do_not_fit(
    tmp_path: Path, given: dict[str, torch.Tensor], reason: str
) -> None:
    save_file({"w": eight((4, 10))[0], "b": torch.ones(2), **given}, tmp_path / "q.safetensors")
    found, _ = joined(open_checkpoint(tmp_path / "q.safetensors"))
    assert "b" in [each.name for each in found.tensors]
    (fault,) = found.faults
    assert fault.tensor == "w"
    assert re.search(reason, fault.reason), fault.reason


@pytest.mark.parametrize("size", [32, 64])
def test_powers_of_two_over_rows_of_any_length(tmp_path: Path, size: int) -> None:
    codes, values = eight((4, 2 * size))
    powers = RNG.integers(120, 130, (4, 2)).astype(np.uint8)
    stored = torch.from_numpy(powers).view(torch.float8_e8m0fnu)
    found, scheme = read(tmp_path, {"w": codes, "w_scale": stored})
    check(found, values * np.repeat(2.0 ** (powers.astype(float) - 127), size, axis=1))
    assert scheme == Scheme("mxfp8_e4m3" + ("" if size == 32 else ":g64"), Tile(1, size))
    as_format(scheme.format)


def test_a_shape_that_is_no_whole_numbers(tmp_path: Path) -> None:
    given = {
        "w_packed": torch.zeros(4, 2, dtype=torch.int32),
        "w_scale": torch.ones(4, 1),
        "w_shape": torch.tensor([torch.inf, 16.0]),
    }
    save_file(given, tmp_path / "q.safetensors")
    (fault,) = joined(open_checkpoint(tmp_path / "q.safetensors"))[0].faults
    assert "need w_shape" in fault.reason
