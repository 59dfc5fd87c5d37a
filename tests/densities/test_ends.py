"""Quantiles at the ends, and moments that do not exist behind wrappers."""

import pytest

from qerror.densities import (
    DENSITIES,
    Clipped,
    Density,
    Gaussian,
    Rectified,
    StudentT,
    Truncated,
    density_name,
)
from qerror.exceptions import InvalidValue
from tests.oracles.exact import INF, exact_moments, off

EXAMPLES = [family.example for family in DENSITIES.values()]
MORE: list[Density] = [
    StudentT(2.25, 1.0, 0.1),
    StudentT(1000.0, -4.0, 2.0),
    Clipped(StudentT(1.5), -7.0, 12.0),
    Clipped(Gaussian(), high=1.0),
    Truncated(StudentT(0.5), -3.0),
]
every = pytest.mark.parametrize("density", [*EXAMPLES, *MORE], ids=density_name)


@every
def test_quantiles_at_the_ends_are_the_support(density: Density) -> None:
    low, high = density.support
    assert density.ppf(0.0) == low
    assert density.ppf(1.0) == high
    assert low < high


@pytest.mark.parametrize("nu", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("wrap", [Truncated, Clipped])
def test_limits_that_do_not_limit(nu: float, wrap: type[Truncated] | type[Clipped]) -> None:
    """A wrapper without limits keeps the moments, infinite ones too."""
    inner, density = StudentT(nu), wrap(StudentT(nu))
    assert str(density.mean) == str(inner.mean)
    assert density.second_moment == INF
    assert str(density.variance) == str(inner.variance)


def test_one_sided_tails() -> None:
    assert Truncated(StudentT(1.0), 0.0).mean == INF
    assert Truncated(StudentT(1.5), 0.0).mean < INF
    assert Rectified(StudentT(1.0)).mean == INF
    assert Clipped(StudentT(0.5), high=2.0).mean == -INF
    assert Rectified(StudentT(2.0)).second_moment == INF


def test_a_narrow_cut_far_from_zero_has_its_moments() -> None:
    density = Truncated(Gaussian(100.25, 1e-3), 100.25, 100.2525)
    exact = exact_moments(density)
    assert off(density.mean, exact.mean) < 1e-15
    assert off(density.second_moment, exact.second_moment) < 1e-15
    assert off(density.variance, exact.variance) < 1e-13


@pytest.mark.parametrize(("low", "high"), [(37.9, INF), (37.5, 37.500001), (50.0, 60.0)])
def test_a_cut_of_less_than_float64_holds_is_refused(low: float, high: float) -> None:
    """Below 2.2e-308 a probability has lost its digits, and moments over it are nan."""
    with pytest.raises(InvalidValue, match="there is no probability"):
        Truncated(Gaussian(), low, high)


def test_the_last_cut_that_float64_holds() -> None:
    density = Truncated(Gaussian(), 37.4)
    exact = exact_moments(density)
    assert off(density.mean, exact.mean) < 1e-15
    assert off(density.second_moment, exact.second_moment) < 1e-15
