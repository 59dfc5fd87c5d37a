"""FP64 on uniform densities: each sum in exact rationals, whole steps and those that limits cut."""

import math
from fractions import Fraction

import pytest

from qerror import Truncated, Uniform, quantization_error
from qerror.formats import as_scalar_format

FP64 = as_scalar_format("fp64")
BINADES = 160  # below the largest: the rest is nothing


def cut(low: Fraction, step: Fraction, start: Fraction, stop: Fraction) -> list[Fraction]:
    """Return int e^2, int e and int x e over a part of one step, in units of the scale."""
    middle, sums = low + step / 2, [Fraction(0)] * 3
    for a, b, q in ((start, min(stop, middle), low), (max(start, middle), stop, low + step)):
        if b > a:
            sums[0] += ((q - a) ** 3 - (q - b) ** 3) / 3
            sums[1] += q * (b - a) - (b * b - a * a) / 2
            sums[2] += q * (b * b - a * a) / 2 - (b**3 - a**3) / 3
    return sums


def above_zero(start: Fraction, stop: Fraction) -> list[Fraction]:
    """Return the sums from one number to another, both at least 0."""
    total = [Fraction(0)] * 3
    top = math.frexp(float(stop))[1]
    for exponent in range(top - BINADES, top + 1):
        step = Fraction(2) ** (exponent - 52)
        a, b = max(start, 2**52 * step), min(stop, 2**53 * step)
        if b <= a:
            continue
        first, last = math.floor(a / step), math.ceil(b / step)
        edges = {first: (a, min(b, (first + 1) * step)), last - 1: (max(a, (last - 1) * step), b)}
        for k, (u, v) in edges.items():
            total = [x + y for x, y in zip(total, cut(k * step, step, u, v), strict=True)]
        whole = max(last - first - len(edges), 0) * step**3
        total = [total[0] + whole / 12, total[1], total[2] + whole / 24]
    return total


def exact(low: float, high: float, scale: float) -> tuple[float, float, float]:
    """Return the MSE, the mean error and the cross moment of U(low, high)."""
    s, a, b = Fraction(scale), Fraction(low), Fraction(high)
    total = above_zero(max(a, Fraction(0)) / s, b / s)
    if a < 0:
        below = above_zero(Fraction(0), -a / s)
        total = [total[0] + below[0], total[1] - below[1], total[2] + below[2]]
    square, mean, cross = (x / (b - a) for x in total)
    return float(square * s**3), float(mean * s**2), float(cross * s**3)


@pytest.mark.parametrize(
    ("low", "high", "top"),
    [
        (-0.2, 0.3, 0.8),
        (-0.2, 0.3141, 0.8),
        (-0.2, 0.3141, 3.3),
        (-1.0, 0.3141, 3.3),
        (-0.7, 0.3, 1.5),
        (0.1, 0.9, 1.5),
        (0.1, 0.9, 50.0),
    ],
)
def test_cut_uniform_densities(low: float, high: float, top: float) -> None:
    scale = FP64.scale_for(top)
    mse, mean, cross = exact(low, high, scale)
    for density in (Uniform(low, high), Truncated(Uniform(-1.0, 1.0), low, high)):
        report = quantization_error(FP64, density, scale)
        assert report.mse == pytest.approx(mse, rel=1e-13)
        assert abs(report.mean_error - mean) <= 1e-13 * math.sqrt(mse)
        assert report.cross_moment == pytest.approx(cross, rel=1e-13, abs=1e-13 * mse)
