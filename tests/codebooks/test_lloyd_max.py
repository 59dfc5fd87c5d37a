"""Best quantizers with free levels and with equal steps, against equations solved at 40 digits."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import Any, TypeAlias

import mpmath as mp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from qerror import (
    Clipped,
    Codebook,
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    LloydMax,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    lloyd_max,
    optimal_scale,
    quantization_error,
)
from qerror._arrays import FloatArray
from qerror.codebooks import best_uniform
from qerror.densities import DENSITIES
from qerror.exceptions import InvalidType, InvalidValue

Number: TypeAlias = Any
Moments: TypeAlias = Callable[[Number], tuple[Number, Number, Number]]
EXAMPLES = {name: family.example for name, family in DENSITIES.items()}
MASSES = ("discrete", "empirical")  # no more values than levels: no error is left
SLOW = ("mixture", "truncated")
QUICK_FIRST = sorted((name for name in EXAMPLES if name not in MASSES), key=SLOW.__contains__)
SEVERAL = ("gaussian", "mixture", "student-t", "rectified", "laplace", "truncated")


# ---- the oracle: antiderivatives of x^k p(x), k = 0, 1, 2, in closed form


def gaussian_moments(x: Number) -> tuple[Number, Number, Number]:
    if mp.isinf(x):
        return (mp.mpf(x > 0), mp.mpf(0), mp.mpf(x > 0))
    p, mass = mp.npdf(x), mp.ncdf(x)
    return mass, -p, mass - x * p


def laplace_moments(x: Number) -> tuple[Number, Number, Number]:
    if mp.isinf(x):
        return (mp.mpf(x > 0), mp.mpf(0), 2 * mp.mpf(x > 0))
    p = mp.exp(-abs(x)) / 2
    if x <= 0:
        return p, (x - 1) * p, (x * x - 2 * x + 2) * p
    return 1 - p, -(x + 1) * p, 2 - (x * x + 2 * x + 2) * p


def student_3_moments(x: Number) -> tuple[Number, Number, Number]:
    root = mp.sqrt(3)
    angle = mp.sign(x) * mp.pi / 2 if mp.isinf(x) else mp.atan(x / root)
    share = mp.mpf(0) if mp.isinf(x) else x / (3 + x * x)
    first = mp.mpf(0) if mp.isinf(x) else -3 * root / (mp.pi * (3 + x * x))
    return (
        (angle + root * share) / mp.pi + mp.mpf(1) / 2,
        first,
        3 / mp.pi * (angle - root * share),
    )


def cells_of(moments: Moments, levels: Sequence[Number]) -> list[list[Number]]:
    """Return int x^k p over the cell of every level."""
    edges = [-mp.inf, *((a + b) / 2 for a, b in pairwise(levels)), mp.inf]
    at = [moments(edge) for edge in edges]
    return [[b - a for a, b in zip(low, high, strict=True)] for low, high in pairwise(at)]


def exact_mse(moments: Moments, levels: Sequence[Number]) -> Number:
    cells = cells_of(moments, levels)
    return sum(m2 - 2 * q * m1 + q * q * m0 for q, (m0, m1, m2) in zip(levels, cells, strict=True))


def stationary(moments: Moments, start: Sequence[float]) -> list[Number]:
    """Solve the centroid equations from a start that is a little off."""

    def pull(*levels: Number) -> list[Number]:
        cells = cells_of(moments, levels)
        return [m1 / m0 - q for q, (m0, m1, _) in zip(levels, cells, strict=True)]

    rough = [mp.mpf(x) * 1.003 + 0.001 for x in start]
    return list(mp.findroot(pull, rough, tol=1e-30))


ORACLES: dict[str, tuple[Density, Moments]] = {
    "gaussian": (Gaussian(), gaussian_moments),
    "laplace": (Laplace(), laplace_moments),
    "student-t": (StudentT(3), student_3_moments),
}


@pytest.mark.parametrize("levels", [3, 6, 9])
@pytest.mark.parametrize("name", ORACLES)
def test_levels_solve_the_centroid_equations(name: str, levels: int) -> None:
    density, moments = ORACLES[name]
    found = lloyd_max(density, levels)
    with mp.workdps(40):
        if name == "laplace" and levels == 6:
            # The kink at 0 makes the equations singular there: solve the upper half.
            exact = exponential_half(found.codebook.values[3:])
        else:
            exact = stationary(moments, found.codebook.values)
        mse = exact_mse(moments, exact)
        assert abs(found.report.mse / mse - 1) < 3e-15
        for q, wanted in zip(found.codebook.values, exact, strict=True):
            assert abs(q - wanted) < 1e-10 * max(1, abs(wanted))


def exponential_half(start: Sequence[float]) -> list[Number]:
    """Solve for the levels of exp(-x), x > 0, and mirror them."""

    def pull(*levels: Number) -> list[Number]:
        edges = [mp.mpf(0), *((a + b) / 2 for a, b in pairwise(levels)), mp.inf]
        at = [laplace_moments(edge) for edge in edges]
        return [
            (b[1] - a[1]) / (b[0] - a[0]) - q
            for q, (a, b) in zip(levels, pairwise(at), strict=True)
        ]

    half = list(mp.findroot(pull, [mp.mpf(x) * 1.003 for x in start], tol=1e-30))
    return [-x for x in reversed(half)] + half


@pytest.mark.parametrize(("levels", "mse"), [(4, 0.1174818478293), (16, 0.009501008008192)])
def test_published_optima_of_the_gaussian(levels: int, mse: float) -> None:
    # Max 1960, table I, has five digits of them.
    assert lloyd_max(Gaussian(), levels).report.mse == pytest.approx(mse, rel=1e-12, abs=0)


@pytest.mark.parametrize("levels", [33, 256])
@pytest.mark.parametrize("name", ORACLES)
def test_many_levels_are_centroids_of_their_cells(name: str, levels: int) -> None:
    density, moments = ORACLES[name]
    found = lloyd_max(density, levels)
    with mp.workdps(40):
        values = [mp.mpf(q) for q in found.codebook.values]
        assert abs(found.report.mse / exact_mse(moments, values) - 1) < 1e-14
        gaps = [b - a for a, b in pairwise(values)]
        for i, (m0, m1, _) in enumerate(cells_of(moments, values)):
            gap = min(gaps[max(i - 1, 0)], gaps[min(i, levels - 2)])
            assert abs(m1 / m0 - values[i]) < 1e-10 * gap


def test_levels_in_a_tail_that_barely_has_a_variance() -> None:
    found = lloyd_max(StudentT(2.1), 256)
    q = np.array(found.codebook.values)
    assert q[-1] > 1e29  # levels grow by a factor of about twenty there
    # In the last cell the density is a power law: its centroid is nu / (nu - 1) of its edge.
    assert q[-1] == pytest.approx(0.5 * (q[-1] + q[-2]) * 2.1 / 1.1, rel=1e-9, abs=0)
    assert found.report.mse < 0.243


# ---- laws over all densities


@pytest.mark.parametrize("levels", [2, 5, 40])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_error_is_orthogonal_to_the_levels(name: str, levels: int) -> None:
    found = lloyd_max(EXAMPLES[name], levels)
    report = found.report
    assert abs(report.mean_error) <= 1e-9 * math.sqrt(report.mse)
    # Every level is a centroid, so E[Q e] = 0 and E[X e] = -E[e^2].
    assert abs(report.cross_moment + report.mse) <= 1e-9 * report.mse + 1e-24


@pytest.mark.parametrize("levels", [2, 5, 16])
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in MASSES])
def test_no_small_change_of_the_levels_helps(name: str, levels: int) -> None:
    density, rng = EXAMPLES[name], np.random.default_rng(5)
    found = lloyd_max(density, levels)
    q = np.array(found.codebook.values)
    for size in (1e-2, 1e-3):
        for _ in range(8):
            moved = q + size * np.diff(q).min() * rng.standard_normal(levels)
            report = quantization_error(Codebook(moved.tolist()), density)
            assert report.mse >= found.report.mse * (1 - 1e-14)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", SEVERAL)
def test_more_levels_never_lose(name: str) -> None:
    errors = [lloyd_max(EXAMPLES[name], levels).report.mse for levels in range(1, 40)]
    assert all(b < a for a, b in pairwise(errors))


@pytest.mark.thinned(3)
@pytest.mark.parametrize("name", SEVERAL)
def test_nothing_with_as_many_levels_is_better(name: str) -> None:
    density = EXAMPLES[name]
    least = lloyd_max(density, 255).report.mse
    assert best_uniform(density, 255).report.mse > least
    for form in ("int8", "5M2E", "4M3E", "3M4E"):
        assert optimal_scale(form, density).report.mse > least


def test_moving_and_stretching_moves_and_stretches_the_levels() -> None:
    plain, moved = lloyd_max(StudentT(4), 7), lloyd_max(StudentT(4, 100.0, 0.5), 7)
    assert moved.report.mse == pytest.approx(0.25 * plain.report.mse, rel=1e-13, abs=0)
    expected = 100 + 0.5 * np.array(plain.codebook.values)
    np.testing.assert_allclose(moved.codebook.values, expected, rtol=0, atol=1e-10)


def test_a_narrow_density_far_from_zero() -> None:
    found = lloyd_max(Gaussian(1e6, 1e-3), 16)
    # The levels themselves are rounded to 1e-10.
    assert found.report.mse == pytest.approx(0.009501008008192e-6, rel=1e-11, abs=0)


@pytest.mark.parametrize("density", [Gaussian(), StudentT(3), Uniform(), Clipped(Laplace(), -3, 3)])
@pytest.mark.parametrize("levels", [7, 64])
def test_a_symmetric_density_has_symmetric_levels(density: Density, levels: int) -> None:
    q = np.array(lloyd_max(density, levels).codebook.values)
    assert (q == -q[::-1]).all()


def test_uniform_density_has_equal_steps() -> None:
    found = lloyd_max(Uniform(-1, 3), 10)
    np.testing.assert_allclose(found.codebook.values, -0.8 + 0.4 * np.arange(10), atol=1e-14)
    assert found.report.mse == pytest.approx(0.16 / 12, rel=1e-14, abs=0)


# ---- where there are several minima


def test_a_peaked_density_breaks_the_symmetry() -> None:
    # exp(-sqrt|x|): the levels -a, a with a = E|X| = 6 are a saddle.
    density = GeneralizedGaussian(0.5)
    symmetric = density.second_moment - 36.0
    found = lloyd_max(density, 2)
    assert found.report.mse < 0.95 * symmetric
    (piece,) = density.pieces()
    nothing, far = np.zeros(1), np.full(1, math.inf)

    def split(threshold: float) -> float:
        """Return the MSE of the means on both sides of a threshold."""
        place = np.full(1, threshold)
        parts = (piece.integrals(place, *side) for side in ((-far, nothing), (nothing, far)))
        return sum(float((part.second - part.first**2 / part.mass)[0]) for part in parts)

    least = minimize_scalar(split, bounds=(0.01, 40), method="bounded", options={"xatol": 1e-9})
    assert found.report.mse == pytest.approx(least.fun, rel=1e-13, abs=0)


def test_a_gap_in_the_density_holds_no_level() -> None:
    density = Mixture((Uniform(-2, -1), Uniform(1, 2)), (0.3, 0.7))
    for levels in (2, 3, 8, 33):
        found = lloyd_max(density, levels)
        assert len(found.codebook.values) == levels
        assert all(1 <= abs(q) <= 2 for q in found.codebook.values)
    assert lloyd_max(density, 4).report.mse == pytest.approx(0.25 / 12, rel=1e-13, abs=0)


def test_narrow_peak_and_wide_floor() -> None:
    density = Mixture((Gaussian(0, 1e-6), Gaussian()), (0.5, 0.5))
    found = lloyd_max(density, 9)
    atom = lloyd_max(Mixture((Discrete((0.0,), (1.0,)), Gaussian()), (0.5, 0.5)), 9)
    assert found.report.mse == pytest.approx(atom.report.mse, rel=1e-9, abs=0)


def test_discrete_densities_are_cut_in_the_best_way() -> None:
    rng = np.random.default_rng(11)
    x, p = np.sort(rng.standard_normal(9)), rng.dirichlet(np.ones(9))
    density = Discrete(x.tolist(), p.tolist())
    p = density.atoms().probabilities
    for levels in (1, 2, 3, 4, 8):
        cuts = combinations(range(1, 9), levels - 1)
        least = min(sum(_spread(x[a:b], p[a:b]) for a, b in _runs(cut, 9)) for cut in cuts)
        assert lloyd_max(density, levels).report.mse == pytest.approx(least, rel=1e-13, abs=0)


def _runs(cut: Sequence[int], size: int) -> list[tuple[int, int]]:
    return list(pairwise((0, *cut, size)))


def _spread(x: FloatArray, p: FloatArray) -> float:
    centre = (p @ x) / p.sum()
    return float(p @ (x - centre) ** 2)


def test_fewer_values_than_levels_are_all_kept() -> None:
    density = Discrete((-1.0, 0.125, 2.0), (0.25, 0.5, 0.25))
    for levels in (3, 4, 1000):
        found = lloyd_max(density, levels)
        assert found.codebook.values == (-1.0, 0.125, 2.0)
        assert found.report.mse == 0
    many = Discrete(np.linspace(0, 1, 3000).tolist(), [1 / 3000] * 3000)
    least = (100**2 - 1) / 12 / 2999**2  # of 100 neighbours each; so many settle next to it
    assert least * (1 - 1e-12) <= lloyd_max(many, 30).report.mse < least * (1 + 2e-4)


@pytest.mark.parametrize(
    "density",
    [
        Rectified(Gaussian(-1, 2)),
        Clipped(StudentT(2), -30, 30),
        Mixture((Discrete((-1.0, 0.3, 2.0), (0.25, 0.5, 0.25)), Gaussian()), (0.5, 0.5)),
    ],
)
def test_point_masses_get_their_levels(density: Density) -> None:
    found = lloyd_max(density, 64)
    values = np.array(found.codebook.values)
    for x in density.atoms().positions:
        nearest = int(np.abs(values - x).argmin())
        gap = np.diff(values)[max(nearest - 1, 0) : nearest + 1].min()
        assert abs(values[nearest] - x) < 0.2 * gap
    assert abs(found.report.cross_moment + found.report.mse) <= 1e-9 * found.report.mse


# ---- refusals


@pytest.mark.parametrize("density", [StudentT(2), StudentT(1), Truncated(StudentT(1.5), low=0.0)])
def test_infinite_variance_is_refused(density: Density) -> None:
    for search in (lloyd_max, best_uniform):
        with pytest.raises(InvalidValue, match=r"E\[X\^2\] is infinite.*clip or truncate"):
            search(density, 4)


def test_levels_beyond_float64_are_refused() -> None:
    with pytest.raises(InvalidValue, match="no optimum was found for 4096 levels"):
        lloyd_max(StudentT(2.01), 4096)


@pytest.mark.parametrize("levels", [0, -1, 2**16 + 1])
def test_numbers_of_levels_outside_the_range_are_refused(levels: int) -> None:
    with pytest.raises(InvalidValue, match=r"levels must lie in 1\.\.65536"):
        lloyd_max(Gaussian(), levels)


@pytest.mark.parametrize("levels", [2.5, "4", True, None])
def test_numbers_of_levels_that_are_no_integers_are_refused(levels: Any) -> None:
    with pytest.raises(InvalidType, match="levels must be an integer"):
        lloyd_max(Gaussian(), levels)
    with pytest.raises(InvalidType, match="levels must be an integer"):
        best_uniform(Gaussian(), levels)


# ---- equal steps


@pytest.mark.parametrize(
    ("levels", "step", "mse"),
    [(4, 0.9956866859435, 0.1188460503841), (16, 0.3352006121999727, 0.01154288443135)],
)
def test_published_best_steps_of_the_gaussian(levels: int, step: float, mse: float) -> None:
    found = best_uniform(Gaussian(), levels)
    assert found.step == pytest.approx(step, rel=1e-12, abs=0)
    assert found.report.mse == pytest.approx(mse, rel=1e-12, abs=0)
    assert found.lowest == -0.5 * (levels - 1) * found.step


@pytest.mark.parametrize("name", ["gaussian", "student-t"])
def test_best_steps_solve_their_equation(name: str) -> None:
    density, moments = ORACLES[name]
    found = best_uniform(density, 8)
    with mp.workdps(40):

        def slope(step: Number) -> Number:
            levels = [step * (k - mp.mpf(7) / 2) for k in range(8)]
            cells = cells_of(moments, levels)
            return sum(q * (q * m0 - m1) for q, (m0, m1, _) in zip(levels, cells, strict=True))

        step = mp.findroot(slope, mp.mpf(found.step) * 1.003)
        assert abs(found.step / step - 1) < 1e-12
        levels = [step * (k - mp.mpf(7) / 2) for k in range(8)]
        assert abs(found.report.mse / exact_mse(moments, levels) - 1) < 3e-15


def test_a_laplace_density_wants_a_level_near_its_peak() -> None:
    aside = best_uniform(Laplace(), 8)
    centred = min(
        quantization_error(Codebook(((np.arange(8) - 3.5) * step).tolist()), Laplace()).mse
        for step in np.linspace(0.9, 1.2, 61)
    )
    assert aside.report.mse < 0.999 * centred
    assert min(map(abs, aside.codebook.values)) < 0.3 * aside.step


@pytest.mark.thinned(6)
@pytest.mark.parametrize("name", QUICK_FIRST)
def test_neither_step_nor_place_can_be_improved(name: str) -> None:
    density = EXAMPLES[name]
    found = best_uniform(density, 12)
    ranks = np.arange(12)
    for shift in (-1e-3, 0.0, 1e-3):
        for stretch in (-1e-3, 0.0, 1e-3):
            points = found.lowest + shift * found.step + found.step * (1 + stretch) * ranks
            report = quantization_error(Codebook(points.tolist()), density)
            assert report.mse >= found.report.mse * (1 - 1e-14)


def test_integers_are_uniform_quantizers_with_a_level_at_zero() -> None:
    integers = optimal_scale("int4", Gaussian())
    free = best_uniform(Gaussian(), 15)
    assert free.step == pytest.approx(integers.scale, rel=1e-10, abs=0)
    assert free.report.mse == pytest.approx(integers.report.mse, rel=1e-14, abs=0)


def test_one_level_is_the_mean() -> None:
    for density in (Gaussian(3, 2), Rectified(Gaussian()), Discrete((1.0, 4.0), (0.5, 0.5))):
        for found in (lloyd_max(density, 1), best_uniform(density, 1)):
            assert found.codebook.values[0] == pytest.approx(density.mean, rel=1e-14, abs=0)
            assert found.report.mse == pytest.approx(density.variance, rel=1e-13, abs=0)
    assert isinstance(lloyd_max("gaussian", 1), LloydMax)


def test_equal_steps_on_a_single_point_are_refused() -> None:
    with pytest.raises(InvalidValue, match="all probability is in one point"):
        best_uniform(Discrete((2.0,), (1.0,)), 4)
