"""Floating point with any split and any bias, against the formula in exact arithmetic."""

import dataclasses
from fractions import Fraction
from time import perf_counter
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import FloatingPoint, as_scalar_format
from qerror.formats.floating import _grid


def magnitude(code: int, mantissa_bits: int, bias: int) -> Fraction:
    """Return the value of a code without a sign, from its exponent and mantissa fields."""
    exponent, mantissa = divmod(code, 2**mantissa_bits)
    fraction = Fraction(mantissa, 2**mantissa_bits)
    if exponent == 0:
        return Fraction(Fraction(2) ** (1 - bias)) * fraction
    return Fraction(Fraction(2) ** (exponent - bias)) * (1 + fraction)


def is_special(code: int, member: FloatingPoint) -> bool:
    """Say whether a code without a sign is infinity or NaN, from its bit pattern."""
    bits = f"{code:0{member.exponent_bits + member.mantissa_bits}b}"
    ones = set(bits) == {"1"}
    if member.specials == "ieee":
        return set(bits[: member.exponent_bits]) == {"1"}
    if member.specials == "fn":
        return ones
    if member.specials == "p3109":
        nan = ones and not member.signed
        below = code == 2 ** len(bits) - (1 if member.signed else 2)
        return nan or (member.infinities and below)
    return False


def coded(member: FloatingPoint) -> dict[Fraction, int]:
    """Return every level with the code of its magnitude."""
    codes = range(2 ** (member.exponent_bits + member.mantissa_bits))
    levels: dict[Fraction, int] = {}
    for code in codes:
        if not is_special(code, member):
            value = magnitude(code, member.mantissa_bits, int(member.bias))
            levels[value] = code
            if member.signed:
                levels[-value] = code
    return dict(sorted(levels.items()))


@st.composite
def members(draw: st.DrawFn) -> FloatingPoint:
    """Return a format of at most a thousand codes with an integer bias."""
    signed = draw(st.booleans())
    specials = draw(st.sampled_from(["none", "ieee", "fn", "fnuz", "p3109"]))
    if specials == "fnuz":
        signed = True
    exponent_bits = draw(st.integers(2, 6))
    return FloatingPoint(
        draw(st.integers(1 if specials == "ieee" else 0, 4)),
        exponent_bits,
        draw(st.none() | st.integers(-300, 300)),
        signed,
        specials,  # type: ignore[arg-type]
        specials == "p3109" and draw(st.booleans()),
    )


@given(members())
def test_points_are_the_formulas(member: FloatingPoint) -> None:
    assert [Fraction(p) for p in member.grid().points.tolist()] == list(coded(member))


@given(members())
def test_ties_go_to_the_even_code(member: FloatingPoint) -> None:
    levels = coded(member)
    values, codes = list(levels), list(levels.values())
    pairs = list(zip(values[:-1], values[1:], codes[:-1], strict=False))
    ties = [float((low + high) / 2) for low, high, _ in pairs]
    expected = [float(low if code % 2 == 0 else high) for low, high, code in pairs]
    grid = member.grid()
    assert grid.thresholds.tolist() == ties
    assert grid.round_half_even(ties).tolist() == expected


@given(members(), st.floats(-300, 300))
def test_a_real_bias_rounds_only_its_fraction(member: FloatingPoint, bias: float) -> None:
    varied = member.with_bias(bias)
    with mpmath.workdps(40):
        ratio = mpmath.mpf(2) ** (mpmath.mpf(member.bias) - mpmath.mpf(bias))
        for old, new in zip(member.grid().points, varied.grid().points, strict=True):
            exact = mpmath.mpf(float(old)) * ratio
            assert abs(mpmath.mpf(float(new)) - exact) <= 3e-16 * abs(exact)


@given(members(), st.integers(-200, 200))
def test_bias_is_scale(member: FloatingPoint, shift: int) -> None:
    assert member.with_bias(member.bias + shift).grid() == member.grid(2.0**-shift)


@given(members())
def test_limits_are_levels(member: FloatingPoint) -> None:
    positive = [level for level in coded(member) if level > 0]
    codes = coded(member)
    normal = min(level for level in positive if codes[level] >= 2**member.mantissa_bits)
    assert member.smallest_subnormal == positive[0]
    assert member.smallest_normal == normal
    assert member.max_value == positive[-1]


@given(members())
def test_one_segment_around_zero(member: FloatingPoint) -> None:
    """Equal-step neighbours are one segment: the grid has the fewest that it can have."""
    grid = member.grid()
    assert (grid.steps[1:] != grid.steps[:-1]).all()
    assert grid.is_symmetric == member.signed


def test_the_conventions_own_bias() -> None:
    own = {"none": 8, "fnuz": 8, "ieee": 7, "fn": 7, "p3109": 8}
    for specials, bias in own.items():
        member = FloatingPoint(3, 4, specials=specials)  # type: ignore[arg-type]
        given_bias = FloatingPoint(3, 4, bias, specials=specials)  # type: ignore[arg-type]
        assert member.bias == bias
        assert isinstance(given_bias.bias, float)
        assert member == given_bias
        assert hash(member) == hash(given_bias)


