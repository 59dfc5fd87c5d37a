"""What blocks cannot be computed of is refused in words, and what lies next to it is right."""

import math

import numpy as np
import pytest
from scipy import special

from qerror import Density, Gaussian, StudentT, Truncated, Uniform, parse_density, quantize
from qerror import quantization_error as error
from qerror.exceptions import InvalidValue

FORMS = ("int8:channel=64", "mxfp4", "nvfp4", "int4:g32:affine", "nf4:g64", "nvfp4:of=4096")
each_form = pytest.mark.parametrize("form", [*FORMS, "nvfp4:4over6", "int4:g32:affine=integer"])


@each_form
@pytest.mark.parametrize(
    ("density", "words"),
    [
        ("gaussian(std=1e200)", "float64 cannot hold the squares"),
        ("laplace(scale=1e-200)", "float64 cannot hold the squares"),
        ("uniform(low=1e160, high=2e160)", "float64 cannot hold the squares"),
        ("truncated(gaussian, low=1e-160, high=2e-160)", "float64 cannot hold the squares"),
        ("discrete([1e155, 1], [0.5, 0.5])", "float64 cannot hold the squares"),
        ("gaussian(mean=1e200)", "subtract a mean"),
        ("gaussian(mean=1e9, std=1e-9)", "a density of width 1e-09 at 1e\\+09"),
        ("student-t(nu=0.3)", "must fall as x\\^-0.5 at least"),
    ],
)
def test_densities_out_of_reach(form: str, density: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        error(form, density)


@pytest.mark.parametrize("form", ["int8:channel=64", "int4:g32:affine", "nf4:g64", "nvfp4:of=4096"])
@pytest.mark.parametrize("exponent", [-320, 320])
def test_far_units_change_nothing(form: str, exponent: int) -> None:
    """Scales that follow the data follow their unit, too."""
    unit = 2.0**exponent
    near, far = error(form, Gaussian(0.25)), error(form, Gaussian(0.25 * unit, unit))
    assert far.mse / unit / unit == pytest.approx(near.mse, rel=1e-13, abs=0)


@pytest.mark.parametrize("place", [1e3, 1e5, 1e7, 1e9])
def test_digits_far_from_zero(place: float) -> None:
    """All values of a block go to its largest one, which lies within half a step of them.

    Of n uniform values in [0, 1] that is (n - 1) / (3 (n + 2)). What float64 tells apart at a
    place decides on the digits, as is said where narrower densities are refused.
    """
    n = 64
    found = error("int8:g64", Uniform(place, place + 1)).mse
    assert found == pytest.approx((n - 1) / (3 * (n + 2)), rel=2e-16 * place + 1e-13, abs=0)


def test_blocks_that_all_choose_alike() -> None:
    """30 standard deviations out no value's error depends on the choice by more than rounding."""
    found = error("nvfp4:4over6", Truncated(Gaussian(), low=30.0, high=math.inf)).mse
    u = np.random.default_rng(5).random((20_000, 16))
    x = -special.ndtri_exp(special.log_ndtr(-30.0) + np.log(u))
    each = ((quantize(x, "nvfp4:4over6", axis=-1) - x) ** 2).mean(axis=1)
    assert abs(each.mean() - found) < 5 * each.std() / math.sqrt(each.size)
    assert each.std() / math.sqrt(each.size) < 0.01 * found


@pytest.mark.parametrize("density", [StudentT(0.5), parse_density("student-t(nu=1)")], ids=repr)
def test_heavy_tails_have_figures(density: Density) -> None:
    found = error("nf4:g64", density)
    assert math.isinf(found.signal_power)
    assert not math.isnan(found.mse)
