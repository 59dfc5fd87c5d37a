"""Densities that a user brings: a law of one's own, pieces of known laws, scipy's."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import (
    Clipped,
    Density,
    FromScipy,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    Mixture,
    Piece,
    Rectified,
    SmoothLaw,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.densities._adaptive import Frozen
from qerror.densities.location_scale import LocationScale
from qerror.exceptions import InvalidType, InvalidValue, TooLarge
from qerror.formats import as_scalar_format
from qerror.optimize import optimal_scale


class StandardSecant(SmoothLaw):
    """sech(pi z / 2) / 2, whose variance is 1."""

    horizon = 470.0

    def pdf(self, z: FloatArray) -> FloatArray:
        e: FloatArray = np.exp(-0.5 * math.pi * np.abs(z))
        return e / (1 + e * e)

    def cdf(self, z: FloatArray) -> FloatArray:
        angle: FloatArray = np.arctan(np.exp(np.clip(0.5 * math.pi * z, -700, 700)))
        return 2 / math.pi * angle

    def ppf(self, probability: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            size: FloatArray = np.log(np.tan(0.5 * math.pi * probability))
        return 2 / math.pi * size

    def sample(self, size: int, rng: np.random.Generator) -> FloatArray:
        return self.ppf(rng.uniform(size=size))

    def log_ratio(self, r: FloatArray, u: FloatArray) -> FloatArray:
        # log cosh a - log cosh (a + v) = -v - log1p(e^-2a expm1(-2v) / (1 + e^-2a))
        v, e = 0.5 * math.pi * u, np.exp(-math.pi * r)
        change: FloatArray = -v - np.log1p(e * np.expm1(-2 * v) / (1 + e))
        return change

    def panel_width(self, x: FloatArray) -> FloatArray:
        return np.full(x.shape, 0.75)

    def reach(self, x: FloatArray) -> FloatArray:
        return x + 40.0

    def smooth_step(self, x: FloatArray) -> FloatArray:
        return np.zeros(x.shape)  # never: always cell by cell

    def derivatives(self, x: FloatArray, step: FloatArray, order: int) -> list[FloatArray]:
        raise NotImplementedError


SECANT = StandardSecant()


@dataclass(frozen=True)
class Secant(LocationScale):
    """The hyperbolic secant density."""

    loc: float = 0.0
    scale: float = 1.0

    @property
    def law(self) -> StandardSecant:
        return SECANT

    @property
    def location(self) -> float:
        return self.loc

    @property
    def spread(self) -> float:
        return self.scale

    @property
    def standard_variance(self) -> float:
        return 1.0


@dataclass(frozen=True)
class AsymmetricLaplace(Density):
    """exp(-x / right) above 0, exp(x / left) below, each with its share of the probability."""

    left: float
    right: float

    def pieces(self) -> tuple[Piece, ...]:
        law, total = Laplace().law, self.left + self.right
        return (
            Piece(law, 2 * self.left / total, 0.0, self.left, high=0.0),
            Piece(law, 2 * self.right / total, 0.0, self.right, low=0.0),
        )


@dataclass(frozen=True)
class SquaredDice(Density):
    """Nothing but what is asked for: two triangles' worth of uniform pieces and an atom."""

    def pieces(self) -> tuple[Piece, ...]:
        law = Uniform().pieces()[0].law
        return (Piece(law, 0.25, low=0.0, high=1.0), Piece(law, 0.375, low=2.0, high=4.0))


@pytest.mark.parametrize("name", ["E2M1", "INT8", "4M3E", "INT16"])
@pytest.mark.parametrize("scale", [0.02, 0.3])
def test_own_law(name: str, scale: float) -> None:
    """Against scipy's hypsecant by adaptive quadrature: sech(y) / pi with y = pi z / 2."""
    if name == "INT16":
        scale /= 256
    theirs = FromScipy(stats.hypsecant(0.3, 2 / math.pi))
    ours = Secant(0.3)
    ours_report = quantization_error(name, ours, scale)
    if name != "INT16":
        report = quantization_error(name, theirs, scale)
        assert ours_report.mse == pytest.approx(report.mse, rel=1e-11, abs=0)
        assert ours_report.cross_moment == pytest.approx(report.cross_moment, abs=1e-11)
    else:
        top = as_scalar_format(name).scale_for(1.0) ** -1 * scale
        inside = float(theirs.cdf(top) - theirs.cdf(-top))
        assert ours_report.rounding == pytest.approx(scale**2 / 12 * inside, rel=1e-9, abs=0)
    x = np.linspace(-3, 3, 7)
    assert ours.cdf(x) == pytest.approx(theirs.cdf(x), rel=1e-12, abs=0)
    assert ours.pdf(x) == pytest.approx(theirs.pdf(x), rel=1e-12, abs=0)
    assert ours.ppf(ours.cdf(x)) == pytest.approx(x, rel=1e-11, abs=0)
    assert ours.second_moment == pytest.approx(1.09, rel=1e-15, abs=0)


