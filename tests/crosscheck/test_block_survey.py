"""Every rule of scales in blocks of other sizes than its own, on densities of every kind."""

import itertools
from collections.abc import Mapping

import numpy as np
import pytest

from qerror.crosscheck import total_p, verify
from qerror.densities import Density, Discrete
from qerror.densities.names import as_density

RULES = (
    "mxfp4",
    "mxfp4:ceil",
    "mxfp6_e3m2:rceil",
    "mxfp8_e4m3:even",
    "mxint8",
    "nvfp4:tensor=0.02",
    "nvfp4:scale=ue5m3:smallest=0.001953125",
    "nf4",
    "int4:alpha=0.9",
    "int4:full:divisor=8",
    "int4:scale=fp16",
    "int4:affine",
    "int4:affine=integer",
)
SIZES = (1, 2, 3, 7, 24, 100)
# Their values are levels themselves: samples hold what float64 rounds, and nothing else.
ALL_LEVELS = {("int4:affine=integer", 1), ("int4:affine", 2)}
DENSITIES: Mapping[str, Density] = {
    "gaussian": as_density("gaussian(mean=0.4, std=1.3)"),
    "laplace": as_density("laplace(scale=0.2)"),
    "student-t": as_density("student-t(nu=12)"),
    "uniform": as_density("uniform(low=-1, high=2)"),
    "rectified": as_density("rectified(gaussian())"),
    "truncated": as_density("truncated(logistic(), low=-2, high=1)"),
    "discrete": Discrete([-1.3, 0.0, 0.2, 1.1], [0.1, 0.6, 0.2, 0.1]),
}


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [case for case in itertools.product(RULES, SIZES) if case not in ALL_LEVELS],
)
def test_rules_in_blocks_of_every_size(name: str, size: int) -> None:
    rng = np.random.default_rng([size, *map(ord, name)])
    pairs = verify([f"{name}:n={size}"], list(DENSITIES.values()), size=100_000, rng=rng)
    for density, pair in zip(DENSITIES, pairs, strict=True):
        found = pair.check
        assert found.passed, (density, found.z, found.p_value, found.scales)
    assert total_p(pair.check for pair in pairs)[2] > 1e-6
