"""The very ends of float64's range: a right answer or a clear refusal, never a warning or nan."""

import pytest

from qerror.analysis import quantization_error
from qerror.densities import Density, Discrete, Gaussian, Laplace, StudentT, Uniform
from qerror.exceptions import InvalidValue


def mse_or_refusal(name: str, density: Density, scale: float) -> float | str:
    try:
        return quantization_error(name, density, scale).mse
    except InvalidValue as refusal:
        return str(refusal)


@pytest.mark.parametrize("name", ["INT4", "E4M3"])
@pytest.mark.parametrize("scale", [1e200, 1e290])
@pytest.mark.parametrize(
    "density", [Gaussian(), StudentT(3.0), Laplace(1.0), Uniform(), Discrete((1.0,), (1.0,))]
)
def test_extreme_scales(name: str, scale: float, density: Density) -> None:
    found = mse_or_refusal(name, density, scale)
    if isinstance(found, str):
        assert "choose other units" in found
    else:
        # Every value is rounded to 0.
        assert found == pytest.approx(density.second_moment, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "density", [Gaussian(0.0, 1e-310), Laplace(1.0, 5e-324), Uniform(0.0, 1e-310)]
)
def test_subnormal_spreads(density: Density) -> None:
    found = mse_or_refusal("INT8", density, 0.01)
    if isinstance(found, str):
        assert "choose other units" in found
    else:
        error = density.mean - round(density.mean, 2)
        assert found == pytest.approx(error**2, abs=1e-32)
