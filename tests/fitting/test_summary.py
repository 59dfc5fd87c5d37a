"""Summaries against rational arithmetic, whatever the order, the parts and the outliers."""

import math
from fractions import Fraction

import numpy as np
import pytest

from qerror.exceptions import InvalidValue
from qerror.fitting.summary import DIRECT, Summary, Unit

RNG = np.random.default_rng(11)
FAR = np.concatenate([RNG.normal(1e6, 1e-3, 2_000), [1e12, -3e11]])
KINDS = {
    "plain": RNG.normal(size=3_001),
    "far": FAR,
    "heavy": RNG.standard_cauchy(2_500) ** 3,
    "tiny": RNG.normal(size=999) * 1e-290,
    "huge": RNG.normal(size=999) * 1e290,
    "two": np.array([1.0, 1.0 + 2**-52]),
    "ends": np.array([-1.7e308, 0.0, 1.7e308]),
}


def summary(x: np.ndarray, *, binned: bool = False) -> Summary:
    unit = Unit.of(x, float(x.min()), float(x.max()))
    return Summary.of(np.array_split(x, 7), unit, binned=binned)


def moments(x: np.ndarray) -> tuple[Fraction, Fraction]:
    exact = [Fraction(each) for each in x.tolist()]
    mean = sum(exact, Fraction(0)) / len(exact)
    return mean, sum(((each - mean) ** 2 for each in exact), Fraction(0)) / len(exact)


@pytest.mark.parametrize("binned", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_exact(kind: str, binned: bool) -> None:
    x = KINDS[kind]
    found = summary(x, binned=binned)
    mean, variance = moments(x)
    spread = math.sqrt(variance / Fraction(2) ** (2 * found.unit.exponent))
    spread = math.ldexp(spread, found.unit.exponent)
    assert found.mean == pytest.approx(float(mean), rel=1e-15, abs=1e-15 * spread)
    assert found.std == pytest.approx(spread, rel=1e-14, abs=0)
    assert (found.low, found.high, found.size) == (x.min(), x.max(), x.size)
    assert found.weights.sum() == x.size


def test_parts_add_up_in_any_order() -> None:
    x = RNG.standard_t(2, 20_000)
    unit = Unit.of(x[:100], float(x.min()), float(x.max()))
    whole = Summary.of([x], unit, binned=True)
    parts = [Summary.of([each], unit, binned=True) for each in np.array_split(x, 5)]
    for order in ((0, 1, 2, 3, 4), (4, 2, 0, 1, 3)):
        found = parts[order[0]]
        for place in order[1:]:
            found = found.merged(parts[place])
        assert (found.size, found.low, found.high) == (whole.size, whole.low, whole.high)
        assert found.mean == pytest.approx(whole.mean, rel=1e-14, abs=0)
        assert found.std == pytest.approx(whole.std, rel=1e-15, abs=0)
        assert found.quantiles(0.1, 0.9) == pytest.approx(
            whole.quantiles(0.1, 0.9), rel=1e-3, abs=0
        )


def test_few_values_stay_values_and_many_become_bins() -> None:
    x = RNG.normal(size=DIRECT // 2 + 1)
    unit = Unit.of(x, float(x.min()), float(x.max()))
    half = Summary.of([x], unit, binned=False)
    assert not half.is_binned
    assert not half.merged(Summary.of([x[:3]], unit, binned=False)).is_binned
    both = half.merged(half)
    assert both.is_binned
    assert both.weights.sum() == 2 * x.size


def test_one_outlier_moves_neither_centre_nor_bins() -> None:
    x = RNG.normal(size=10_000)
    plain = summary(x)
    x[0] = 1e15
    found = summary(x, binned=True)
    assert found.unit.centre == pytest.approx(plain.unit.centre, abs=1e-3)
    assert found.unit.exponent == plain.unit.exponent
    assert found.points.size > 4_000  # of 10,000 values: bins are 2^-11 wide, not 1e12


def test_other_units_do_not_mix() -> None:
    a, b = (Summary.of([np.arange(3.0)], Unit(c, 0), binned=False) for c in (0.0, 1.0))
    with pytest.raises(InvalidValue, match="one centre"):
        a.merged(b)


def test_nothing_can_be_written() -> None:
    found = summary(KINDS["plain"])
    with pytest.raises(ValueError, match="read-only"):
        found.points[0] = 1.0
