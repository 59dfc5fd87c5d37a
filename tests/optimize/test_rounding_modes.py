"""Best ranges under rounding modes other than to the nearest."""

import math

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    Clipped,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    Laplace,
    StudentT,
    Uniform,
)
from qerror.exceptions import InvalidValue
from qerror.optimize import optimal_scale
from qerror.rounding import as_rule
from qerror.sweep import sweep
from tests.oracles.modes import mode_report

MODES = ["down", "toward-zero", "to-odd", "stochastic", "stochastic:2"]


@pytest.mark.thinned(5)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("density", [Gaussian(0.2), Laplace(), StudentT(4.0)], ids=repr)
@pytest.mark.parametrize("name", ["int4", "E2M1", "3M2E"])
def test_no_scale_does_better(name: str, density: Density, rounding: str) -> None:
    best = optimal_scale(name, density, rounding=rounding)
    assert best.rounding == rounding
    assert not best.at_edge
    assert best.report == quantization_error(name, density, best.scale, rounding=rounding)
    low, high = (limit / best.format.max_value for limit in best.searched)
    scales = np.geomspace(low, high, 4000)
    others = quantization_error(name, density, scales, rounding=rounding).mse
    assert best.report.mse <= others.min() * (1 + 1e-13)
    near = best.scale * (1 + np.array([-1e-4, 1e-4]))
    beside = quantization_error(name, density, near, rounding=rounding).mse
    assert (best.report.mse < beside).all()


@pytest.mark.parametrize("rounding", ["down", "to-odd", "stochastic", "stochastic:2"])
@pytest.mark.parametrize("name", ["int4", "3M2E"])
def test_the_scale_is_right_to_twelve_digits(name: str, rounding: str) -> None:
    """The slope changes its sign there, of differences of balls: no value of the MSE shows it."""
    best = optimal_scale(name, Gaussian(0.2), rounding=rounding)
    grid, rule = best.format.grid(), as_rule(rounding)
    middle = best.scale * (1 + np.array([-2, -1, 1, 2]) * 1e-12)
    step = 2.0**-20

    def slope(scale: float) -> float:
        ends = [
            mode_report(grid, Gaussian(0.2), scale + side * step * best.scale, rule.mode, rule.bits)
            for side in (-1, 1)
        ]
        return float((ends[1].mse - ends[0].mse).mid()) / (2 * step)

    # The difference's own error, of second order, is the same for all and known from a root.
    rises = [slope(float(scale)) for scale in middle]
    bend = (rises[-1] - rises[0]) / (middle[-1] - middle[0]) * best.scale
    assert rises[0] < rises[1] < rises[2] < rises[3]
    assert abs(0.5 * (rises[1] + rises[2])) < 1e-11 * bend


def test_the_best_range_depends_on_the_mode() -> None:
    ranges = [optimal_scale("int8", Gaussian(), rounding=mode).max_value for mode in MODES]
    nearest = optimal_scale("int8", Gaussian()).max_value
    assert all(found < nearest - 0.1 for found in ranges)
    # D^2/6 instead of D^2/12: between nearest and directed.
    assert ranges[0] < ranges[3] < nearest


@pytest.mark.parametrize("rounding", ["up", "stochastic"])
def test_plateaus(rounding: str) -> None:
    best = optimal_scale("int8", Gaussian(), rounding=rounding)
    ends = np.array(best.plateau)
    mse = quantization_error("int8", Gaussian(), max_value=ends, rounding=rounding).mse
    assert 10 * np.log10(mse / best.report.mse) == pytest.approx([0.1, 0.1], rel=1e-6, abs=0)
    smallest = best.leeway.smallest
    loss = quantization_error("int8", Gaussian(), max_value=smallest, rounding=rounding).mse
    assert 10 * math.log10(loss / best.report.mse) == pytest.approx(0.01, rel=1e-6, abs=0)


def test_fixed_point_and_values_on_levels() -> None:
    best = optimal_scale("fixed8.4", Gaussian(), rounding="RTZ")
    assert math.log2(best.scale).is_integer()
    exact = Discrete((0.3, 0.6, 2.1), (0.25, 0.5, 0.25))
    for mode in ("down", "up", "stochastic", "nearest-away"):
        assert optimal_scale("int4", exact, rounding=mode).report.mse < 1e-30


def test_atoms_beside_a_continuous_part() -> None:
    density = Clipped(Gaussian(), -1.0, 1.0)
    best = optimal_scale("int4", density, rounding="down")
    scales = np.geomspace(best.scale / 4, best.scale * 4, 2001)
    assert best.report.mse <= quantization_error(
        "int4", density, scales, rounding="down"
    ).mse.min() * (1 + 1e-6)


def test_away_is_even_where_no_value_is_a_tie() -> None:
    assert optimal_scale("int4", Gaussian(), rounding="RNA") == optimal_scale("int4", Gaussian())


def test_sweep_in_a_mode() -> None:
    found = sweep(["int8", "4M3E"], Gaussian(), rounding="SR")
    assert found.rounding == found.params["rounding"] == "stochastic"
    best = optimal_scale("int8", Gaussian(), rounding="stochastic")
    assert found.rows[0].report == best.report
    assert "stochastic" in found.series[0].title
    along = sweep("int8", Gaussian(), ("max_value", [3.0, 4.0]), rounding="up")
    own = quantization_error("int8", Gaussian(), max_value=4.0, rounding="up")
    assert along.rows[1].report.mse == pytest.approx(own.mse, rel=1e-14, abs=0)
    assert "rounding" not in sweep("int8", Gaussian()).params


def test_refusals() -> None:
    with pytest.raises(InvalidValue, match="nearest even"):
        optimal_scale("int4", np.arange(5.0), rounding="up", exhaustive=True)
    with pytest.raises(InvalidValue, match="nearest even"):
        sweep("mxfp4", Gaussian(), rounding="up")
    assert optimal_scale("int4", Uniform(), rounding="up").report.mse > 0


def test_ties_away_have_the_ranges_of_ties_to_even() -> None:
    """A tie errs alike either way: on 30 values a search by slopes was 1e-5 off."""
    rng = np.random.default_rng(1)
    for _ in range(4):
        data = Empirical(rng.normal(size=30))
        even, away = (
            optimal_scale("e2m1", data, rounding=f"nearest-{to}") for to in ("even", "away")
        )
        assert away.scale == even.scale
        assert away.rounding == "nearest-away"
        assert away.report.mse == pytest.approx(even.report.mse, rel=1e-13)
