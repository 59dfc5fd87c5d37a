"""Formats that reach as far as float64, and long runs of wide cells, on heavy and light tails.

Values by mpmath: closed partial moments of t(3) at 250 digits, cells summed between 2^-200 and
2^200, and quadrature cell by cell at 60 digits.
"""

import math
import tracemalloc

import pytest

from qerror.analysis import quantization_error
from qerror.densities import GeneralizedGaussian, Laplace, StudentT
from qerror.exceptions import InvalidValue


@pytest.mark.parametrize(
    ("name", "rounding", "cross"),
    [
        ("1M11E", 0.032170146881451259458, -0.032171434025118207208),
        ("2M11E", 0.0083414852530834647217, -0.0083417102602241511972),
    ],
)
def test_every_cell_of_float64s_exponents_on_t3(name: str, rounding: float, cross: float) -> None:
    report = quantization_error(name, StudentT(3.0))
    assert report.rounding == pytest.approx(rounding, rel=1e-13)
    assert report.cross_moment == pytest.approx(cross, rel=1e-13)


def test_double_precision_on_t3() -> None:
    report = quantization_error("52M11E", StudentT(3.0))
    assert report.rounding == pytest.approx(6.6684835374434972e-33, rel=1e-13)
    assert quantization_error("fp64", StudentT(3.0)).rounding == pytest.approx(report.rounding)
    # Beyond a = 2^1024 - 2^971: int_a^oo (x - a)^2 p = 6 sqrt(3) / (pi a) (1 - 1 + 1/3), twice.
    largest = (2 - 2.0**-52) * 2.0**1023
    clipped = 2 * (6 * math.sqrt(3) / math.pi / 3) / largest
    assert report.clipping == pytest.approx(clipped, rel=1e-12, abs=0)


def test_where_the_tail_does_not_end_before_float64_it_is_refused() -> None:
    with pytest.raises(InvalidValue, match="float64 cannot hold"):
        quantization_error("2M11E", StudentT(2.0))


@pytest.mark.parametrize("name", ["int24", "int32", "int53"])
@pytest.mark.parametrize("nu", [1e3, 1e4, 1e5])
def test_unit_steps_on_nearly_gaussian_tails(name: str, nu: float) -> None:
    """Cells beyond the density are not visited: no more memory than for 8 bits."""
    tracemalloc.start()
    found = quantization_error(name, StudentT(nu)).mse
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
    assert found == pytest.approx(quantization_error("int9", StudentT(nu)).mse, rel=1e-13)
    if nu == 1e4:
        assert found == pytest.approx(0.08333333305265906236747947, rel=1e-13)


@pytest.mark.parametrize("density", [GeneralizedGaussian(0.1), Laplace(), GeneralizedGaussian(8.0)])
def test_unit_steps_of_53_bits(density: GeneralizedGaussian | Laplace) -> None:
    wide, narrow = (quantization_error(name, density) for name in ("int53", "int40"))
    assert wide.rounding >= narrow.rounding * (1 - 1e-13)
    assert wide.mse <= narrow.mse
