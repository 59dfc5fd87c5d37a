"""What every density promises, against rigorous values; one law a test, the registry in turn."""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from qerror.densities import (
    DENSITIES,
    Arcsine,
    Clipped,
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    LogUniform,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    density_name,
    parse_density,
)
from tests.oracles.exact import INF, ball, exact_cdf, exact_moments, exact_pdf, off

EXAMPLES = [family.example for family in DENSITIES.values()]
MORE: list[Density] = [
    Gaussian(-3.25, 0.01),
    Laplace(2.0, 30.0),
    Logistic(-0.5, 1e-3),
    StudentT(2.25, 1.0, 0.1),
    StudentT(5.0),
    StudentT(1000.0, -4.0, 2.0),
    GeneralizedGaussian(0.5, 1.0, 2.0),
    GeneralizedGaussian(3.0),
    GeneralizedGaussian(8.0, -2.0, 0.5),
    Uniform(5.0, 5.5),
    Arcsine(-3.0, 0.25),
    Arcsine(100.0, 100.5),
    LogUniform(1e-12, 1e12),
    LogUniform(3.0, 3.0625),
    Truncated(Arcsine(), -1.0, 0.5),
    HalfGaussian(7.0),
    Rectified(Laplace(-1.0, 2.0)),
    Truncated(Gaussian(), 29.9, 31.0),
    Truncated(StudentT(1.0), -4.0, 60.0),
    Truncated(Uniform(), 0.75, 2.0),
    Clipped(Gaussian(1.0, 3.0), -1.0, 1.0),
    Clipped(StudentT(1.5), -7.0, 12.0),
    Clipped(Laplace(), 2.0),
    Discrete((3.0, -1e-9, 1e9), (0.5, 0.25, 0.25)),
    Mixture((Gaussian(), Uniform(0.5, 0.75), Discrete((0.0,), (1.0,))), (0.5, 0.25, 0.25)),
    Mixture((Truncated(Gaussian(), 0.0, 1.0), Clipped(Gaussian(), 0.0, 1.0)), (0.125, 0.875)),
]
every = pytest.mark.parametrize("density", [*EXAMPLES, *MORE], ids=density_name)


def probes(density: Density) -> list[float]:
    """Return points across the density, its limits and kinks, and outside."""
    p = [1e-12, 1e-6, 0.001, 0.02, 0.1, 0.3, 0.5, 0.62, 0.9, 0.99, 0.9999, 1 - 1e-9]
    inside = density.ppf(p).tolist()
    low, high = density.support
    ends = [x for x in (low, high, low - 1, high + 1) if math.isfinite(x)]
    return sorted({*inside, *ends, *density.kinks})


@every
def test_pdf(density: Density) -> None:
    for x in probes(density):
        exact = exact_pdf(density, x)
        depth = abs(math.log(float(exact))) if exact > 1e-300 else 0
        assert off(float(density.pdf(x)), exact) <= 1e-14 + 1e-15 * depth or exact < 1e-290, x


@every
def test_cdf(density: Density) -> None:
    for x in probes(density):
        assert off(float(density.cdf(x)), exact_cdf(density, x), 1) < 1e-14, x


@every
def test_moments(density: Density) -> None:
    exact = exact_moments(density)
    size = exact.second_moment.sqrt()
    assert off(density.mean, exact.mean, size) < 4e-15
    assert off(density.second_moment, exact.second_moment) < 4e-15
    # The variance is taken about the rounded mean: eps mean^2 is the best that can be.
    allowed = exact.variance * ball(1e-14) + exact.mean * exact.mean * ball(2e-31)
    assert off(density.variance, exact.variance, allowed) < 1


@every
def test_quantiles_invert_the_distribution(density: Density) -> None:
    """ppf(p) is the smallest x with cdf(x) >= p, to the rounding of cdf."""
    p = np.array([1e-9, 1e-4, 0.03, 0.25, 0.5, 0.61, 0.875, 0.999, 1 - 1e-9])
    x = density.ppf(p)
    assert (np.diff(x) >= 0).all()
    slack = 1e-14 + np.abs(density.pdf(x)) * np.abs(x) * 4e-15 + p * 1e-14
    assert (density.cdf(x) >= p - slack).all()
    before = np.where(np.isfinite(density.pdf(x)), x - 1e-9 * np.maximum(np.abs(x), 1e-9), x)
    assert (density.cdf(before) <= p + slack).all()