def test_own_law_wrapped() -> None:
    cut = Truncated(Secant(), -1.0, 2.0)
    assert cut.cdf(2.0) == pytest.approx(1.0, abs=1e-15)
    mixed = Mixture((Clipped(Secant(), -1.0, 1.0), Gaussian()), (0.5, 0.5))
    assert mixed.second_moment < 1
    assert optimal_scale("INT8", Secant()).local_minima


@pytest.mark.parametrize("name", ["E2M1", "UINT4", "INT8", "4M3E", "FP16"])
def test_own_pieces(name: str) -> None:
    """Equal sides make a Laplace density."""
    scale = as_scalar_format(name).scale_for(5.0)
    ours = quantization_error(name, AsymmetricLaplace(0.8, 0.8), scale)
    theirs = quantization_error(name, Laplace(0.0, 0.8), scale)
    assert ours.mse == pytest.approx(theirs.mse, rel=1e-13, abs=0)
    assert ours.cross_moment == pytest.approx(theirs.cross_moment, abs=1e-13 * ours.mse)
    assert ours.mean_error == pytest.approx(theirs.mean_error, abs=1e-15)


def test_own_pieces_have_moments_and_quantiles() -> None:
    density = AsymmetricLaplace(1.0, 3.0)
    # E X = right - left and E X^2 = 2 (left^3 + right^3) / (left + right)
    assert density.mean == pytest.approx(2.0, rel=1e-14, abs=0)
    assert density.second_moment == pytest.approx(14.0, rel=1e-14, abs=0)
    assert density.variance == pytest.approx(10.0, rel=1e-14, abs=0)
    assert density.support == (-math.inf, math.inf)
    assert density.kinks == (0.0,)
    p = np.array([0.01, 0.25, 0.5, 0.99])
    exact = np.where(p < 0.25, np.log(p / 0.25), -3 * np.log((1 - p) / 0.75))
    assert density.ppf(p) == pytest.approx(exact, rel=1e-13, abs=1e-16)
    assert density.cdf(density.ppf(p)) == pytest.approx(p, rel=1e-14, abs=0)
    x = density.sample(20_000, np.random.default_rng(1))
    assert abs(x.mean() - 2) < 5 * math.sqrt(10 / 20_000)


def test_gaps_in_the_density() -> None:
    density = SquaredDice()
    assert density.cdf([0.5, 1.5, 3.0, 4.0]) == pytest.approx(
        [0.125, 0.25, 0.625, 1.0], rel=1e-12, abs=0
    )
    assert density.ppf([0.125, 0.25, 0.625]) == pytest.approx([0.5, 1.0, 3.0], rel=1e-14, abs=0)
    # Rounding to integers: 1/12 everywhere.
    assert quantization_error("INT8", density).mse == pytest.approx(1 / 12, rel=1e-14, abs=0)


PAIRS: list[tuple[Density, Frozen, float]] = [
    (Gaussian(0.3, 0.9), stats.norm(0.3, 0.9), 1e-12),
    (Logistic(0.1, 0.5), stats.logistic(0.1, 0.5), 1e-12),
    (StudentT(5.0), stats.t(5.0), 1e-12),
    (StudentT(2.5, 0.5), stats.t(2.5, 0.5), 1e-12),
    (HalfGaussian(2.0), stats.halfnorm(scale=2.0), 1e-12),
    (Uniform(-1.0, 2.0), stats.uniform(-1.0, 3.0), 1e-12),
    (GeneralizedGaussian(1.5), stats.gennorm(1.5), 1e-10),
    (Laplace(0.1), stats.laplace(0.1), 1e-10),
    (Truncated(Gaussian(), -1.0, 2.0), stats.truncnorm(-1.0, 2.0), 1e-12),
]


@pytest.mark.parametrize(("ours", "theirs", "digits"), PAIRS, ids=lambda x: str(x)[:40])
@pytest.mark.parametrize(("name", "top"), [("E2M1", 3.0), ("INT8", 5.0), ("4M3E", 40.0)])
def test_scipy_against_built_in(
    name: str, top: float, ours: Density, theirs: Frozen, digits: float
) -> None:
    scale = as_scalar_format(name).scale_for(top)
    built_in = quantization_error(name, ours, scale)
    wrapped = quantization_error(name, FromScipy(theirs), scale)
    assert wrapped.rounding == pytest.approx(built_in.rounding, rel=digits, abs=0)
    assert wrapped.mse == pytest.approx(built_in.mse, rel=digits, abs=0)
    lever = max(abs(built_in.cross_moment), built_in.mse)
    assert wrapped.cross_moment == pytest.approx(built_in.cross_moment, abs=digits * lever)
    error = digits * math.sqrt(built_in.mse)
    assert wrapped.mean_error == pytest.approx(built_in.mean_error, abs=error)
    assert wrapped.signal_power == pytest.approx(built_in.signal_power, rel=1e-12, abs=0)


