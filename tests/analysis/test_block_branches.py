"""Blocks at a real scale on densities that vary as a power of a distance: roots, cusps, poles."""

from typing import Any

import pytest
import scipy.stats

from qerror import (
    Arcsine,
    FromScipy,
    GeneralizedGaussian,
    Truncated,
    parse_format,
    quantization_error,
)
from qerror.analysis import BlockErrorReport
from qerror.densities import Density


def error(name: str, density: Density) -> BlockErrorReport:
    report = quantization_error(parse_format(name), density)
    assert isinstance(report, BlockErrorReport)
    return report


# MSE, E[x e], E[e] and E[e1 e2] by tanh-sinh quadrature over the largest magnitude in 256 bits,
# from one threshold's meeting with an end or a cusp to the next, on antiderivatives of x^k p.
REFERENCES: list[tuple[str, Density, tuple[float, float, float, float]]] = [
    (
        "int4:g2:alpha=0.9",
        Arcsine(-1.2, 0.9),
        (
            4.8349752851319360e-3,
            -4.3747941710391712e-2,
            1.7139725734618389e-2,
            3.324590944368162e-4,
        ),
    ),
    (
        "int4:g16:alpha=0.9",
        Arcsine(0.5, 1.3),
        (
            4.1868601371898786e-3,
            -3.1905958501791222e-2,
            -2.689841657575209e-2,
            6.858337829302751e-4,
        ),
    ),
    (
        "nf4:g32",
        Arcsine(-1.2, 0.9),
        (3.4441484538819694e-3, 3.813255961785765e-3, -4.983571293764888e-3, 2.622121374657593e-5),
    ),
    (
        "int4:g1024:alpha=0.9",
        Arcsine(0.5, 1.3),
        (3.863513489093124e-3, -2.886149603979366e-2, -2.426256638704514e-2, 5.886717110093126e-4),
    ),
    (
        "int4:g2:alpha=0.9",
        Arcsine(0.0, 1.0),
        (
            3.3506165498021125e-3,
            -3.0639537673892628e-2,
            -3.788869667937928e-2,
            4.794531111207991e-4,
        ),
    ),
    (
        "nf4:g3",
        Truncated(GeneralizedGaussian(0.5, 0.3), -2.0, 1.5),
        (2.320062737498968e-3, 4.201287227036454e-5, -3.924484390420382e-4, 7.282319986819542e-7),
    ),
    (
        "int4:g2:alpha=0.9",
        GeneralizedGaussian(0.2, 0.01, 0.001),
        (37.336194133640787, -360.2825085341147, -1.598478109272557e-3, 3.063580949838024e-6),
    ),
]


@pytest.mark.parametrize(("name", "density", "expected"), REFERENCES, ids=str)
def test_ends_and_cusps(
    name: str, density: Density, expected: tuple[float, float, float, float]
) -> None:
    report = error(name, density)
    mse, cross, mean, pair = expected
    assert report.mse == pytest.approx(mse, rel=1e-14, abs=0)
    assert report.cross_moment == pytest.approx(cross, rel=2e-14, abs=0)
    assert report.mean_error == pytest.approx(mean, rel=1e-13, abs=1e-15 * mse**0.5)
    assert report.pair_error == pytest.approx(pair, rel=1e-13, abs=1e-15 * mse)


@pytest.mark.parametrize("n", [1, 2, 16, 1024])
@pytest.mark.parametrize("alpha", [0.9, 1.07])
def test_scales_that_move_with_the_data(n: int, alpha: float) -> None:
    """A root at 0.5 of the data is one at 0.5 of any unit: powers of two change no digit."""
    name = f"int4:g{n}:alpha={alpha}"
    one, other = error(name, Arcsine(-1.2, 0.5)), error(name, Arcsine(-4.8, 2.0))
    assert other.mse == 16 * one.mse
    assert other.cross_moment == 16 * one.cross_moment


@pytest.mark.parametrize("low", [-1.2, 0.5])
def test_one_value_has_the_error_of_its_own_size(low: float) -> None:
    """The one value lies at 7 / 0.9 of its scale and goes to 7: 0.1 of it is lost."""
    density = Arcsine(low, 1.3)
    report = error("int4:g1:alpha=0.9", density)
    assert report.mse == pytest.approx(0.01 * density.second_moment, rel=1e-14, abs=0)
    assert report.mean_error == pytest.approx(-0.1 * density.mean, rel=1e-13, abs=0)


# Tails longer than a Gaussian's were lost where only the values of a density are known.
@pytest.mark.thinned(4)
@pytest.mark.parametrize("name", ["int4:g1:alpha=0.9", "nf4:g32", "int4:g1024"])
@pytest.mark.parametrize(
    ("given", "density", "accuracy"),
    [
        (scipy.stats.gennorm(0.7, 0.2), GeneralizedGaussian(0.7, 0.2), 1e-12),
        (scipy.stats.arcsine(-1.2, 2.1), Arcsine(-1.2, 0.9), 1e-10),
        (scipy.stats.arcsine(0.5, 0.8), Arcsine(0.5, 1.3), 1e-10),
    ],
    ids=["long tails", "root inside", "root below"],
)
def test_densities_known_by_their_values(
    name: str, given: Any, density: Density, accuracy: float
) -> None:
    expected, report = error(name, density), error(name, FromScipy(given))
    assert report.mse == pytest.approx(expected.mse, rel=accuracy, abs=0)
    assert report.cross_moment == pytest.approx(expected.cross_moment, rel=accuracy, abs=0)
