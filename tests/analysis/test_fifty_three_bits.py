"""Formats as fine as float64: on uniform densities in exact rationals, else as parts of a whole."""

import math
from fractions import Fraction

import pytest

from qerror import GeneralizedGaussian, Truncated, Uniform, quantization_error
from qerror.formats import as_scalar_format

BINADES = 160  # below the largest: the rest is nothing
LEAST = {"fp64": (52, -1022), "52M3E": (52, -3), "51M3E": (51, -3), "int53": (52, 52)}
"""Bits behind the first, and the exponent below which steps grow no finer, in levels' units."""


def cut(low: Fraction, step: Fraction, start: Fraction, stop: Fraction) -> list[Fraction]:
    """Return int e^2, int e and int x e over a part of one step, in units of the scale."""
    middle, sums = low + step / 2, [Fraction(0)] * 3
    for a, b, q in ((start, min(stop, middle), low), (max(start, middle), stop, low + step)):
        if b > a:
            sums[0] += ((q - a) ** 3 - (q - b) ** 3) / 3
            sums[1] += q * (b - a) - (b * b - a * a) / 2
            sums[2] += q * (b * b - a * a) / 2 - (b**3 - a**3) / 3
    return sums


def above_zero(name: str, start: Fraction, stop: Fraction) -> list[Fraction]:
    """Return the sums from one number to another, both at least 0."""
    total = [Fraction(0)] * 3
    bits, least = LEAST[name]
    top = max(math.frexp(float(stop))[1], least) if stop else least
    for exponent in range(max(top - BINADES, least), top + 1):
        step = Fraction(2) ** (exponent - bits)
        bottom = Fraction(2) ** exponent if exponent > least else Fraction(0)
        a, b = max(start, bottom), min(stop, Fraction(2) ** (exponent + 1))
        if b <= a:
            continue
        first, last = math.floor(a / step), math.ceil(b / step)
        edges = {first: (a, min(b, (first + 1) * step)), last - 1: (max(a, (last - 1) * step), b)}
        for k, (u, v) in edges.items():
            total = [x + y for x, y in zip(total, cut(k * step, step, u, v), strict=True)]
        whole = max(last - first - len(edges), 0) * step**3
        total = [total[0] + whole / 12, total[1], total[2] + whole / 24]
    return total


def exact(name: str, low: float, high: float, scale: float) -> tuple[float, float, float]:
    """Return the MSE, the mean error and the cross moment of U(low, high)."""
    s, a, b = Fraction(scale), Fraction(low), Fraction(high)
    total = above_zero(name, max(a, Fraction(0)) / s, b / s)
    if a < 0:
        below = above_zero(name, Fraction(0), -a / s)
        total = [total[0] + below[0], total[1] - below[1], total[2] + below[2]]
    square, mean, cross = (x / (b - a) for x in total)
    return float(square * s**3), float(mean * s**2), float(cross * s**3)


h = float.fromhex


@pytest.mark.parametrize(
    ("name", "low", "high", "scale"),
    [
        *(
            ("fp64", low, high, as_scalar_format("fp64").scale_for(top))
            for low, high, top in (
                (-0.2, 0.3, 0.8),
                (-0.2, 0.3141, 0.8),
                (-0.2, 0.3141, 3.3),
                (-1.0, 0.3141, 3.3),
                (-0.7, 0.3, 1.5),
                (0.1, 0.9, 1.5),
                (0.1, 0.9, 50.0),
            )
        ),
        # Quotients two off, and more steps about 0 than float64 counts.
        (
            "52M3E",
            h("-0x1.be9ab9a455a26p-6"),
            h("0x1.88962c77371f1p-11"),
            h("0x1.e7a0103db62bdp-2"),
        ),
        ("52M3E", -0.7, 0.3141, 0.37),
        ("52M3E", 0.01, 0.02, 0.37),
        ("51M3E", -0.7, 0.3141, 0.37),
        ("int53", -0.7, 0.3141, 1.7e-16),
    ],
)
def test_cut_uniform_densities(name: str, low: float, high: float, scale: float) -> None:
    mse, mean, cross = exact(name, low, high, scale)
    for density in (Uniform(low, high), Truncated(Uniform(-1.0, 1.0), low, high)):
        report = quantization_error(name, density, scale)
        assert abs(report.mse - mse) <= 1e-13 * mse
        assert abs(report.mean_error - mean) <= 1e-13 * math.sqrt(mse)
        assert abs(report.cross_moment - cross) <= 1e-13 * max(abs(cross), mse)


@pytest.mark.parametrize("name", ["fp64", "52M3E", "52M8E"])
@pytest.mark.parametrize("location", [-0.8, 1.0, -3.0])
@pytest.mark.parametrize("beta", [1.5, 2.0, 1.0])
def test_parts_of_a_density_off_zero(name: str, location: float, beta: float) -> None:
    form, density = as_scalar_format(name), GeneralizedGaussian(beta, location, 1.0)
    scale = form.scale_for(7.0)
    for at in (0.26402111666947775, -0.6130128413, 0.031):
        whole = Truncated(density, -4.0, 4.0)
        parts = [Truncated(density, -4.0, at), Truncated(density, at, 4.0)]
        shares = [float(whole.cdf(at)), 1 - float(whole.cdf(at))]
        found, *given = (quantization_error(form, each, scale) for each in (whole, *parts))
        for figure in ("mse", "cross_moment"):
            total = sum(p * getattr(each, figure) for p, each in zip(shares, given, strict=True))
            tolerance = 1e-13 * max(abs(found.cross_moment), found.mse)
            assert abs(getattr(found, figure) - total) <= tolerance, (at, figure)
