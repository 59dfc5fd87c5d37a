"""Where float64 is strained: narrow densities far out, deep cuts, extreme parameters, units."""

import math

import numpy as np
import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    Clipped,
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    HalfGaussian,
    Laplace,
    Logistic,
    SmoothLaw,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.exceptions import InvalidValue
from qerror.formats import Codebook, ScalarFormat, as_scalar_format
from qerror.grids import Grid
from tests.oracles.comparison import worst
from tests.oracles.exact import INF, Shape, cell, off

TIGHT = 1e-13

NARROW: list[Density] = [
    Gaussian(100.25, 1e-9),
    Gaussian(-3.3, 1e-12),
    Gaussian(0.5, 1e-13),
    Gaussian(1e15, 1.0),
    Gaussian(1e15, 1e-3),
    Laplace(100.25, 1e-9),
    Laplace(1e12, 1.0),
    Logistic(100.25, 1e-9),
    StudentT(3.0, 100.25, 1e-9),
    StudentT(5.0, -100.25, 1e-9),
    StudentT(3.0, 1e12, 1.0),
    StudentT(30.0, 1e6, 1e-3),
    StudentT(1e4, 11.3, 1e-6),
    GeneralizedGaussian(1.5, 100.25, 1e-9),
    GeneralizedGaussian(0.5, 100.25, 1e-9),
    GeneralizedGaussian(4.0, -7.3, 1e-5),
    Uniform(100.25, 100.25 + 1e-9),
    Uniform(0.001, 0.0011),
    Uniform(1e6, 1e6 + 1e-6),
    Truncated(Gaussian(0.5, 1e-3), 0.4999, 0.5001),
    Truncated(Gaussian(100.25, 1e-3), 100.25, 100.2525),
    Truncated(Laplace(), 3.2, 3.2 + 1e-7),
    Truncated(StudentT(3.0), 1e5, 1e5 + 0.01),
    Truncated(Gaussian(100.25, 1e-9), 100.25),
    Clipped(Gaussian(100.25, 1e-9), 100.25),
]


@pytest.mark.parametrize("density", NARROW, ids=repr)
@pytest.mark.parametrize(("name", "scale"), [("INT8", 1.0), ("INT8", 0.01), ("4M3E", 0.1)])
def test_narrow_densities_far_from_zero(name: str, scale: float, density: Density) -> None:
    # Here E[x e] is 1e-4 of its terms: a quarter of an ulp of E[e] counts as 1e-13.
    cancels = density == Gaussian(0.5, 1e-13)
    assert worst(as_scalar_format(name), density, scale) < (2 * TIGHT if cancels else TIGHT)


@pytest.mark.parametrize("density", NARROW, ids=repr)
def test_narrow_densities_about_a_distant_level(density: Density) -> None:
    for level in (0.0, 17.0, -1e4):
        assert worst(Codebook([level]), density) < TIGHT


FLAT_TOPPED = [8.0, 10.0, 12.0, 15.0, 20.0, 30.0, 50.0, 100.0, 300.0, 1000.0]
PEAKED = [0.05, 0.07, 0.1, 0.15, 0.2, 0.3]


@pytest.mark.thinned(5)
@pytest.mark.parametrize("beta", [*PEAKED, *FLAT_TOPPED])
@pytest.mark.parametrize("name", ["INT4", "4M3E", "UINT4"])
def test_every_generalized_gaussian(name: str, beta: float) -> None:
    density, form = GeneralizedGaussian(beta), as_scalar_format(name)
    for top in (0.3, 0.97, 2.0, 6.0, 100.0, 1e5):
        assert worst(form, density, form.scale_for(top)) < TIGHT, top


@pytest.mark.parametrize("beta", FLAT_TOPPED)
def test_flat_topped_cells(beta: float) -> None:
    law, shape = GeneralizedGaussian(beta).law, Shape("generalized-gaussian", beta)
    rng = np.random.default_rng(5)
    for q in rng.uniform(0.5, 1.1, 40):
        for left, right in ((0.0, INF), (-0.3, 0.4), (-0.01, 0.05)):
            found = law.integrals(np.array([q]), np.array([left]), np.array([right]))
            exact = cell(shape, float(q), left, right)
            if exact[0] > 1e-12:  # farther out, eps in z is beta z^beta eps in p
                assert off(float(found.mass[0]), exact[0]) < 2e-13
                assert off(float(found.second[0]), exact[2]) < 2e-13