def test_numpy_numbers_are_numbers() -> None:
    member = FloatingPoint(np.int8(3), np.int64(4), np.float32(8), np.bool_(True))  # type: ignore[arg-type]
    assert member == FloatingPoint(3, 4)
    assert repr(member) == repr(FloatingPoint(3, 4))
    assert FloatingPoint(3, 4, -0.0).name == FloatingPoint(3, 4, 0.0).name == "3M4E:bias=0"


def test_one_exponent_bit_is_uniform() -> None:
    """Van Baalen et al. 2023: E1 is sign-magnitude INT8."""
    assert FloatingPoint(6, 1).grid(64).points.tolist() == list(range(-127, 128))


def test_no_mantissa_bits_are_powers_of_two() -> None:
    assert FloatingPoint(0, 2, signed=False).grid().points.tolist() == [0, 0.5, 1, 2]
    assert FloatingPoint(0, 1).grid().points.tolist() == [-1, 0, 1]
    assert FloatingPoint(0, 3).conventions()["smallest subnormal"] == "none"


@pytest.mark.parametrize("name", ["fp32", "fp64", "52M11E", "U52M11E", "tf32"])
def test_wide_formats_are_cheap(name: str) -> None:
    member = as_scalar_format(name)
    assert member.grid().steps.size <= 2 * 2046 + 1
    member.grid().scaled(2)
    times: list[float] = []
    for _ in range(5):
        _grid.cache_clear()
        start = perf_counter()
        member.grid()
        times.append(perf_counter() - start)
    assert min(times) < 2e-3


def test_steps_below_float64_are_widened() -> None:
    """52M11E has steps of 2^-1075; float64 has 2^-1074, and so has the grid."""
    grid = as_scalar_format("52M11E").grid()
    assert grid.steps.min() == 2.0**-1074
    assert grid.max == np.finfo(np.float64).max
    assert (np.diff(grid.edges) > 0).all()
    # At its own bias, 1024, the top exponent is the last finite one of fp64.
    assert grid == as_scalar_format("fp64").grid()


@pytest.mark.parametrize("bias", [1060, 1060.3, 1075.999, 1077])
def test_levels_below_float64_are_left_out(bias: float) -> None:
    levels = FloatingPoint(3, 4, bias).grid().points
    assert (np.diff(levels) > 0).all()
    whole = FloatingPoint(3, 4, bias - 900).grid().points
    assert levels[-1] == whole[-1] * 2.0**-900
    assert set(levels.tolist()) <= set((whole * 2.0**-900).tolist())
    if bias == int(bias):
        exact = [Fraction(level) / 2**900 for level in whole.tolist()]
        assert levels.tolist() == [float(x) for x in exact if float(x) == x]


@pytest.mark.parametrize(
    ("arguments", "kind", "phrase"),
    [
        ({"mantissa_bits": 53}, InvalidValue, r"mantissa_bits must lie in 0\.\.52, got 53"),
        ({"mantissa_bits": -1}, InvalidValue, r"mantissa_bits must lie in 0\.\.52, got -1"),
        ({"mantissa_bits": 3.0}, InvalidType, "mantissa_bits must be an integer, got 3.0"),
        ({"mantissa_bits": True}, InvalidType, "mantissa_bits must be an integer"),
        ({"exponent_bits": 0}, InvalidValue, r"exponent_bits must lie in 1\.\.11, got 0"),
        ({"exponent_bits": 12}, InvalidValue, r"exponent_bits must lie in 1\.\.11, got 12"),
        ({"bias": float("nan")}, InvalidValue, "bias must be finite, got nan"),
        ({"bias": float("inf")}, InvalidValue, "bias must be finite, got inf"),
        ({"bias": "eight"}, InvalidType, "bias must be a real number"),
        ({"bias": -1009}, InvalidValue, r"bias must lie in -1008\.\.1086.*3M4E, got -1009"),
        ({"bias": -1008.25}, InvalidValue, r"bias must lie in -1008\.\.1086.*got -1008.25"),
        ({"bias": 1086.5}, InvalidValue, r"bias must lie in -1008\.\.1086.*got 1086.5"),
        ({"exponent_bits": 1, "bias": -1022}, InvalidValue, r"bias must lie in -1021\.\."),
        ({"exponent_bits": 11, "specials": "fn"}, InvalidValue, r"bias must lie in 1024\.\."),
        ({"signed": 1}, InvalidType, "signed must be True or False, got 1"),
        ({"infinities": 0}, InvalidType, "infinities must be True or False, got 0"),
        ({"infinities": True}, InvalidValue, "infinities is a choice of specials='p3109' alone"),
        ({"specials": "IEEE"}, InvalidValue, "one of none, ieee, fn, fnuz, p3109, got 'IEEE'"),
        ({"specials": "fnuz", "signed": False}, InvalidValue, "which an unsigned format does not"),
        ({"exponent_bits": 1, "specials": "ieee"}, InvalidValue, "leaves no normal number"),
        (
            {"exponent_bits": 1, "mantissa_bits": 0, "specials": "fn"},
            InvalidValue,
            "leaves no normal number with 1 exponent and 0 mantissa bits",
        ),
    ],
)
def test_refusals(arguments: dict[str, object], kind: type[Exception], phrase: str) -> None:
    full: dict[str, object] = {"mantissa_bits": 3, "exponent_bits": 4, **arguments}
    with pytest.raises(kind, match=phrase):
        FloatingPoint(**full)  # type: ignore[arg-type]


