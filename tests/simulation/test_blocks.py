"""The simulator of blocks: every rule to the bit, both engines, codes, what is refused."""

import dataclasses
import math
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from qerror import decode, encode, quantize
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import (
    FORMATS,
    BlockFormat,
    FloatingPoint,
    Format,
    Integer,
    PowerOfTwo,
    parse_format,
)
from qerror.simulation import BlockCodes
from tests.simulation.block_oracle import MX, mx_block, scaled_block, stored_scale

Array = npt.NDArray[Any]
RULES = ("floor", "ceil", "rceil", "even")
E4M3 = FloatingPoint(3, 4, specials="fn")


def blocks(text: str) -> BlockFormat:
    form = parse_format(text)
    assert isinstance(form, BlockFormat)
    return form


def same(a: Array, b: Array) -> None:
    """Compare bits, and where NaN is."""
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    np.testing.assert_array_equal(a[~np.isnan(a)], b[~np.isnan(b)])
    np.testing.assert_array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))


def peaks_around(thetas: list[float], kind: Any, exponents: range) -> Array:
    """Return thresholds in many binades with their neighbours, and what else is special."""
    info = np.finfo(kind)
    with np.errstate(over="ignore", under="ignore"):
        exact = np.concatenate([np.ldexp(kind(theta), exponents) for theta in thetas])
        near = [exact, np.nextafter(exact, kind(np.inf)), np.nextafter(exact, kind(0))]
    special = [0, info.smallest_subnormal, info.tiny, info.max, np.inf, np.nan]
    special += [info.tiny / 2, info.tiny * kind(0.999), info.smallest_subnormal * 3]
    found: Array = np.abs(np.concatenate([*near, np.array(special, kind)]))
    return found


def with_company(peaks: Array) -> Array:
    """Make blocks of 4: a peak of either sign with smaller values, some at ties."""
    shares = np.array([1.0, -0.4375, 0.21, 0.0], peaks.dtype)
    with np.errstate(invalid="ignore", under="ignore"):
        found = peaks[:, None] * shares
    found[:, 3] = np.where(np.isfinite(peaks), -0.0, 1.0)
    found[1::2] *= -1
    blocks_of_4: Array = found.astype(peaks.dtype)
    return blocks_of_4


def mx_cases(name: str, kind: Any) -> Array:
    mx = MX[name]
    thetas = [1.0, float(mx.top), 2.0 - 2.0 ** (-mx.digits - 1), 3.3]
    # Where scales end, for elements of every emax, and where M is subnormal.
    deep = [-149, -148, *range(-130, -108), -1, 0, 1, *range(124, 129)]
    peaks = [peaks_around([theta], kind, deep) for theta in thetas]  # type: ignore[arg-type]
    return with_company(np.concatenate(peaks))


@pytest.mark.thinned(5)
@pytest.mark.parametrize("rule", [*RULES, "theta=3.3", "theta=0.7"])
@pytest.mark.parametrize("name", MX)
def test_powers_of_two_to_the_bit(name: str, rule: str) -> None:
    form = blocks(f"{name}:{rule}:g4")
    assert isinstance(form.scale, PowerOfTwo)
    x = mx_cases(name, np.float32)
    expected = [
        mx_block(b, form.scale.rule, MX[name], form.element, np.float32) for b in x.tolist()
    ]
    found = encode(x, form)
    assert found.scales[:, 0].tolist() == [code for _, code in expected]
    wanted = np.array([values for values, _ in expected], np.float32)
    np.testing.assert_array_equal(quantize(x, form), wanted)
    same(quantize(x, form, engine="numba"), quantize(x, form))


@pytest.mark.parametrize("rule", [*RULES, "theta=3.3"])
def test_powers_of_two_in_double_precision(rule: str) -> None:
    for name in ("mxfp4", "mxint8"):
        form = blocks(f"{name}:{rule}:g4")
        assert isinstance(form.scale, PowerOfTwo)
        x = mx_cases(name, np.float64)
        kept = np.nanmax(np.abs(x), axis=1, initial=0) < 2.0**127
        x = x[kept]
        rule_, element = form.scale.rule, form.element
        expected = [mx_block(b, rule_, MX[name], element, np.float64)[0] for b in x.tolist()]
        np.testing.assert_array_equal(quantize(x, form), np.array(expected))
        same(quantize(x, form, engine="numba"), quantize(x, form))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MX)
