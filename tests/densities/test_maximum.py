"""The law of the largest of many magnitudes: all of it is there."""

from typing import Any

import mpmath
import numpy as np
import pytest

from qerror.densities import (
    Density,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    LogUniform,
    Mixture,
    StudentT,
)
from qerror.densities.magnitude import magnitude_masses
from qerror.densities.maximum import maximum_nodes

_SIZES = sorted(
    {*range(2, 40, 5), *(2**k for k in range(6, 21)), *(3 * 2**k for k in range(5, 19))}
)


@pytest.mark.parametrize(
    "density",
    [
        Gaussian(),
        Gaussian(0.4, 1.0),
        Laplace(),
        Logistic(),
        StudentT(5.0),
        StudentT(2.2),
        GeneralizedGaussian(0.7),
        Mixture([Gaussian(0.3, 1.0), Gaussian(0.0, 3.0)], [0.7, 0.3]),
    ],
    ids=str,
)
def test_panels_hold_the_whole_law(density: Density) -> None:
    for size in _SIZES:
        panels = maximum_nodes(density, size + 1)
        assert panels._replace(is_whole=False).measure(size).sum() == pytest.approx(1.0, abs=1e-14)


def test_laws_that_no_power_falls_as_have_panels() -> None:
    for size in (2, 64, 1024):
        panels = maximum_nodes(LogUniform(0.01, 10.0), size + 1)
        assert panels._replace(is_whole=False).measure(size).sum() == pytest.approx(1.0, abs=1e-14)


def tail(density: Density, x: Any) -> Any:
    """Return P(X > x) of a standard density, from x = 0 on."""
    if x == mpmath.inf:
        return mpmath.mpf(0)
    match density:
        case Gaussian():
            return mpmath.erfc(x / mpmath.sqrt(2)) / 2
        case Laplace():
            return mpmath.exp(-x) / 2
        case Logistic():
            return 1 / (1 + mpmath.exp(x))
        case StudentT():
            nu, half = mpmath.mpf(density.nu), mpmath.mpf(1) / 2
            return mpmath.betainc(nu / 2, half, 0, nu / (nu + x * x), regularized=True) / 2
        case _:
            raise NotImplementedError(density)


@pytest.mark.parametrize(
    "density",
    [Gaussian(), Laplace(), Logistic(), StudentT(0.7), StudentT(3.0), StudentT(12.0)],
    ids=str,
)
def test_shells_narrow_and_wide(density: Density) -> None:
    low = np.array([0, 0, 0, 0.5, 1, 1, 2, 3, 4, 4, 8, 16, 30, 0])
    width = np.array([1e-6, 0.5, 5, 1e-9, 1e-3, 1, 2, 0.1, 4, np.inf, 8, 16, 1, np.inf])
    found = magnitude_masses(density, low, low + width)
    with mpmath.workdps(60):
        for a, b, mass in zip(low.tolist(), (low + width).tolist(), found.tolist(), strict=True):
            exact = 2 * (tail(density, mpmath.mpf(a)) - tail(density, mpmath.mpf(b)))
            # A tail that falls as exp(-x^2 / 2) loses x^2 eps to the rounding of x.
            assert mass == pytest.approx(float(exact), rel=2e-14, abs=0)
