"""P(low <= X <= high) and the density of scale X + shift, against rigorous values."""

import math

import numpy as np
import pytest
from scipy import stats

from qerror import quantization_error
from qerror.densities import (
    DENSITIES,
    Affine,
    Clipped,
    Density,
    Discrete,
    Empirical,
    FromScipy,
    Gaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    LogUniform,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    as_density,
    density_name,
)
from qerror.densities._adaptive import Frozen
from qerror.exceptions import InvalidType, InvalidValue
from tests.oracles.exact import INF, exact_cdf, exact_moments, off, precisely, take_apart
from tests.oracles.exact import _inside as parts_inside
from tests.oracles.exact import _total as total_of

EXAMPLES = [family.example for family in DENSITIES.values()]
every = pytest.mark.parametrize("density", EXAMPLES, ids=density_name)


def exact_mass(density: Density, low: float, high: float) -> object:
    return precisely(lambda: total_of(parts_inside(take_apart(density), low, high)))


@every
def test_mass(density: Density) -> None:
    low, high = density.support
    inside = density.ppf([0.01, 0.3, 0.300001, 0.9]).tolist()
    ends = [-INF, *inside, INF]
    pairs = [(a, b) for a in ends for b in ends if a <= b]
    pairs += [(low, high), (low - 1, high + 1) if math.isfinite(low + high) else (-INF, INF)]
    found = density.mass([a for a, _ in pairs], [b for _, b in pairs])
    assert found.shape == (len(pairs),)
    for value, (a, b) in zip(found.tolist(), pairs, strict=True):
        exact = exact_mass(density, a, b)
        assert off(value, exact) < 1e-14 or value == float(exact) == 0, (a, b)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("density", "low", "high"),
    [
        (Gaussian(), 30.0, 31.0),
        (Gaussian(), -31.0, -30.0),
        (Gaussian(0.3, 2.0), 40.0, INF),
        (Gaussian(1.0), 1.5, 1.5 + 1e-12),
        (Laplace(), 500.0, 500.5),
        (Logistic(), -600.0, -599.0),
        (StudentT(3.0), 1e8, 2e8),
        (StudentT(0.5), 1e200, INF),
        (LogUniform(1e-9, 1e9), 1e8, 1.5e8),
    ],
)
def test_mass_far_out(density: Density, low: float, high: float) -> None:
    exact = exact_mass(density, low, high)
    # eps |log p|: the density itself is known no better
    depth = abs(math.log(float(exact)))  # type: ignore[arg-type]
    assert off(float(density.mass(low, high)), exact) < 1e-14 + 2e-16 * depth


def test_mass_counts_both_limits() -> None:
    density = Discrete((-1.0, 0.0, 2.0), (0.25, 0.5, 0.25))
    assert density.mass([-1.0, -1.0, 0.5], [0.0, -1.0, 2.0]).tolist() == [0.75, 0.25, 0.25]
    assert density.mass(-3.0, [[0.0], [5.0]]).tolist() == [[0.75], [1.0]]
    assert float(Gaussian().mass(1.0, 1.0)) == 0


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), ([0.0, 2.0], 1.0)])
def test_mass_refuses(low: float, high: float) -> None:
    with pytest.raises(InvalidValue, match="must not be above"):
        Gaussian().mass(low, high)


@every
@pytest.mark.parametrize(("scale", "shift"), [(2.0, 0.0), (0.5, 3.0), (-1.0, 0.0), (-4.0, 0.25)])
def test_affine(density: Density, scale: float, shift: float) -> None:
    image = density.affine(scale, shift)
    assert image.support == tuple(sorted(scale * x + shift for x in density.support))
    x = density.ppf([0.02, 0.31, 0.77])
    away = ~np.isin(x, density.atoms().positions)
    y = scale * x + shift
    assert image.pdf(y) == pytest.approx(density.pdf(x) / abs(scale), rel=1e-12, abs=0)
    for at in y[away].tolist():
        back = (at - shift) / scale
        wanted = float(exact_cdf(density, back))
        assert float(image.cdf(at)) == pytest.approx(wanted if scale > 0 else 1 - wanted, abs=1e-14)
    if math.isfinite(density.second_moment):
        exact = exact_moments(density)
        mean = float(exact.mean) * scale + shift
        assert image.mean == pytest.approx(mean, rel=1e-14, abs=1e-14)
        power = float(exact.variance) * scale**2 + mean**2
        assert image.second_moment == pytest.approx(power, rel=1e-13, abs=0)
        assert image.variance == pytest.approx(float(exact.variance) * scale**2, rel=1e-13, abs=0)
    turned = image.affine(1 / scale, -shift / scale)
    assert turned.support == pytest.approx(density.support, rel=1e-12, abs=0)
    assert turned.cdf(x[away]) == pytest.approx(density.cdf(x[away]), rel=1e-13, abs=0)


