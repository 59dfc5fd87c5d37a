"""Blocks of densities with point masses between other values, and at the ends of float64.

Expected values are by ball arithmetic (Arb, 150 bits): sums over scales and cells of integrals in
closed form, and for real scales a Gauss-Legendre rule over the largest value, with panels at each
point mass and wherever a threshold crosses one.
"""

import pytest

from qerror import (
    BlockErrorReport,
    Discrete,
    Gaussian,
    LogUniform,
    Mixture,
    Rectified,
    StudentT,
    quantization_error,
)
from qerror.densities import Density
from qerror.densities.maximum import maximum_nodes


def error(name: str, density: Density) -> BlockErrorReport:
    report = quantization_error(name, density)
    assert isinstance(report, BlockErrorReport)
    return report


def with_points(points: dict[float, float]) -> Density:
    return Mixture((Gaussian(), Discrete(tuple(points), tuple(points.values()))), (0.6, 0.4))


@pytest.mark.parametrize("n", [2, 3, 16, 1000])
@pytest.mark.parametrize("place", [-1.3, 0.9, 2.7, 4.1])
def test_panels_end_where_the_distribution_jumps(place: float, n: int) -> None:
    density = with_points({place: 1.0})
    far = abs(place)
    below = 0.6 * (1 - 2 * Gaussian().cdf(-far))
    jump = (below + 0.4) ** n - below**n
    found = maximum_nodes(density, n).measure(n).sum()
    assert found == pytest.approx(1 - jump, rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("points", "mse", "cross", "pair_error", "pair_cross"),
    [
        (
            {-1.3: 1.0},
            0.0020666391446898142,
            0.00061076751680183086,
            0.00010447829758404533,
            0.000061507208587294299,
        ),
        (
            {-2.7: 0.5, 1.3: 0.5},
            0.0053378599539891861,
            -0.012862687969773568,
            0.00019288515588239405,
            0.013913497246590254,
        ),
    ],
)
def test_real_scales(
    points: dict[float, float], mse: float, cross: float, pair_error: float, pair_cross: float
) -> None:
    found = error("int4:g3", with_points(points))
    assert found.mse == pytest.approx(mse, rel=1e-13, abs=0)
    assert found.cross_moment == pytest.approx(cross, rel=1e-12, abs=0)
    assert found.pair_error == pytest.approx(pair_error, rel=1e-12, abs=0)
    assert found.pair_cross == pytest.approx(pair_cross, rel=1e-12, abs=0)


def test_single_values_that_keep_away_from_zero() -> None:
    # The only value is M, and becomes 7 M / 8: E[x^2] / 64.
    found = error("int4:full:g1:divisor=8", LogUniform(0.01, 3.0))
    assert found.mse == pytest.approx(0.012327209016546179, rel=1e-13, abs=0)
    assert found.cross_moment == pytest.approx(-8 * 0.012327209016546179, rel=1e-13, abs=0)


def test_tensor_scales() -> None:
    # Ball arithmetic again, with panels of the tensor's largest value wherever a threshold or a
    # change of scale meets the point mass.
    found = error("nvfp4:scale=e2m1:g2:of=4", with_points({0.0: 0.5, 0.9: 0.5}))
    assert found.mse == pytest.approx(0.0031505685200194268, rel=1e-13, abs=0)
    assert found.rounding == pytest.approx(0.00222560772163242443, rel=1e-13, abs=0)
    assert found.mean_error == pytest.approx(-0.000595387889112005163, rel=1e-12, abs=0)
    assert found.cross_moment == pytest.approx(-0.000870956700266581629, rel=1e-12, abs=0)
    assert found.pair_cross == pytest.approx(-6.89055782786665745e-5, rel=1e-12, abs=0)
    expected = {0.0: 0.0482318323099266363, 3.0: 0.0880931405381114152, 6.0: 0.612053121415508732}
    for level, probability in expected.items():
        assert found.code_probabilities[level] == pytest.approx(probability, rel=0, abs=1e-15)


def test_values_far_below_the_smallest_scale() -> None:
    # Hardly any value leaves the first step, whose upper end is 1e26 times as large.
    found = error("nvfp4:g100:scale=e5m2:smallest=0.0000152587890625", StudentT(2.1, scale=1e-30))
    assert found.mse == pytest.approx(2.09293231257009784e-59, rel=1e-13, abs=0)
    assert found.cross_moment == pytest.approx(-2.09260591078746548e-59, rel=1e-13, abs=0)


def test_the_mean_error_of_an_infinite_square() -> None:
    # The squares have their mean at scales that add nothing to the mean error.
    found = error("3m4e:g1000000:theta=3.5", Rectified(StudentT(1.5, scale=2.0**-10)))
    assert found.mean_error == pytest.approx(-8.41252889655790767e-5, rel=1e-13, abs=0)
    assert found.pair_error == pytest.approx(2.44546346493638523e-8, rel=1e-12, abs=0)
    assert found.pair_cross == pytest.approx(-8.81206211636001635e-8, rel=1e-12, abs=0)