def test_scipy_heavy_tails() -> None:
    for nu in (2.0, 1.0):
        report = quantization_error("E2M1", FromScipy(stats.t(nu)), 0.5)
        built_in = quantization_error("E2M1", StudentT(nu), 0.5)
        assert report.mse == report.signal_power == math.inf
        assert report.rounding == pytest.approx(built_in.rounding, rel=1e-12, abs=0)
        assert math.isnan(report.sqnr_db)
        assert math.isnan(report.mean_error) == (nu == 1.0)


def test_scipy_skewed() -> None:
    """A density that qerror does not have, against scipy's own expectation."""
    theirs = stats.skewnorm(4.0)
    levels = np.array([-1.0, 0.0, 0.5, 2.0])
    report = quantization_error("codebook:-1,0,0.5,2", FromScipy(theirs))
    edges = [-math.inf, -0.5, 0.25, 1.25, math.inf]
    mse = 0.0
    for q, a, b in zip(levels.tolist(), edges[:-1], edges[1:], strict=True):
        mse += integrate.quad(lambda x, q=q: (x - q) ** 2 * theirs.pdf(x), a, b, epsabs=1e-14)[0]
    assert report.mse == pytest.approx(mse, rel=1e-10, abs=0)


SINGULAR = [
    # frozen distribution, where it lies, its density by mpmath
    (
        stats.chi2(1, loc=1.0),
        (1.0, 121.0),
        lambda x: mpmath.exp(-(x - 1) / 2) / mpmath.sqrt(2 * mpmath.pi * (x - 1)),
    ),
    (
        stats.gamma(0.5, loc=0.3),
        (0.3, 40.0),
        lambda x: mpmath.exp(-(x - mpmath.mpf(0.3))) / mpmath.sqrt(mpmath.pi * (x - 0.3)),
    ),
    (
        stats.beta(2, 0.9),
        (0.0, 1.0),
        lambda x: x * (1 - x) ** (mpmath.mpf(0.9) - 1) / mpmath.beta(2, mpmath.mpf(0.9)),
    ),
    (
        stats.dgamma(0.5),
        (-40.0, 40.0),
        lambda x: mpmath.exp(-abs(x)) / mpmath.sqrt(mpmath.pi * abs(x)) / 2,
    ),
]


@pytest.mark.parametrize(
    ("theirs", "support", "pdf"), SINGULAR, ids=("chi2", "gamma", "beta", "dgamma")
)
def test_scipy_with_a_pole(theirs: Frozen, support: tuple[float, float], pdf: Any) -> None:
    """Densities without bound at an end, away from 0 too, against 30-digit quadrature."""
    scale = 0.25
    report = quantization_error("int4", FromScipy(theirs), scale)
    with mpmath.workdps(30):
        edges = [-mpmath.inf, *(scale * (k + 0.5) for k in range(-7, 7)), mpmath.inf]
        low, high = map(mpmath.mpf, support)
        mse = mean = mpmath.mpf(0)
        for k, (a, b) in enumerate(itertools.pairwise(edges)):
            q, start, stop = scale * (k - 7), max(a, low), min(b, high)
            if start < stop:
                ends = [start, *(x for x in (0, 2, 8, 20, 50) if start < x < stop), stop]
                mse += mpmath.quad(lambda x, q=q: (x - q) ** 2 * pdf(x), ends)
                mean += mpmath.quad(lambda x, q=q: (q - x) * pdf(x), ends)
    assert report.mse == pytest.approx(float(mse), rel=1e-10, abs=0)
    assert report.mean_error == pytest.approx(float(mean), abs=1e-10 * math.sqrt(mse))


def test_scipy_arcsine() -> None:
    """A pole at either end, one of them where 1 - x is rounded."""
    theirs = FromScipy(stats.arcsine(-1, 2))
    four = quantization_error("int4:full", theirs, 1 / 8)
    assert four.mse == pytest.approx(0.00236911277378448, rel=1e-11, abs=0)
    eight = quantization_error("int8:full", theirs, 1 / 128)
    assert eight.mse == pytest.approx(6.124624439e-6, rel=1e-9, abs=0)


