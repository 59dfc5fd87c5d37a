"""Whole reports of small grids against rigorous ones, on every density and on awkward ones."""

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    DENSITIES,
    Clipped,
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.formats import Codebook, ScalarFormat, as_scalar_format, scalar_formats
from tests.oracles.comparison import worst
from tests.oracles.exact import INF

TIGHT = 4e-14

SMALL = {name: form for name, form in scalar_formats().items() if form.bits <= 8}
EXAMPLES = {name: family.example for name, family in DENSITIES.items()}

AWKWARD: list[Density] = [
    # off centre
    Gaussian(0.37, 0.81),
    Gaussian(-11.3, 2.5),
    Gaussian(40.0, 1.0),
    Laplace(0.25, 0.6),
    Laplace(-3.1, 2.0),
    Logistic(1.7, 0.4),
    StudentT(2.5, 0.4, 1.3),
    StudentT(7.5, -2.0, 0.2),
    StudentT(30.0, 3.3, 0.7),
    GeneralizedGaussian(0.8, 0.9, 0.7),
    GeneralizedGaussian(4.0, -1.2, 2.0),
    Uniform(-0.3, 1.9),
    # on points and thresholds of grids with step 1 and 1/8
    Laplace(0.5, 0.1),
    Uniform(0.5, 1.5),
    Uniform(-1.0, 2.0),
    Uniform(0.0625, 0.1875),
    Truncated(Gaussian(), -0.5, 1.0),
    Truncated(Laplace(), -1.5, 0.0),
    # wide and narrow
    Gaussian(0.0, 1e-6),
    Gaussian(0.1, 1e-3),
    Gaussian(0.0, 1e6),
    Laplace(0.0, 1e-8),
    Logistic(3.0, 1e5),
    StudentT(3.0, 0.0, 1e-7),
    StudentT(3.0, 0.0, 1e7),
    GeneralizedGaussian(1.5, 0.0, 1e-5),
    HalfGaussian(1e-4),
    HalfGaussian(1e4),
    Uniform(1e-9, 2e-9),
    # shapes
    GeneralizedGaussian(0.5),
    GeneralizedGaussian(1.0),
    GeneralizedGaussian(2.0),
    GeneralizedGaussian(6.0),
    StudentT(2.001),
    StudentT(4.0),
    StudentT(8.0),
    StudentT(100.0),
    StudentT(1e6),
    # infinite power
    StudentT(2.0),
    StudentT(1.5),
    StudentT(1.0),
    StudentT(0.5),
    # cut
    Truncated(Gaussian(), 29.9, 31.0),
    Truncated(Gaussian(), -31.0, -29.9),
    Truncated(Gaussian(), 30.0),
    Truncated(Gaussian(0.3, 0.7), -1.1, 0.9),
    Truncated(StudentT(1.0), -50.0, 80.0),
    Truncated(StudentT(0.5), -3.0, 1e4),
    Truncated(StudentT(3.0), 2.0),
    Truncated(Laplace(), 600.0, 700.0),
    Truncated(Logistic(1.0, 2.0), -4.0, 2.5),
    Truncated(GeneralizedGaussian(1.5), 0.2, 0.3),
    Truncated(Uniform(-1.0, 1.0), 0.25, 5.0),
    # point masses: inside, on points, on thresholds, outside
    Clipped(Gaussian(), -1.0, 2.0),
    Clipped(Gaussian(), -0.5, 1.5),
    Clipped(Gaussian(), -0.3, 0.7),
    Clipped(StudentT(2.0), -300.0, 200.0),
    Clipped(Laplace(), 0.1, 0.2),
    Clipped(Uniform(), -0.5, 0.25),
    Rectified(Laplace(0.5)),
    Rectified(StudentT(3.0, -1.0)),
    Discrete((-100.0, -0.5, 0.0, 0.5, 1.5, 2.5, 3.5, 1e6), (0.125,) * 8),
    # nested
    Mixture((Gaussian(), Laplace(1.0, 3.0), Discrete((0.5,), (1.0,))), (0.5, 0.25, 0.25)),
    Mixture((Rectified(Gaussian()), Gaussian(0.0, 1e-3)), (0.75, 0.25)),
    Mixture((Gaussian(), StudentT(2.0)), (0.5, 0.5)),
    Truncated(Clipped(Gaussian(), -1.0, 1.0), -1.0, 0.5),
    Clipped(Truncated(Gaussian(), -1.0, 1.0), -0.5, 0.5),
    Truncated(Mixture((Gaussian(), StudentT(2.5, 1.0)), (0.5, 0.5)), -2.0, 4.0),
]


# E8M0 spans 254 octaves: where a density goes on for as many, the balls need minutes a pair. Its
# own test, and the laws, have it there.
BINADES = {name: form for name, form in SMALL.items() if name != "E8M0"}