@pytest.mark.parametrize("bias", [-1008, 1086])
def test_the_limits_of_bias_are_legal(bias: float) -> None:
    grid = FloatingPoint(3, 4, bias).grid()
    assert np.isfinite(grid.points).all()
    assert grid.is_symmetric


def test_card_of_e4m3() -> None:
    card = as_scalar_format("e4m3").conventions()
    assert list(card) == [
        "name",
        "bits",
        "levels",
        "min",
        "max",
        "exponent bits",
        "mantissa bits",
        "bias",
        "smallest normal",
        "smallest subnormal",
        "special codes",
        "zero",
        "source",
        "overflow",
        "ties",
    ]
    assert card["bits"] == "8"
    assert card["bias"] == "7 (the convention's own)"
    assert card["max"] == "448"
    assert card["smallest subnormal"] == "0.001953125"
    assert card["special codes"] == "NaN at the top code of each sign; no infinity"
    assert card["zero"] == "+0 and -0"
    assert "OFP8" in card["source"]
    for namesake in ("FLOAT8_E4M3 (max 240)", "E4M3B11FNUZ (max 30)", "3M4E (max 240)"):
        assert namesake in card["source"]
    assert "E4M3FN (max" not in card["source"]


def test_cards_say_where_nan_is() -> None:
    codes = {
        "4M3E": "none: every code is a finite number",
        "e5m2": "the top exponent of each sign holds infinity and NaN",
        "e4m3fnuz": "NaN at the code of -0; no infinity",
        "p3109_k8p4se": "NaN at the code of -0; infinity at the top code of each sign",
        "p3109_k8p4sf": "NaN at the code of -0; no infinity",
        "p3109_k8p4ue": "NaN at the top code; infinity at the code below it",
        "p3109_k8p4uf": "NaN at the top code; no infinity",
    }
    assert {n: as_scalar_format(n).conventions()["special codes"] for n in codes} == codes
    assert as_scalar_format("e4m3fnuz").conventions()["zero"] == "one, without a sign"
    assert as_scalar_format("4M3E:bias=2.5").conventions()["bias"] == "2.5"
    assert "no standard" in as_scalar_format("4M3E:bias=2.5").conventions()["source"]


def test_a_bias_left_out_or_none_is_the_conventions() -> None:
    assert FloatingPoint(3, 4) == FloatingPoint(3, 4, None) == FloatingPoint(3, 4, bias=8)
    varied = dataclasses.replace(FloatingPoint(3, 4, 3.5), bias=None)
    assert varied == FloatingPoint(3, 4)
    assert varied.bias == 8.0


# Of every convention, 3 exponent and 2 mantissa bits: the codes as the standards lay them out.
# largest finite magnitude, infinity, NaN, -0.
RESERVED: dict[tuple[str, bool, bool], tuple[int, int | None, int | None, bool]] = {
    ("none", True, False): (0b11111, None, None, True),
    ("none", False, False): (0b11111, None, None, False),
    ("ieee", True, False): (0b11011, 0b11100, 0b11110, True),
    ("ieee", False, False): (0b11011, 0b11100, 0b11110, False),
    ("fn", True, False): (0b11110, None, 0b11111, True),
    ("fn", False, False): (0b11110, None, 0b11111, False),
    ("fnuz", True, False): (0b11111, None, 0b100000, False),
    ("p3109", True, False): (0b11111, None, 0b100000, False),
    ("p3109", True, True): (0b11110, 0b11111, 0b100000, False),
    ("p3109", False, False): (0b11110, None, 0b11111, False),
    ("p3109", False, True): (0b11101, 0b11110, 0b11111, False),
}


@pytest.mark.parametrize(("specials", "signed", "infinities"), RESERVED)
def test_reserved_codes(specials: Any, signed: bool, infinities: bool) -> None:
    member = FloatingPoint(2, 3, signed=signed, specials=specials, infinities=infinities)
    codes = member.reserved
    found = codes.largest, codes.infinity, codes.nan, codes.negative_zero
    assert found == RESERVED[specials, signed, infinities]


def test_ieee_without_mantissa_bits_has_no_nan() -> None:
    codes = FloatingPoint(0, 3, specials="ieee").reserved
    assert (codes.largest, codes.infinity, codes.nan) == (6, 7, None)