@pytest.mark.thinned(5)
@pytest.mark.parametrize("nu", [1e-3, 0.01, 0.1, 0.9, 1.1, 1.999, 2.001, 7.9, 15.0, 1e3])
@pytest.mark.parametrize("name", ["INT4", "4M3E", "UINT4"])
def test_every_student_t(name: str, nu: float) -> None:
    density, form = StudentT(nu), as_scalar_format(name)
    for top in (0.3, 2.0, 6.0, 100.0, 1e5):
        assert worst(form, density, form.scale_for(top)) < TIGHT, top


@pytest.mark.parametrize("nu", [1e8, 1e10, 1e13, 1e16, 1e20])
def test_student_t_becomes_gaussian(nu: float) -> None:
    for name in ("INT4", "4M3E", "INT16"):
        scale = as_scalar_format(name).scale_for(4.0)
        ours = quantization_error(name, StudentT(nu), scale)
        limit = quantization_error(name, Gaussian(), scale)
        assert ours.mse == pytest.approx(limit.mse, rel=max(200 / nu, 1e-13), abs=0)
        assert ours.signal_power == pytest.approx(1, rel=max(4 / nu, 1e-14), abs=0)


def laws() -> list[tuple[SmoothLaw, Shape]]:
    return [
        (Gaussian().law, Shape("gaussian")),
        (Laplace().law, Shape("laplace")),
        (Logistic().law, Shape("logistic")),
        (GeneralizedGaussian(0.5).law, Shape("generalized-gaussian", 0.5)),
        (GeneralizedGaussian(3.0).law, Shape("generalized-gaussian", 3.0)),
        (StudentT(2.5).law, Shape("student-t", 2.5)),
        (StudentT(30.0).law, Shape("student-t", 30.0)),
    ]


@pytest.mark.parametrize(("law", "shape"), laws(), ids=lambda x: str(x)[:40])
@pytest.mark.parametrize("q", [1e5, -3e7, 1e10])
def test_the_bulk_seen_from_afar(law: SmoothLaw, shape: Shape, q: float) -> None:
    """Everything on the other side of zero, about a centre a million spreads away."""
    left, right = (-INF, 0.0) if q > 0 else (0.0, INF)
    found = law.integrals(np.array([q]), np.array([left]), np.array([right]))
    exact = cell(shape, q, left, right)
    assert off(float(found.mass[0]), exact[0]) < 1e-14
    assert off(float(found.first[0]), exact[1]) < 1e-14
    assert off(float(found.second[0]), exact[2]) < 1e-14


def test_a_narrow_cell_beside_one_at_zero() -> None:
    """What a cell gets does not depend on the cells beside it."""
    law = GeneralizedGaussian(0.5).law
    q, left, right = np.array([1881.5, 0.0]), np.array([1.5e-11, 0.0]), np.array([1.6e-11, 1.0])
    together = law.integrals(q, left, right)
    alone = law.integrals(q[:1], left[:1], right[:1])
    assert together.mass[0] == alone.mass[0] > 0


@pytest.mark.parametrize("nu", [0.5, 1.0])
def test_the_whole_line_without_a_mean(nu: float) -> None:
    law = StudentT(nu).law
    found = law.integrals(np.zeros(1), np.array([-INF]), np.array([INF]))
    assert found.mass[0] == pytest.approx(1, abs=2e-15)
    assert math.isnan(found.first[0])
    assert found.second[0] == INF


UNITS = [1e-300, 1e-150, 1e-30, 1e30, 1e140]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", ["INT4", "E4M3", "INT16", "FP32"])
def test_extreme_units(name: str, unit: float) -> None:
    """The same problem in units in which squares leave float64 loses only what underflows."""
    scale = as_scalar_format(name).scale_for(4.0)
    for density, stretched in (
        (Gaussian(), Gaussian(0.0, unit)),
        (Gaussian(0.5), Gaussian(0.5 * unit, unit)),
        (Laplace(), Laplace(0.0, unit)),
        (Logistic(), Logistic(0.0, unit)),
        (StudentT(3.0), StudentT(3.0, 0.0, unit)),
        (GeneralizedGaussian(1.5), GeneralizedGaussian(1.5, 0.0, unit)),
        (Uniform(), Uniform(-unit, unit)),
        (HalfGaussian(), HalfGaussian(unit)),
        (Discrete((1.0,), (1.0,)), Discrete((unit,), (1.0,))),
    ):
        if scale * unit < 1e-305:
            continue
        base = quantization_error(name, density, scale)
        square = unit * unit
        if base.mse > 0 and not base.mse * square > np.finfo(np.float64).tiny:
            with pytest.raises(InvalidValue, match="float64 cannot hold the squares"):
                quantization_error(name, stretched, scale * unit)
            continue
        moved = quantization_error(name, stretched, scale * unit)
        assert moved.mse == pytest.approx(base.mse * square, rel=1e-10, abs=1e-300 + 1e-31 * square)
        assert abs(moved.mean_error - base.mean_error * unit) <= 1e-12 * unit
        # A point mass on a level has the rounding of its scale for an error: other in other units.
        if base.mse > 1e-28 * base.signal_power:
            assert moved.sqnr_db == pytest.approx(base.sqnr_db, abs=1e-8)


