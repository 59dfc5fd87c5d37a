"""Moments between limits, row by row, against 40-digit integrals and truncated densities."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from qerror.analysis import quantization_error
from qerror.analysis.rows import row_moments
from qerror.densities import (
    Clipped,
    Density,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Mixture,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.exceptions import InvalidValue
from qerror.formats import as_scalar_format
from qerror.grids import Grid

Pdf = Callable[[Any], Any]
_MOMENTS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda x, q: (q - x) ** 2,
    lambda x, q: q - x,
    lambda x, q: x * (q - x),
)
# Each with its density for mpmath, and where it has a kink.
LAWS: list[tuple[Density, Pdf, float]] = [
    (Gaussian(), mpmath.npdf, 0.0),
    (Gaussian(0.3, 0.7), lambda x: mpmath.npdf(x, mpf(0.3), mpf(0.7)), 0.3),
    (Laplace(0.3, 0.5), lambda x: mpmath.exp(-abs(x - mpf(0.3)) / mpf(0.5)), 0.3),
    (StudentT(3.0), lambda x: 2 / (mp.pi * mpmath.sqrt(3)) / (1 + x * x / 3) ** 2, 0.0),
]
# Scale and limits: inside, beyond the range on one side and both, between two levels, a shell
# without a level, at a level, at a threshold, and off the grid.
ROWS = (
    (0.25, -1.0, 1.0),
    (0.4, -0.9, 2.2),
    (0.125, -1.3, 1.7),
    (1.0, 0.55, 0.95),
    (1.0, 0.1, 0.4),
    (0.5, 0.5, 1.5),
    (0.5, 0.25, 0.75),
    (0.1, 1.5, 2.5),
    (0.1, -3.0, -1.25),
    (0.3, 0.2, 0.2 + 2.0**-30),
    (0.75, -4.5, 0.0),
)


def exact(grid: Grid, pdf: Pdf, kink: float, row: tuple[float, ...]) -> tuple[Any, Any, Any]:
    """Integrate the error's moments level by level with 40 digits."""
    scale, low, high = (mpf(x) for x in row)
    points = [mpf(float(x)) * scale for x in grid.points]
    middles = [(a + b) / 2 for a, b in pairwise(points)]
    ends = [low, *(x for x in middles if low < x < high), high]
    total = [mpf(0), mpf(0), mpf(0)]
    for a, b in pairwise(ends):
        q = min(points, key=lambda x, m=(a + b) / 2: abs(x - m))  # type: ignore[misc]
        parts = [a, *([mpf(kink)] if a < kink < b else []), b]
        for k, moment in enumerate(_MOMENTS):
            total[k] += mpmath.quad(lambda x, f=moment, q=q: f(x, q) * pdf(x), parts)
    return total[0], total[1], total[2]


@pytest.mark.thinned(5)
@pytest.mark.parametrize("name", ["int4", "e2m1", "int3:full"])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: str(law[0]))
def test_against_forty_digits(name: str, law: tuple[Density, Pdf, float]) -> None:
    density, pdf, kink = law
    grid = as_scalar_format(name).grid()
    found = row_moments(grid, density, *np.array(ROWS).T)
    with mp.workdps(40):
        for i, row in enumerate(ROWS):
            square, mean, cross = exact(grid, pdf, kink, row)
            mass = mpmath.quad(pdf, sorted({mpf(row[1]), mpf(row[2])} | _inside(kink, row)))
            assert abs(found.square[i] / square - 1) < 2e-14, row
            assert abs(found.mean[i] - mean) < 2e-14 * mpmath.sqrt(mass * square), row
            assert abs(found.cross[i] - cross) < 1e-13 * max(abs(cross), square), row


def _inside(kink: float, row: tuple[float, ...]) -> set[Any]:
    return {mpf(kink)} if row[1] < kink < row[2] else set()