def test_a_rule_wrong_by_one_ulp_is_caught(name: str, rule: str) -> None:
    form = blocks(f"{name}:{rule}:g4")
    assert isinstance(form.scale, PowerOfTwo)
    x, theta = mx_cases(name, np.float32), np.float32(form.scale.theta_for(form.element))
    codes = encode(x, form).scales
    below, above = (np.nextafter(theta, np.float32(to)) for to in (0, np.inf))
    # Taking what lies one ulp above an edge is leaving the edge itself to the scale below.
    wrong_ones = (
        [below, above] if form.scale.takes_edge else [theta, np.nextafter(above, above * 2)]
    )
    for off in map(float, wrong_ones):
        wrong = encode(x, BlockFormat(form.element, PowerOfTwo(off), 4)).scales
        assert (wrong != codes).any()


@pytest.mark.parametrize("name", MX)
def test_rceil_is_the_float_arithmetic_of_tools(name: str) -> None:
    """M over the largest level, as a float32 product, is rounded up to the exact power of two.

    MXINT8 is the exception: there a maximum one ulp above a threshold stays below.
    """
    top = float(MX[name].top)
    near = np.arange(-3000, 3000) + np.float32(top).view(np.int32)
    rng = np.random.default_rng(3)
    some = rng.integers(0x10000000, 0x70000000, 20000, np.int32)
    peaks = np.append(near, some).astype(np.int32).view(np.float32)
    significand, power = np.frexp(peaks.astype(np.float64) / top)
    wanted = power - (significand == 0.5) + 127
    found = encode(peaks[:, None], f"{name}:rceil:g1").scales[:, 0]
    late = np.flatnonzero(found != wanted)
    assert late.tolist() == ([3001] if name == "mxint8" else [])


STORED = [
    "nvfp4:g4",
    "nvfp4:g4:tensor=0.01",
    "nvfp4:g4:smallest=0.015625",
    "nvfp4:g4:smallest=0.001953125:tensor=4.5",
    "nvfp4:g4:scale=ue5m3",
    "int4:g4:scale=e5m2",
    "int4:g4:scale=e4m3:divisor=7.5",
]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("text", STORED)
def test_stored_scales_to_the_bit(text: str, kind: Any) -> None:
    form = blocks(text)
    rule: Any = form.scale
    divisor = rule.divisor_for(form.element)
    levels = rule.format.grid().points
    levels = levels[levels >= 0]
    cuts = 0.5 * (levels[:-1] + levels[1:]) * divisor * rule.tensor
    exact = np.concatenate([levels * divisor * rule.tensor, cuts]).astype(kind)
    near = [exact, np.nextafter(exact, kind(np.inf)), np.nextafter(exact, kind(0))]
    x = with_company(np.concatenate([*near, peaks_around([1.0], kind, range(-40, 40))]))
    tensor = None if rule.tensor == 1 else kind(rule.tensor)
    expected: list[list[float]] = []
    with np.errstate(all="ignore"):
        for block in x:
            peak = np.max(np.abs(block))
            s = stored_scale(peak, divisor, tensor, rule.format, rule.smallest)
            unit = s if tensor is None else s * tensor
            expected.append(scaled_block(list(block), unit, form.element))
    np.testing.assert_array_equal(quantize(x, form), np.array(expected, kind))
    same(quantize(x, form, engine="numba"), quantize(x, form))


@pytest.mark.parametrize("text", STORED)
def test_a_stored_scale_wrong_by_one_ulp_is_caught(text: str) -> None:
    form = blocks(text)
    rule: Any = form.scale
    divisor = np.float32(rule.divisor_for(form.element))
    levels = rule.format.grid().points
    cuts = 0.5 * (levels[:-1] + levels[1:])[levels[:-1] >= 0] * divisor * rule.tensor
    exact = cuts.astype(np.float32)
    near = np.concatenate([exact, np.nextafter(exact, np.float32(0)), np.nextafter(exact, 1e9)])
    x = with_company(near.astype(np.float32))
    codes = encode(x, form).scales
    for to in (0, np.inf):
        off = dataclasses.replace(rule, divisor=float(np.nextafter(divisor, np.float32(to))))
        assert (encode(x, BlockFormat(form.element, off, 4)).scales != codes).any()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("text", ["int4:g4", "int8:g4:alpha=0.9", "e2m1:g4", "int4:full:g4"])
