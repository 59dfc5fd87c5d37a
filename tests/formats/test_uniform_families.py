"""Integer and fixed point: one uniform run each. Codebook: any levels."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import Codebook, FixedPoint, Integer, as_scalar_format


@pytest.mark.parametrize(
    ("member", "low", "high"),
    [
        (Integer(8), -127, 127),
        (Integer(8, symmetric=False), -128, 127),
        (Integer(8, signed=False), 0, 255),
        (Integer(2), -1, 1),
        (Integer(1, signed=False), 0, 1),
        (Integer(8, zero_point=3), -130, 124),
        (Integer(8, signed=False, zero_point=255), -255, 0),
        (Integer(8, symmetric=False, zero_point=-128), 0, 255),
    ],
)
def test_levels_of_integers(member: Integer, low: int, high: int) -> None:
    assert member.grid().points.tolist() == list(range(low, high + 1))
    assert member.grid(0.5).max == high / 2


@given(st.integers(2, 8), st.booleans(), st.booleans(), st.data())
def test_integer_ties_go_to_the_even_code(
    bits: int, signed: bool, symmetric: bool, data: st.DataObject
) -> None:
    plain = Integer(bits, signed, symmetric)
    zero_point = data.draw(st.integers(plain.min_code, plain.max_code))
    grid = Integer(bits, signed, symmetric, zero_point).grid()
    codes = np.arange(plain.min_code, plain.max_code)
    expected = np.where(codes % 2 == 0, codes, codes + 1) - zero_point
    assert grid.thresholds.tolist() == (codes - zero_point + 0.5).tolist()
    assert grid.round_half_even(grid.thresholds).tolist() == expected.tolist()


def test_symmetric_means_nothing_without_sign() -> None:
    assert Integer(8, signed=False) == Integer(8, signed=False, symmetric=False)
    assert Integer(8, False, True).symmetric is False
    assert Integer(8) != Integer(8, symmetric=False)
    assert FixedPoint(8, 4, signed=False) == FixedPoint(8, 4, signed=False, symmetric=False)
    assert FixedPoint(8, 4, False, True).symmetric is False
    assert FixedPoint(8, 4) != FixedPoint(8, 4, symmetric=False)
    assert FixedPoint(8, 4, False).grid() != FixedPoint(8, 4).grid()


@pytest.mark.parametrize("member", [Integer(53, False), Integer(53), Integer(53, symmetric=False)])
def test_the_widest_integers(member: Integer) -> None:
    grid = member.grid()
    assert grid.max == member.max_code
    assert grid.min == member.min_code
    assert grid.size == member.max_code - member.min_code + 1
    assert grid.steps.size == 1


def test_integer_card() -> None:
    card = Integer(8, zero_point=3).conventions()
    assert card["codes"] == "-127..127"
    assert card["special codes"] == "none; the code -128 is not used"
    assert card["zero"] == "one, the code 3"
    assert (card["min"], card["max"], card["levels"]) == ("-130", "124", "255")
    assert Integer(8, False).conventions()["special codes"] == "none"


def test_no_positive_level_no_scale() -> None:
    with pytest.raises(InvalidValue, match="UINT8:zp=255 has no positive level"):
        Integer(8, signed=False, zero_point=255).scale_for(1)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("fraction", [-3, 0, 4, 11])
@pytest.mark.parametrize("signed", [True, False])
def test_levels_of_fixed_point(bits: int, fraction: int, signed: bool) -> None:
    """F8Net, section 3: signed codes leave out the most negative one."""
    most = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    codes = range(-most if signed else 0, most + 1)
    grid = FixedPoint(bits, fraction, signed).grid()
    assert grid.points.tolist() == [code / 2**fraction for code in codes]
    ties = [(code + 0.5) / 2**fraction for code in codes][:-1]
    assert grid.thresholds.tolist() == ties
    expected = [(code + code % 2) / 2**fraction for code in codes][:-1]
    assert grid.round_half_even(ties).tolist() == expected


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("fraction", [-3, 0, 4, 11])
def test_levels_of_twos_complement(bits: int, fraction: int) -> None:
    codes = range(-(2 ** (bits - 1)), 2 ** (bits - 1))
    member = FixedPoint(bits, fraction, symmetric=False)
    grid = member.grid()
    assert (member.min_code, member.max_code) == (codes[0], codes[-1])
    assert grid.points.tolist() == [code / 2**fraction for code in codes]
    expected = [(code + code % 2) / 2**fraction for code in codes][:-1]
    assert grid.round_half_even(grid.thresholds).tolist() == expected
    assert grid == Integer(bits, symmetric=False).grid(2.0**-fraction)


def test_fractional_length_is_scale() -> None:
    member = FixedPoint(8, 4)
    assert member.with_fractional_length(6) == FixedPoint(8, 6)
    assert member.with_fractional_length(6).grid() == member.grid(0.25)
    assert FixedPoint(8, 0).grid() == Integer(8).grid()


@pytest.mark.parametrize(
    "member",
    [
        FixedPoint(8, 1074),
        FixedPoint(8, -1016),
        FixedPoint(53, -971),
        FixedPoint(8, -1016, symmetric=False),
        FixedPoint(53, -971, symmetric=False),
    ],
)
def test_the_limits_of_fractional_length(member: FixedPoint) -> None:
    grid = member.grid()
    assert grid.steps[0] == math.ldexp(1, -member.fractional_length)
    assert grid.max == member.max_code * grid.steps[0]
    assert math.isfinite(grid.max)


def test_fixed_point_card() -> None:
    card = FixedPoint(8, 4).conventions()
    assert card["step"] == "0.0625 = 2^-4"
    assert card["codes"] == "-127..127"
    assert card["special codes"] == "none; the code -128 is not used"
    assert FixedPoint(8, -2).conventions()["step"] == "4 = 2^2"
    assert FixedPoint(8, 4, False).conventions()["codes"] == "0..255"
    full = FixedPoint(8, 4, symmetric=False).conventions()
    assert (full["codes"], full["special codes"], full["min"]) == ("-128..127", "none", "-8")


def test_codebook_sorts() -> None:
    member = Codebook((0.5, -1, 0))
    assert member == Codebook([-1, 0, 0.5])
    assert hash(member) == hash(Codebook(np.array([0, 0.5, -1])))  # type: ignore[arg-type]
    assert member.values == (-1.0, 0.0, 0.5)
    assert all(type(value) is float for value in member.values)
    assert str(Codebook([-1, -0.0])) == "codebook:-1,0"


def test_codebook_ties_go_to_the_even_index() -> None:
    grid = Codebook([-3, -1, 0, 5]).grid()
    assert grid.round_half_even([-2, -0.5, 2.5]).tolist() == [-3, 0, 0]


@pytest.mark.parametrize(
    ("size", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (16, 4), (17, 5)]
)
def test_bits_of_a_codebook(size: int, bits: int) -> None:
    assert Codebook(range(size)).bits == bits


def test_codebook_card() -> None:
    card = Codebook([-1, 0, 1]).conventions()
    assert card["codes"] == "0..2, the levels in ascending order"
    assert card["special codes"] == "none; 1 not used"
    assert card["zero"] == "one"
    assert Codebook([-1, 1]).conventions()["zero"] == "no code"


def test_nf4() -> None:
    """Dettmers et al. 2023: quantiles of a Gaussian, 8 at or below zero and 9 at or above it.

    The library that introduced it makes the positive half of norm.ppf(linspace(o, 0.5, 9)) and
    the negative half of norm.ppf(linspace(o, 0.5, 8)) with o = 0.9677083, over the largest.
    """
    quantile, outermost = NormalDist().inv_cdf, 0.9677083
    positive = [quantile(p) for p in np.linspace(outermost, 0.5, 9)[:-1]]
    negative = [-quantile(p) for p in np.linspace(outermost, 0.5, 8)[:-1]]
    levels = np.sort([*negative, 0.0, *positive]) / quantile(outermost)
    np.testing.assert_allclose(as_scalar_format("nf4").grid().points, levels, rtol=0, atol=1e-6)


REFUSED: list[tuple[Any, tuple[Any, ...], type[Exception], str]] = [
    (Integer, (0,), InvalidValue, r"bits must lie in 2\.\.53, got 0"),
    (Integer, (1,), InvalidValue, r"bits must lie in 2\.\.53, got 1"),
    (Integer, (0, False), InvalidValue, r"bits must lie in 1\.\.53, got 0"),
    (Integer, (54,), InvalidValue, r"bits must lie in 2\.\.53, got 54"),
    (Integer, (8.0,), InvalidType, "bits must be an integer, got 8.0"),
    (Integer, ("8",), InvalidType, "bits must be an integer, got '8'"),
    (Integer, (8, 1), InvalidType, "signed must be True or False, got 1"),
    (Integer, (8, True, None), InvalidType, "symmetric must be True or False, got None"),
    (Integer, (8, True, True, -128), InvalidValue, r"zero_point must lie in -127\.\.127"),
    (Integer, (8, True, False, -129), InvalidValue, r"zero_point must lie in -128\.\.127"),
    (Integer, (8, False, True, -1), InvalidValue, r"zero_point must lie in 0\.\.255, got -1"),
    (Integer, (8, True, True, 0.0), InvalidType, "zero_point must be an integer"),
    (FixedPoint, (1, 0), InvalidValue, r"word_length must lie in 2\.\.53, got 1"),
    (FixedPoint, (0, 0, False), InvalidValue, r"word_length must lie in 1\.\.53, got 0"),
    (FixedPoint, (54, 0), InvalidValue, r"word_length must lie in 2\.\.53, got 54"),
    (FixedPoint, (8, 1075), InvalidValue, r"fractional_length must lie in -1016\.\.1074"),
    (FixedPoint, (8, -1017), InvalidValue, r"fractional_length must lie in -1016\.\.1074"),
    (FixedPoint, (8, 4.5), InvalidType, "fractional_length must be an integer, got 4.5"),
    (FixedPoint, (8, 4, True, 0), InvalidType, "symmetric must be True or False, got 0"),
    (FixedPoint, (8, 4, "yes"), InvalidType, "signed must be True or False, got 'yes'"),
    (Codebook, ([],), InvalidValue, "at least one point"),
    (Codebook, ([1, 1],), InvalidValue, "must differ, got 1 twice"),
    (Codebook, ([1, math.nan],), InvalidValue, "must be finite"),
    (Codebook, ("abc",), InvalidType, "must be numbers"),
]


@pytest.mark.parametrize(("family", "arguments", "kind", "phrase"), REFUSED)
def test_refusals(
    family: Any, arguments: tuple[Any, ...], kind: type[Exception], phrase: str
) -> None:
    with pytest.raises(kind, match=phrase):
        family(*arguments)


def test_a_codebook_has_no_negative_zero() -> None:
    member = Codebook([-0.0, 1])
    assert not np.signbit(member.grid().points).any()
    assert member == Codebook([0.0, 1])
