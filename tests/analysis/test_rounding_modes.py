"""Every rounding mode against rigorous figures, between its paths, and on point masses."""

import math
from fractions import Fraction

import numpy as np
import pytest

from qerror.analysis import error_distribution, quantization_error
from qerror.analysis._batch import Batch
from qerror.analysis._mode_runs import run_sums
from qerror.analysis._modes import _stretch_sums
from qerror.densities import (
    DENSITIES,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import InvalidValue, TooLarge, UnknownName
from qerror.formats import Codebook, as_scalar_format
from qerror.rounding import ROUNDINGS, as_rule
from qerror.simulation import quantize
from tests.oracles.exact import ball, off
from tests.oracles.modes import mode_report

TIGHT = 1e-13
MODES = [*(mode for mode in ROUNDINGS if mode != "nearest-even"), "stochastic:1", "stochastic:4"]
SMOOTH = {
    name: family.example
    for name, family in DENSITIES.items()
    if not family.example.atoms().positions.size and math.isfinite(family.example.second_moment)
}
AWKWARD: list[Density] = [
    Gaussian(0.37, 0.81),
    Gaussian(0.1, 1e-3),
    Laplace(-0.4, 0.3),
    StudentT(2.5, 0.4, 1.3),
    Truncated(Gaussian(), -0.45, 1.05),
    Uniform(0.5, 1.5),
]


def worst(name: str, density: Density, scale: float, rounding: str) -> float:
    """Return the largest deviation of a report, each figure in its own unit."""
    grid, rule = as_scalar_format(name).grid(), as_rule(rounding)
    exact = mode_report(grid, density, scale, rule.mode, rule.bits)
    found = quantization_error(name, density, scale, rounding=rounding)
    mse = exact.mse
    # E[x e] of opposite signs on both sides of 0 cancels: its unit is what Cauchy allows.
    unit = (mse * ball(density.second_moment)).sqrt()
    gaps = [off(found.mean_error, exact.mean_error, mse.sqrt())]
    gaps += [0.2 * off(found.cross_moment, exact.cross_moment, unit)]
    for part in ("rounding", "clipping_low", "clipping_high"):
        value = getattr(exact, part)
        if value > mse * ball(1e-40):
            gaps.append(off(getattr(found, part), value))
    return max(gaps)


@pytest.mark.thinned(5)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("density", SMOOTH.values(), ids=list(SMOOTH))
def test_every_mode_on_every_density(density: Density, rounding: str) -> None:
    for name, top in (("E2M1", 2.3), ("INT4", 3.1), ("4M3E", 3.3)):
        if name == "4M3E" and ":4" in rounding:
            continue
        scale = as_scalar_format(name).scale_for(top)
        assert worst(name, density, scale, rounding) < TIGHT


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("density", AWKWARD, ids=repr)
@pytest.mark.parametrize("name", ["UINT4:zp=3", "codebook:-1.1,-0.3,0.45,1.5", "codebook:-1,1,3"])
@pytest.mark.thinned(5)
def test_odd_grids(name: str, density: Density, rounding: str) -> None:
    assert worst(name, density, 0.5, rounding) < TIGHT


def test_a_wrong_level_would_be_seen() -> None:
    exact = mode_report(as_scalar_format("E2M1").grid(), Gaussian(), 0.5, "down")
    found = quantization_error("E2M1", Gaussian(), 0.5, rounding="up")
    assert off(found.mean_error, exact.mean_error, exact.mse.sqrt()) > 0.1


RUNS: list[Density] = [
    Gaussian(0.25),
    Laplace(),
    Laplace(0.3),
    StudentT(3.0),
    Logistic(-0.4, 0.7),
    GeneralizedGaussian(0.7),
    Truncated(Gaussian(), -0.7, 1.3),
]


@pytest.mark.parametrize("rounding", [mode for mode in MODES if mode != "nearest-away"])
@pytest.mark.parametrize("density", RUNS, ids=repr)
def test_long_runs_agree_with_single_intervals(density: Density, rounding: str) -> None:
    rule = as_rule(rounding)
    for name, top in (("int11", 4.0), ("9M2E", 40.0), ("5M5E", 4.0), ("uint10", 5.0)):
        grid = as_scalar_format(name).grid()
        factors = np.array([1.0, 1.37]) * top / grid.max * grid.factor
        for piece in density.pieces():
            batch = Batch.of(piece, factors, mirrored=False)
            assert isinstance(piece.law, SmoothLaw)
            one = _stretch_sums(grid, batch, rule).rows(2)
            other = run_sums(grid, batch, piece.law, rule, mirrored=False).rows(2)
            assert np.abs(one[0] / other[0] - 1).max() < 5e-15
            assert np.abs(one[3] - other[3]).max() < 5e-15 * np.sqrt(one[0]).max()
            lever = np.sqrt(one[0] * density.second_moment)
            assert (np.abs(one[4] - other[4]) < 1e-14 * lever).all()


@pytest.mark.parametrize("rounding", ["down", "to-odd", "stochastic", "stochastic:12"])
def test_thirty_two_bits(rounding: str) -> None:
    """D^2/3 or D^2/6, and for few bits (1 - 2^-k)(2 - 2^-k)/12 ... of every step, to 1e-15."""
    report = quantization_error("int32", Uniform(-0.5, 0.5), max_value=0.5, rounding=rounding)
    count = 4096.0
    # The mean over s in 0, 1/N, ... of (s - 1/2)^2 + 1/12.
    short = 1 / 6 + 1 / (6 * count * count)
    share = {"down": 1 / 3, "to-odd": 1 / 3, "stochastic": 1 / 6, "stochastic:12": short}[rounding]
    step = 0.5 / (2**31 - 1)
    assert report.rounding == pytest.approx(share * step * step, rel=1e-13, abs=0)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", ["int4", "E2M1", "UINT4:zp=3", "codebook:-1.1,-0.3,0.45,1.5"])
@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_point_masses_go_where_the_simulator_sends_them(
    name: str, rounding: str, scale: float
) -> None:
    x = np.unique(np.concatenate([np.linspace(-9, 9, 145), [0.1, -0.1, 2.2]]))
    report = quantization_error(name, Empirical(x), scale, rounding=rounding)
    rng = np.random.default_rng(1)
    draws = 400 if rounding == "stochastic" else 1
    values = np.broadcast_to(x, (draws, x.size))
    error = quantize(np.ascontiguousarray(values), name, scale, rounding=rounding, rng=rng) - x
    found = np.array([(error**2).mean(), error.mean(), (x * error).mean()])
    exact = np.array([report.mse, report.mean_error, report.cross_moment])
    if rounding != "stochastic":
        assert found == pytest.approx(exact, rel=1e-13, abs=1e-14)
    else:
        spread = np.array([(y.mean(axis=1)).std() for y in (error**2, error, x * error)])
        assert (np.abs(found - exact) < 5 * spread / math.sqrt(draws) + 1e-12).all()


def test_ties_and_levels_of_single_values() -> None:
    def error(x: float, rounding: str, name: str = "int4") -> float:
        return quantization_error(name, Discrete((x,), (1.0,)), rounding=rounding).mean_error

    assert error(2.5, "nearest-even") == -0.5
    assert error(2.5, "nearest-away") == 0.5
    assert error(-2.5, "nearest-away") == -0.5
    assert [error(2.25, mode) for mode in ("down", "up", "toward-zero")] == [-0.25, 0.75, -0.25]
    assert [error(-2.25, mode) for mode in ("down", "up", "toward-zero")] == [-0.75, 0.25, 0.25]
    assert [error(x, "to-odd") for x in (2.25, 3.25, 2.0)] == [0.75, -0.25, 0.0]
    assert error(2.25, "stochastic") == 0.0
    assert error(2.4, "stochastic:1") == pytest.approx(-0.4, rel=1e-12, abs=0)
    assert error(-2.6, "stochastic:1") == pytest.approx(0.1, rel=1e-12, abs=0)
    for mode in MODES:
        assert error(3.0, mode) == 0.0
        assert error(100.0, mode) == -93.0


def test_stochastic_rounding_has_no_bias_and_few_bits_have_some() -> None:
    plain = quantization_error("4M3E", Gaussian(0.2), 0.5, rounding="SR")
    assert abs(plain.mean_error) < 1e-4  # clipping's alone
    few = quantization_error("int8", Uniform(0.0, 1.0), max_value=1.0, rounding="sr:3")
    step = 1 / 127
    assert few.mean_error == pytest.approx(-step / 16, rel=1e-12, abs=0)


def test_infinite_power_leaves_rounding_finite() -> None:
    report = quantization_error("int8", StudentT(2.0), 0.05, rounding="down")
    assert math.isinf(report.mse)
    assert math.isfinite(report.rounding)
    assert report.cross_moment == -math.inf


@pytest.mark.parametrize(
    ("rounding", "kind", "says"),
    [
        ("stochastic:0", InvalidValue, "1 to 23"),
        ("stochastic:many", InvalidValue, "1 to 23"),
        ("up:3", InvalidValue, "stochastic"),
        ("sideways", UnknownName, "modes"),
        ("stochastic:16", TooLarge, "fewer random bits"),
    ],
)
def test_what_is_refused(rounding: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        quantization_error("4M3E", Gaussian(), rounding=rounding)


def test_no_closed_form_but_for_the_nearest() -> None:
    with pytest.raises(InvalidValue, match="nearest"):
        quantization_error("4M3E", Gaussian(), rounding="up", method="closed-form")


def test_one_level_clips_alike_in_every_mode() -> None:
    for mode in MODES:
        report = quantization_error(Codebook([0.5]), Gaussian(), rounding=mode)
        assert report.mse == pytest.approx(1.25, rel=1e-14, abs=0)


BELOW_HALF = float(np.nextafter(0.5, 0.0))


@pytest.mark.parametrize(
    ("name", "rounding"),
    [("int4", "nearest-away"), ("uint4:zp=3", "nearest-even"), ("int4", "stochastic:1")],
)
def test_a_value_just_short_of_a_tie_is_none(name: str, rounding: str) -> None:
    """The distance to the lower level, -1, rounds to half a step; that to 0 does not."""
    point = Discrete((-BELOW_HALF,), (1.0,))
    report = quantization_error(name, point, rounding=rounding)
    assert report.mse == BELOW_HALF**2
    assert report.mean_error == BELOW_HALF
    if rounding != "stochastic:1":
        found = error_distribution(name, point, rounding=rounding)
        assert found.cdf(0.0) == 0
        assert found.exceedance(0.0, 1.0) == 0  # |e| = |x|
        assert found.quantile(0.5) == BELOW_HALF
    drawn = np.random.default_rng(1) if rounding.startswith("stochastic") else None
    level = quantize(np.array([-BELOW_HALF]), name, rounding=rounding, rng=drawn)
    assert level[0] == 0


@pytest.mark.parametrize(("rounding", "side"), [("up", 1), ("down", -1), ("to-odd", 1)])
def test_the_smallest_value_is_not_zero_to_a_directed_mode(rounding: str, side: int) -> None:
    """Divided by the scale it is, in float64."""
    x = side * 5e-324
    assert quantize(np.array([x]), "int4", 4.0, rounding=rounding)[0] == side * 4.0
    found = error_distribution("int4", Discrete((x,), (1.0,)), 4.0, rounding=rounding)
    assert found.exceedance(3.0) == 1


@pytest.mark.parametrize("x", [1e-20, -1e-20, 1 - 2.0**-53, -1e-100])
def test_a_draw_that_is_hardly_ever_the_other_is_all_of_the_error(x: float) -> None:
    point = Discrete((x,), (1.0,))
    report = quantization_error("int4", point, rounding="stochastic")
    size = Fraction(abs(x))
    assert report.mse == pytest.approx(float(size * (1 - size)), rel=1e-15, abs=0)
    assert report.mean_error == 0
    assert report.cross_moment == 0


@pytest.mark.parametrize("scale", [1e20, 1e90, 1e120])
def test_steps_far_wider_than_the_density(scale: float) -> None:
    """Half of all values go up by a whole step, and a draw's error is E|x| times the step."""
    up = quantization_error("int4", Gaussian(), scale, rounding="up")
    assert up.mse == pytest.approx(scale**2 / 2, rel=1e-14, abs=0)
    drawn = quantization_error("int4", Gaussian(), scale, rounding="stochastic")
    assert drawn.mse == pytest.approx(scale * math.sqrt(2 / math.pi), rel=1e-14, abs=0)
