"""Rounding against its definition; layouts, threads, scales, and what is refused."""

import itertools
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from itertools import compress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue, UnknownName
from qerror.formats import (
    Codebook,
    FixedPoint,
    FloatingPoint,
    Integer,
    ScalarFormat,
    as_scalar_format,
    scalar_formats,
)
from qerror.rounding import ROUNDINGS
from qerror.simulation import decode, encode, quantize
from tests.simulation.exact import levels_and_codes, rounded
from tests.simulation.inputs import around_ties, assert_same_bits, every_exponent, without_nan

MODES = [mode for mode in ROUNDINGS if mode != "stochastic"]
SMALL = [
    *(form for form in scalar_formats().values() if form.bits <= 8),
    *map(as_scalar_format, ["u4m4e", "1m5e:bias=-20", "0m4e", "p3109_k8p1uf"]),
    FloatingPoint(3, 1),
    FloatingPoint(0, 5, specials="fn"),
    FloatingPoint(0, 3, signed=False, bias=1),
    Integer(8, signed=False, zero_point=128),
    Integer(3, symmetric=False, zero_point=-3),
    Integer(5, zero_point=7),
    FixedPoint(8, 12),
    FixedPoint(6, -3, signed=False),
    FixedPoint(5, 2, symmetric=False),
    Codebook([-3.0, -0.1, 0.25, 7.0, 7.5]),
    Codebook([-2.0, -1.0, 1.0, 2.0]),
    Codebook([0.7]),
    Codebook([5e-324, 1.0, 1e308, -1.7e308]),
]


def by_definition(x: Any, form: ScalarFormat, mode: str, scale: Fraction = Fraction(1)) -> Any:
    levels, codes = levels_and_codes(form)
    levels = [level * scale for level in levels]
    with np.errstate(over="ignore"):  # levels that the dtype does not hold are none
        held = [bool(np.isfinite(x.dtype.type(float(level)))) for level in levels]
    levels, codes = list(compress(levels, held)), list(compress(codes, held))
    found = np.empty_like(x)
    with np.errstate(over="ignore"):
        for i, v in enumerate(x.tolist()):
            level = rounded(v, levels, codes, mode)
            found[i] = x.dtype.type(float(level))
    return found


def largest_held(points: Any, scale: float, kind: Any) -> float:
    """Return the largest of the points whose product with the scale the dtype holds."""
    with np.errstate(over="ignore"):
        return float(max(p for p in points * scale if np.isfinite(kind(p))))


def has_two_zeros(form: ScalarFormat) -> bool:
    if not isinstance(form, FloatingPoint):
        return False
    return form.signed and form.specials in {"none", "ieee", "fn"}


def with_signs_of_zero(levels: Any, x: Any, form: ScalarFormat) -> Any:
    """Give zero the sign of x where the format has both zeros."""
    both = has_two_zeros(form)
    return np.where(levels == 0, np.copysign(0.0, x) if both else 0.0, levels).astype(x.dtype)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", SMALL, ids=str)
