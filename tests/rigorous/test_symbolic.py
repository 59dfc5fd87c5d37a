"""The derived formulas against rigorous sums over cells and the float64 path."""

from itertools import pairwise
from typing import Any

import mpmath
import pytest

from qerror.densities import Density, Gaussian, StudentT, Uniform
from qerror.exceptions import InvalidValue, UnknownName
from qerror.formats import as_scalar_format
from qerror.rigorous.symbolic import closed_form
from tests.oracles.exact import Shape, ball, cell, exact_report

CASES: dict[str, tuple[Density, dict[str, float]]] = {
    "gaussian": (Gaussian(0.25, 1.5), {"mean": 0.25, "std": 1.5}),
    "uniform": (Uniform(-3.0, 5.0), {"low": -3.0, "high": 5.0}),
    "student-t": (StudentT(3.5, 0.25, 1.5), {"nu": 3.5, "loc": 0.25, "scale": 1.5}),
}


def functions(name: str) -> dict[str, Any]:
    """Return I and J as the printed text defines them."""
    scope: dict[str, Any] = {}
    exec(closed_form(name).python(), scope)
    return scope


@pytest.mark.parametrize("name", CASES)
def test_cells_sum_up_to_the_rigorous_figures(name: str) -> None:
    density, parameters = CASES[name]
    grid = as_scalar_format("E2M1").grid(0.5)
    scope = functions(name)
    with mpmath.workdps(60):
        points = [mpmath.mpf(x) for x in grid.points.tolist()]
        edges = [points[0], *((a + b) / 2 for a, b in pairwise(points)), points[-1]]
        given = {key: mpmath.mpf(value) for key, value in parameters.items()}
        cells = list(zip(pairwise(edges), points, strict=True))
        square = sum(scope["I"](a, b, q, **given) for (a, b), q in cells)
        exact = exact_report(grid, density)
        text = str(mpmath.nstr(square, 40))
    gap = abs(ball_of(text) - exact.rounding).mid()
    assert gap < abs(exact.rounding).mid() * ball(1e-30)


def ball_of(text: str) -> Any:
    import flint

    return flint.arb(text).mid()


def test_laplace_on_one_side_and_the_cross_moment() -> None:
    scope = functions("laplace")
    with mpmath.workdps(50):
        a, b, q = (mpmath.mpf(x) for x in (0.5, 1.25, 0.75))
        square = scope["I"](a, b, q, mpmath.mpf(0), mpmath.mpf(1))
        cross = scope["J"](a, b, q, mpmath.mpf(0), mpmath.mpf(1))
        _, first, second = cell(Shape("laplace"), 0.75, -0.25, 0.5)
        for ours, theirs in ((square, second), (cross, -(ball(0.75) * first + second))):
            gap = abs(ball_of(str(mpmath.nstr(ours, 45))) - theirs).mid()
            assert gap < abs(theirs).mid() * ball(1e-30)


def test_a_density_stands_for_its_family() -> None:
    assert closed_form(Gaussian(3.0)) is closed_form("gaussian")
    assert list(closed_form("student_t").symbols) == ["a", "b", "q", "nu", "loc", "scale"]


def test_refusals() -> None:
    with pytest.raises(UnknownName, match="gaussian, uniform"):
        closed_form("logistic")
    with pytest.raises(InvalidValue, match="family"):
        closed_form(3)