def test_affine_stays_in_the_family() -> None:
    assert Gaussian(1.0, 2.0).affine(-3.0, 0.5) == Gaussian(-2.5, 6.0)
    assert StudentT(3.0, 1.0).affine(2.0) == StudentT(3.0, 2.0, 2.0)
    assert Truncated(Laplace(), -1.0).affine(-2.0) == Truncated(Laplace(0.0, 2.0), high=2.0)
    assert Clipped(Laplace(), -1.0, 3.0).affine(-1.0) == Clipped(Laplace(), -3.0, 1.0)
    assert Rectified(Gaussian(1.0)).affine(2.0) == Rectified(Gaussian(2.0, 2.0))
    assert HalfGaussian(2.0).affine(0.5) == HalfGaussian(1.0)
    assert LogUniform(1.0, 4.0).affine(0.5) == LogUniform(0.5, 2.0)
    assert Empirical([1.0, 2.0]).affine(-1.0) == Empirical([-2.0, -1.0])
    mixed = Mixture((Gaussian(), Discrete((1.0,), (1.0,))), (0.5, 0.5)).affine(2.0, 1.0)
    assert mixed == Mixture((Gaussian(1.0, 2.0), Discrete((3.0,), (1.0,))), (0.5, 0.5))


def test_affine_of_others() -> None:
    density = FromScipy(stats.gamma(2.0))
    image = density.affine(-2.0, 1.0)
    assert isinstance(image, Affine)
    assert image.support == (-INF, 1.0)
    assert image.mean == pytest.approx(-3.0, rel=1e-14, abs=0)
    assert image.variance == pytest.approx(8.0, rel=1e-14, abs=0)
    x = np.array([-40.0, -7.0, 0.5])
    assert image.cdf(x) == pytest.approx(stats.gamma(2.0).sf((1 - x) / 2), rel=1e-12, abs=0)
    assert image.ppf(image.cdf(x)) == pytest.approx(x, rel=1e-12, abs=0)
    here = quantization_error("codebook:-9,-2,0.5", image)
    there = quantization_error("codebook:0.25,1.5,5", density)
    assert here.mse == pytest.approx(4 * there.mse, rel=1e-12, abs=0)
    assert here.clipping_high == pytest.approx(4 * there.clipping_low, rel=1e-12, abs=0)
    assert here.mean_error == pytest.approx(-2 * there.mean_error, abs=1e-12)
    assert image.affine(-0.5, 0.5) == density.affine(1.0, 0.0)
    sample = image.sample(2000, np.random.default_rng(1))
    assert abs(sample.mean() + 3) < 5 * math.sqrt(8 / 2000)


@pytest.mark.parametrize(("scale", "shift"), [(0.0, 1.0), (math.inf, 0.0), (1.0, math.nan)])
def test_affine_refuses(scale: float, shift: float) -> None:
    with pytest.raises(InvalidValue):
        Gaussian().affine(scale, shift)


def test_bare_distributions_of_scipy() -> None:
    frozen = stats.gamma(2.0)
    assert as_density(frozen) == FromScipy(frozen)
    assert Truncated(frozen, 0.0).density == FromScipy(frozen)  # type: ignore[arg-type]
    ours = quantization_error("INT4", frozen)
    assert ours.mse == quantization_error("INT4", FromScipy(frozen)).mse
    wrapped = quantization_error("INT4", FromScipy(stats.norm(0.5, 2.0)))
    assert wrapped.mse == pytest.approx(
        quantization_error("INT4", Gaussian(0.5, 2.0)).mse, rel=1e-12, abs=0
    )
    with pytest.raises(InvalidType, match="density"):
        as_density(stats.poisson(3.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("frozen", [stats.norm(0.0, -1.0), stats.uniform(0.0, 0.0), stats.t(-1.0)])
def test_parameters_that_scipy_does_not_allow(frozen: Frozen) -> None:
    with pytest.raises(InvalidValue, match=r"scipy\.stats does not allow"):
        as_density(frozen)


@pytest.mark.parametrize("frozen", [stats.norm([0.0, 1.0], 1.0), stats.t(np.array([3.0]))])
def test_distributions_of_scipy_are_single(frozen: Frozen) -> None:
    with pytest.raises(InvalidType, match="single numbers"):
        as_density(frozen)


def test_distributions_of_scipy_compare() -> None:
    assert FromScipy(stats.norm(0.0, 2.0)) == FromScipy(stats.norm(0.0, 2.0))
    assert hash(FromScipy(stats.gamma(2.0))) == hash(FromScipy(stats.gamma(2.0)))
    assert FromScipy(stats.norm(0.0, 2.0)) != FromScipy(stats.norm(0.0, 3.0))
    assert FromScipy(stats.norm()) != FromScipy(stats.logistic())
    bins = np.array([0.0, 1.0, 2.0])
    one, two = (stats.rv_histogram((np.array(h), bins)) for h in ([1, 3], [3, 1]))
    assert FromScipy(one.freeze()) != FromScipy(two.freeze())
