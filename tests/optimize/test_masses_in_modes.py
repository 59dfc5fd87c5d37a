"""Best scales with point masses, in modes other than to the nearest, at fifty digits.

The MSE is written down from the definition of each mode, by the partial moments of a Gaussian
(DLMF 7.2). A scale is right to so many digits if it does better than those so far beside it.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import mpmath
import pytest

from qerror.densities import Clipped, Density, Discrete, Gaussian, Mixture
from qerror.optimize import optimal_scale

Real = Any  # an mpmath number
OFF = 1e-12


class Law(NamedTuple):
    """A share of a Gaussian of spread 1 between two limits, and point masses."""

    density: Density
    share: float
    mean: float
    limits: tuple[float, float]
    masses: tuple[tuple[float, Real], ...]

    def moments(self, a: Real, b: Real) -> tuple[Real, Real, Real]:
        """Return int_a^b x^k p for k = 0, 1, 2."""
        low, high = map(mpmath.mpf, self.limits)
        m = mpmath.mpf(self.mean)
        a, b = max(a, low) - m, min(b, high) - m
        if a >= b:
            return (mpmath.mpf(0),) * 3
        zero = mpmath.ncdf(b) - mpmath.ncdf(a)
        p, q = (mpmath.npdf(end) if mpmath.isfinite(end) else mpmath.mpf(0) for end in (a, b))
        ends = (a * p if p else p) - (b * q if q else q)
        first, second = p - q, zero + ends
        share = mpmath.mpf(self.share)
        return (
            share * zero,
            share * (first + m * zero),
            share * (second + 2 * m * first + m * m * zero),
        )


def clipped(low: float, high: float) -> Law:
    with mpmath.workdps(50):
        masses = (low, mpmath.ncdf(low)), (high, mpmath.ncdf(-mpmath.mpf(high)))
    return Law(Clipped(Gaussian(), low, high), 1.0, 0.0, (low, high), masses)


def mixed(x: tuple[float, ...]) -> Law:
    each = 0.25 / len(x)
    density = Mixture((Gaussian(0.25), Discrete(x, (1 / len(x),) * len(x))), (0.75, 0.25))
    masses = tuple((place, mpmath.mpf(each)) for place in x)
    return Law(density, 0.75, 0.25, (-mpmath.inf, mpmath.inf), masses)


class Part(NamedTuple):
    """Where E[e^2 | x] = (x - a) (x - b), a share of it, in units of the scale."""

    start: Real
    stop: Real
    squares: tuple[tuple[Real, Real, Real], ...]
    """Factor, a, b."""


def parts(levels: list[float], rounding: str) -> Iterator[Part]:
    one, ends = mpmath.mpf(1), (levels[0], levels[-1])
    yield Part(-mpmath.inf, levels[0], ((one, ends[0], ends[0]),))
    yield Part(levels[-1], mpmath.inf, ((one, ends[1], ends[1]),))
    for i, (a, b) in enumerate(pairwise(map(mpmath.mpf, levels))):
        odd = a if (i - levels.index(0)) % 2 else b
        settled = {"down": a, "up": b, "toward-zero": min(a, b, key=abs), "to-odd": odd}
        if rounding in settled:
            yield Part(a, b, ((one, settled[rounding], settled[rounding]),))
        elif rounding == "stochastic":
            yield Part(a, b, ((-one, a, b),))
        else:
            inner, outer = (a, b) if a >= 0 else (b, a)
            for j in range(4):
                start, stop = sorted(inner + (outer - inner) * k / 4 for k in (j, j + 1))
                share = mpmath.mpf(j) / 4
                yield Part(start, stop, ((1 - share, inner, inner), (share, outer, outer)))


def mse(law: Law, levels: list[float], scale: float, rounding: str) -> Real:
    s, total = mpmath.mpf(scale), mpmath.mpf(0)
    listed = list(parts(levels, rounding))
    for start, stop, squares in listed:
        m0, m1, m2 = law.moments(start * s, stop * s)
        total += sum(f * (m2 - (a + b) * s * m1 + a * b * s * s * m0) for f, a, b in squares)
    for x, p in law.masses:
        quotient = x / scale  # in float64, as it is compared
        if quotient in levels:
            total += p * (x - mpmath.mpf(quotient) * s) ** 2
            continue
        squares = next(part.squares for part in listed if part.start < quotient < part.stop)
        total += p * sum(f * (x - a * s) * (x - b * s) for f, a, b in squares)
    return total


INT4 = [float(code) for code in range(-7, 8)]
LAWS = [clipped(-1.0, 1.5), mixed((-0.7, 0.3))]
MODES = ["down", "up", "toward-zero", "to-odd", "stochastic", "stochastic:2"]


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("law", LAWS, ids=["clipped", "mixed"])
def test_twelve_digits(law: Law, rounding: str) -> None:
    """Some of these minima are smooth, at others the MSE jumps or has a kink."""
    with mpmath.workdps(50):
        best = optimal_scale("int4", law.density, rounding=rounding)
        least = mse(law, INT4, best.scale, rounding)
        assert abs(best.report.mse - least) <= 1e-13 * least
        beside = [mse(law, INT4, best.scale * (1 + side * OFF), rounding) for side in (-1, 1)]
        assert least < min(beside)


def test_beyond_a_jump_the_mse_may_fall_on() -> None:
    """From the jump at 0.7 / 0.75 on it falls to a smooth minimum that no scanned scale is near."""
    density = Mixture((Gaussian(0.2), Discrete((0.3, -0.7), (0.5, 0.5))), (0.8, 0.2))
    best = optimal_scale("3M2E", density, rounding="down")
    assert best.scale == pytest.approx(0.9359882466903428, rel=1e-7)
