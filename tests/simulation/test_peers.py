"""Bit for bit against ml_dtypes, gfloat and torch."""

from collections.abc import Callable
from typing import Any

import gfloat
import ml_dtypes
import numpy as np
import pytest
import torch
from gfloat import RoundMode, formats
from gfloat.types import Domain, Signedness

from qerror.formats import FixedPoint, FloatingPoint, Integer, as_scalar_format
from qerror.simulation import quantize
from tests.simulation.inputs import Array, around_ties, assert_same_bits, every_exponent

EVERY = every_exponent(4096)
FEWER = every_exponent(32)

ML_DTYPES: dict[str, Any] = {
    "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2,
    "float8_e4m3": ml_dtypes.float8_e4m3,
    "float8_e3m4": ml_dtypes.float8_e3m4,
    "float8_e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8_e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "float8_e4m3b11fnuz": ml_dtypes.float8_e4m3b11fnuz,
    "float6_e2m3fn": ml_dtypes.float6_e2m3fn,
    "float6_e3m2fn": ml_dtypes.float6_e3m2fn,
    "float4_e2m1fn": ml_dtypes.float4_e2m1fn,
    "bfloat16": ml_dtypes.bfloat16,
    "float16": np.float16,
}


def there_and_back(x: Array, kind: Any) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        return x.astype(kind).astype(x.dtype)


@pytest.mark.parametrize("name", ML_DTYPES)
def test_ml_dtypes_at_every_exponent_and_tie(name: str) -> None:
    form, kind = as_scalar_format(name), ML_DTYPES[name]
    x = np.concatenate([EVERY, around_ties(form, np.float32)])
    if form.bits < 8:
        x = x[~np.isnan(x)]  # no code of these is NaN; in our array it stays NaN
    got = quantize(x, form, overflow="convention")
    assert_same_bits(got, there_and_back(x, kind), x)
    # Saturated: the peer's answer to what is clipped first; the limits are levels.
    top = np.float32(form.max_value)
    clipped = np.where(np.isnan(x), x, np.clip(x, -top, top))
    assert_same_bits(quantize(x, form), there_and_back(clipped, kind), x)


@pytest.mark.parametrize("kind", [np.float16, np.float64])
@pytest.mark.parametrize("name", ML_DTYPES)
def test_ml_dtypes_from_other_dtypes(name: str, kind: type[np.floating[Any]]) -> None:
    form = as_scalar_format(name)
    if kind is np.float16:
        x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
        x = x[~np.isnan(x)]
        # Through float32, which is exact: some casts of ml_dtypes from float16 are not direct.
        wanted = there_and_back(x.astype(np.float32), ML_DTYPES[name])
        with np.errstate(over="ignore"):
            wanted = wanted.astype(np.float16)
    else:
        x = around_ties(form, np.float64)
        if not has_code_beyond(INFOS[name]):
            x = x[np.abs(x) <= form.max_value]
        wanted = by_gfloat(INFOS[name], x, RoundMode.TiesToEven, sat=False)
    assert_same_bits(quantize(x, form, overflow="convention"), wanted, x)


def floating(form: FloatingPoint) -> formats.FormatInfo:
    """Write one of our formats as gfloat's, from its parameters alone."""
    return formats.FormatInfo(
        form.name,
        form.bits,
        form.mantissa_bits + 1,
        bias=int(form.bias),
        is_signed=form.signed,
        domain=Domain.Extended if form.specials == "ieee" else Domain.Finite,
        has_nz=form.specials in {"none", "ieee", "fn"},
        num_high_nans={"none": 0, "fnuz": 0, "fn": 1, "ieee": 2**form.mantissa_bits - 1}[
            form.specials
        ],
        has_subnormals=True,
        is_twos_complement=False,
    )


INFOS: dict[str, Any] = {
    name: floating(as_scalar_format(name))  # type: ignore[arg-type]
    for name in [*ML_DTYPES, "5M2E", "4M3E", "3M4E", "2M5E", "tf32", "fp32", "5M2E:bias=-3"]
} | {
    f"p3109_k{width}p{precision}{sign}{domain}": formats.format_info_p3109(
        width,
        precision,
        Signedness.Signed if sign == "s" else Signedness.Unsigned,
        Domain.Extended if domain == "e" else Domain.Finite,
    )
    for width in (4, 6, 8)
    for sign in "su"
    for domain in "ef"
    for precision in range(1, width + (sign == "u"))
}

