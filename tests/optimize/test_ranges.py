"""Ways to choose a range, against exhaustive search."""

import math

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import Density, Gaussian, HalfGaussian, Laplace, StudentT, Uniform
from qerror.exceptions import InvalidValue
from qerror.formats import FloatingPoint, Integer
from qerror.optimize import RangeChoice, best_zero_point, compare_ranges, optimal_scale


def by_rule(choices: tuple[RangeChoice, ...]) -> dict[str, RangeChoice]:
    return {choice.rule: choice for choice in choices}


@pytest.mark.parametrize("density", [Gaussian(), Laplace(0.0, 0.3), StudentT(5.0)], ids=str)
@pytest.mark.parametrize("bias", [None, 3.9])
def test_the_best_integer_bias_is_the_best_of_all(density: Density, bias: float | None) -> None:
    form = FloatingPoint(4, 3) if bias is None else FloatingPoint(4, 3, bias)
    found = by_rule(compare_ranges(form, density))["best integer bias"]
    assert found.bias == round(found.bias or math.nan)
    tried = [
        quantization_error(form.with_bias(b), density).mse
        for b in range(round(found.bias or 0) - 12, round(found.bias or 0) + 13)
    ]
    assert found.report.mse == pytest.approx(min(tried), rel=1e-13, abs=0)


def test_a_power_of_two_is_listed_where_it_is_not_an_integer_bias() -> None:
    assert "best power-of-two scale" in by_rule(compare_ranges("int8", Gaussian()))
    assert "best power-of-two scale" not in by_rule(compare_ranges("4M3E", Gaussian()))
    choice = by_rule(compare_ranges("4M3E:bias=3.9", Gaussian()))["best power-of-two scale"]
    assert math.frexp(choice.scale)[0] == 0.5


@pytest.mark.parametrize(
    "density", [Gaussian(), Gaussian(0.7, 1.0), HalfGaussian(), Laplace(-0.4, 0.5)], ids=str
)
def test_the_zero_point_is_the_best_of_all(density: Density) -> None:
    found = best_zero_point(4, density)
    spans = np.geomspace(0.5, 20.0, 1500)
    tried = [
        float(quantization_error(Integer(4, False, zero_point=z), density, spans / 15).mse.min())
        for z in range(15)
    ]
    assert found.report.mse <= min(tried) * (1 + 1e-12)
    assert found.report.mse == pytest.approx(min(tried), rel=1e-4, abs=0)


@pytest.mark.parametrize("name", ["int4", "int8", "4M3E", "e4m3"])
@pytest.mark.parametrize("density", [Gaussian(), Uniform(), StudentT(3.0)], ids=str)
def test_no_symmetric_rule_beats_the_best_scale(name: str, density: Density) -> None:
    choices = compare_ranges(name, density)
    assert choices[0].rule == "best scale"
    assert choices[0].loss_db == 0
    best = optimal_scale(name, density).report
    for choice in choices:
        assert choice.loss_db == pytest.approx(best.sqnr_db - choice.report.sqnr_db, abs=1e-11)
        if choice.zero_point is None:
            assert choice.loss_db >= -1e-11


def test_limits_and_quantiles_are_where_they_say() -> None:
    choices = by_rule(compare_ranges("int8", Uniform(-0.5, 2.0), (0.9,)))
    assert choices["min-max"].max_value == pytest.approx(2.0, rel=1e-15, abs=0)
    assert choices["quantile 0.9"].max_value == pytest.approx(-0.5 + 2.5 * 0.9, rel=1e-14, abs=0)
    reach = 0.75 + 3 * 2.5 / math.sqrt(12)
    assert choices["mean +- 3 std"].max_value == pytest.approx(reach, rel=1e-14, abs=0)


@pytest.mark.parametrize("quantile", [0.5, 1.0, math.nan, 1.5])
def test_quantiles_outside_their_interval_are_refused(quantile: float) -> None:
    with pytest.raises(InvalidValue, match="quantile"):
        compare_ranges("int8", Gaussian(), (quantile,))


def test_infinite_power_is_refused() -> None:
    with pytest.raises(InvalidValue, match="infinite"):
        compare_ranges("int8", StudentT(2.0))