@every
def test_quantiles_of_the_distribution_return(density: Density) -> None:
    x = np.array([x for x in probes(density) if 0 < density.cdf(x) < 1 and density.pdf(x) > 0])
    again = density.ppf(density.cdf(x))
    # A quantile moves by the rounding of the probability over the density.
    slack = 3e-15 / density.pdf(x) + 1e-14 * np.abs(x)
    atoms = density.atoms().positions
    away = ~np.isin(x, atoms)
    assert (np.abs(again - x)[away] <= slack[away]).all()


@every
def test_probability_is_one(density: Density) -> None:
    mass = sum(piece.integrals_at(piece.centre)[0] for piece in density.pieces())
    assert mass + density.atoms().probabilities.sum() == pytest.approx(1, abs=2e-15)


@every
def test_atoms_are_ordered(density: Density) -> None:
    x, probability = density.atoms()
    assert x.shape == probability.shape
    assert (np.diff(x) > 0).all()
    assert (probability > 0).all()


@every
def test_kinks_lie_in_the_support(density: Density) -> None:
    low, high = density.support
    kinks = density.kinks
    assert list(kinks) == sorted(set(kinks))
    assert all(low <= kink <= high and math.isfinite(kink) for kink in kinks)


@every
def test_pdf_is_the_slope_of_cdf_between_kinks(density: Density) -> None:
    for p in (0.07, 0.31, 0.55, 0.83):
        x = float(density.ppf(p))
        if x in density.atoms().positions or not density.pdf(x) > 0:
            continue
        step = 1e-4 / float(density.pdf(x))
        if any(abs(kink - x) <= 3 * step for kink in (*density.kinks, *density.atoms().positions)):
            continue
        far = density.cdf([x - 2 * step, x - step, x + step, x + 2 * step]) @ [1, -8, 8, -1]
        noise = 1e-9 + 1e-15 * abs(x) / step
        assert far / (12 * step) == pytest.approx(float(density.pdf(x)), rel=noise, abs=0)


@every
@pytest.mark.slow
def test_samples_follow_the_density(density: Density) -> None:
    size = 40_000
    x = density.sample(size, np.random.default_rng(5))
    assert x.shape == (size,)
    assert x.dtype == np.float64
    low, high = density.support
    assert low <= x.min() <= x.max() <= high
    if not density.atoms().positions.size:
        below = density.cdf(np.sort(x)) - np.arange(size) / size
        distance = max(below.max(), 1 / size - below.min())
        assert distance * math.sqrt(size) < 2.3  # P = 5e-5
    for at, probability in zip(*density.atoms(), strict=True):
        error = (x == at).mean() - probability
        assert abs(error) <= 5 * math.sqrt(probability * (1 - probability) / size)
    if math.isfinite(density.variance) and not isinstance(density, StudentT):
        error = x.mean() - density.mean
        assert abs(error) <= 5 * math.sqrt(density.variance / size)


@every
def test_samples_repeat_with_the_generator(density: Density) -> None:
    first, second = (density.sample(50, np.random.default_rng(3)) for _ in range(2))
    assert first.tolist() == second.tolist()
    assert density.sample(0, np.random.default_rng(3)).shape == (0,)


@every
def test_shapes(density: Density) -> None:
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    assert density.pdf(x).shape == density.cdf(x).shape == (2, 3)
    assert density.ppf(np.abs(x)).shape == (2, 3)
    assert np.shape(density.pdf(0.3)) == np.shape(density.ppf(0.3)) == ()
    assert density.pdf([]).shape == density.cdf([]).shape == (0,)


@every
def test_infinite_arguments(density: Density) -> None:
    assert density.cdf([-INF, INF]) == pytest.approx([0.0, 1.0], abs=1e-15)
    assert density.pdf([-INF, INF]).tolist() == [0.0, 0.0]


