"""Scalar products where nearly all of one side goes to 0, in 60 digits."""

from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from qerror.analysis import quantization_error, scalar_product_error
from qerror.densities import Density, Discrete, Gaussian, StudentT
from qerror.formats import as_scalar_format
from qerror.grids import Grid
from qerror.rounding import ROUNDINGS, as_rule
from tests.oracles.exact import exact_points
from tests.oracles.modes import stretches

mp: Any = mpmath.mp.clone()
mp.dps = 60
Moments = tuple[Any, Any, Any, Any, Any]
MODES = [*ROUNDINGS, "stochastic:2"]


def partial(a: Fraction | float, b: Fraction | float, mean: float, k: int) -> Any:
    """Return the integral of x^k times the density of N(mean, 1), k = 0, 1, 2, from its parts."""
    lower, upper = (
        mp.mpf(x.numerator) / x.denominator if isinstance(x, Fraction) else mp.mpf(x)
        for x in (a, b)
    )
    low, high = lower - mean, upper - mean
    root = mp.sqrt(2)
    # The smaller tail of the two sides keeps the digits.
    if low > 0:
        m0 = (mp.erfc(low / root) - mp.erfc(high / root)) / 2
    else:
        m0 = (mp.erfc(-high / root) - mp.erfc(-low / root)) / 2

    def bell(x: Any) -> Any:
        return mp.npdf(x) if mp.isfinite(x) else mp.mpf(0)

    def lever(x: Any) -> Any:
        return x * bell(x) if mp.isfinite(x) else mp.mpf(0)

    m1 = bell(low) - bell(high)
    m2 = m0 + lever(low) - lever(high)
    return (m0, mean * m0 + m1, mean**2 * m0 + 2 * mean * m1 + m2)[k]


def moments(grid: Grid, mean: float, mode: str) -> Moments:
    """Return E[x^2], E[Q^2], E[x Q], E[x], E[Q] of N(mean, 1) on a grid."""
    points, rule = exact_points(grid, 1.0), as_rule(mode)
    inf = float("inf")
    square = cross = value = mp.mpf(0)
    for q, a, b in ((points[0], -inf, points[0]), (points[-1], points[-1], inf)):
        level = mp.mpf(q.numerator) / q.denominator
        square += level**2 * partial(a, b, mean, 0)
        cross += level * partial(a, b, mean, 1)
        value += level * partial(a, b, mean, 0)
    for part in stretches(points, grid.even_first, rule.mode, rule.bits):
        low, high = (mp.mpf(x.numerator) / x.denominator for x in (part.low, part.high))
        m0, m1, m2 = (partial(part.start, part.stop, mean, k) for k in range(3))
        if part.share is None:  # E[Q | x] = x, E[Q^2 | x] = (low + high) x - low high
            square += (low + high) * m1 - low * high * m0
            cross, value = cross + m2, value + m1
            continue
        up = mp.mpf(part.share.numerator) / part.share.denominator
        level = (1 - up) * low + up * high
        square += ((1 - up) * low**2 + up * high**2) * m0
        cross, value = cross + level * m1, value + level * m0
    return mp.mpf(mean) ** 2 + 1, square, cross, mp.mpf(mean), value


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("mean", [0.0, 0.3])
def test_levels_have_the_moments_of_their_definition(mode: str, mean: float) -> None:
    for name, scale in (("int4", 9.0), ("int4", 40.0), ("E2M1", 25.0), ("UINT4:zp=3", 12.0)):
        grid = as_scalar_format(name).grid(scale)
        report = quantization_error(grid, Gaussian(mean), rounding=mode)
        signal, square, cross, _, value = moments(grid, mean, mode)
        found = report.level_moments()
        assert (found is not None) == bool(square < signal / 10)
        if found is not None:
            assert float(found.power) == pytest.approx(float(square), rel=2e-13, abs=0)
            assert float(found.cross) == pytest.approx(float(cross), rel=2e-13, abs=0)
            unit = float(mp.sqrt(square * partial(-np.inf, np.inf, 0.0, 0)))
            assert float(found.mean) == pytest.approx(float(value), rel=2e-13, abs=1e-14 * unit)


@pytest.mark.parametrize("spread", [4.0, 8.0, 12.0, 16.0, 20.0, 60.0])
@pytest.mark.parametrize("large", [1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("mean", [0.0, 0.2])
def test_large_errors_on_little_that_is_left(spread: float, large: float, mean: float) -> None:
    """The six terms lose all digits here: E[e_w^2] E[x^2] is 1e18 times what remains."""
    sides = Grid.from_points([-large, large]), Grid.from_points([-spread, 0.0, spread])
    reports = [quantization_error(grid, Gaussian(mean)) for grid in sides]
    w, x = (moments(grid, mean, "nearest-even") for grid in sides)
    one = w[1] * x[1] - 2 * w[2] * x[2] + w[0] * x[0]
    shift = w[4] * x[4] - w[3] * x[3]
    for first, second in (reports, reports[::-1]):
        assert scalar_product_error(first, second).mse == pytest.approx(
            float(one), rel=1e-13, abs=0
        )
        found = scalar_product_error(first, second, 50)
        assert found.mean_error == pytest.approx(float(50 * shift), rel=1e-12, abs=1e-13 * spread)
        whole = 50 * one + 50 * 49 * shift**2
        assert found.mse == pytest.approx(float(whole), rel=1e-12, abs=0)


def test_arrays_of_scales_and_point_masses() -> None:
    law = Discrete((-3.0, 0.4, 7.0), (0.25, 0.5, 0.25))
    scales = np.array([0.01, 1.0, 5.0, 1e9])
    loud = quantization_error(Grid.from_points([-1e7, 1e7]), Gaussian(), np.ones(4))
    # At 1e9 all of x goes to 0, and at 5 what 7 leaves is 5.
    quiet = scalar_product_error(loud, quantization_error("int4", law, scales))
    loud_one = quantization_error(Grid.from_points([-1e7, 1e7]), Gaussian())
    for scale, mse in zip(scales.tolist(), quiet.mse.tolist(), strict=True):
        one = scalar_product_error(loud_one, quantization_error("int4", law, scale))
        assert one.mse == pytest.approx(mse, rel=1e-13, abs=0)
    nothing = scalar_product_error(loud_one, quantization_error("int4", law, 1e9))
    assert nothing.mse == pytest.approx(loud_one.signal_power * law.second_moment, rel=1e-15, abs=0)


@pytest.mark.parametrize("density", [Gaussian(), StudentT(3.0)], ids=repr)
def test_six_terms_where_they_do_not_cancel(density: Density) -> None:
    w, x = (quantization_error(name, density, max_value=5.0) for name in ("int8", "4M3E"))
    found = scalar_product_error(w, x)
    six = (
        found.weight_error + found.activation_error + found.both_errors + found.cross_moments
    ) + (found.weight_error_cross + found.activation_error_cross)
    assert found.mse == pytest.approx(six, rel=1e-13, abs=0)
    assert w.level_moments() is None
