"""Samples under every rounding mode judge the analysis of that mode."""

import numpy as np
import pytest

from qerror.crosscheck import cross_check, total_p
from qerror.densities import Arcsine, Clipped, Density, Gaussian, Laplace, StudentT, Uniform
from qerror.formats import as_scalar_format
from qerror.rounding import ROUNDINGS

MODES = [*ROUNDINGS, "stochastic:1", "stochastic:5"]
DENSITIES: list[Density] = [
    Gaussian(0.3),
    Laplace(-0.2, 0.7),
    StudentT(3.0),
    Uniform(-0.4, 1.6),
    Arcsine(),
    Clipped(Gaussian(), -1.0, 1.3),
]
FORMATS = ("int4", "int8", "E2M1", "4M3E", "UINT4:zp=3", "codebook:-1.1,-0.3,0.45,1.5")


@pytest.mark.thinned(3)
@pytest.mark.parametrize("rounding", MODES)
def test_every_mode_on_samples(rounding: str) -> None:
    rng = np.random.default_rng(20261125)
    checks = [
        cross_check(
            name,
            density,
            scale=as_scalar_format(name).scale_for(1.9),
            rounding=rounding,
            size=50_000,
            rng=rng,
        )
        for name in FORMATS
        for density in DENSITIES
    ]
    assert all(check.passed for check in checks), [check.z for check in checks]
    assert total_p(checks)[2] > 1e-4


@pytest.mark.parametrize(("analysed", "sampled"), [("up", "down"), ("stochastic", "stochastic:2")])
def test_another_mode_is_found_out(analysed: str, sampled: str) -> None:
    rng = np.random.default_rng(3)
    found = cross_check("int4", Gaussian(0.3), scale=0.3, rounding=sampled, size=50_000, rng=rng)
    other = cross_check("int4", Gaussian(0.3), scale=0.3, rounding=analysed, size=50_000, rng=rng)
    error = found.sampled.standard_error.mean_error
    assert abs(found.exact.mean_error - other.sampled.mean_error) > 10 * error
