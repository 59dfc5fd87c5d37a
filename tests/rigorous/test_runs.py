"""Enclosures by long runs against level by level, independent balls and the float64 default."""

import math

import flint
import pytest

from qerror.analysis import quantization_error
from qerror.densities import (
    DENSITIES,
    Arcsine,
    Clipped,
    Density,
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
from qerror.exceptions import TooLarge
from qerror.formats import as_scalar_format
from qerror.rigorous import enclosure, high_precision
from qerror.rigorous._context import Balls
from qerror.rigorous._continued import bound, derivatives
from qerror.rigorous._laws import Shape
from qerror.rigorous._parts import parts_of
from qerror.rigorous._runs import LongLevels
from qerror.rigorous._sums import Errors, Levels, errors_of
from qerror.rounding import as_rule
from tests.oracles.exact import ball, exact_report
from tests.oracles.modes import mode_report

MODES = ["nearest-even", "down", "up", "toward-zero"]
LAWS: list[Density] = [
    Gaussian(0.25),
    Laplace(-0.3, 0.7),
    Logistic(),
    StudentT(2.5, 0.1),
    StudentT(1.5),
    GeneralizedGaussian(0.7),
    Uniform(-0.8, 1.1),
    Arcsine(-1.0, 1.3),
    LogUniform(0.01, 2.0),
    Truncated(Gaussian(), -0.71, 1.37),
    Clipped(Laplace(), -0.5, 2.0),
    Mixture((Gaussian(), Gaussian(0.5, 1e-3)), (0.5, 0.5)),
]
FIGURES = ("rounding", "clipping_low", "clipping_high", "mean_error", "cross_moment")


def by(kind: type[LongLevels] | type[Levels], name: str, density: Density, mode: str) -> Errors:
    form = as_scalar_format(name)
    grid = form.grid(form.scale_for(4.3))
    balls = Balls()
    with balls.at(256):
        return errors_of(kind.of(grid, as_rule(mode)), parts_of(density, balls), balls)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("density", LAWS, ids=repr)
def test_runs_meet_single_levels(density: Density, mode: str) -> None:
    """Of formats of 10 bits, whose levels are few enough to be visited."""
    for name in ("int10", "5M4E"):
        runs, single = (by(kind, name, density, mode) for kind in (LongLevels, Levels))
        for figure in FIGURES:
            one, other = getattr(runs, figure), getattr(single, figure)
            assert (one is None) == (other is None)
            if one is not None:
                assert one.overlaps(other), figure
                assert float(one.rad()) < 1e-16 * float(single.rounding.mid()), figure


@pytest.mark.parametrize("density", [Gaussian(0.25), StudentT(3.0)], ids=repr)
def test_runs_meet_independent_balls(density: Density) -> None:
    form = as_scalar_format("fixed12.9")
    found, exact = enclosure(form, density), exact_report(form.grid(), density)
    down = enclosure(form, density, rounding="down")
    directed = mode_report(form.grid(), density, 1.0, "down")
    for figure in FIGURES:
        for interval, value in (
            (getattr(found, figure), getattr(exact, figure)),
            (getattr(down, figure), getattr(directed, figure)),
        ):
            slack = abs(value.mid()) * ball(1e-30) + ball(2) ** -1000
            assert ball(interval.low) - slack <= value.mid() <= ball(interval.high) + slack


def test_a_wrong_term_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    from qerror.rigorous import _runs

    right = _runs._term
    monkeypatch.setattr(
        _runs, "_term", lambda n, j, share: right(n, j, share) * (2 if (n, j) == (1, 0) else 1)
    )
    runs, single = (by(kind, "int10", Gaussian(0.25), "down") for kind in (LongLevels, Levels))
    assert runs.mean_error is not None
    assert not runs.mean_error.overlaps(single.mean_error)


WIDE = ["int24", "int32", "fp32", "fp16"]


@pytest.mark.thinned(4)
@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("density", [family.example for family in DENSITIES.values()], ids=repr)
def test_the_default_in_wide_formats(name: str, density: Density) -> None:
    form = as_scalar_format(name)
    scale = form.scale_for(4.3) if name.startswith("int") else 1.0
    proved, quick = enclosure(form, density, scale), quantization_error(form, density, scale)
    for figure in ("rounding", "mse", "signal_power"):
        interval, value = getattr(proved, figure), getattr(quick, figure)
        assert value == pytest.approx(interval.middle, rel=1e-13, abs=1e-290), figure
    if math.isfinite(proved.mse.low) and proved.mse.low > 0:
        assert proved.mse.high / proved.mse.low - 1 < 1e-15


SHAPES = [
    Shape("gaussian"), Shape("laplace"), Shape("logistic"), Shape("student-t", 2.5),
    Shape("generalized-gaussian", 0.7), Shape("flat"), Shape("arcsine"), Shape("reciprocal"),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_derivatives_and_bounds(shape: Shape) -> None:
    """Against antiderivatives' differences, and on points of the box."""
    c = Balls()
    step = ball(2) ** -40
    with c.at(400):
        for z in (0.25, 0.5) if shape.name == "reciprocal" else (-0.5, 0.25, 0.5):
            at = ball(z)
            p = derivatives(c, shape, at, 3)
            values = [shape.antiderivative(c, at + k * step, 0) for k in (-1, 0, 1)]
            close = ball(2) ** -60
            assert abs((values[2] - values[0]) / (2 * step) - p[0]) < close
            assert abs((values[2] - 2 * values[1] + values[0]) / step**2 - p[1]) < close
        most = bound(c, shape, ball(0.5), ball(0.75), ball(0.125))
        assert most is not None
        for z in (0.375, 0.5, 0.875):
            assert derivatives(c, shape, ball(z), 1)[0] <= most


def test_no_bound_across_a_singularity() -> None:
    c = Balls()
    for shape, low, high in (
        (Shape("arcsine"), 0.75, 0.875),
        (Shape("generalized-gaussian", 0.7), 0.1, 0.2),
        (Shape("student-t", 0.01), 0.1, 0.2),
        (Shape("logistic"), 0.0, 1.0),
    ):
        margin = ball(4.0) if shape.name == "logistic" else ball(0.25)
        assert bound(c, shape, ball(low), ball(high), margin) is None


def test_what_is_visited_one_by_one_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from qerror.rigorous import _runs

    monkeypatch.setattr(_runs, "_MOST", 10)
    with pytest.raises(TooLarge, match="too coarse"):
        enclosure("int20", Gaussian(0.0, 1e-3), 1e-3)
    with pytest.raises(TooLarge, match="every level"):
        enclosure("int32", Gaussian(), 1e-9, rounding="to-odd")
    with pytest.raises(TooLarge, match="every level"):
        high_precision("int32", Gaussian(), 1e-9)


def test_the_precision_of_others_is_left_as_it_was() -> None:
    before: tuple[int, int] = flint.ctx.prec, flint.ctx.cap
    enclosure("int32", Gaussian(), 1e-9)
    assert (flint.ctx.prec, flint.ctx.cap) == before
