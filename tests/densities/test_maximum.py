"""The law of the largest of many magnitudes: all of it is there."""

import pytest

from qerror.densities import (
    Density,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    StudentT,
)
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
