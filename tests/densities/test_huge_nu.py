"""Student's t on its way to the Gaussian."""

import math
from typing import Any, TypeAlias

import mpmath
import numpy as np
import pytest

from qerror import Gaussian, StudentT, quantization_error
from qerror.exceptions import InvalidValue

Number: TypeAlias = Any  # mpmath's, which has no types

NUS = [1e3, 1e5, 1e8, 1e12, 1e16, 1e20, 9e23, 1e24, 1e28, 1e100, 1e300]


def exact_log_pdf(nu: Number, x: Number) -> Number:
    peak = mpmath.log(2 * mpmath.pi) / -2
    if nu < 1e40:  # beyond, the ratio of gamma functions is 1 to 40 digits
        peak = mpmath.loggamma((nu + 1) / 2) - mpmath.loggamma(nu / 2)
        peak -= mpmath.log(nu * mpmath.pi) / 2
    return peak - (nu + 1) / 2 * mpmath.log1p(x * x / nu)


def exact_mse(nu: Number, step: float, top: int) -> Number:
    """Return the MSE of the levels -top..top times step."""
    total = mpmath.mpf(0)
    step = mpmath.mpf(step)
    for k in range(top + 1):
        low = (k - mpmath.mpf("0.5")) * step if k else mpmath.mpf(0)
        far = [low + a for a in (0, 1, 2, 4, 8, 16, 40)]
        edges = [low, (k + mpmath.mpf("0.5")) * step] if k < top else far
        total += mpmath.quad(
            lambda x, q=k * step: (x - q) ** 2 * mpmath.exp(exact_log_pdf(nu, x)), edges
        )
    return 2 * total


@pytest.mark.thinned(5)
@pytest.mark.parametrize("nu", NUS)
def test_errors(nu: float) -> None:
    with mpmath.workdps(60):
        exact = float(exact_mse(mpmath.mpf(nu), 0.37, 7))
    assert quantization_error("INT4", StudentT(nu), 0.37).mse == pytest.approx(
        exact, rel=4e-15, abs=0
    )


@pytest.mark.parametrize("nu", NUS)
def test_densities(nu: float) -> None:
    x = np.array([0.0, 0.3, 1.0, 4.0, 9.0, 20.0, 37.0])
    with mpmath.workdps(60):
        exact = [float(mpmath.exp(exact_log_pdf(mpmath.mpf(nu), mpmath.mpf(v)))) for v in x]
    assert StudentT(nu).pdf(x) == pytest.approx(exact, rel=3e-13, abs=0)
    assert StudentT(nu).pdf(x[:4]) == pytest.approx(exact[:4], rel=4e-15, abs=0)


@pytest.mark.parametrize("nu", [1e20, 1e28, 1e300])
@pytest.mark.parametrize("name", ["INT8", "E4M3", "INT16", "FP16", "INT32", "FP32"])
def test_the_limit(name: str, nu: float) -> None:
    scale = 4.0 / 2**7 if name == "INT8" else 1e-3
    theirs = quantization_error(name, Gaussian(), scale)
    ours = quantization_error(name, StudentT(nu), scale)
    assert ours.mse == pytest.approx(theirs.mse, rel=1e-14, abs=0)
    assert ours.cross_moment == pytest.approx(theirs.cross_moment, rel=1e-13, abs=1e-14)


def test_an_infinite_nu_is_a_gaussian() -> None:
    with pytest.raises(InvalidValue, match="use gaussian"):
        StudentT(math.inf)
