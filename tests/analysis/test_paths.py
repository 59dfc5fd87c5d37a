"""The three exact paths agree wherever they meet, and wide formats match 50-digit sums."""

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.analysis._batch import Batch, Sums
from qerror.analysis._cells import cell_sums
from qerror.analysis._lattice import lattice_sums
from qerror.analysis._near import SERIES
from qerror.analysis._runs import segments_of, upper_segments_of
from qerror.densities import (
    Density,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    SmoothLaw,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.formats import as_scalar_format
from qerror.grids import Grid

LAWS: list[Density] = [
    Gaussian(),
    Gaussian(0.31),
    Laplace(0.31),
    Logistic(0.31),
    *(StudentT(nu, 0.31) for nu in (2.5, 3.0, 5.0, 9.0, 12.0, 40.0, 1000.0)),
    *(GeneralizedGaussian(beta, 0.31) for beta in (0.5, 0.75, 1.5, 4.0, 10.0)),
    Uniform(-0.9, 1.234),
    Truncated(StudentT(1.5), -33.3, 44.4),
    Mixture((Gaussian(0.1), StudentT(3.0, 0.0, 5.0)), (0.4, 0.6)),
]


@pytest.mark.thinned(5)
@pytest.mark.parametrize("density", LAWS, ids=str)
@pytest.mark.parametrize("name", ["INT12", "8M3E", "FP16"])
def test_segments_agree_with_cells_across_the_switch(name: str, density: Density) -> None:
    """Every step from far below to far above the one at which the formula gives way to cells."""
    form = as_scalar_format(name)
    scales = np.geomspace(3.0, 3e4, 40) / form.max_value
    cells, segments = both_ways(form.grid(), density, scales)
    mse = cells.rounding
    assert (np.abs(segments.rounding - cells.rounding) <= 1e-13 * mse).all()
    reach = np.maximum(np.abs(cells.cross), mse)
    assert (np.abs(segments.cross - cells.cross) <= 1e-12 * reach).all()
    assert (np.abs(segments.mean_error - cells.mean_error) <= 1e-12 * np.sqrt(mse)).all()


def both_ways(grid: Grid, density: Density, scales: FloatArray) -> tuple[Sums, Sums]:
    """Integrate within the grid's range cell by cell, and by runs."""
    mirrored = grid.is_symmetric and density.is_symmetric
    segments = upper_segments_of(grid) if mirrored else segments_of(grid)
    assert segments is not None
    cells, runs = Sums(), Sums()
    for piece in density.pieces():
        batch = Batch.of(piece, grid.factor * scales, mirrored)
        cells += cell_sums(batch, grid.upper_cells if mirrored else grid.cells)
        assert isinstance(piece.law, SmoothLaw)
        runs += lattice_sums(batch, segments, piece.law)
    return cells, runs


def test_the_series_has_the_bernoulli_numbers() -> None:
    for m, found in enumerate(SERIES, start=1):
        exact = mpmath.bernpoly(2 * m, mpf(1) / 2) / mpmath.factorial(2 * m)
        assert float(abs(found / exact - 1)) < 4e-16


def clipping(c: Any) -> Any:
    """Return int_c^inf (x - c)^2 p for the standard normal density."""
    tail = mpmath.erfc(c / mpmath.sqrt(2)) / 2
    return (1 + c * c) * tail - c * mpmath.npdf(c)


def slope(x: Any) -> Any:
    return -x * mpmath.npdf(x)


@pytest.mark.parametrize("limit", [3.0, 5.5, 7.25])
@pytest.mark.parametrize("bits", [20, 24, 32, 48])
def test_wide_integers_on_a_gaussian(bits: int, limit: float) -> None:
    form = as_scalar_format(f"int{bits}")
    scale = form.scale_for(limit)
    report = quantization_error(form, Gaussian(), scale)
    with mp.workdps(50):
        step, top = mpf(scale), mpf(scale) * (2 ** (bits - 1) - 1)
        inside = mpmath.erf(top / mpmath.sqrt(2))
        rounding = step**2 / 12 * inside - mpf(7) / 2880 * step**4 * 2 * slope(top)
        beyond = clipping(top)
        # int x e p is D^2/24 [x p] inside; outside it is the level's pull less the square.
        pull = top * (top * mpmath.erfc(top / mpmath.sqrt(2)) / 2 - mpmath.npdf(top))
        cross = step**2 / 24 * 2 * top * mpmath.npdf(top) + 2 * (pull - beyond)
        mse = rounding + 2 * beyond
        assert float(abs(report.rounding / rounding - 1)) < 1e-14
        assert float(abs(report.clipping_high / beyond - 1)) < 1e-13
        # What float64 itself leaves of the sum of a large clipping and a tiny rounding term:
        assert float(abs(report.mse / mse - 1)) < 1e-13
        assert float(abs(report.cross_moment - cross) / max(abs(cross), mse)) < 1e-12


@pytest.mark.parametrize("name", ["FP32", "TF32", "BF16"])
@pytest.mark.parametrize("limit", [8.0, 1e5])
def test_wide_floats_on_a_gaussian(name: str, limit: float) -> None:
    form = as_scalar_format(name)
    scale = form.scale_for(limit)
    report = quantization_error(form, Gaussian(), scale)
    with mp.workdps(50):
        total = mpf(0)
        for segment in form.grid().segments:
            low, high = mpf(segment.start) * mpf(scale), mpf(segment.stop) * mpf(scale)
            step = mpf(segment.step) * mpf(scale)
            if low > 40 or high < -40:
                continue
            mass = mpmath.ncdf(high) - mpmath.ncdf(low)
            terms = zip((4, 6), (mpf(7) / 5760, -mpf(31) / 967680), strict=True)
            ends = (
                beta * step**power * (derivative(high, power - 3) - derivative(low, power - 3))
                for power, beta in terms
            )
            total += step**2 / 12 * mass - 2 * sum(ends)
        # A binade's step is 2^-m of its values: from the third term on nothing is left of it.
        assert float(abs(report.rounding / total - 1)) < 1e-13


def derivative(x: Any, order: int) -> Any:
    """Return the derivative of the normal density, by Hermite's polynomials."""
    hermite = mpmath.hermite(order, x / mpmath.sqrt(2)) / mpmath.sqrt(2) ** order
    return (-1) ** order * hermite * mpmath.npdf(x)


WINDOWS: list[tuple[Density, float, float]] = [
    (Gaussian(1e8, 1e8), 0.001, 1.0),
    (Gaussian(), 1e-6, 1.0),
    (Gaussian(3.0, 2.0), -1.0, 0.7),
    (Laplace(), 0.3, 0.30001),
    (Laplace(0.25), 0.2, 0.75),
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("bits", [24, 32, 47])
def test_limits_cut_wide_grids_where_they_are(
    bits: int, window: tuple[Density, float, float]
) -> None:
    """A cut moved by one unit of the law's last place would cost as much as a step is narrow."""
    density, low, high = window
    form = as_scalar_format(f"int{bits}")
    scale = form.scale_for(1.0)
    report = quantization_error(form, Truncated(density, low, high), scale)
    with mp.workdps(50):
        step = mpf(scale)
        first, last = mpmath.ceil(mpf(low) / step), mpmath.floor(mpf(high) / step)
        kink = {mpf(0.25)} if low < 0.25 < high and isinstance(density, Laplace) else set()

        def p(x: Any) -> Any:
            return _relative(density, x)

        inside = mpmath.quad(p, sorted({first * step, last * step} | kink))
        whole = mpmath.quad(p, sorted({mpf(low), mpf(high)} | kink))
        # Whole steps give D^2/12 of their mass; what the limits leave at the ends comes apart.
        ends = _half_open(p, mpf(low), first * step, step) + _half_open(
            p, mpf(high), last * step, step
        )
        series = mpf(7) / 2880 * step**4 * (_slope(p, first * step) - _slope(p, last * step))
        exact = (step**2 / 12 * inside + ends + series) / whole
        assert float(abs(report.rounding / exact - 1)) < 2e-12


def _relative(density: Density, x: Any) -> Any:
    """Return the density up to a factor."""
    if isinstance(density, Gaussian):
        return mpmath.exp(-(((x - mpf(density.mean)) / mpf(density.std)) ** 2) / 2)
    assert isinstance(density, Laplace)
    return mpmath.exp(-abs(x - mpf(density.loc)) / mpf(density.scale))


def _half_open(p: Any, limit: Any, point: Any, step: Any) -> Any:
    """Integrate the squared error between a limit and the grid point next to it inside."""
    if limit == point:
        return mpf(0)
    other = point + step * mpmath.sign(limit - point)
    middle = (point + other) / 2
    beyond = abs(limit - point) > step / 2
    near = middle if beyond else limit
    total: Any = mpmath.fabs(mpmath.quad(lambda x: (x - point) ** 2 * p(x), [point, near]))
    if beyond:
        total += mpmath.fabs(mpmath.quad(lambda x: (x - other) ** 2 * p(x), [middle, limit]))
    return total


def _slope(p: Any, x: Any) -> Any:
    return mpmath.diff(p, x)


def test_narrow_windows_far_from_their_level() -> None:
    report = quantization_error("int8", Truncated(Laplace(0.0, 0.3), 0.7, 0.7 + 1e-9), 3.0)
    assert report.mse == pytest.approx(0.4900000007, rel=1e-12, abs=0)


@pytest.mark.parametrize("name", ["INT4", "E2M1", "INT8", "4M3E", "INT16", "FP16", "BF16"])
@pytest.mark.parametrize("law", [Gaussian(), Laplace(), Logistic(), StudentT(3.0)], ids=repr)
@pytest.mark.parametrize(("low", "high"), [(-1.3, 2.9), (-40.0, 0.3), (-1e-9, 5.0)])
def test_limits_on_both_sides_of_0(name: str, law: Density, low: float, high: float) -> None:
    """Evaluated above 0 for both halves, against the halves one by one, which are not."""
    form, whole = as_scalar_format(name), Truncated(law, low, high)
    below = float(law.mass(low, 0.0) / law.mass(low, high))
    halves = [(below, Truncated(law, low, 0.0)), (1 - below, Truncated(law, 0.0, high))]
    scales = [form.scale_for(top) for top in (0.2, 1.0, 3.3, 30.0)]
    together = quantization_error(form, whole, scales)
    for i, scale in enumerate(scales):
        alone = quantization_error(form, whole, scale)
        parts = [(share, quantization_error(form, half, scale)) for share, half in halves]
        for figure in ("rounding", "clipping_low", "clipping_high", "mean_error", "cross_moment"):
            wanted = sum(share * getattr(report, figure) for share, report in parts)
            size = np.sqrt(alone.mse) if figure == "mean_error" else alone.mse
            size = max(size, abs(alone.cross_moment)) if figure == "cross_moment" else size
            assert getattr(alone, figure) == pytest.approx(wanted, rel=0, abs=2e-13 * size)
            row = getattr(together, figure)[i]
            assert row == pytest.approx(wanted, rel=0, abs=2e-13 * size)