@pytest.mark.thinned(23)
@pytest.mark.parametrize("form", BINADES.values(), ids=list(BINADES))
@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
@pytest.mark.parametrize("top", [0.55, 3.3, 37.0])
def test_every_format_on_every_density(form: ScalarFormat, density: Density, top: float) -> None:
    assert worst(form, density, form.scale_for(top)) < TIGHT


@pytest.mark.parametrize("name", ["gaussian", "laplace", "uniform", "rectified", "discrete"])
@pytest.mark.parametrize("top", [3.3, 37.0])
def test_powers_of_two_alone(name: str, top: float) -> None:
    form = as_scalar_format("E8M0")
    assert worst(form, EXAMPLES[name], form.scale_for(top)) < TIGHT


@pytest.mark.thinned(5)
@pytest.mark.parametrize("density", AWKWARD, ids=repr)
@pytest.mark.parametrize(
    ("name", "scale"), [("E2M1", 1.0), ("INT4", 1.0), ("4M3E", 0.125), ("UINT4", 0.3)]
)
def test_awkward_densities(name: str, scale: float, density: Density) -> None:
    assert worst(as_scalar_format(name), density, scale) < TIGHT


@pytest.mark.parametrize("seed", range(12))
def test_random_codebooks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 24))
    spread = 10.0 ** rng.uniform(-6, 3)
    levels = Codebook(np.unique(rng.standard_t(1.5, size) * spread).tolist())
    for density in EXAMPLES.values():
        assert worst(levels, density) < TIGHT


@pytest.mark.parametrize("level", [0.0, 0.7, -3.0, 50.0])
@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
def test_one_level(level: float, density: Density) -> None:
    """Everything is clipped: the error is a second moment about the level."""
    if isinstance(density, GeneralizedGaussian):
        return  # see test_extremes.py
    assert worst(Codebook([level]), density) < TIGHT


@pytest.mark.thinned(5)
@pytest.mark.parametrize("name", ["4M3E:bias=3.9", "2M5E:bias=17.25", "E4M3:bias=0.5"])
@pytest.mark.parametrize("density", EXAMPLES.values(), ids=list(EXAMPLES))
def test_fractional_biases(name: str, density: Density) -> None:
    assert worst(as_scalar_format(name), density, 0.7) < TIGHT


@pytest.mark.parametrize(
    ("density", "name", "expected"),
    [
        # Steps of 1: codes 0 and 2 are even, 1 and 3 odd.
        (Discrete((0.5,), (1.0,)), "INT4", -0.5),
        (Discrete((1.5,), (1.0,)), "INT4", 0.5),
        (Discrete((-0.5,), (1.0,)), "INT4", 0.5),
        (Discrete((-2.5,), (1.0,)), "INT4", 0.5),
        (Discrete((6.5,), (1.0,)), "INT4", -0.5),
        # E2M1 has 0 0.5 1 1.5 2 3 4 6: codes 0..7.
        (Discrete((0.25,), (1.0,)), "E2M1", -0.25),
        (Discrete((0.75,), (1.0,)), "E2M1", 0.25),
        (Discrete((1.25,), (1.0,)), "E2M1", -0.25),
        (Discrete((1.75,), (1.0,)), "E2M1", 0.25),
        (Discrete((2.5,), (1.0,)), "E2M1", -0.5),
        (Discrete((3.5,), (1.0,)), "E2M1", 0.5),
        (Discrete((5.0,), (1.0,)), "E2M1", -1.0),
        (Discrete((-5.0,), (1.0,)), "E2M1", 1.0),
        # A codebook's codes count from its lowest level.
        (Discrete((0.0,), (1.0,)), "codebook:-1,1", -1.0),
        (Discrete((2.0,), (1.0,)), "codebook:-1,1,3", 1.0),
        # An offset: level 0 has code 3, which is odd.
        (Discrete((0.5,), (1.0,)), "UINT4:zp=3", 0.5),
        (Discrete((1.5,), (1.0,)), "UINT4:zp=3", -0.5),
    ],
)
def test_ties_go_to_the_even_code(density: Density, name: str, expected: float) -> None:
    report = quantization_error(name, density)
    assert report.mean_error == expected
    assert report.rounding == expected**2
    assert report.clipping == 0


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_point_masses_at_the_ends_are_not_clipped(scale: float) -> None:
    density = Discrete((-7 * scale, 7 * scale, 8 * scale), (0.25, 0.5, 0.25))
    report = quantization_error("INT4", density, scale)
    assert report.clipping_low == 0
    assert report.clipping_high == 0.25 * scale**2
    assert report.rounding == 0
    assert 0 < report.sqnr_db < INF
