"""The slope of the MSE over the scale against differences of rigorous figures."""

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.analysis.mode_slope import has_slope, mse_slope
from qerror.densities import (
    Density,
    Gaussian,
    Laplace,
    Mixture,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.formats import as_scalar_format
from qerror.grids import Grid
from qerror.rounding import ROUNDINGS, as_rule
from tests.oracles.exact import Ball, ball
from tests.oracles.modes import mode_report

MODES = [*ROUNDINGS, "stochastic:1", "stochastic:3"]
STEP = 2.0**-16
LAWS: list[Density] = [
    Gaussian(),
    Gaussian(0.3, 0.7),
    Laplace(-0.2),
    StudentT(4.0),
    Truncated(Gaussian(), -0.81, 1.53),
    Mixture((Gaussian(), Uniform(0.1, 3.3)), (0.75, 0.25)),
]


def exact_slope(grid: Grid, density: Density, scale: float, rounding: str) -> tuple[Ball, Ball]:
    """Return dMSE / d ln s by a difference of the fourth order, of balls, and the MSE."""
    rule = as_rule(rounding)

    def mse(steps: int) -> Ball:
        moved = scale * (1 + steps * STEP)  # exact: the scale has few bits
        return mode_report(grid, density, moved, rule.mode, rule.bits).mse

    near, far = mse(1) - mse(-1), mse(2) - mse(-2)
    return (8 * near - far) / (12 * ball(STEP)), mse(0)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("density", LAWS, ids=repr)
def test_every_mode(density: Density, rounding: str) -> None:
    for name, scale in (("int4", 0.4375), ("E2M1", 0.5625), ("UINT4:zp=3", 0.3125)):
        grid = as_scalar_format(name).grid()
        found = mse_slope(grid, density, np.array([scale, 2 * scale]), as_rule(rounding))
        for value, each in zip(found.tolist(), (scale, 2 * scale), strict=True):
            slope, mse = exact_slope(grid, density, each, rounding)
            assert abs(value - float(slope.mid())) < 1e-13 * float(mse.mid())


def test_it_is_what_nearest_rounding_has_by_the_report() -> None:
    grid, scales = as_scalar_format("3M4E").grid(), np.geomspace(0.001, 4.0, 7)
    report = quantization_error(grid, StudentT(3.0), scales)
    found = mse_slope(grid, StudentT(3.0), scales, as_rule("nearest-even"))
    assert np.abs(found - 2 * (report.cross_moment + report.mse)).max() < 1e-14
    assert (found != 0).all()


def test_where_there_is_none() -> None:
    grid = as_scalar_format("int8").grid()
    assert has_slope(grid, as_rule("up"))
    assert not has_slope(as_scalar_format("int20").grid(), as_rule("up"))
    assert not has_slope(grid, as_rule("stochastic:12"))