MODES = {
    "RNE": RoundMode.TiesToEven,
    "RNA": RoundMode.TiesToAway,
    "RTZ": RoundMode.TowardZero,
    "RTP": RoundMode.TowardPositive,
    "RTN": RoundMode.TowardNegative,
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", INFOS)
@pytest.mark.thinned(5)
def test_gfloat_in_every_mode(name: str, mode: str) -> None:
    form, info = as_scalar_format(name), INFOS[name]
    kind = np.float64 if form.bits > 16 else np.float32
    x = np.concatenate([widened(FEWER, kind), around_small(form, kind)])
    if form.grid().min == 0:
        x = x[~(x < 0) & ~((x == 0) & np.signbit(x))]  # gfloat takes these for positive
    x = x[~np.isnan(x)]  # gfloat refuses them for formats without NaN; see test_rounding
    got = quantize(x, form, rounding=mode)
    assert_same_bits(got, by_gfloat(info, x, MODES[mode], sat=True), x)
    if not has_code_beyond(info):
        x = x[np.abs(x) <= form.max_value]
    got = quantize(x, form, rounding=mode, overflow="convention")
    assert_same_bits(got, by_gfloat(info, x, MODES[mode], sat=False), x)


def widened(x: Array, kind: Any) -> Array:
    with np.errstate(invalid="ignore"):  # signalling NaN
        return x.astype(kind)


def by_gfloat(info: Any, x: Array, mode: RoundMode, sat: bool) -> Array:
    with np.errstate(all="ignore"):
        found: Array = gfloat.round_ndarray(info, x.astype(np.float64), mode, sat=sat)
        return found.astype(x.dtype)


def has_code_beyond(info: Any) -> bool:
    """Whether overflow has an answer: infinity or NaN; gfloat refuses it otherwise."""
    return bool(info.domain is Domain.Extended or info.num_nans > 0)


def around_small(form: Any, kind: Any) -> Array:
    """Return all ties; of a wide format those of the lowest, middle and highest binades."""
    if form.bits <= 16:
        return around_ties(form, kind)
    lowest, top = form.smallest_subnormal, form.max_value
    near = np.arange(1, 2000) * 0.5
    x = np.concatenate([near * lowest, 1 + near * 2.0**-form.mantissa_bits])
    top_step = 2.0 ** (127 - form.mantissa_bits)
    return np.concatenate([x, -x, top - 20 * top_step + np.arange(100) * 0.5 * top_step])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("scale", [1.0, 0.25, 0.1, 3.7e-3])
@pytest.mark.parametrize("zero_point", [0, 3, -2])
def test_torch_fake_quantize_away_from_ties(bits: int, scale: float, zero_point: int) -> None:
    """Torch multiplies by the reciprocal and adds the zero point before it rounds."""
    form = Integer(bits, symmetric=False, zero_point=zero_point)
    x = np.random.default_rng(5).normal(0, 60 * scale, 100_000).astype(np.float32)
    v = x / np.float32(scale)
    x = x[np.abs(v - np.floor(v) - 0.5) > 1e-4]
    wanted = torch.fake_quantize_per_tensor_affine(
        torch.from_numpy(x), scale, zero_point, form.min_code, form.max_code
    ).numpy()
    assert_same_bits(quantize(x, form, scale) + np.float32(0), wanted + np.float32(0), x)


def test_torch_fake_quantize_per_channel() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(5, 3, 1000)).astype(np.float32)
    scale = rng.uniform(0.01, 0.03, 3).astype(np.float32)
    wanted = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(x),
        torch.from_numpy(scale),
        torch.zeros(3, dtype=torch.int32),
        1,
        -127,
        127,
    ).numpy()
    v = x / scale[:, None]
    away = np.abs(v - np.floor(v) - 0.5) > 1e-4
    got = quantize(x, "int8", scale[:, None])
    assert_same_bits(got[away], wanted[away] + np.float32(0), x[away])


def test_fixed_point_is_a_rounded_multiple() -> None:
    form = FixedPoint(8, 4)
    x = np.concatenate([EVERY[~np.isnan(EVERY)], around_ties(form, np.float32)])
    wanted = np.clip(np.rint(x.astype(np.float64) * 16), -127, 127) / 16 + 0.0
    assert_same_bits(quantize(x, form), wanted.astype(np.float32), x)


Oracle = Callable[[Array], Array]
CASTS: dict[str, Oracle] = {
    "fp16": lambda x: x.astype(np.float16).astype(np.float64),
    "fp32": lambda x: x.astype(np.float32).astype(np.float64),
    "bf16": lambda x: there_and_back(x, ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("name", ["fp16", "fp32"])
def test_float64_rounds_once(name: str) -> None:
    """Values within 2^-40 of a tie: rounding to float32 first would move them onto it."""
    form = as_scalar_format(name)
    assert isinstance(form, FloatingPoint)
    near = 1 + (np.arange(1, 1000) + 0.5) * 2.0**-form.mantissa_bits
    x = np.concatenate([near, near * (1 + 2.0**-40), near * (1 - 2.0**-40)])
    x = np.concatenate([x, -x, x * form.smallest_subnormal * 3])
    with np.errstate(under="ignore"):
        assert_same_bits(quantize(x, form), CASTS[name](x), x)