MANY: list[Density] = [
    Gaussian(),
    Gaussian(-0.4, 2.0),
    Laplace(0.31),
    StudentT(3.0),
    GeneralizedGaussian(0.5),
    Uniform(-1.0, 2.0),
    HalfGaussian(),
    Mixture((Gaussian(-0.5), StudentT(2.5)), (0.4, 0.6)),
]


@pytest.mark.parametrize("density", MANY, ids=str)
@pytest.mark.parametrize("name", ["int4", "int8", "4M3E", "int8:full", "int16", "fp16"])
def test_rows_are_truncated_densities(name: str, density: Density) -> None:
    """Every row together is the row alone, cut by the density and not by the row."""
    grid = as_scalar_format(name).grid()
    rng = np.random.default_rng(11)
    scales = np.exp(rng.uniform(-2, 1, 5)) * 3 / grid.max
    low = rng.uniform(-1.5, 0.5, 5)
    high = low + np.exp(rng.uniform(-4, 1, 5))
    low[0], high[0] = -1.25, 1.25
    keep = high > density.support[0]
    scales, low, high = scales[keep], low[keep], high[keep]
    found = row_moments(grid, density, scales, low, high)
    for i, scale in enumerate(scales):
        cut = Truncated(density, float(low[i]), float(high[i]))
        alone = quantization_error(grid, cut, float(scale))
        assert found.square[i] / cut.kept == pytest.approx(alone.mse, rel=4e-14, abs=0)
        gap = abs(found.mean[i] / cut.kept - alone.mean_error)
        assert gap < 4e-14 * np.sqrt(alone.mse)
        gap = abs(found.cross[i] / cut.kept - alone.cross_moment)
        assert gap < 2e-13 * max(abs(alone.cross_moment), alone.mse)


@pytest.mark.parametrize("density", [*MANY, Clipped(Gaussian(), -1.0, 1.0)], ids=str)
def test_neighbouring_rows_add_up(density: Density) -> None:
    grid = as_scalar_format("e4m3").grid()
    edges = np.array([-np.inf, -2.0, -0.3, 0.0, 1e-3, 0.7, 0.7 + 1e-9, 2.5, np.inf])
    scales = np.full(edges.size - 1, 0.004)
    parts = row_moments(grid, density, scales, edges[:-1], edges[1:])
    whole = row_moments(grid, density, [0.004], -np.inf, np.inf)
    assert parts.square.sum() == pytest.approx(whole.square[0], rel=1e-14, abs=0)
    assert parts.mean.sum() == pytest.approx(whole.mean[0], abs=1e-14 * whole.square[0] ** 0.5)
    unit = max(abs(whole.cross[0]), whole.square[0])
    assert abs(parts.cross.sum() - whole.cross[0]) < 2e-13 * unit


def test_symmetric_limits_visit_one_half() -> None:
    grid = as_scalar_format("int8").grid()
    scales, limits = np.geomspace(0.01, 0.1, 30), np.geomspace(0.5, 9.0, 30)
    both = row_moments(grid, Gaussian(), scales, -limits, limits)
    upper = row_moments(grid, Gaussian(), scales, 0.0, limits)
    assert both.square == pytest.approx(2 * upper.square, rel=1e-14, abs=0)
    assert (both.mean == 0).all()
    assert (np.abs(both.cross - 2 * upper.cross) <= 1e-13 * both.square).all()


def test_nothing_between_equal_limits() -> None:
    for moment in row_moments(as_scalar_format("int8").grid(), Gaussian(), [0.1, 0.2], 1.0, 1.0):
        assert moment.tolist() == [0.0, 0.0]


def test_what_does_not_fit_is_refused() -> None:
    grid = as_scalar_format("int4").grid()
    with pytest.raises(InvalidValue, match="shapes"):
        row_moments(grid, Gaussian(), [0.1, 0.2], [0.0, 1.0, 2.0], 3.0)
    with pytest.raises(InvalidValue, match="nan"):
        row_moments(grid, Gaussian(), [0.1], np.nan, 3.0)