@pytest.mark.parametrize(
    "form", [as_scalar_format("INT4"), as_scalar_format("E4M3"), as_scalar_format("FP64")], ids=str
)
@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-200, 1e100, 1e140])
def test_extreme_scales(form: ScalarFormat, scale: float) -> None:
    if form.max_value * scale > 1e300:
        return
    for density in (Gaussian(), StudentT(3.0), Laplace(1.0), Uniform(), Discrete((1.0,), (1.0,))):
        report = quantization_error(form, density, scale)
        top = form.max_value * scale
        assert 0 <= report.mse <= report.signal_power * (1 + 1e-12) + top * top
        if form.bits <= 8 and scale < 1:
            # All is clipped to next to nothing.
            assert report.mse == pytest.approx(report.signal_power, rel=1e-12, abs=0)


@pytest.mark.parametrize("scale", [1e5, 1e20, 1e200, 1e300])
def test_grids_far_wider_than_the_density(scale: float) -> None:
    """All of it rounds to 0, whichever way it is summed."""
    for name in ("INT4", "E4M3", "INT16", "FP16", "INT32"):
        if as_scalar_format(name).max_value * scale > 1e300 or (name == "FP16" and scale < 1e9):
            continue
        for density in (Gaussian(), Laplace(), Logistic(), GeneralizedGaussian(1.5), Uniform()):
            report = quantization_error(name, density, scale)
            if scale * as_scalar_format(name).grid().dead_zone > 800:
                assert report.mse == pytest.approx(density.second_moment, rel=1e-14, abs=0)


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_grids_with_wild_gaps(size: int) -> None:
    rng = np.random.default_rng(size)
    for _ in range(10):
        points = np.sort(rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-18, 18, size))
        grid = Grid.from_points(points)
        for density in (Gaussian(0.3), Laplace(-0.1), StudentT(2.5), Uniform(-0.7, 1.1)):
            assert worst(grid, density) < TIGHT


@pytest.mark.parametrize("nu", [0.5, 2.0, 3.0, 30.0, 1e6])
def test_extreme_quantiles_of_student_t(nu: float) -> None:
    density = StudentT(nu)
    assert density.ppf([0.0, 1.0]).tolist() == [-INF, INF]
    p = np.array([1e-12, 1e-50, 1e-100, 1e-200, 1e-300])
    x = density.ppf(p)
    assert (x < 0).all()
    x, p = x[np.isfinite(x)], p[np.isfinite(x)]  # t(0.5) leaves float64 before 1e-200
    assert x.size >= 2
    assert (np.diff(x) < 0).all()
    assert density.cdf(x) == pytest.approx(p, rel=1e-9, abs=0)


@pytest.mark.parametrize("level", [0.0, 0.7])
@pytest.mark.parametrize("beta", [0.5, 1.5, 4.0])
def test_one_level_on_a_branch_point(beta: float, level: float) -> None:
    assert worst(Codebook([level]), GeneralizedGaussian(beta)) < TIGHT


def test_no_scales() -> None:
    report = quantization_error("INT4", "gaussian", [])
    assert report.mse.shape == report.signal_power.shape == (0,)


@pytest.mark.parametrize("std", [0.01, 1.0, 1e-9])
def test_tails_of_the_widest_format(std: float) -> None:
    report = quantization_error("FP64", Gaussian(1.0 + std, std))
    assert report.clipping == 0
    assert report.mse < 1e-31


def test_nothing_left_over_is_reported_as_such() -> None:
    """One step over the whole density: the end terms of a series alone would say 0."""
    grid = Grid.uniform(-(2.0**20), 1.0, 2**21)
    report = quantization_error(grid, Gaussian(0.25, 1e-4))
    assert report.mse == pytest.approx(0.0625 + 1e-8, rel=1e-13, abs=0)
    report = quantization_error(grid, Gaussian(1e5 + 0.25, 0.01))
    assert report.mse == pytest.approx(0.0625 + 1e-4, rel=1e-12, abs=0)
    assert report.cross_moment == pytest.approx(-0.25 * (1e5 + 0.25) - 1e-4, rel=1e-12, abs=0)
