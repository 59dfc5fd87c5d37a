"""The best range of data: nothing does better, and ties at no error are found."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    Clipped,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    Laplace,
    Mixture,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.exceptions import InvalidValue, TooLarge
from qerror.formats import Integer
from qerror.formats.names import as_scalar_format
from qerror.optimize import optimal_fractional_length, optimal_scale


def sample(size: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=size)


def least_of_a_scan(name: str, x: npt.NDArray[np.float64], points: int) -> float:
    """Return the least MSE over many ranges, by rounding to the nearest level by search."""
    form = as_scalar_format(name)
    levels = form.grid().points
    middles = 0.5 * (levels[:-1] + levels[1:])
    ranges = np.geomspace(0.3, 1.2, points) * np.abs(x).max()
    least = math.inf
    for limit in ranges.tolist():
        scale = limit / form.max_value
        error = levels[np.searchsorted(middles, x / scale)] * scale - x
        least = min(least, float(np.mean(error**2)))
    return least


@pytest.mark.parametrize("name", ["int3", "int4", "uint4", "4M3E", "int8"])
@pytest.mark.parametrize("size", [1, 2, 5, 200])
def test_exhaustive_is_never_beaten(name: str, size: int) -> None:
    x = np.abs(sample(size)) if name == "uint4" else sample(size)
    best = optimal_scale(name, x, exhaustive=True)
    assert best.report.mse <= least_of_a_scan(name, x, 1000) * (1 + 1e-12) + 1e-30
    assert not best.at_edge


@pytest.mark.parametrize("name", ["int4", "uint4", "4M3E", "e4m3", "int8"])
@pytest.mark.parametrize("size", [300, 6_000])
def test_the_default_comes_within_a_ten_thousandth(name: str, size: int) -> None:
    x = np.abs(sample(size, 1)) if name == "uint4" else sample(size, 1)
    found, best = optimal_scale(name, x), optimal_scale(name, x, exhaustive=True)
    assert best.report.mse <= found.report.mse * (1 + 1e-13)
    assert found.report.mse <= best.report.mse * (1 + 1e-4)


@pytest.mark.parametrize(
    "name", ["4M3E", "int8", "5M2E", "fp16", "int16", "2M5E", "3M4E", "fixed8.4"]
)
def test_data_that_a_format_holds_cost_nothing(name: str) -> None:
    best = optimal_scale(name, Discrete((-1.0, 0.125, 2.0), (0.25, 0.5, 0.25)))
    assert best.report.mse == 0
    assert best.report.sqnr_db == math.inf
    assert best.plateau == (best.max_value, best.max_value)


@pytest.mark.parametrize("name", ["int8", "int16"])
def test_a_lattice_is_recognised(name: str) -> None:
    codes = np.random.default_rng(2).integers(-127, 128, 3000)
    assert optimal_scale(name, (codes * 0.0078125).astype(np.float32)).report.mse == 0
    # Products that float64 rounds: what is left is their rounding.
    assert optimal_scale(name, codes * 0.013).report.mse < 1e-29


def test_fixed_point_on_data() -> None:
    x = 0.3 * sample(2000)
    errors = {
        length: float(
            np.mean((np.clip(np.round(x * 2.0**length), -127, 127) / 2.0**length - x) ** 2)
        )
        for length in range(-2, 12)
    }
    assert optimal_fractional_length(x, 8) == min(errors, key=errors.__getitem__)
    best = optimal_scale("fixed7.0", Discrete((-1.1, 0.3, 0.7), (0.25, 0.5, 0.25)))
    assert not best.at_edge
    assert best.scale == 2.0**-5


def test_only_values_can_be_enumerated() -> None:
    with pytest.raises(InvalidValue, match="continuous part"):
        optimal_scale("int8", Gaussian(), exhaustive=True)
    with pytest.raises(TooLarge, match="exhaustive"):
        optimal_scale("int16", sample(300_000), low=0.5, high=50.0, exhaustive=True)


@pytest.mark.parametrize(
    ("form", "density", "scale"),
    [
        (
            "int8",
            Mixture([Gaussian(m, 0.001) for m in (1.0, 1.618, 0.27, -0.81)], [0.25] * 4),
            0.015868389231344638,
        ),
        ("int8", Mixture([Gaussian(0, 1e-3), Gaussian(0, 1e5)], [0.999, 0.001]), 3087.0),
        ("uint5", Gaussian(100.0, 1.0), 3.3329),
        (Integer(8, signed=False, zero_point=254), Truncated(Gaussian(), high=0.0), 0.016587),
    ],
    ids=["narrow", "rare-and-wide", "far", "short-positive-side"],
)
def test_ripples_and_far_ends_are_seen(form: str | Integer, density: Density, scale: float) -> None:
    best = optimal_scale(form, density)
    assert best.report.mse <= quantization_error(form, density, scale).mse * (1 + 1e-9)
    assert not best.at_edge


def test_narrow_and_rare_in_a_format_of_many_octaves() -> None:
    density = Mixture(
        [
            StudentT(4.0, -8.048196233014401, 1.7677421737371976e-4),
            Discrete((1.05, 1.056), (0.4, 0.6)),
        ],
        [0.999, 0.001],
    )
    best = optimal_scale("2M5E", density)
    around = np.geomspace(0.9, 1.1, 400) * best.scale
    octaves = around * 2.0 ** np.arange(-6, 7)[:, None]
    assert best.report.mse <= quantization_error("2M5E", density, octaves).mse.min() * (1 + 1e-9)


@pytest.mark.parametrize(
    "density",
    [Gaussian(), Uniform(), Clipped(Gaussian(), -2.5, 3.0), Empirical(sample(3000))],
    ids=["gaussian", "uniform", "clipped", "data"],
)
@pytest.mark.parametrize("name", ["int8", "4M3E", "e4m3"])
def test_plateau_ends_lose_a_tenth_of_a_decibel(name: str, density: Density) -> None:
    best = optimal_scale(name, density)
    low, high = best.plateau
    form = as_scalar_format(name)
    for end in (low, high):
        loss = best.report.sqnr_db - quantization_error(form, density, max_value=end).sqnr_db
        assert loss == pytest.approx(0.1, abs=1e-10)
    inside = np.geomspace(low, high, 300)[1:-1]
    worst = quantization_error(form, density, max_value=inside).sqnr_db.min()
    assert worst >= best.report.sqnr_db - 0.1 - 1e-6
    assert low <= best.max_value <= high
    smallest = best.smallest_within(0.01)
    assert smallest <= best.max_value
    assert quantization_error(form, density, max_value=smallest).sqnr_db >= (
        best.report.sqnr_db - 0.01 - 1e-9
    )
    below = np.geomspace(best.searched[0], smallest * (1 - 1e-6), 500)
    slack = 0.005 if isinstance(density, Empirical) else 0.0  # ripples between scanned ranges
    assert quantization_error(form, density, max_value=below).sqnr_db.max() < (
        best.report.sqnr_db - 0.01 + slack
    )


def test_the_plateau_of_e4m3_on_a_gaussian() -> None:
    best = optimal_scale("e4m3", Gaussian())
    assert best.max_value == pytest.approx(9.129, abs=5e-4)
    assert best.plateau == pytest.approx((3.82, 6395.0), rel=1e-3, abs=0)


@pytest.mark.parametrize("density", [Gaussian(), Gaussian(0.3), StudentT(4.0), Laplace()], ids=repr)
@pytest.mark.parametrize("decibels", [0.02, 0.1, 3.0])
def test_a_plateau_of_many_octaves_has_no_gap(density: Density, decibels: float) -> None:
    """Its end is found octaves away; nothing on the way there is above it."""
    best = optimal_scale("2M5E", density)
    low, high = best.within(decibels)
    inside = np.geomspace(low, high, 1500)
    mse = quantization_error("2M5E", density, max_value=inside).mse
    most = best.report.mse * 10 ** (decibels / 10)
    assert mse.max() <= most * (1 + 1e-9)
    assert mse[-1] == pytest.approx(most, rel=1e-9, abs=0)
    beyond = high * np.geomspace(1 + 1e-6, 1.001, 9)
    assert quantization_error("2M5E", density, max_value=beyond).mse.min() > most


def test_plateau_without_an_optimum_or_of_fixed_point() -> None:
    assert all(math.isnan(end) for end in optimal_scale("int8", StudentT(2.0)).plateau)
    low, high = optimal_scale("fixed8.4", Gaussian()).plateau
    assert low == high == optimal_scale("fixed8.4", Gaussian()).max_value
    with pytest.raises(InvalidValue, match="decibels"):
        optimal_scale("int8", Gaussian()).within(0.0)
