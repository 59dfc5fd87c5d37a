"""Powers of two as a format: the scales of MX formats."""

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import ExponentOnly


def test_every_code_of_ml_dtypes() -> None:
    values = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float64)
    member = ExponentOnly(8)
    assert member.grid().points.tolist() == values[~np.isnan(values)].tolist()
    assert np.flatnonzero(np.isnan(values)).tolist() == [member.reserved.nan]
    assert member.reserved.largest == 254
    assert (member.bits, member.bias) == (8, 127)


@pytest.mark.parametrize(("exponent_bits", "bias"), [(2, None), (5, 3), (8, -769), (8, 1074)])
def test_levels_are_the_formulas(exponent_bits: int, bias: int | None) -> None:
    member = ExponentOnly(exponent_bits, bias)
    shift = 2 ** (exponent_bits - 1) - 1 if bias is None else bias
    expected = [Fraction(2) ** (code - shift) for code in range(2**exponent_bits - 1)]
    grid = member.grid()
    assert [Fraction(point) for point in grid.points.tolist()] == expected
    # Codes alternate: the lower of a pair is even if its code is.
    ties = grid.round_half_even(grid.thresholds[3:]).tolist() if exponent_bits == 5 else []
    assert ties == [float(expected[i + i % 2]) for i in range(3, 3 + len(ties))]


def test_bias_is_scale() -> None:
    assert ExponentOnly(5, 3).grid() == ExponentOnly(5).grid(2.0**12)
    assert ExponentOnly(5).bias_at(2.0**12) == 3.0


def test_card() -> None:
    card = ExponentOnly(8).conventions()
    assert card["bias"] == "127 (the convention's own)"
    assert card["zero"] == "no code"
    assert card["special codes"] == "NaN at the top code; no infinity"
    assert card["levels"] == "255"
    assert ExponentOnly(8, 3).conventions()["bias"] == "3"


@pytest.mark.parametrize(
    ("arguments", "kind", "phrase"),
    [
        ((1,), InvalidValue, r"exponent_bits must lie in 2\.\.11, got 1"),
        ((12,), InvalidValue, r"exponent_bits must lie in 2\.\.11, got 12"),
        ((8, 1075), InvalidValue, r"bias must lie in -769\.\.1074, got 1075"),
        ((8, -770), InvalidValue, r"bias must lie in -769\.\.1074, got -770"),
        ((8, 1.0), InvalidType, "bias must be an integer, got 1.0"),
    ],
)
def test_refusals(arguments: tuple[Any, ...], kind: type[Exception], phrase: str) -> None:
    with pytest.raises(kind, match=phrase):
        ExponentOnly(*arguments)
