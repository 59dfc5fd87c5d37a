"""Codes: what is stored, against ml_dtypes and gfloat, and there and back."""

from typing import Any

import gfloat
import numpy as np
import pytest

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import (
    Codebook,
    FixedPoint,
    FloatingPoint,
    Integer,
    as_scalar_format,
    scalar_formats,
)
from qerror.simulation import decode, encode, quantize
from tests.simulation.inputs import around_ties, assert_same_bits, every_exponent, without_nan
from tests.simulation.test_peers import INFOS, ML_DTYPES

SMALL = [
    *(form for form in scalar_formats().values() if form.bits <= 16),
    *map(as_scalar_format, ["4M3E:bias=3.9", "u4m4e", "0m4e", "p3109_k8p1se", "p3109_k8p1uf"]),
    Integer(8, signed=False, zero_point=128),
    Integer(3, symmetric=False, zero_point=-3),
    FixedPoint(12, -3),
    FixedPoint(12, -3, symmetric=False),
    FixedPoint(8, 1, symmetric=False),
    Codebook([-3.0, -0.1, 0.25, 7.0, 7.5]),
]
EVERY = without_nan(every_exponent(64))


@pytest.mark.parametrize("name", [name for name in ML_DTYPES if "float16" not in name])
def test_codes_are_those_of_ml_dtypes(name: str) -> None:
    form, kind = as_scalar_format(name), ML_DTYPES[name]
    x = np.concatenate([EVERY, around_ties(form, np.float32)])
    x = x[~np.isnan(x)]
    with np.errstate(over="ignore"):
        wanted = x.astype(kind).view(np.uint8)
    got = encode(x, form, overflow="convention")
    # The sign of NaN is not kept by every cast.
    beyond = np.isnan(x.astype(kind).astype(np.float32))
    assert (got == wanted)[~beyond].all()
    assert np.isnan(decode(got[beyond], form)).all()
    codes = np.arange(1 << form.bits, dtype=np.uint8)
    assert_same_bits(decode(codes, form), codes.view(kind).astype(np.float32), codes)


def test_codes_of_binary16_are_numpys() -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    values = codes.view(np.float16)
    assert_same_bits(decode(codes, "fp16", dtype=np.float16), values, codes)
    finite = ~np.isnan(values)
    assert (encode(values, "fp16", overflow="convention")[finite] == codes[finite]).all()


@pytest.mark.parametrize("name", [n for n in INFOS if INFOS[n].k <= 16])
def test_every_code_decodes_as_gfloats(name: str) -> None:
    info, form = INFOS[name], as_scalar_format(name)
    codes = np.arange(1 << info.k)
    wanted = gfloat.decode_ndarray(info, codes)
    assert_same_bits(decode(codes, form, dtype=np.float64), wanted, codes)


@pytest.mark.parametrize("form", SMALL, ids=str)
@pytest.mark.parametrize("scale", [1.0, 0.25, 0.1])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.thinned(5)
def test_decode_of_encode_is_quantize(form: Any, scale: float, kind: Any) -> None:
    with np.errstate(over="ignore", under="ignore"):
        x = np.concatenate([EVERY.astype(np.float64), around_ties(form, np.float64, scale)])
        x = x.astype(kind)
    x = x[~np.isnan(x)]
    codes = encode(x, form, scale)
    assert codes.dtype.itemsize == (1 if form.bits <= 8 else 2)
    assert_same_bits(decode(codes, form, scale, dtype=kind), quantize(x, form, scale), x)


@pytest.mark.parametrize("form", SMALL, ids=str)
def test_every_code_comes_back(form: Any) -> None:
    codes = np.arange(1 << form.bits)
    if isinstance(form, Integer | FixedPoint):
        codes = np.arange(form.min_code, form.max_code + 1)
    codes = codes[codes < len(form.values)] if isinstance(form, Codebook) else codes
    values = decode(codes, form, dtype=np.float64)
    kept = ~np.isnan(values)
    assert (encode(values[kept], form, overflow="convention") == codes[kept]).all()


def test_scales_by_channel_and_block() -> None:
    x = np.random.default_rng(3).normal(size=(6, 32)).astype(np.float32)
    for scale in (np.linspace(0.1, 1, 6)[:, None], np.linspace(0.1, 1, 24).reshape(6, 4)):
        for name in ("int8", "e4m3", "nf4"):
            got = decode(encode(x, name, scale), name, scale)
            assert_same_bits(got, quantize(x, name, scale), x)


def test_stochastic_codes_are_those_of_stochastic_values() -> None:
    x = np.random.default_rng(3).normal(size=1000)
    codes = encode(x, "e2m1", rounding="SR", rng=np.random.default_rng(1))
    values = quantize(x, "e2m1", rounding="SR", rng=np.random.default_rng(1))
    assert_same_bits(decode(codes, "e2m1", dtype=np.float64), values, x)


def test_bad_input() -> None:
    with pytest.raises(InvalidValue, match="2 NaN and no code of INT8 is NaN"):
        encode(np.array([np.nan, 1, np.nan]), "int8")
    with pytest.raises(InvalidValue, match="FP32 has 32 bits"):
        encode(np.zeros(3), "fp32")
    with pytest.raises(InvalidValue, match=r"INT8 has no code -128; its codes are -127\.\.127"):
        decode(np.array([3, -128]), "int8")
    with pytest.raises(InvalidValue, match="no code 300"):
        decode(np.array([300]), "e4m3")
    for threads in (-1, 0):
        with pytest.raises(InvalidValue, match=r"threads must lie in 1\.\."):
            encode(np.zeros(3), "int8", threads=threads)
    with pytest.raises(InvalidType, match="codes must be integers, got dtype float64"):
        decode(np.zeros(3), "int8")
    with pytest.raises(InvalidType, match="dtype int8"):
        decode(np.zeros(3, np.int8), "int8", dtype=np.int8)
    with pytest.raises(InvalidValue, match="pass rng"):
        encode(np.zeros(3), "int8", rounding="SR")
    with pytest.raises(InvalidValue, match="below the smallest number"):
        encode(np.zeros(3), FloatingPoint(3, 8, bias=1100.0))


def test_nothing_in_nothing_out() -> None:
    assert encode(np.zeros((0, 3)), "e4m3").shape == (0, 3)
    assert decode(np.zeros((0, 3), np.uint8), "e4m3").shape == (0, 3)


def test_a_codebooks_zero_has_no_sign() -> None:
    values = decode(np.array([0, 1]), Codebook([-0.0, 1]))
    assert not np.signbit(values).any()


def test_scales_format_has_a_code_for_nan() -> None:
    """E8M0: OCP MX 1.0, section 5.4.1: 2^-127 is the code 0, NaN the code 255."""
    x = np.array([2.0**-127, 1.0, 2.0**127, np.nan])
    codes = encode(x, "ue8m0")
    assert codes.tolist() == [0, 127, 254, 255]
    assert_same_bits(decode(codes, "ue8m0", dtype=np.float64), x, x)
    assert encode(np.array([np.inf, 0.0]), "ue8m0", overflow="convention").tolist() == [255, 0]
