"""Rankings of formats, and where along a parameter the best one changes."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import mpmath as mp
import numpy as np
import pytest

from qerror import (
    Clipped,
    Density,
    Discrete,
    FixedPoint,
    FloatingPoint,
    Gaussian,
    GeneralizedGaussian,
    Integer,
    Rectified,
    StudentT,
    Uniform,
    format_switches,
    optimal_format,
    optimal_scale,
    quantization_error,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats import Format, ScalarFormat
from qerror.optimize import FormatSwitches, formats_of_width

Number: TypeAlias = Any


def names(formats: Sequence[Format]) -> list[str]:
    return [form.name for form in formats]


# ---- rankings


def test_all_formats_of_a_width() -> None:
    assert names(formats_of_width(8)) == [
        *("INT8", "5M2E", "4M3E", "3M4E", "2M5E", "1M6E", "0M7E", "FIXED8.0"),
    ]
    assert names(formats_of_width(4, signed=False)) == [
        "UINT4",
        "U2M2E",
        "U1M3E",
        "U0M4E",
        "UFIXED4.0",
    ]
    for bits in (2, 3, 16, 32, 53):
        found = formats_of_width(bits)
        assert {form.bits for form in found} == {bits}
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("density", "best"),
    [
        (Uniform(), "INT8"),
        (Gaussian(), "5M2E"),
        (StudentT(5), "4M3E"),
        (StudentT(3), "3M4E"),
        (StudentT(2.2), "2M5E"),
    ],
)
def test_heavier_tails_want_more_exponent_bits(density: Density, best: str) -> None:
    # Kuzmin et al. 2022, section 3 and figure 3.
    assert optimal_format(8, density).best.format.name == best


def test_a_ranking_is_the_order_of_exact_errors() -> None:
    found = optimal_format(6, StudentT(4))
    errors = [entry.optimum.report.mse for entry in found.ranking]
    assert errors == sorted(errors)
    assert found.ranking[0].below_best_db == 0
    for entry in found.ranking:
        alone = optimal_scale(entry.format, StudentT(4))
        assert entry.optimum == alone
        decibels = 10 * math.log10(alone.report.mse / errors[0])
        assert entry.below_best_db == pytest.approx(decibels, abs=1e-12)


def test_fixed_point_appears_with_its_best_length() -> None:
    found = optimal_format(["fixed8.0", "int8"], Gaussian())
    fixed = found.ranking[1]
    assert fixed.format == FixedPoint(8, 5)
    assert fixed.optimum.scale == 1
    assert fixed.below_best_db == pytest.approx(0.01, abs=0.001)


def test_unsigned_formats_win_on_what_is_never_negative() -> None:
    density = Rectified(Gaussian())
    both = [*formats_of_width(8), *formats_of_width(8, signed=False)]
    assert optimal_format(both, density).best.format.name == "U6M2E"


def test_equally_good_formats_keep_their_order() -> None:
    one = FloatingPoint(6, 1)  # the levels of INT8
    for formats in ([one, Integer(8)], [Integer(8), one]):
        ranking = optimal_format(formats, Gaussian()).ranking
        assert [entry.format for entry in ranking] == formats
        assert [entry.below_best_db for entry in ranking] == [0, 0]
        assert format_switches(formats, Gaussian(), "std", 1, 9).winners == (formats[0],)


def test_without_a_variance_no_format_is_better() -> None:
    found = optimal_format(8, "student-t(nu=2)")
    assert names(tuple(entry.format for entry in found.ranking)) == names(formats_of_width(8))
    assert all(math.isnan(entry.below_best_db) for entry in found.ranking)


def test_errors_of_zero_are_ranked() -> None:
    found = optimal_format(["int4", "e2m1"], Discrete((-7.0, 5.0), (0.5, 0.5)))
    assert found.best.format.name == "INT4"
    assert found.best.optimum.report.mse == pytest.approx(0, abs=1e-25)


@pytest.mark.parametrize("bits", [1, 0, -3, 54])
def test_impossible_widths_are_refused(bits: int) -> None:
    with pytest.raises(InvalidValue, match="bits must lie in"):
        optimal_format(bits, Gaussian())


def test_other_bad_choices_are_refused() -> None:
    with pytest.raises(InvalidValue, match="there is no format to choose from"):
        optimal_format([], Gaussian())
    with pytest.raises(InvalidType, match="expected a list of formats or a bit width, got 'int8'"):
        optimal_format("int8", Gaussian())
    with pytest.raises(InvalidValue, match="did you mean"):
        optimal_format(["int8", "e4m9"], Gaussian())


# ---- switches


@pytest.fixture(scope="module")
def along_nu() -> FormatSwitches:
    return format_switches(8, StudentT(3), "nu", 2.1, 100)


def test_best_formats_along_nu(along_nu: FormatSwitches) -> None:
    assert names(along_nu.winners) == ["2M5E", "3M4E", "4M3E", "5M2E"]
    assert [(s.below.name, s.above.name) for s in along_nu.switches] == [
        *(("2M5E", "3M4E"), ("3M4E", "4M3E"), ("4M3E", "5M2E")),
    ]


def test_both_formats_are_equally_good_at_a_switch(along_nu: FormatSwitches) -> None:
    for switch in along_nu.switches:
        at = StudentT(switch.value)
        errors = [_best(form, at) for form in (switch.below, switch.above)]
        assert errors == pytest.approx([switch.mse] * 2, rel=1e-12, abs=0)
        for side, better in ((-1e-10, switch.below), (1e-10, switch.above)):
            beside = StudentT(switch.value * (1 + side))
            least = min((switch.below, switch.above), key=lambda f: _best(f, beside))
            assert least == better


def _best(form: Format, density: Density) -> float:
    assert isinstance(form, ScalarFormat)
    return optimal_scale(form, density).report.mse


def test_two_points_are_enough_where_winners_differ(along_nu: FormatSwitches) -> None:
    found = format_switches(8, StudentT(3), "nu", 2.1, 100, points=2)
    assert found.winners == along_nu.winners
    for a, b in zip(found.switches, along_nu.switches, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-11, abs=0)


def test_flat_densities_give_way_to_integers() -> None:
    found = format_switches(["int8", "5M2E"], GeneralizedGaussian(2), "beta", 1, 30, points=5)
    assert names(found.winners) == ["5M2E", "INT8"]
    assert found.switches[0].value == pytest.approx(3.2859072828935, rel=1e-11, abs=0)


def test_a_range_given_to_all_formats() -> None:
    found = format_switches(["int8", "5M2E"], Gaussian(), "max_value", 1, 6)
    (switch,) = found.switches
    with mp.workdps(40):

        def rise(limit: Number) -> Number:
            return mp.log(_closed(Integer(8), limit) / _closed(FloatingPoint(5, 2), limit))

        exact = mp.findroot(rise, mp.mpf(f"{switch.value:.4g}"))
        assert abs(switch.value / exact - 1) < 1e-12
        assert abs(switch.mse / _closed(Integer(8), exact) - 1) < 1e-11


def _closed(form: ScalarFormat, limit: Number) -> Number:
    """Return the MSE on the standard Gaussian by erfc (Kuzmin et al. 2022, appendix A.3)."""
    grid = form.grid()
    points = [mp.mpf(x) / mp.mpf(grid.max) * limit for x in grid.points if x >= 0]
    edges = [mp.mpf(0), *((a + b) / 2 for a, b in pairwise(points)), mp.inf]
    total = mp.mpf(0)
    for q, (a, b) in zip(points, pairwise(edges), strict=True):
        mass = (mp.erfc(a / mp.sqrt(2)) - mp.erfc(b / mp.sqrt(2))) / 2
        pa, pb = mp.npdf(a), (mp.mpf(0) if mp.isinf(b) else mp.npdf(b))
        edge = a * pa - (mp.mpf(0) if mp.isinf(b) else b * pb)
        total += mass + edge - 2 * q * (pa - pb) + q * q * mass
    return 2 * total


def test_min_max_ranges_want_ever_more_exponent_bits() -> None:
    # Kuzmin et al. 2022, appendix D: a Student-t clipped at r, and the range r too.
    found = format_switches(8, StudentT(8), "range", 1, 1e6)
    assert names(found.winners) == ["INT8", "5M2E", "4M3E", "3M4E", "2M5E"]
    for switch in found.switches:
        r = switch.value
        for form in (switch.below, switch.above):
            assert isinstance(form, ScalarFormat)
            report = quantization_error(form, Clipped(StudentT(8), -r, r), form.scale_for(r))
            assert report.mse == pytest.approx(switch.mse, rel=1e-11, abs=0)


def test_a_parameter_that_changes_nothing_has_no_switch() -> None:
    found = format_switches(["5M2E", "int8"], Gaussian(), "std", 0.1, 10, points=3)
    assert names(found.winners) == ["5M2E"]
    assert found.switches == ()


def test_fixed_point_comes_and_goes_with_the_standard_deviation() -> None:
    # Its steps are powers of two, those of 4M3E are free: the winner has period 2 in std.
    found = format_switches(["fixed8.0", "4M3E"], Gaussian(), "std", 1.0, 4.0, points=33)
    assert set(names(found.winners)) <= {"FIXED8.0", "4M3E"}
    ratios = np.array([s.value for s in found.switches])
    half = ratios.size // 2
    np.testing.assert_allclose(ratios[half:], 2 * ratios[:half], rtol=1e-11)


def test_limits_of_any_sign() -> None:
    found = format_switches(["uint8", "int8"], Gaussian(1), "mean", -3, 5, points=7)
    assert names(found.winners) == ["INT8", "UINT8"]
    assert found.switches[0].value > 0


@pytest.mark.parametrize(
    ("over", "low", "high", "words"),
    [
        ("nuu", 1, 2, r"cannot sweep 'nuu'.*nu, loc, density\.scale, max_value, range"),
        ("nu", 3, 3, "low must be below high, got low=3, high=3"),
        ("nu", 3, math.inf, "high must be finite"),
        ("nu", 1.5, 3, r"E\[X\^2\] is infinite at nu = 1.5"),
        ("nu", -1, 3, "nu must be positive"),
        ("max_value", -1, 3, "low must be positive"),
        ("range", 0, 3, "low must be positive"),
    ],
)
def test_impossible_sweeps_are_refused(over: str, low: float, high: float, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        format_switches(["int8", "4M3E"], StudentT(3), over, low, high)


def test_fixed_point_has_no_range_to_sweep() -> None:
    with pytest.raises(InvalidValue, match="fixed point has no max_value to sweep"):
        format_switches(["fixed8.4"], Gaussian(), "max_value", 1, 2)
    with pytest.raises(InvalidValue, match=r"points must lie in 2\.\.10000"):
        format_switches(8, Gaussian(), "std", 1, 2, points=1)
