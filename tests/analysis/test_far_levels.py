"""Steps far wider than the density: what a level farther off than 2^53 spreads must not lose."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import mpmath
import pytest

from qerror import Codebook, Gaussian, Integer, Truncated, Uniform, quantization_error
from qerror.densities import Density
from qerror.exceptions import InvalidValue
from qerror.grids import Grid

_DIGITS = 160  # differences of moments about 0, of levels up to 1e60
_Real = Any  # of mpmath, which has no types
_Moments = Callable[[_Real], Sequence[_Real]]

_GRIDS = {
    "int4": Integer(4).grid(),
    "int12": Integer(12).grid(),  # goes by runs
    "signs": Codebook((-1.0, 1.0)).grid(),
    "uneven": Codebook((-1.0, 0.3, 2.0)).grid(),
    "positive": Codebook((1.5, 2.0, 4.0)).grid(),
    "negative": Codebook((-3.0, -2.0, -0.5)).grid(),
}
_MODES = ("nearest-even", "up", "down", "toward-zero", "to-odd", "stochastic")


def _gaussian(mean: float, std: float) -> _Moments:
    m, s = mpmath.mpf(mean), mpmath.mpf(std)

    def antiderivatives(x: _Real) -> Sequence[_Real]:
        if mpmath.isinf(x):
            c, p, zp = mpmath.mpf(x > 0), mpmath.mpf(0), mpmath.mpf(0)
        else:
            z = (x - m) / s
            c, p = mpmath.ncdf(z), mpmath.npdf(z)
            zp = z * p
        return c, m * c - s * p, m * m * c - 2 * m * s * p + s * s * (c - zp)

    return antiderivatives


def _uniform(low: float, high: float) -> _Moments:
    width = mpmath.mpf(high) - mpmath.mpf(low)
    return lambda x: (x / width, x**2 / 2 / width, x**3 / 3 / width)


def _stretches(
    levels: Sequence[_Real], mode: str, even_first: bool
) -> list[tuple[_Real, _Real, _Real, _Real]]:
    """Return where each stretch begins and ends, the level it goes to and the one it may."""
    found = [
        (-mpmath.inf, levels[0], levels[0], None),
        (levels[-1], mpmath.inf, levels[-1], None),
    ]
    for i, (a, b) in enumerate(pairwise(levels)):
        way = mode
        if mode == "toward-zero":
            way = "down" if a >= 0 else "up" if b <= 0 else "nearest-even"
        if mode == "to-odd":
            way = "down" if (i % 2 == 1) == even_first else "up"
        middle = (a + b) / 2
        found += {
            "up": [(a, b, b, None)],
            "down": [(a, b, a, None)],
            "nearest-even": [(a, middle, a, None), (middle, b, b, None)],
            "stochastic": [(a, b, a, b)],
        }[way]
    return found


def _expected(
    grid: Grid, moments: _Moments, limits: tuple[float, float], scale: float, mode: str
) -> tuple[_Real, _Real, _Real]:
    """Return E[e^2], E[e] and E[x e] by the moments about 0 of every stretch."""
    levels = [mpmath.mpf(scale) * float(x) * mpmath.mpf(grid.factor) for x in grid.base_points]
    low, high = map(mpmath.mpf, limits)
    share = moments(high)[0] - moments(low)[0]
    square = mean = cross = mpmath.mpf(0)
    for start, stop, q, other in _stretches(levels, mode, grid.even_first):
        a, b = max(start, low), min(stop, high)
        if a >= b:
            continue
        m0, m1, m2 = (y - x for x, y in zip(moments(a), moments(b), strict=True))
        if other is None:
            square += q * q * m0 - 2 * q * m1 + m2
            mean += q * m0 - m1
            cross += q * m1 - m2
        else:
            square += (q + other) * m1 - q * other * m0 - m2
    return square / share, mean / share, cross / share


_CASES: dict[str, tuple[Density, _Moments, tuple[float, float]]] = {
    "off-0": (Gaussian(0.3, 0.1), _gaussian(0.3, 0.1), (-math.inf, math.inf)),
    "below-0": (Gaussian(-0.3, 0.1), _gaussian(-0.3, 0.1), (-math.inf, math.inf)),
    "centred": (Gaussian(), _gaussian(0.0, 1.0), (-math.inf, math.inf)),
    "cut": (Truncated(Gaussian(), -1.0, 0.31), _gaussian(0.0, 1.0), (-1.0, 0.31)),
    "cut-at-a-level": (
        Truncated(Gaussian(0.1, 0.3), 0.3, math.inf),
        _gaussian(0.1, 0.3),
        (0.3, math.inf),
    ),
    "cut-at-0": (
        Truncated(Gaussian(0.3, 0.1), 0.0, math.inf),
        _gaussian(0.3, 0.1),
        (0.0, math.inf),
    ),
    "uniform": (Uniform(-0.1, 0.9), _uniform(-0.1, 0.9), (-0.1, 0.9)),
    "uniform-below": (Uniform(-3.0, -1.0), _uniform(-3.0, -1.0), (-3.0, -1.0)),
}


@pytest.mark.thinned(4)
@pytest.mark.parametrize("mode", _MODES)
@pytest.mark.parametrize("grid", _GRIDS)
@pytest.mark.parametrize("case", _CASES)
def test_levels_far_from_the_density_keep_its_digits(case: str, grid: str, mode: str) -> None:
    """E[e^2], E[e] and E[x e] lose nothing however wide the steps are beside the density."""
    density, moments, limits = _CASES[case]
    x_size = math.sqrt(density.variance + density.mean**2)
    with mpmath.workdps(_DIGITS):
        for scale in (1e3, 1e8, 1.3e17, 1e60):
            found = quantization_error(_GRIDS[grid], density, scale, rounding=mode)
            # So far off, all levels but the first ones are alike.
            near = _GRIDS["int4" if grid == "int12" else grid]
            square, mean, cross = _expected(near, moments, limits, scale, mode)
            e_size = mpmath.sqrt(square)
            assert abs(found.mse - square) <= 2e-14 * square
            assert abs(found.mean_error - mean) <= 2e-14 * abs(mean) + 4e-16 * e_size
            assert abs(found.cross_moment - cross) <= 2e-14 * abs(cross) + 1e-15 * e_size * x_size


@pytest.mark.parametrize("scale", [1e120, [1.0, 1e120]])
def test_what_float64_cannot_square_is_refused(scale: float | list[float]) -> None:
    """A step of 1e180 spreads has no square in their unit: no infinite error of finite data."""
    with pytest.raises(InvalidValue, match="choose other units"):
        quantization_error("int4", Gaussian(0.3, 1e-60), scale, rounding="up")
