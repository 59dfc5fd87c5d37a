"""The oracle itself, against quadrature: rigorous (Arb) and of mpmath."""

import math
from itertools import pairwise
from typing import Any

import flint
import mpmath
import pytest

from qerror.densities import Clipped, Gaussian, Laplace, StudentT, Truncated
from qerror.formats import as_scalar_format
from tests.oracles.exact import INF, Shape, ball, cell, density_at, exact_report, off

SHAPES = [
    Shape("gaussian"),
    Shape("laplace"),
    Shape("logistic"),
    *(Shape("generalized-gaussian", beta) for beta in (0.3, 0.7, 1.5, 5.0)),
    *(Shape("student-t", nu) for nu in (0.5, 1.0, 2.0, 2.5, 3.0, 30.0, 1000.0)),
]
CELLS = [(0.25, -0.05, 0.075), (1.5, -0.5, 0.5), (-2.0, -0.25, 0.125), (6.0, 0.5, 1.5)]


def by_quadrature(shape: Shape, q: float, left: float, right: float, k: int) -> Any:
    """Return int (x - q)^k p by Arb's own integration, x > 0 or x < 0."""

    def integrand(t: Any, analytic: bool) -> Any:
        x = ball(q) + t if q > 0 else -(ball(q) + t)
        return t**k * complex_density(shape, x, analytic)

    # In two parts, each of one sign: the tolerance is relative.
    cuts = [left, *([0.0] if left < 0 < right else []), right]
    small = flint.arb(2) ** -120
    parts = (
        flint.acb.integral(integrand, a, b, abs_tol=0, rel_tol=small) for a, b in pairwise(cuts)
    )
    return sum((part.real for part in parts), ball(0))


def complex_density(shape: Shape, x: Any, analytic: bool) -> Any:
    """Return p at complex x with a positive real part."""
    match shape.name:
        case "gaussian":
            return (-x * x / 2).exp() / (2 * flint.arb.pi()).sqrt()
        case "laplace":
            return (-x).exp() / 2
        case "logistic":
            return 1 / (2 * (x / 2).cosh()) ** 2
        case "generalized-gaussian":
            beta = ball(shape.parameter)
            power = (beta * x.log(analytic=analytic)).exp()
            return beta / (2 * (1 / beta).gamma()) * (-power).exp()
        case _:
            nu = ball(shape.parameter)
            peak = ((nu + 1) / 2).gamma() / ((nu / 2).gamma() * (nu * flint.arb.pi()).sqrt())
            base = (1 + x * x / nu).log(analytic=analytic)
            return peak * (-(nu + 1) / 2 * base).exp()


@pytest.mark.thinned(5)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("where", CELLS, ids=str)
def test_cells_against_rigorous_quadrature(shape: Shape, where: tuple[float, float, float]) -> None:
    closed = cell(shape, *where)
    for k, moment in enumerate(closed):
        gap = abs(moment - by_quadrature(shape, *where, k)).mid()
        assert gap <= abs(closed[2]).mid() * 1e-25


@pytest.mark.thinned(5)
@pytest.mark.parametrize("shape", [s for s in SHAPES if s.parameter not in {5, 1000}], ids=str)
def test_infinite_cells_against_mpmath(shape: Shape) -> None:
    closed = cell(shape, 1.0, 0.5, INF)
    with mpmath.workdps(30):
        for k, moment in enumerate(closed):
            if not moment.is_finite():
                continue
            # x = 3/2 + e^s: power laws and light tails alike need few nodes.
            value: Any = mpmath.quad(
                lambda s, k=k: (
                    (mpmath.exp(s) + mpmath.mpf(1) / 2) ** k
                    * to_mpmath(density_at(shape, ball(1.5) + from_mpmath(mpmath.exp(s))))
                    * mpmath.exp(s)
                ),
                [*range(-60, -4, 8), *range(-4, 8), *range(8, 400, 8)],
            )
            assert off(float(value), moment) < 1e-14


def to_mpmath(x: Any) -> Any:
    return mpmath.mpf(x.mid().str(40, radius=False))


def from_mpmath(x: Any) -> Any:
    return ball(flint.arb(mpmath.nstr(x, 40)))


def test_a_grid_by_hand() -> None:
    # One bit: sign(X) on a Laplace density. E[(1 - |X|)^2] = 1 - 2 + 2.
    exact = exact_report(as_scalar_format("codebook:-1,1").grid(), Laplace())
    assert off(1.0, exact.mse) < 1e-30
    assert off(2.0, exact.signal_power) < 1e-30
    # Clipping: int_1^inf (x - 1)^2 e^-x / 2 dx = e^-1.
    assert off(math.exp(-1), exact.clipping_high) < 1e-16
    # E[X (Q - X)] = E|X| - E X^2 = 1 - 2.
    assert off(-1.0, exact.cross_moment) < 1e-30


def test_wrappers_by_hand() -> None:
    grid = as_scalar_format("codebook:0").grid()
    half = exact_report(grid, Truncated(Gaussian(), 0.0, INF))
    assert off(math.sqrt(2 / math.pi), half.signal_mean) < 1e-16
    assert off(1.0, half.mse) < 1e-30
    clipped = exact_report(grid, Clipped(Gaussian(), 0.0, INF))
    assert off(0.5, clipped.mse) < 1e-30
    cauchy = exact_report(grid, Truncated(StudentT(1.0), -1.0, 1.0))
    # int_-1^1 x^2 / (1 + x^2) dx / int_-1^1 1 / (1 + x^2) dx
    assert off(4 / math.pi - 1, cauchy.mse) < 1e-15