def test_real_scales_to_the_bit(text: str, kind: Any) -> None:
    form = blocks(text)
    rule: Any = form.scale
    rng = np.random.default_rng(5)
    x = (rng.standard_normal((500, 4)) * np.exp2(rng.integers(-30, 30, (500, 1)))).astype(kind)
    x = np.concatenate([x, with_company(peaks_around([1.0], kind, range(-3, 3)))])
    expected: list[list[float]] = []
    with np.errstate(all="ignore"):
        for block in x:
            peak = np.max(np.abs(block)) * kind(rule.multiplier)
            expected.append(
                scaled_block(list(block), peak / kind(rule.divisor_for(form.element)), form.element)
            )
    np.testing.assert_array_equal(quantize(x, form), np.array(expected, kind))


def test_listed_elements_go_to_the_nearest_level() -> None:
    form = blocks("nf4:g64")
    x = np.random.default_rng(6).standard_normal((200, 64)).astype(np.float32)
    peak = np.abs(x).max(axis=1, keepdims=True)
    levels = form.element.grid().points
    z = x.astype(np.float64) / peak
    nearest = levels[np.abs(z[..., None] - levels).argmin(axis=-1)]
    np.testing.assert_array_equal(quantize(x, form), (nearest * peak).astype(np.float32))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_affine_blocks_to_the_bit(kind: Any) -> None:
    x = np.random.default_rng(7).standard_normal((300, 8)).astype(kind)
    x[0], x[1], x[2, :4] = 0, 2.5, -1
    x[3], x[4, 2], x[5, 1] = np.abs(x[3]), np.nan, np.inf
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        s = (high - low) / kind(15)
        q = np.clip(np.rint((x - low) / np.where(s == 0, kind(1), s)), 0, 15)
        same(quantize(x, "int4:g8:affine"), (q * s + low).astype(kind))
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        s = (high - low) / kind(15)
        d = np.where(s == 0, kind(1), s)
        zero = np.rint(-low / d)
        q = np.clip(np.rint(x / d) + zero, 0, 15) - zero
        np.testing.assert_array_equal(quantize(x, "int4:g8:affine=integer"), (q * s).astype(kind))
    assert quantize(x, "int4:g8:affine")[1].tolist() == [2.5] * 8
    assert np.isnan(quantize(x, "int4:g8:affine")[4:6]).all()


@pytest.mark.parametrize("metric", ["mse", "mae"])
def test_four_over_six_keeps_the_better_scale(metric: str) -> None:
    x = np.random.default_rng(8).standard_normal((3000, 16)).astype(np.float32)
    six, four = quantize(x, "nvfp4"), quantize(x, "nvfp4:divisor=4")
    power = 2 if metric == "mse" else 1
    errors = [(np.abs(q.astype(np.float64) - x) ** power).sum(axis=1) for q in (six, four)]
    clear = np.abs(errors[0] - errors[1]) > 1e-12
    wanted = np.where((errors[1] < errors[0])[:, None], four, six)
    found = quantize(x, f"nvfp4:4over6={'mae' if metric == 'mae' else ''}".rstrip("="))
    np.testing.assert_array_equal(found[clear], wanted[clear])
    assert 0.2 < (errors[1] < errors[0]).mean() < 0.8
    tie = np.zeros((1, 16), np.float32)
    assert encode(tie, "nvfp4:4over6").scales.item() == 0


EVERY = [
    *(name for name, form in FORMATS.items() if isinstance(form, BlockFormat)),
    *("nvfp4:of=64", "nvfp4:of=tensor", "nvfp4:4over6=mae:of=64", "nvfp4:smallest=0.015625"),
    *(
        "mxfp8_e4m3:rceil",
        "mxfp4:even",
        "mxfp4:theta=3.3",
        "4M3E:bias=3.9:g16",
        "int4:g32:scale=fp16",
    ),
    *("int4:g32:affine=integer", "nf4:g64:scale=uint8:of=256", "uint4:g16", "int8:g24"),
]
every = pytest.mark.parametrize("text", EVERY)


