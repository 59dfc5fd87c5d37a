"""The very ends of float64's range: a right answer or a clear refusal, never a warning or nan."""

import pytest

from qerror.analysis import quantization_error
from qerror.densities import Density, Discrete, Gaussian, Laplace, StudentT, Uniform
from qerror.exceptions import InvalidValue


@pytest.mark.parametrize("name", ["INT4", "E4M3"])
@pytest.mark.parametrize("scale", [1e200, 1e290])
@pytest.mark.parametrize(
    "density", [Gaussian(), StudentT(3.0), Laplace(1.0), Uniform(), Discrete((1.0,), (1.0,))]
)
def test_extreme_scales(name: str, scale: float, density: Density) -> None:
    try:
        report = quantization_error(name, density, scale)
    except InvalidValue as refusal:
        assert "choose other units" in str(refusal)
    else:
        # Every value is rounded to 0.
        assert report.mse == pytest.approx(density.second_moment, rel=1e-12)


@pytest.mark.parametrize(
    "density", [Gaussian(0.0, 1e-310), Laplace(1.0, 5e-324), Uniform(0.0, 1e-310)]
)
def test_subnormal_spreads(density: Density) -> None:
    try:
        report = quantization_error("INT8", density, 0.01)
    except InvalidValue as refusal:
        assert "choose other units" in str(refusal)
    else:
        error = density.mean - round(density.mean, 2)
        assert report.mse == pytest.approx(error**2, abs=1e-32)