@every
def test_frozen_hashed_copied(density: Density) -> None:
    fields = dataclasses.fields(density)  # type: ignore[arg-type]
    for twin in (copy.copy(density), copy.deepcopy(density), pickle.loads(pickle.dumps(density))):
        assert twin == density
        assert hash(twin) == hash(density)
        assert twin.second_moment == density.second_moment
    field = fields[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(density, field, 1.0)


@every
def test_copies_after_use(density: Density) -> None:
    """What a density remembers must not keep it from being copied."""
    before = hash(density)
    density.cdf(0.1)
    density.pieces()
    assert hash(density) == before
    assert pickle.loads(pickle.dumps(density)) == density


@every
def test_names_read_back(density: Density) -> None:
    assert parse_density(density_name(density)) == density


@pytest.mark.parametrize(
    ("density", "theirs"),
    [
        (Gaussian(0.3, 2.0), stats.norm(0.3, 2.0)),
        (Laplace(-1.0, 0.5), stats.laplace(-1.0, 0.5)),
        (Logistic(2.0, 3.0), stats.logistic(2.0, 3.0)),
        (StudentT(2.5, 1.0, 2.0), stats.t(2.5, 1.0, 2.0)),
        (StudentT(0.7), stats.t(0.7)),
        (GeneralizedGaussian(0.7, 1.0, 2.0), stats.gennorm(0.7, 1.0, 2.0)),
        (GeneralizedGaussian(5.0), stats.gennorm(5.0)),
        (Uniform(-0.5, 3.0), stats.uniform(-0.5, 3.5)),
        (HalfGaussian(1.5), stats.halfnorm(scale=1.5)),
        (Truncated(Gaussian(), -1.0, 2.0), stats.truncnorm(-1.0, 2.0)),
        (Arcsine(-0.5, 3.0), stats.arcsine(-0.5, 3.5)),
        (LogUniform(0.02, 30.0), stats.reciprocal(0.02, 30.0)),
    ],
)
def test_against_scipy(density: Density, theirs: stats.rv_continuous) -> None:
    """Parameters mean what they mean elsewhere."""
    p = np.linspace(0.01, 0.99, 15)
    x = density.ppf(p)
    assert x == pytest.approx(theirs.ppf(p), rel=1e-10, abs=1e-12)
    assert density.pdf(x) == pytest.approx(theirs.pdf(x), rel=1e-12, abs=0)
    assert density.cdf(x) == pytest.approx(theirs.cdf(x), rel=1e-12, abs=0)


@pytest.mark.parametrize("nu", [0.3, 1.0])
def test_no_mean(nu: float) -> None:
    density = StudentT(nu, 1.0)
    assert math.isnan(density.mean)
    assert math.isnan(density.variance)
    assert density.second_moment == INF


@pytest.mark.parametrize("nu", [1.01, 1.5, 2.0])
def test_no_variance(nu: float) -> None:
    density = StudentT(nu, 1.0)
    assert density.mean == 1.0
    assert density.variance == density.second_moment == INF


@pytest.mark.parametrize("density", EXAMPLES, ids=density_name)
def test_wide_limits_change_nothing(density: Density) -> None:
    assert Truncated(density).second_moment == pytest.approx(
        density.second_moment, rel=1e-14, abs=0
    )
    assert Clipped(density).mean == pytest.approx(density.mean, abs=1e-14)
    x = np.linspace(-3, 3, 13)
    assert Truncated(density).cdf(x) == pytest.approx(density.cdf(x), abs=2e-15)
    assert Clipped(density).pdf(x) == pytest.approx(density.pdf(x), rel=2e-15, abs=0)


def test_far_tails_keep_their_digits() -> None:
    """The left tail of the distribution function is right to relative precision."""
    for density in (Gaussian(), Laplace(), Logistic(), StudentT(3.0), GeneralizedGaussian(1.5)):
        for x in (-3.0, -8.0, -20.0, -25.0):
            assert off(float(density.cdf(x)), exact_cdf_relative(density, x)) < 1e-12


def exact_cdf_relative(density: Density, x: float) -> object:
    from tests.oracles.exact import take_apart, upper_moments

    (piece,) = take_apart(density).pieces
    return upper_moments(piece.shape, -piece.standard(ball(x)))[0]