def data(text: str, kind: Any, seed: int = 11) -> Array:
    """Return whole blocks of ordinary values, zeros, tiny ones and huge ones."""
    n = blocks(text).block_size
    rng = np.random.default_rng(seed)
    rows = 256 * 12 // math.gcd(256 * 12, n)
    spread = np.exp2(rng.integers(-12, 9, (4, 256 * 3, 1)))
    x = (rng.standard_normal((4, 256 * 3, 4)) * spread).reshape(4, -1)
    x = np.tile(x, (1, max(1, 2 * n // x.shape[1] + 1)))[:, : max(rows * n, 2 * n) // n * n]
    x[:, : 2 * 4] = 0
    return x[:, : x.shape[1] // math.lcm(n, 256) * math.lcm(n, 256)].astype(kind)


@every
@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.thinned(5)
def test_both_engines_have_the_same_bits(text: str, kind: Any) -> None:
    x = data(text, kind)
    assert x.size
    found = quantize(x, text, engine="numpy")
    assert found.dtype == x.dtype
    assert found.shape == x.shape
    threaded = quantize(x, text, engine="numpy", threads=3)
    for other in (threaded, quantize(x, text, engine="numba"), quantize(x, text)):
        same(other.astype(np.float64), found.astype(np.float64))


@every
@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_narrow_dtypes_are_computed_in_single_precision(text: str, kind: Any) -> None:
    x = data(text, kind)
    with np.errstate(over="ignore"):
        wide = quantize(x.astype(np.float32), text).astype(kind)
    same(quantize(x, text).astype(np.float64), wide.astype(np.float64))


@every
@pytest.mark.parametrize("kind", [np.float32, np.float64, ml_dtypes.bfloat16])
def test_codes_and_scales_decode_to_the_same_bits(text: str, kind: Any) -> None:
    x = data(text, kind)
    for axis, array in ((-1, x), (0, np.ascontiguousarray(x.T))):
        codes = encode(array, text, axis=axis)
        assert isinstance(codes, BlockCodes)
        back = decode(codes, text, axis=axis, dtype=x.dtype)
        same(back.astype(np.float64), quantize(array, text, axis=axis).astype(np.float64))


@every
def test_blocks_that_are_not_finite(text: str) -> None:
    x = data(text, np.float32)
    n = blocks(text).block_size
    clean = quantize(x, text)
    for bad in (np.nan, np.inf, -np.inf):
        y = x.copy()
        y[1, n + n // 2] = bad
        for engine in ("numpy", "numba"):
            found = quantize(y, text, engine=engine)
            block = found[1, n : 2 * n]
            stored = hasattr(blocks(text).scale, "tensor")
            if not stored or np.isnan(bad):
                assert np.isnan(block).all()
            if "of=" not in text:
                found[1, n : 2 * n] = clean[1, n : 2 * n]
                same(found, clean)
                if stored and not np.isnan(bad):
                    assert np.isfinite(block).all()
            elif "of=tensor" in text:
                assert np.isnan(found).all()


@pytest.mark.parametrize(
    "text", ["mxfp4", "mxfp8_e5m2:even", "nf4:g32", "int4:g32", "int4:g32:affine"]
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_powers_of_two_pass_through(text: str, kind: Any) -> None:
    x = data(text, kind)
    for power in (-13, 7, 40):
        factor = kind(2.0**power)
        same(quantize(x * factor, text), quantize(x, text) * factor)


@pytest.mark.parametrize("text", ["mxfp4", "mxfp8_e4m3:rceil", "nvfp4", "nf4", "int4"])
def test_one_value_a_block_is_a_scalar_quantizer(text: str) -> None:
    form = blocks(f"{text}:g1")
    x = np.random.default_rng(13).standard_normal(300)
    codes = encode(x, form)
    found = quantize(x, form)
    for value, wanted, stored in zip(x, found, codes.scales, strict=True):
        scale = float(stored)
        if isinstance(form.scale, PowerOfTwo):
            scale = 2.0 ** (int(stored) - 127)
        elif text == "nvfp4":
            scale = float(E4M3.grid().points[E4M3.grid().points >= 0][stored])
        if scale == 0:  # E4M3 has nothing below 2^-10
            assert abs(value) < 6 * 2.0**-10
            assert wanted == 0
            continue
        assert quantize(np.array([value]), form.element, scale)[0] == wanted


def test_bytes_are_packed_the_first_value_in_the_lower_half() -> None:
    x = np.array([[0.5, -6.0, 1.0, 0.0, 3.0, 4.0]], np.float32)
    codes = encode(x, "mxfp4:g3:rceil")
    # E2M1: 0.5 is 1, -6 is 15; the scale of the first three is 1, that of the others too.
    assert codes.scales.tolist() == [[127, 127]]
    assert codes.codes.tolist() == [[0xF1, 0x02, 0x65]]
    odd = encode(x[:, :3], "mxfp4:g3:rceil")
    assert odd.codes.tolist() == [[0xF1, 0x02]]
    assert decode(odd, "mxfp4:g3:rceil").tolist() == [[0.5, -6.0, 1.0]]
    assert encode(x, "mxfp8_e4m3:g3").codes.shape == (1, 6)
    assert encode(np.full((1, 3), np.nan), "mxfp4:g3").scales.tolist() == [[255]]
    assert encode(np.full((1, 3), np.nan), "nvfp4:g3").scales.tolist() == [[127]]


def test_tensor_scales() -> None:
    x = np.random.default_rng(17).standard_normal((3, 128)).astype(np.float32)
    whole = quantize(x, "nvfp4:of=tensor")
    codes = encode(x, "nvfp4:of=tensor")
    assert codes.tensor is not None
    assert codes.tensor.tolist() == [np.abs(x).max() / np.float32(2688)]
    assert codes.scales.max() == 126  # the largest block has the largest scale
    np.testing.assert_array_equal(quantize(x, "nvfp4:of=384"), whole)
    rows = np.stack([quantize(row, "nvfp4:of=tensor") for row in x])
    np.testing.assert_array_equal(quantize(x, "nvfp4:of=128"), rows)
    runs = encode(x, "nvfp4:of=32").tensor
    assert runs is not None
    assert runs.shape == (12,)
    fixed = quantize(x, f"nvfp4:tensor={float(codes.tensor[0])!r}")
    np.testing.assert_array_equal(fixed, whole)
    np.testing.assert_array_equal(quantize(0 * x, "nvfp4:of=tensor"), 0 * x)
    four = encode(x, "nvfp4:4over6:of=tensor").tensor
    assert four is not None
    assert four.tolist() == [np.abs(x).max() / np.float32(1536)]


def test_axes_layouts_and_destinations() -> None:
    x = np.random.default_rng(19).standard_normal((6, 64, 5)).astype(np.float32)
    wanted = np.moveaxis(quantize(np.ascontiguousarray(np.moveaxis(x, 1, -1)), "mxfp4"), -1, 1)
    for axis in (1, -2):
        np.testing.assert_array_equal(quantize(x, "mxfp4", axis=axis), wanted)
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    np.testing.assert_array_equal(quantize(strided, "mxfp4", axis=1), wanted)
    out = np.empty_like(x)
    assert quantize(x, "mxfp4", axis=1, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    quantize(x, "mxfp4", axis=1, out=x)
    np.testing.assert_array_equal(x, wanted)
    flat = np.random.default_rng(2).standard_normal(64)
    expected = quantize(flat, "nvfp4")
    assert quantize(flat, "nvfp4", out=flat) is flat
    np.testing.assert_array_equal(flat, expected)
    for empty in (np.empty((0, 32)), np.empty((3, 0))):
        assert quantize(empty, "mxfp4").shape == empty.shape
        assert decode(encode(empty, "mxfp4"), "mxfp4").shape == empty.shape
    big = "<f4", ">f4"
    one, other = (np.arange(32, dtype=order) for order in big)
    np.testing.assert_array_equal(quantize(one, "mxfp4"), quantize(other, "mxfp4"))


def test_other_roundings_are_those_of_elements() -> None:
    x = np.random.default_rng(23).standard_normal((20, 32)).astype(np.float32)
    byte = encode(x, "mxfp4").scales
    scale = np.ldexp(np.float32(1), byte.astype(int) - 127)
    for mode in ("toward-zero", "up", "nearest-away", "to-odd"):
        wanted = quantize(x, "e2m1", scale, rounding=mode)
        for engine in ("numpy", "numba"):
            found = quantize(x, "mxfp4", rounding=mode, engine=engine)
            np.testing.assert_array_equal(found, wanted)
    rng = np.random.default_rng
    first = quantize(x, "mxfp4", rounding="stochastic", rng=rng(1))
    np.testing.assert_array_equal(first, quantize(x, "mxfp4", rounding="SR", rng=rng(1)))
    mean = np.mean(
        [quantize(x, "mxfp4:ceil", rounding="SR", rng=rng(seed)) for seed in range(400)], axis=0
    )
    assert np.abs(mean - x).max() < 0.35 * float(scale.max())


def test_refusals() -> None:
    x = np.ones((4, 48), np.float32)
    cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (InvalidValue, "axis 1 of x has length 48, which blocks of 32 do not divide; pad it", {}),
        (InvalidValue, "takes its scales from the values", {"scale": 2.0}),
        (InvalidValue, "takes its scales from the values", {"scale": np.ones(3)}),
        (InvalidValue, r"axis must lie in -2\.\.1", {"axis": 2}),
        (InvalidType, "axis must be an integer", {"axis": 1.0}),
        (InvalidValue, "must be 'saturate'", {"overflow": "convention"}),
        (InvalidValue, "engine must be", {"engine": "cuda"}),
        (InvalidValue, "threads must lie in", {"threads": 0}),
        (InvalidValue, "stochastic rounding draws random numbers", {"rounding": "SR"}),
        (InvalidValue, "out must have the dtype and shape", {"out": np.ones(3)}),
    ]
    for kind, phrase, options in cases:
        with pytest.raises(kind, match=phrase):
            quantize(x, "mxfp4", **options)
    with pytest.raises(InvalidValue, match="axis is for formats that share scales"):
        quantize(x, "e4m3", axis=1)
    with pytest.raises(InvalidType, match="x must be an array of"):
        quantize(np.ones(32, np.int32), "mxfp4")
    with pytest.raises(InvalidValue, match="x is a single number"):
        quantize(np.float32(1), "mxfp4:g1")
    with pytest.raises(InvalidValue, match="100 values share a tensor scale"):
        quantize(np.ones(150), "nvfp4:g10:of=100")
    with pytest.raises(InvalidValue, match="no scale in UINT8 is"):
        encode(np.full(64, np.nan), "nf4:g64:scale=uint8")
    with pytest.raises(InvalidValue, match="takes its scales from the values"):
        encode(x, "mxfp4:g16", 0.5)


def test_codes_that_do_not_fit_are_refused() -> None:
    codes = encode(np.ones((2, 64)), "mxfp4")
    with pytest.raises(InvalidType, match="come with their scales"):
        decode(codes.codes, "mxfp4")
    with pytest.raises(InvalidValue, match="do not go with scales"):
        decode(codes._replace(scales=codes.scales[:, :1]), "mxfp4")
    with pytest.raises(InvalidType, match="scales must be codes of E8M0"):
        decode(codes._replace(scales=codes.scales * 1.0), "mxfp4")
    with pytest.raises(InvalidValue, match="stores an offset"):
        decode(
            encode(np.ones((2, 64)), "int4:g32:affine")._replace(offsets=None), "int4:g32:affine"
        )
    assert decode(tuple(codes), "mxfp4").tolist() == np.ones((2, 64)).tolist()


def test_formats_may_be_given_as_objects() -> None:
    form: Format = BlockFormat(Integer(4), PowerOfTwo("rceil"), 8)
    x = np.arange(16.0)
    assert quantize(x, form).tolist() == quantize(x, "int4:g8:rceil").tolist()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name", ["mxfp4:even", "mxfp6_e3m2:ceil", "mxfp8_e4m3", "mxfp8_e5m2:rceil", "mxfp8_e4m3:n=17"]
)
def test_scales_from_end_to_end_of_the_dtype(name: str, kind: Any) -> None:
    # NumPy rounds floating-point elements without dividing where nothing leaves the dtype.
    rng, form, lowest = np.random.default_rng(5), parse_format(name), np.finfo(kind).minexp
    assert isinstance(form, BlockFormat)
    n = form.block_size
    powers = np.repeat(np.arange(lowest - 30, -lowest), n)
    x = np.ldexp(rng.integers(-512, 513, powers.size) / 512, powers).astype(kind)
    x[::5] = -0.0
    same(quantize(x, form, engine="numba"), quantize(x, form, engine="numpy"))
    mixed = rng.permutation(x.reshape(-1, n)).reshape(-1)
    same(quantize(mixed, form, engine="numba"), quantize(mixed, form, engine="numpy"))