@pytest.mark.thinned(5)
def test_every_tie_and_neighbour_in_every_mode(form: ScalarFormat, mode: str) -> None:
    for kind in (np.float32, np.float64):
        x = around_ties(form, kind)
        x = x[np.isfinite(x)]
        x = x[:: max(1, x.size // 700)]
        wanted = with_signs_of_zero(by_definition(x, form, mode), x, form)
        assert_same_bits(quantize(x, form, rounding=mode), wanted, x)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("power", [-30, 7])
@pytest.mark.parametrize("name", ["e4m3", "int8", "nf4", "4M3E", "p3109_k8p1se", "ufixed8.4"])
def test_power_of_two_scales_are_exact(name: str, power: int, mode: str) -> None:
    form = as_scalar_format(name)
    for kind in (np.float32, np.float64):
        x = around_ties(form, kind, 2.0**power)
        x = x[np.isfinite(x)]
        wanted = by_definition(x, form, mode, Fraction(2) ** power)
        got = quantize(x, form, 2.0**power, rounding=mode)
        assert_same_bits(got, with_signs_of_zero(wanted, x, form), x)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(
    st.lists(finite, min_size=1, max_size=40, unique=True), st.lists(finite), st.sampled_from(MODES)
)
@settings(max_examples=150, deadline=None)
def test_random_codebooks(values: list[float], x: list[float], mode: str) -> None:
    try:
        form = Codebook(values)
    except InvalidValue:
        return  # 0.0 and -0.0
    middles = [(a + b) / 2 for a, b in zip(form.values, form.values[1:], strict=False)]
    for kind in (np.float32, np.float64):
        data = np.array([*x, *form.values, *middles], kind)
        assert_same_bits(
            quantize(data, form, rounding=mode), by_definition(data, form, mode) + kind(0), data
        )


@given(
    st.integers(0, 6),
    st.integers(1, 5),
    st.floats(-40, 40),
    st.booleans(),
    st.lists(st.floats(-100, 100)),
    st.sampled_from(MODES),
)
@settings(max_examples=150, deadline=None)
def test_real_biases(  # noqa: PLR0917
    mantissa: int, exponent: int, bias: float, signed: bool, x: list[float], mode: str
) -> None:
    """Out come points of the grid, the nearest ones but for values next to thresholds."""
    form = FloatingPoint(mantissa, exponent, bias, signed)
    points = form.grid().points
    for kind in (np.float64, np.float32):
        data = (np.array(x) * form.max_value / 60).astype(kind)
        levels = points.astype(kind)
        got = quantize(data, form, rounding=mode)
        assert np.isin(got, levels).all()
        wide, found = data.astype(np.float64), got.astype(np.float64)
        slack = 4 * np.finfo(kind).eps * np.abs(wide) + np.finfo(kind).tiny
        inside = (wide > points[0]) & (wide < points[-1])
        if mode.startswith("nearest"):
            near = np.abs(wide[:, None] - points).min(axis=1, initial=np.inf)
            assert (np.abs(found - wide) <= near + slack).all()
        if mode == "up":
            assert (found >= wide - slack)[inside].all()
        if mode == "down":
            assert (found <= wide + slack)[inside].all()
        if mode == "toward-zero":
            assert (np.abs(found) <= np.abs(wide) + slack)[inside].all()


@pytest.mark.parametrize("scale", [0.1, 1 / 3, 3.7e-3, 1234.5])
@pytest.mark.parametrize("name", ["e4m3", "int8", "5M2E", "fixed8.4", "e2m1", "4M3E:bias=3.9"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_real_scales_decide_within_an_ulp_of_thresholds(name: str, scale: float, kind: Any) -> None:
    """A decision may differ only for values next to a threshold: the documented bound."""
    form = as_scalar_format(name)
    scale = float(kind(scale))  # as the quantizer takes it
    factor = Fraction(scale * form.grid().factor)
    x = around_ties(form, kind, scale)
    x = x[np.isfinite(x) & (np.abs(x) < 2 * form.max_value * scale)]
    x = x[:: max(1, x.size // 700)]
    levels, codes = levels_and_codes(form)
    base = Fraction(form.grid().factor)
    levels = [level / base for level in levels]
    scaled = [level * factor for level in levels]
    got = quantize(x, form, scale)
    points = form.grid(scale).points.astype(kind)
    assert np.isin(got, points).all()
    # The rounding of the quotient; with a real bias that of the factor too.
    unit = (0.5 if form.grid().factor == 1 else 1.0) * 1.001 * np.finfo(kind).eps
    for v, found in zip(x.tolist(), got.tolist(), strict=True):
        exact = Fraction(v) / factor
        level = rounded(float(v), scaled, codes, "nearest-even")
        wanted = kind(float(level / factor) * float(factor))
        if found != wanted:
            chosen = min(levels, key=lambda each: abs(float(each * factor) - found))
            middle = (chosen + level / factor) / 2
            assert abs(float((exact - middle) / middle)) <= unit


def test_one_scale_with_a_codebook_is_exact() -> None:
    form = as_scalar_format("nf4")
    levels, codes = levels_and_codes(form)
    scaled = [Fraction(float(level) * 0.1) for level in levels]
    x = np.random.default_rng(1).uniform(-0.1, 0.1, 3000)
    x = np.concatenate([x, [float((a + b) / 2) for a, b in itertools.pairwise(scaled)]])
    wanted = np.array([float(rounded(v, scaled, codes, "nearest-even")) for v in x.tolist()])
    assert_same_bits(quantize(x, form, 0.1), wanted, x)


def test_wide_formats() -> None:
    """Where no level is listed: 32 and more bits."""
    rng = np.random.default_rng(4)
    x = without_nan(every_exponent(32).astype(np.float32))
    x64 = x.astype(np.float64)
    most = np.finfo(np.float32).max
    assert_same_bits(quantize(x, "fp64"), np.clip(x, -most, most), x)
    with np.errstate(over="ignore"):
        assert_same_bits(
            quantize(x64, "fp64"),
            np.clip(x64, -1.7976931348623157e308, 1.7976931348623157e308),
            x64,
        )
    ints = np.clip(np.rint(x64), -(2.0**31 - 1), 2.0**31 - 1) + 0.0
    assert_same_bits(quantize(x64, "int32"), ints, x64)
    wide = Integer(53, symmetric=False, zero_point=1)
    y = rng.integers(-(2**52), 2**52, 1000).astype(np.float64) / 2
    with_code = np.where(np.abs(y % 1) == 0.5, np.floor((y + 1) / 2) * 2 - 1, 0)
    nearest = np.where(np.abs(y % 1) == 0.5, 0, np.rint(y))
    up = np.where(y % 1 == 0.5, np.where(np.floor(y) % 2 == 1, np.floor(y), np.ceil(y)), nearest)
    del with_code
    assert_same_bits(quantize(y, wide), np.clip(up, wide.min_code - 1, wide.max_code - 1) + 0.0, y)


class TestSpecials:
    def test_nan_stays_nan_in_every_format_and_mode(self) -> None:
        x = np.array([np.nan, -np.nan], np.float32)
        for form in [*scalar_formats().values(), Codebook([1.0, 2.0])]:
            for mode in MODES:
                assert np.isnan(quantize(x, form, 0.3, rounding=mode)).all()

    def test_infinities_saturate(self) -> None:
        x = np.array([np.inf, -np.inf])
        for form in scalar_formats().values():
            grid = form.grid()
            assert quantize(x, form).tolist() == [grid.max, grid.min]

    @pytest.mark.parametrize(
        ("name", "top"),
        [
            ("e5m2", np.inf),
            ("fp16", np.inf),
            ("p3109_k8p4se", np.inf),
            ("e4m3", np.nan),
            ("e4m3fnuz", np.nan),
            ("4M3E", 15.5),
            ("int8", 127.0),
            ("nf4", 1.0),
        ],
    )
    def test_infinities_by_convention(self, name: str, top: float) -> None:
        for mode in ("RNE", "RNA", "RTZ", "RTP", "RTN", "RTO"):
            got = quantize(np.array([np.inf, -np.inf]), name, rounding=mode, overflow="convention")
            np.testing.assert_array_equal(got, [top, -top])

    def test_overflow_by_stochastic_rounding(self) -> None:
        x = np.full(20_000, 448 + 8.0)  # a quarter of the way to 480
        rng = np.random.default_rng(1)
        got = quantize(x, "e4m3", rounding="SR", overflow="convention", rng=rng)
        assert set(got[~np.isnan(got)]) == {448.0}
        assert np.isnan(got).mean() == pytest.approx(0.25, abs=0.015)
        low = quantize(-x, "e4m3", rounding="SR", overflow="convention", rng=rng)
        assert np.isnan(low).mean() == pytest.approx(0.25, abs=0.015)

    @pytest.mark.parametrize("mode", MODES)
    def test_zero_keeps_its_sign_where_there_are_two(self, mode: str) -> None:
        x = np.array([-0.0, 0.0], np.float32)
        for form in scalar_formats().values():
            signs = np.signbit(quantize(x, form, rounding=mode))
            assert signs.tolist() == [has_two_zeros(form), False]

    def test_unsigned_formats_take_negative_numbers_to_zero(self) -> None:
        for name in ("uint8", "u4m4e", "ufixed8.4", "p3109_k8p3ue"):
            for overflow in ("saturate", "convention"):
                got = quantize(np.array([-3.0, -np.inf, -0.0]), name, overflow=overflow)
                assert got.tolist() == [0.0, 0.0, 0.0]
                assert not np.signbit(got).any()

    def test_levels_that_the_dtype_does_not_hold_round_once(self) -> None:
        assert quantize(np.array([1e300]), "e4m3", 1e-300).tolist() == [448e-300]
        # -570 float32(7.1) = -4046.99994...; in float32 it is -4047, halfway between two halves.
        x = np.array([-4048.0], np.float16)
        assert quantize(x, "int16", 7.1).tolist() == [-4046.0]
        assert quantize(x.reshape(1, 1), "int16", [[7.1]]).tolist() == [[-4046.0]]
        assert quantize(np.tile(x, 2), "int16", [7.1, 7.1]).tolist() == [-4046.0, -4046.0]

    @pytest.mark.parametrize("scale", [0.1, 7.1, 1 / 3, 123.456])
    @pytest.mark.parametrize("name", ["int16", "int12", "e4m3", "3M4E:bias=7.7", "fixed12.3"])
    def test_every_half_rounds_once(self, name: str, scale: float) -> None:
        x = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
        x = x[np.isfinite(x)]
        form = as_scalar_format(name)
        single = float(np.float32(scale))
        points = form.grid().base_points
        total = single * form.grid().factor
        with np.errstate(over="ignore"):
            halves = np.array([np.float16(float(Fraction(p) * Fraction(total))) for p in points])
        got = quantize(x, form, scale)
        assert np.isin(got, halves).all()
        assert (got == quantize(np.stack([x, x]), form, [[scale], [scale]])).all()

    @pytest.mark.parametrize(
        ("name", "scale", "kind", "top"),
        [
            ("int8", 1024.0, np.float16, 63 * 1024.0),
            ("int8", 1000.0, np.float16, 65 * 1000.0),
            ("int8:full", 1024.0, np.float16, 63 * 1024.0),
            ("bf16", 1.0, np.float16, 65280.0),
            ("fp32", 1.0, np.float16, 65504.0),
            ("int32", 1.0, np.float16, 65504.0),
            ("E8M0", 1.0, np.float16, 32768.0),
            ("nf4", 2.0**17, np.float16, 0.44070982933044434 * 2.0**17),
            ("e4m3", 2.0**120, np.float32, 240 * 2.0**120),
            ("e4m3", 1e36, np.float32, 320 * 1e36),
            ("fp64", 1.0, np.float32, float(np.finfo(np.float32).max)),
            ("int8", 2.0**1020, np.float64, 15 * 2.0**1020),
            ("e5m2", 1e308, np.float64, 1.75e308),
        ],
    )
    def test_saturation_ends_where_the_dtype_does(
        self, name: str, scale: float, kind: Any, top: float
    ) -> None:
        most = np.finfo(kind).max
        x = np.array([np.inf, most, -most, -np.inf, 0], kind)
        signed = as_scalar_format(name).grid().min < 0
        low = -top if signed else quantize(x[4:], name, scale)[0]
        if name == "nf4":  # not symmetric
            low = -0.39491748809814453 * scale
        got = quantize(x, name, scale)
        for engine in ("numpy", "numba"):
            got = quantize(x, name, scale, engine=engine)
            np.testing.assert_array_equal(got[:4], np.array([top, top, low, low], kind))
            each = quantize(np.stack([x, x]), name, [[scale], [2.0**-20 * scale]], engine=engine)
            assert_same_bits(each[0], got, x)
            assert np.isfinite(each).all()
        if as_scalar_format(name).bits <= 16:
            assert_same_bits(decode(encode(x, name, scale), name, scale, dtype=kind), got, x)

    def test_no_level_held_is_refused(self) -> None:
        out = np.full(2, 7.0, np.float16)
        with pytest.raises(InvalidValue, match="float16 holds no level"):
            quantize(np.ones(2, np.float16), "codebook:1e5,1e6", out=out)
        assert (out == 7).all()

    def test_conventions_still_overflow(self) -> None:
        x = np.array([65504.0], np.float16)
        assert quantize(x, "bf16", overflow="convention").tolist() == [np.inf]


class TestStochastic:
    @pytest.mark.parametrize("name", ["e4m3", "int8", "nf4", "5M2E", "0m4e", "4M3E:bias=3.9"])
    @pytest.mark.parametrize("kind", [np.float32, np.float64])
    def test_unbiased_between_neighbours(self, name: str, kind: Any) -> None:
        form = as_scalar_format(name)
        points = form.grid().points
        rng = np.random.default_rng(8)
        for v in np.quantile(points, [0.02, 0.3, 0.49, 0.7, 0.97]) * 1.0037:
            value = kind(np.clip(v, points[0], points[-1]))
            got = quantize(np.full(40_000, value), form, rounding="SR", rng=rng).astype(float)
            i = int(np.clip(np.searchsorted(points, value, "right"), 1, points.size - 1))
            low, high = points[i - 1], points[i]
            assert set(got) <= {float(kind(low)), float(kind(high))}
            share = (float(value) - low) / (high - low)
            error = max(np.sqrt(share * (1 - share) / 40_000), 1e-12)
            assert abs((got > (low + high) / 2).mean() - share) < 5 * error + 1e-6

    def test_levels_stay(self) -> None:
        points = as_scalar_format("e4m3").grid().points
        got = quantize(points, "e4m3", rounding="SR", rng=np.random.default_rng(1))
        assert (got == points).all()

    def test_a_seed_gives_the_same_values_on_any_number_of_threads(self) -> None:
        x = np.random.default_rng(1).normal(size=300_000).astype(np.float32)
        a, b = (
            quantize(x, "e2m1", rounding="SR", rng=np.random.default_rng(5), threads=n)
            for n in (1, 4)
        )
        assert (a == b).all()
        c = quantize(x, "e2m1", rounding="SR", rng=np.random.default_rng(6))
        assert (a != c).any()

    def test_it_needs_a_generator(self) -> None:
        with pytest.raises(InvalidValue, match=r"pass rng=np.random.default_rng"):
            quantize(np.zeros(3), "int8", rounding="stochastic")
        with pytest.raises(InvalidType, match="Generator, got int"):
            quantize(np.zeros(3), "int8", rounding="stochastic", rng=3)  # type: ignore[arg-type]


def _unaligned(x: Any) -> Any:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": lambda x: x,
    "F": np.asfortranarray,
    "transposed": lambda x: x.transpose(2, 0, 1),
    "reversed": lambda x: x[::-1, :, ::-1],
    "strided": lambda x: x[::2, 1:, ::3],
    "offset": lambda x: x[1:, 2:, 3:],
    "one": lambda x: x[:1, :1, :1],
    "swapped": lambda x: x.astype(x.dtype.newbyteorder()),
    "broadcast": lambda x: np.broadcast_to(x[0, 0], x.shape),
    "unaligned": _unaligned,
}


class TestLayouts:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("name", ["e4m3", "int8", "nf4"])
    @pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
    @pytest.mark.parametrize("threads", [1, 3])
    @pytest.mark.thinned(5)
    def test_any_layout(self, layout: str, name: str, kind: Any, threads: int) -> None:
        base = np.random.default_rng(2).normal(0, 3, (37, 20, 151)).astype(kind)
        x = LAYOUTS[layout](base)
        wanted = quantize(np.ascontiguousarray(x, kind).reshape(-1), name).reshape(x.shape)
        got = quantize(x, name, threads=threads)
        assert got.dtype == x.dtype
        assert got.shape == x.shape
        assert (got == wanted).all()
        if x.flags.writeable and layout != "broadcast":
            assert quantize(x, name, out=x, threads=threads) is x
            assert (x == wanted).all()

    def test_out_of_another_layout(self) -> None:
        x = np.random.default_rng(2).normal(size=(50, 60))
        out = np.empty((60, 50)).T
        assert quantize(x, "e4m3", out=out) is out
        assert (out == quantize(x, "e4m3")).all()

    def test_overlapping_out(self) -> None:
        x = np.random.default_rng(2).normal(size=200_000)
        wanted = quantize(x[:-7], "e4m3", 0.1)
        quantize(x[:-7], "e4m3", 0.1, out=x[7:])
        assert (x[7:] == wanted).all()

    def test_threads_do_not_change_anything(self) -> None:
        x = np.random.default_rng(2).normal(size=(1 << 20) + 17).astype(np.float32)
        wanted = quantize(x, "5M2E", 0.1, threads=1)
        for threads in (None, 2, 5, 64):
            assert (quantize(x, "5M2E", 0.1, threads=threads) == wanted).all()

    def test_threads_are_used_where_they_are_asked_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []

        class Spy(ThreadPoolExecutor):
            def __init__(self, workers: int) -> None:
                seen.append(workers)
                super().__init__(workers)

        monkeypatch.setattr("qerror.simulation._chunks.ThreadPoolExecutor", Spy)
        x = np.zeros(1 << 20, np.float32)
        quantize(x, "int8")
        assert seen == []
        quantize(x, "int8", threads=2)
        assert seen == [2]

    @pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
    def test_nothing(self, shape: tuple[int, ...]) -> None:
        x = np.zeros(shape, np.float32)
        got = quantize(x, "e4m3", 0.1)
        assert got.shape == shape
        assert quantize(x, "e4m3", out=x) is x

    def test_one_value_without_axes(self) -> None:
        got = quantize(np.float32(0.3), "e4m3")
        assert got.shape == ()
        assert got == np.float32(0.3125)
        assert quantize(0.3, "e4m3").dtype == np.float64
        assert quantize([0.3, 1.1], "int8").tolist() == [0.0, 1.0]

    def test_in_place_needs_little_memory(self) -> None:
        x = np.random.default_rng(2).normal(size=8_000_000).astype(np.float32)
        scale = np.full((8, 1), 0.3)
        quantize(x[:9], "e4m3", out=x[:9])
        for array, s in ((x, 1.0), (x, 0.1), (x.reshape(8, -1), scale), (x.reshape(-1, 8).T, 0.1)):
            tracemalloc.start()
            quantize(array, "e4m3", s, out=array)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 8e6


class TestScales:
    X = np.random.default_rng(7).normal(size=(8, 6, 64)).astype(np.float32)

    @pytest.mark.parametrize("name", ["e4m3", "int8", "nf4", "uint8:zp=3", "bf16"])
    @pytest.mark.parametrize("mode", ["RNE", "RTZ"])
    @pytest.mark.parametrize(
        "shape", [(8, 1, 1), (6, 1), (64,), (8, 6, 1), (8, 6, 64), (8, 6, 4), (4, 3, 2), (1, 1, 1)]
    )
    def test_channels_and_blocks(self, name: str, mode: str, shape: tuple[int, ...]) -> None:
        scale = np.random.default_rng(1).uniform(0.01, 0.5, shape).astype(np.float32)
        full = scale.reshape((1,) * (3 - len(shape)) + shape)
        for axis in range(3):
            full = np.repeat(full, self.X.shape[axis] // full.shape[axis], axis=axis)
        # The documented rule: divide, round at scale 1, multiply in float64.
        wide = np.float64 if name == "nf4" else np.float32
        level = quantize(self.X.astype(wide) / full.astype(wide), name, rounding=mode)
        wanted = (level.astype(np.float64) * full).astype(np.float32)
        for x in (self.X, np.asfortranarray(self.X)):
            assert_same_bits(quantize(x, name, scale, rounding=mode), wanted, self.X)

    def test_equal_scales_are_one_scale(self) -> None:
        for name in ("e4m3", "int8", "5M2E"):
            for scale in (0.25, 0.1):
                got = quantize(self.X, name, np.full((8, 1, 1), scale), threads=2)
                assert_same_bits(got, quantize(self.X, name, scale), self.X)

    def test_tiny_and_huge_scales(self) -> None:
        """Beyond float32 the work is done in float64."""
        x = np.array([1e-40, 3e-39, 1e38, 3e38], np.float32)
        for scale in (1e-41, 2.0**-140, 2.0**121, 1e-60, 3e38):
            got = quantize(x, "int8", scale)
            wide = quantize(x.astype(np.float64), "int8", scale)
            most = largest_held(np.arange(128), scale, np.float32)
            assert (got == np.minimum(wide, most).astype(np.float32)).all()


class TestRefusals:
    @pytest.mark.parametrize(
        ("x", "dtype"),
        [
            (np.arange(3), "int64"),
            ([1, 2], "int64"),
            (np.zeros(2, complex), "complex128"),
            (np.array([None, 1.0]), "object"),
            (np.zeros(2, np.longdouble), "float128"),
            (np.array(["a"]), "<U1"),
            (np.array([True]), "bool"),
        ],
    )
    def test_what_is_no_array_of_floats(self, x: Any, dtype: str) -> None:
        with pytest.raises(InvalidType, match=rf"float16, float32, float64, got dtype {dtype}"):
            quantize(x, "int8")
        with pytest.raises(InvalidType):
            quantize([[1.0], [1.0, 2.0]], "int8")

    def test_masked_arrays(self) -> None:
        x = np.ma.masked_array([1.0, 2.0], [False, True])
        for function in (quantize, encode):
            with pytest.raises(InvalidType, match=r"masked array.*x\.filled\(np\.nan\)"):
                function(x, "int8")

    @pytest.mark.parametrize(
        ("scale", "message"),
        [
            (0.0, "scale must be finite and positive, got 0"),
            (-1.0, "got -1"),
            (np.nan, "got nan"),
            (np.inf, "got inf"),
            ([1.0, 0.0, 1.0], "got 0"),
            (np.ones(4), r"scale has shape \(4,\), x has \(2, 3\)"),
            (np.ones((3, 2)), r"shape \(3, 2\)"),
            (np.ones((2, 2, 3)), r"shape \(2, 2, 3\)"),
            (np.ones((0, 3)), r"shape \(0, 3\)"),
        ],
    )
    def test_scales(self, scale: Any, message: str) -> None:
        with pytest.raises(InvalidValue, match=message):
            quantize(np.zeros((2, 3)), "int8", scale)

    @pytest.mark.parametrize("scale", ["1", 1j, None, [1.0, "2"], True])
    def test_scales_that_are_no_numbers(self, scale: Any) -> None:
        with pytest.raises(InvalidType, match="scale must be a number or an array of numbers"):
            quantize(np.zeros(2), "int8", scale)

    def test_out(self) -> None:
        x = np.zeros((2, 3), np.float32)
        with pytest.raises(InvalidType, match="out must be a numpy array, got list"):
            quantize(x, "int8", out=[0.0])  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match=r"float32 and \(2, 3\), got float64 and \(2, 3\)"):
            quantize(x, "int8", out=np.zeros((2, 3)))
        with pytest.raises(InvalidValue, match=r"got float32 and \(3, 2\)"):
            quantize(x, "int8", out=np.zeros((3, 2), np.float32))
        locked = np.zeros((2, 3), np.float32)
        locked.setflags(write=False)
        with pytest.raises(InvalidValue, match="read-only"):
            quantize(x, "int8", out=locked)

    def test_names_and_numbers(self) -> None:
        x = np.zeros(3)
        with pytest.raises(UnknownName, match="did you mean nearest-even"):
            quantize(x, "int8", rounding="nearest-evn")
        with pytest.raises(UnknownName, match="The modes are nearest-even"):
            quantize(x, "int8", rounding=3)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue, match=r"overflow must be 'saturate'.*got 'wrap'"):
            quantize(x, "int8", overflow="wrap")
        with pytest.raises(InvalidValue, match=r"threads must lie in 1\.\."):
            quantize(x, "int8", threads=0)
        with pytest.raises(InvalidValue, match="engine must be 'auto', 'numpy' or 'numba'"):
            quantize(x, "int8", engine="c")
        with pytest.raises(InvalidType, match="expected a number format"):
            quantize(x, 8)  # type: ignore[arg-type]

    def test_a_refusal_leaves_out_alone(self) -> None:
        out = np.full(3, 7.0)
        with pytest.raises(InvalidValue):
            quantize(np.zeros(3), "int8", [1.0, np.nan, 1.0], out=out)
        assert (out == 7).all()


@pytest.mark.parametrize("alias", ["RNE", "rne", "ties-to-even", "TiesToEven", "half_even"])
def test_aliases(alias: str) -> None:
    x = np.array([0.5, 1.5, -2.5])
    assert quantize(x, "int8", rounding=alias).tolist() == [0, 2, -2]


def test_quantizing_twice_changes_nothing() -> None:
    x = without_nan(every_exponent(64))
    for form in scalar_formats().values():
        for scale in (1.0, 0.25):
            once = quantize(x, form, scale)
            kept = np.isfinite(once)
            assert_same_bits(quantize(once[kept], form, scale), once[kept], once[kept])


def test_order_is_kept() -> None:
    x = np.sort(without_nan(every_exponent(64)))
    for form in scalar_formats().values():
        for mode in ROUNDINGS[:5]:
            assert (np.diff(quantize(x.astype(np.float64), form, 0.3, rounding=mode)) >= 0).all()
