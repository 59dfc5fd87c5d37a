"""Ranges that are followed along a parameter against full searches at each value."""

import numpy as np
import pytest

from qerror.densities import Density, Gaussian, GeneralizedGaussian, Laplace, StudentT
from qerror.optimize import optimal_scale
from qerror.sweep import sweep

FORMATS = ["int4", "int8", "4M3E", "2M5E", "fixed8.4"]


@pytest.mark.parametrize(
    ("density", "parameter", "low", "high"),
    [
        (StudentT(3.0), "nu", 2.5, 12.0),
        pytest.param(*(GeneralizedGaussian(1.0), "beta", 0.7, 3.0), marks=pytest.mark.exhaustive),
        (Laplace(), "loc", 0.0, 2.0),
    ],
    ids=["nu", "beta", "loc"],
)
def test_followed_ranges_are_the_best(
    density: Density, parameter: str, low: float, high: float
) -> None:
    values = np.linspace(low, high, 21).tolist()
    for row in sweep(FORMATS, density, over=(parameter, values)).rows:
        full = optimal_scale(row.format.name, row.density)
        assert row.report.mse <= full.report.mse * (1 + 1e-12)
        assert row.optimum is not None
        assert row.optimum.at_edge == full.at_edge


@pytest.mark.parametrize(
    "density", [Gaussian(), StudentT(3.0), Laplace(), GeneralizedGaussian(0.7)]
)
@pytest.mark.parametrize("name", ["int8", "4M3E"])
def test_a_scale_family_is_searched_once(density: Density, name: str) -> None:
    for unit in (0.3, 1e-9, 7e12):
        moved, own = optimal_scale(name, density.affine(unit)), optimal_scale(name, density)
        assert moved.report.mse / unit**2 == pytest.approx(own.report.mse, rel=1e-13, abs=0)
        assert moved.scale / unit == pytest.approx(own.scale, rel=1e-12, abs=0)
        assert moved.density == density.affine(unit)
        assert moved.plateau[0] / unit == pytest.approx(own.plateau[0], rel=1e-9, abs=0)
