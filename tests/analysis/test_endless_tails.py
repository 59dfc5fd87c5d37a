"""Formats that reach as far as float64, and long runs of wide cells, on heavy and light tails.

Values by mpmath: closed partial moments of t(3) at 250 digits, cells summed between 2^-200 and
2^200, and quadrature cell by cell at 60 digits.
"""

import itertools
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import mpmath
import pytest

from qerror.analysis import quantization_error
from qerror.densities import GeneralizedGaussian, Laplace, StudentT
from qerror.exceptions import InvalidValue
from qerror.formats import FloatingPoint


@pytest.mark.parametrize(
    ("name", "rounding", "cross"),
    [
        ("1M11E", 0.032170146881451259458, -0.032171434025118207208),
        ("2M11E", 0.0083414852530834647217, -0.0083417102602241511972),
    ],
)
def test_every_cell_of_float64s_exponents_on_t3(name: str, rounding: float, cross: float) -> None:
    report = quantization_error(name, StudentT(3.0))
    assert report.rounding == pytest.approx(rounding, rel=1e-13, abs=0)
    assert report.cross_moment == pytest.approx(cross, rel=1e-13, abs=0)


def test_double_precision_on_t3() -> None:
    report = quantization_error("52M11E", StudentT(3.0))
    assert report.rounding == pytest.approx(6.6684835374434972e-33, rel=1e-13, abs=0)
    assert quantization_error("fp64", StudentT(3.0)).rounding == pytest.approx(
        report.rounding, rel=1e-12, abs=0
    )
    # Beyond a = 2^1024 - 2^971: int_a^oo (x - a)^2 p = 6 sqrt(3) / (pi a) (1 - 1 + 1/3), twice.
    largest = (2 - 2.0**-52) * 2.0**1023
    clipped = 2 * (6 * math.sqrt(3) / math.pi / 3) / largest
    assert report.clipping == pytest.approx(clipped, rel=1e-12, abs=0)


def _moments_of_t2(x: Any) -> tuple[Any, ...]:
    """Return antiderivatives of (1, x, x^2) (2 + x^2)^(-3/2)."""
    root = mpmath.sqrt(x * x + 2)
    return x / (2 * root), -1 / root, mpmath.asinh(x / mpmath.sqrt(2)) - x / root


def _moments_of_t1(x: Any) -> tuple[Any, ...]:
    """Return antiderivatives of (1, x, x^2) / (pi (1 + x^2))."""
    angle = mpmath.atan(x)
    return angle / mpmath.pi, mpmath.log1p(x * x) / (2 * mpmath.pi), (x - angle) / mpmath.pi


@pytest.mark.slow
@pytest.mark.thinned(2)
@pytest.mark.parametrize(("nu", "moments"), [(2.0, _moments_of_t2), (1.0, _moments_of_t1)])
def test_squares_beyond_float64_form_a_series(
    nu: float, moments: Callable[[Any], tuple[Any, ...]]
) -> None:
    """The cells of all octaves from 2^-100 on, in closed form at 700 digits."""
    rounding = mpmath.mpf(0)
    with mpmath.workdps(700):
        levels = [mpmath.mpf(x) for x in FloatingPoint(1, 11).grid().points if x >= 2.0**-100]
        for q, after in itertools.pairwise(levels):
            ends = [moments(x) for x in (q, (q + after) / 2, after)]
            for level, low, high in ((q, ends[0], ends[1]), (after, ends[1], ends[2])):
                m0, m1, m2 = (b - a for a, b in zip(low, high, strict=True))
                rounding += 2 * (m2 - 2 * level * m1 + level**2 * m0)
    report = quantization_error("1M11E", StudentT(nu))
    assert report.rounding == pytest.approx(float(rounding), rel=1e-13, abs=0)
    assert report.clipping == math.inf


@pytest.mark.parametrize("name", ["1M11E", "4M11E", "fp64"])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 0.7e-9])
def test_the_series_joins_what_is_integrated(name: str, scale: float) -> None:
    """On both sides of nu = 2.25, where one way takes the other's place."""
    at = [quantization_error(name, StudentT(nu), scale) for nu in (2.2499999, 2.25, 2.2500001)]
    for figure in ("rounding", "clipping", "cross_moment"):
        below, middle, above = (getattr(report, figure) for report in at)
        assert middle**2 == pytest.approx(below * above, rel=1e-10, abs=0)


def test_what_float64_does_not_hold_is_refused() -> None:
    for density in (StudentT(0.5), StudentT(2.0, 0.25)):
        with pytest.raises(InvalidValue, match="float64 cannot hold"):
            quantization_error("2M11E", density)
    for scale in (1e30, [1.0, 1e30]):  # levels are infinite there
        with pytest.raises(InvalidValue, match="float64 cannot hold"):
            quantization_error("1M11E", StudentT(2.25), scale)


@pytest.mark.parametrize("name", ["int24", "int32", "int53"])
@pytest.mark.parametrize("nu", [1e3, 1e4, 1e5])
def test_unit_steps_on_nearly_gaussian_tails(name: str, nu: float) -> None:
    """Cells beyond the density are not visited: no more memory than for 8 bits."""
    tracemalloc.start()
    found = quantization_error(name, StudentT(nu)).mse
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
    assert found == pytest.approx(quantization_error("int9", StudentT(nu)).mse, rel=1e-13, abs=0)
    if nu == 1e4:
        assert found == pytest.approx(0.08333333305265906236747947, rel=1e-13, abs=0)


@pytest.mark.parametrize("density", [GeneralizedGaussian(0.1), Laplace(), GeneralizedGaussian(8.0)])
def test_unit_steps_of_53_bits(density: GeneralizedGaussian | Laplace) -> None:
    wide, narrow = (quantization_error(name, density) for name in ("int53", "int40"))
    assert wide.rounding >= narrow.rounding * (1 - 1e-13)
    assert wide.mse <= narrow.mse
