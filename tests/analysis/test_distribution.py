"""The distribution of the error against rigorous masses, its own moments and samples."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest

from qerror.analysis import error_distribution, quantization_error
from qerror.densities import (
    Arcsine,
    Clipped,
    Density,
    Discrete,
    Empirical,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    LogUniform,
    Mixture,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.exceptions import InvalidValue, TooLarge
from qerror.formats import as_scalar_format
from qerror.grids import Grid
from qerror.simulation import quantize
from tests.oracles.exact import INF, Ball, ball, exact_points, local_moments, precisely, take_apart
from tests.oracles.exact import require as needed

DENSITIES: list[Density] = [
    Gaussian(0.3, 0.8),
    Laplace(-0.2),
    Logistic(0.1, 0.5),
    StudentT(3.0),
    StudentT(1.5, 0.4),
    GeneralizedGaussian(1.4),
    Uniform(-0.7, 2.1),
    Arcsine(),
    LogUniform(0.01, 2.0),
    Truncated(Gaussian(), -0.45, 1.3),
    Mixture((Gaussian(), Laplace(1.0, 3.0)), (0.6, 0.4)),
]
FORMATS = ["E2M1", "int4", "3M2E", "UINT4:zp=3", "codebook:-1.1,-0.3,0.45,1.5", "codebook:0.5"]
MODES = ["nearest-even", "down", "up", "toward-zero", "to-odd"]
Interval = tuple[Fraction | float, Fraction | float]


def cells(
    points: list[Fraction], even_first: bool, mode: str
) -> Iterator[tuple[Fraction, Interval]]:
    """Yield levels and the intervals that go to them."""
    yield points[0], (-INF, points[0])
    yield points[-1], (points[-1], INF)
    for i, (a, b) in enumerate(pairwise(points)):
        middle = (a + b) / 2
        upper_is_even = ((i + 1) % 2 == 0) == even_first
        astride = a < 0 < b
        if mode == "down" or (mode == "toward-zero" and a >= 0):
            cut = b
        elif mode == "up" or (mode == "toward-zero" and not astride):
            cut = a
        elif mode == "to-odd":
            cut = b if upper_is_even else a
        else:
            cut = middle
        yield a, (a, cut)
        yield b, (cut, b)


def mass(density: Density, intervals: list[Interval]) -> Ball:
    """Return the probability of disjoint intervals, to 60 bits beyond the smallest of interest."""

    def attempt() -> Ball:
        total = ball(0)
        for piece in take_apart(density).pieces:
            low, high = ball(piece.low), ball(piece.high)
            for start, stop in intervals:
                ends = [piece.standard(low.max(ball(x).min(high))) for x in (start, stop)]
                if ends[0] < ends[1]:
                    total += piece.weight * next(local_moments(piece.shape, ends))[0]
        needed(bool(total.rad() < ball(2) ** -150))
        return total

    return precisely(attempt)


def split(g: Fraction, cell: Interval, a: Fraction, r: Fraction) -> Iterator[Interval]:
    """Yield the parts of a cell where |g - x| > a + r |x|, found by trying every part."""
    places = {
        Fraction(0),
        *((g + s * a) / (1 + t * r) for s in (1, -1) for t in (1, -1) if 1 + t * r),
    }
    cuts = sorted(x for x in places if cell[0] < x < cell[1])
    for start, stop in pairwise([cell[0], *cuts, cell[1]]):
        if start >= stop:
            continue
        if start == -INF:
            inside = Fraction(stop) - 1 if stop != INF else Fraction(0)
        else:
            inside = Fraction(start) + 1 if stop == INF else (Fraction(start) + Fraction(stop)) / 2
        if abs(g - inside) > a + r * abs(inside):
            yield start, stop


def exact_exceedance(grid: Grid, density: Density, mode: str, a: float, r: float) -> float:
    points = exact_points(grid, 1.0)
    found = [
        part
        for g, cell in cells(points, grid.even_first, mode)
        if cell[0] < cell[1]
        for part in split(g, cell, Fraction(a), Fraction(r))
    ]
    return float(mass(density, found).mid())


def exact_cdf(grid: Grid, density: Density, mode: str, t: float) -> float:
    points = exact_points(grid, 1.0)
    found = [
        (max(cell[0], g - Fraction(t)), cell[1])
        for g, cell in cells(points, grid.even_first, mode)
        if max(cell[0], g - Fraction(t)) < cell[1]
    ]
    return float(mass(density, found).mid())


@pytest.mark.thinned(5)
@pytest.mark.parametrize("seed", range(200))
def test_random_cases_against_rigorous_masses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    density = DENSITIES[seed % len(DENSITIES)]
    form = as_scalar_format(FORMATS[seed % len(FORMATS)])
    mode = MODES[seed % len(MODES)]
    scale = float(rng.uniform(0.1, 0.6))
    found = error_distribution(form, density, scale, rounding=mode)
    step = float(rng.uniform(0, 0.6) * scale)
    t = step if rng.uniform() < 0.7 else float(rng.uniform(0, 3))
    r = float(rng.choice([0.0, 0.01, 0.3, 1.0, 1.5]))
    a = float(rng.choice([0.0, t]))
    wanted = exact_exceedance(found.grid, density, mode, a, r)
    assert float(found.exceedance(a, r)) == pytest.approx(wanted, rel=1e-12, abs=1e-15)
    for error in (t, -t):
        wanted = exact_cdf(found.grid, density, mode, error)
        assert float(found.cdf(error)) == pytest.approx(wanted, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["E2M1", "int4", "codebook:-1.1,-0.3,0.45,1.5"])
@pytest.mark.parametrize("density", [Gaussian(0.3, 0.8), Laplace(), Logistic()], ids=repr)
def test_densities_integrate_to_one_and_to_the_moments(
    name: str, density: Density, mode: str
) -> None:
    scale = 0.7
    found = error_distribution(name, density, scale, rounding=mode)
    report = quantization_error(name, density, scale, rounding=mode)
    gaps, levels = np.diff(found.grid.points), found.grid.points
    places = np.concatenate([gaps, -gaps, gaps / 2, -gaps / 2, levels, -levels, np.arange(-50, 51)])
    edges = np.unique(np.round(places, 12))
    nodes, weights = np.polynomial.legendre.leggauss(24)
    width = np.diff(edges)[:, None]
    e = edges[:-1, None] + width * (nodes + 1) / 2
    p = found.pdf(e) * width * weights / 2

    def moment(k: int) -> float:
        return float((e**k * p).sum())

    assert moment(0) == pytest.approx(1, rel=1e-10, abs=0)
    assert moment(2) == pytest.approx(report.mse, rel=1e-10, abs=0)
    assert moment(1) == pytest.approx(report.mean_error, abs=1e-10)


@pytest.mark.parametrize("mode", ["nearest-even", "down"])
def test_relative_and_step_densities_are_slopes(mode: str) -> None:
    found = error_distribution("3M2E", Gaussian(0.3), 0.5, rounding=mode)
    h = 1e-5
    for r in (0.011, 0.07, 0.4, 1.7, 3.3):
        slope = (found.relative_cdf(r + h) - found.relative_cdf(r - h)) / (2 * h)
        assert float(found.relative_pdf(r)) == pytest.approx(float(slope), rel=1e-5, abs=1e-7)
    for t in (-0.61, -0.3, 0.1, 0.45):
        slope = (found.step_cdf(t + h) - found.step_cdf(t - h)) / (2 * h)
        assert float(found.step_pdf(t)) == pytest.approx(float(slope), rel=1e-5, abs=1e-7)
        slope = (found.cdf(t + h) - found.cdf(t - h)) / (2 * h)
        assert float(found.pdf(t)) == pytest.approx(float(slope), rel=1e-5, abs=1e-7)


def test_the_density_has_no_spike_where_half_cells_meet() -> None:
    found = error_distribution("int8", Uniform(-63.5, 63.5))
    assert found.pdf([-1e-9, 0.0, 1e-9]) == pytest.approx([1.0] * 3, rel=1e-9, abs=0)
    assert found.step_pdf([0.0, 0.1]) == pytest.approx([1.0, 1.0], rel=1e-9, abs=0)


def test_underflow_is_an_atom_of_the_relative_error() -> None:
    found = error_distribution("E2M1", Gaussian(), 1.0)
    jump = found.relative_exceedance(np.nextafter(1.0, 0)) - found.relative_exceedance(1.0)
    assert float(jump) == pytest.approx(found.zeroed, rel=1e-12, abs=0)
    assert found.zeroed == pytest.approx(math.erf(0.25 / math.sqrt(2)), rel=1e-14, abs=0)


def test_far_tails_keep_their_digits() -> None:
    found = error_distribution("int8", Gaussian(), max_value=8.0)
    assert float(found.exceedance(2.0)) == pytest.approx(
        math.erfc(10 / math.sqrt(2)), rel=1e-12, abs=0
    )


@pytest.mark.parametrize("mode", MODES)
def test_samples(mode: str) -> None:
    density, scale = Mixture((Gaussian(0.3), Discrete((0.5, 1.2), (0.5, 0.5))), (0.7, 0.3)), 0.25
    x = density.sample(200_000, np.random.default_rng(5))
    e = quantize(x, "3M2E", scale, rounding=mode) - x
    found = error_distribution("3M2E", density, scale, rounding=mode)
    for t in (-0.11, -0.03, 0.0, 0.04, 0.2):
        assert float(found.cdf(t)) == pytest.approx((e <= t).mean(), abs=0.006)
        assert float(found.exceedance(abs(t))) == pytest.approx(
            (np.abs(e) > abs(t)).mean(), abs=0.006
        )
    assert found.mean_absolute == pytest.approx(np.abs(e).mean(), rel=0.01, abs=0)
    assert np.quantile(np.abs(e), 0.9) == pytest.approx(
        float(found.absolute_quantile(0.9)), rel=0.02, abs=0
    )


def test_data_are_counted() -> None:
    x = np.array([0.1, 0.5, 1.2, -3.7, 9.0])
    found = error_distribution("int4", Empirical(x))
    e = np.array([-0.1, -0.5, -0.2, -0.3, -2.0])
    assert found.cdf([-2.0, -0.29, 0.0]).tolist() == pytest.approx(
        [0.2, 0.6, 1.0], rel=1e-12, abs=0
    )
    assert found.mean_absolute == pytest.approx(np.abs(e).mean(), rel=1e-14, abs=0)
    assert found.largest_inside == 0.5
    assert found.quantile([0.1, 0.2, 0.4, 1.0]).tolist() == pytest.approx(
        [-2.0, -2.0, -0.5, -0.1], rel=1e-12, abs=0
    )
    assert float(found.absolute_quantile(0.5)) == pytest.approx(0.3, rel=1e-14, abs=0)


@pytest.mark.parametrize(
    "density", [Gaussian(0.2), StudentT(1.0), Uniform(), Clipped(Gaussian(), -1, 1)]
)
def test_quantiles_invert(density: Density) -> None:
    found = error_distribution("int4", density, 0.2)
    p = np.array([1e-6, 0.01, 0.3, 0.5, 0.77, 0.999])
    assert (found.cdf(found.quantile(p)) >= p - 1e-13).all()
    assert (found.cdf(found.quantile(p) - 1e-9) < p).all()
    t = found.absolute_quantile(p)
    assert (1 - found.exceedance(t) >= p - 1e-12).all()
    assert (1 - found.exceedance(t * (1 - 1e-9)) < p)[t > 1e-12].all()


def test_mean_absolute_and_support() -> None:
    assert math.isinf(error_distribution("int4", StudentT(1.0)).mean_absolute)
    found = error_distribution("int8", Uniform(-1.0, 1.0), max_value=1.0)
    step = 1 / 127
    assert found.mean_absolute == pytest.approx(step / 4, rel=1e-13, abs=0)
    assert found.largest_inside == pytest.approx(step / 2, rel=1e-14, abs=0)
    assert found.support == pytest.approx((-step / 2, step / 2), rel=1e-12, abs=0)
    assert float(found.quantile(0.5)) == pytest.approx(0, abs=1e-15)
    assert found.step_cdf([-0.5, 0.0, 0.5]).tolist() == pytest.approx([0, 0.5, 1], abs=1e-14)


def away_from(end: Any) -> Callable[[Any], Any]:
    """Return the distance from a level."""
    return lambda x: abs(x - end)


def between(low: Any, high: Any) -> Callable[[Any], Any]:
    """Return E|e| of a value between two levels, one of which is drawn."""
    return lambda x: 2 * (x - low) * (high - x) / (high - low)


@pytest.mark.parametrize("form", ["E2M1", "codebook:-1.1,-0.3,0.45,1.5"])
@pytest.mark.parametrize("t", [-0.31, -0.02, 0.0, 0.07, 0.4, 1.5])
def test_drawn_levels_against_mpmath(form: str, t: float) -> None:
    """P(e <= t) and E|e| by integrals over every interval."""
    mean, std, scale = mpmath.mpf("0.3"), mpmath.mpf("0.8"), 0.5
    grid = as_scalar_format(form).grid(scale)
    found = error_distribution(form, Gaussian(0.3, 0.8), scale, rounding="stochastic")
    points = [mpmath.mpf(x) for x in grid.points.tolist()]

    def integral(low: Any, high: Any, share: Callable[[Any], Any]) -> Any:
        if not low < high:
            return mpmath.mpf(0)
        return mpmath.quad(lambda x: share(x) * mpmath.npdf(x, mean, std), [low, high])

    with mpmath.workdps(30):
        a, b = points[0], points[-1]
        # above the range e = b - x <= 0; below it a - x >= 0
        cdf = 1 - mpmath.ncdf(max(b, b - t), mean, std)
        cdf += mpmath.ncdf(a, mean, std) - mpmath.ncdf(min(a, a - t), mean, std)
        mean_absolute = integral(b, b + 12, lambda x: x - b) + integral(a - 12, a, lambda x: a - x)
        for low, high in pairwise(points):
            # e = high - x with the share of x above low, e = low - x with the rest
            cdf += integral(max(low, high - t), high, away_from(low)) / (high - low)
            cdf += integral(max(low, low - t), high, away_from(high)) / (high - low)
            mean_absolute += integral(low, high, between(low, high))
    assert float(found.cdf(t)) == pytest.approx(float(cdf), rel=1e-12, abs=1e-14)
    assert found.mean_absolute == pytest.approx(float(mean_absolute), rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "density", [Discrete((-0.7, 0.1, 0.25, 5.0), (0.1, 0.3, 0.2, 0.4)), Laplace(-0.2),
                Clipped(Gaussian(), -1.5, 1.3), StudentT(3.0)], ids=str,
)  # fmt: skip
@pytest.mark.thinned(5)
def test_drawn_levels_have_the_moments_of_the_analysis(density: Density) -> None:
    """E[e^2] 1[|e| <= T] by parts, and samples of the simulator."""
    found = error_distribution("int4", density, 0.4, rounding="stochastic")
    rng = np.random.default_rng(7)
    x = density.sample(200_000, rng)
    e = quantize(x, "int4", 0.4, rounding="stochastic", rng=rng) - x
    for t in (0.03, 0.11, 0.25):
        for ours, theirs in (
            (found.exceedance(t), np.abs(e) > t),
            (found.exceedance(t, 0.2), np.abs(e) > t + 0.2 * np.abs(x)),
            (found.cdf(t), e <= t),
        ):
            sigma = math.sqrt(0.25 / x.size)
            assert float(ours) == pytest.approx(theirs.mean(), abs=5 * sigma)
    mse = quantization_error("int4", Clipped(Gaussian(), -1, 1), 0.4, rounding="stochastic").mse
    inner = error_distribution("int4", Clipped(Gaussian(), -1, 1), 0.4, rounding="stochastic")
    node, weight = np.polynomial.legendre.leggauss(24)
    # By parts; the masses at -1 and 1 err by half a step, where the chance jumps.
    steps = np.array([[0.1], [0.3]]) + 0.1 * node
    second = 0.1 * (2 * steps * inner.exceedance(steps)).sum(axis=0) @ weight
    assert second == pytest.approx(mse, rel=1e-13, abs=0)


def test_refusals() -> None:
    with pytest.raises(InvalidValue, match="draws of all bits"):
        error_distribution("int8", Gaussian(), rounding="SR:8")
    with pytest.raises(TooLarge, match="quantization_error"):
        error_distribution("int32", Gaussian())
    with pytest.raises(InvalidValue, match="one scale"):
        error_distribution("int8", Gaussian(), np.ones(2))  # type: ignore[arg-type]
    found = error_distribution("int8", Gaussian())
    calls: list[Callable[[], object]] = [
        lambda: found.exceedance(-1.0),
        lambda: found.exceedance(0.0, -1.0),
        lambda: found.cdf(math.nan),
        lambda: found.quantile(1.5),
        lambda: found.relative_pdf(-0.5),
    ]
    for call in calls:
        with pytest.raises(InvalidValue):
            call()