def test_scipy_histogram() -> None:
    """The bins are known, so a histogram is the mixture of uniform densities that it is."""
    heights, edges = np.histogram(np.random.default_rng(0).normal(size=1000), 20)
    shares = (heights / 1000).tolist()
    bins = [Uniform(a, b) for a, b in itertools.pairwise(edges.tolist())]
    ours = quantization_error("int8", Mixture(bins, shares), 3 / 127)
    report = quantization_error(
        "int8", FromScipy(stats.rv_histogram((heights, edges)).freeze()), 3 / 127
    )
    assert report.mse == pytest.approx(ours.mse, rel=1e-13, abs=0)
    assert report.rounding == pytest.approx(ours.rounding, rel=1e-13, abs=0)
    assert report.signal_power == pytest.approx(ours.signal_power, rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("theirs", "kind", "why"),
    [
        (stats.vonmises(1.0), InvalidValue, "noisy|integrates to"),
        (stats.dweibull(0.1), InvalidValue, "integrates to"),
        (stats.levy_stable(1.8, 0), TooLarge, "ms a value"),
    ],
    ids=["periodic", "pole-too-steep", "slow"],
)
def test_scipy_refused_by_bounded_work(theirs: Frozen, kind: type[Exception], why: str) -> None:
    with pytest.raises(kind, match=why):
        quantization_error("int8", FromScipy(theirs), 0.05)


def test_scipy_wrapped() -> None:
    density = Rectified(FromScipy(stats.norm(0.5, 1.0)))
    ours = Rectified(Gaussian(0.5))
    assert density.second_moment == pytest.approx(ours.second_moment, rel=1e-12, abs=0)
    assert density.cdf([0.0, 1.0]) == pytest.approx(ours.cdf([0.0, 1.0]), rel=1e-12, abs=0)
    assert FromScipy(stats.gamma(2.0)).support == (0.0, math.inf)


@pytest.mark.parametrize("wrong", [stats.norm, stats.poisson(3.0), Gaussian(), None, 3.0])
def test_scipy_refuses(wrong: object) -> None:
    with pytest.raises(InvalidType, match="FromScipy wraps"):
        FromScipy(wrong)  # type: ignore[arg-type]


class Far(stats.rv_continuous):
    """A Gaussian about 100 that does not say so by a location."""

    def _pdf(self, x: Any, *args: Any) -> Any:
        del args
        return stats.norm.pdf(x - 100)

    def _cdf(self, x: Any, *args: Any) -> Any:
        del args
        return stats.norm.cdf(x - 100)

    def _ppf(self, q: Any, *args: Any) -> Any:
        del args
        return 100 + stats.norm.ppf(q)

    def _isf(self, q: Any, *args: Any) -> Any:
        del args
        return 100 + stats.norm.isf(q)

    def _stats(self, *args: Any, **kwds: Any) -> tuple[float, float, float, float]:
        del args, kwds
        return 100.0, 1.0, 0.0, 0.0


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (Far(name="far")(), Gaussian(100.0)),
        (stats.logistic(3.0, 0.1), Logistic(3.0, 0.1)),
        pytest.param(stats.laplace(0.5), Laplace(0.5), marks=pytest.mark.exhaustive),  # a cusp
        (stats.expon(), Truncated(Laplace(), 0.0)),
    ],
    ids=lambda each: getattr(getattr(each, "dist", None), "name", repr(each)),
)
def test_affine_blocks_see_all_of_a_frozen_distribution(theirs: Frozen, ours: Density) -> None:
    found = quantization_error("int4:g32:affine", FromScipy(theirs))
    wanted = quantization_error("int4:g32:affine", ours)
    assert found.mse == pytest.approx(wanted.mse, rel=3e-12, abs=0)
    assert found.cross_moment == pytest.approx(wanted.cross_moment, rel=1e-9, abs=3e-12)


def test_affine_blocks_of_frozen_power_tails_are_refused() -> None:
    for law in (stats.pareto(3), stats.t(10)):
        with pytest.raises(TooLarge, match="known by its values alone; draw a sample"):
            quantization_error("int4:g32:affine", FromScipy(law))


@pytest.mark.parametrize("nu", [1.0, 2.5, 7.0, 12.0])
def test_the_exponent_of_a_frozen_tail(nu: float) -> None:
    (piece,) = FromScipy(stats.t(nu)).pieces()
    assert piece.law.tail_exponent(1.0) == piece.law.tail_exponent(-1.0) == nu
    for light in (stats.lognorm(2.0), stats.t(40.0), stats.norm(), stats.gumbel_r(), stats.expon()):
        (piece,) = FromScipy(light).pieces()
        assert piece.law.tail_exponent(1.0) == math.inf


def test_a_cusp_at_the_location_is_a_kink() -> None:
    cusps = (stats.laplace(2.0), stats.gennorm(1.2, 2.0), stats.dweibull(1.5, 2.0))
    smooth = (stats.norm(2.0), stats.t(3, 2.0), stats.gennorm(4.0, 2.0), stats.skewnorm(4, 2.0))
    assert [FromScipy(each).kinks for each in cusps] == [(2.0,)] * 3
    assert [FromScipy(each).kinks for each in smooth] == [()] * 4
