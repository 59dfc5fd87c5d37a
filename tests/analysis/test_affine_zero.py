"""Affine blocks with an integer zero point of smooth densities, by their width."""

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis import _block_minmax
from qerror.analysis._affine_zero import suits_widths, zero_point_sums
from qerror.analysis._block_minmax import minmax_sums
from qerror.densities import (
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    StudentT,
    Uniform,
)

# t(nu), 4 bits: nu, n, E[e^2], E[x e], E[e_1 e_2] and E[x_1 e_2]. An 80-bit sum by other means:
# Gauss panels of 20 nodes over the logarithm of the larger extreme and over the other one, these
# ending wherever that one meets a level or a threshold and at shares of the larger one that halve
# down to 1/50 of a spread, and every cell by closed forms and series of int p, int x p and
# int x^2 p. Two powers give what lies beyond e^44, whatever the range to 18 digits.
_HEAVY = [
    (
        1.01,
        2,
        1.44691855938875055,
        999.989751496062488,
        0.989672414440160959,
        0.00236622038082733623,
    ),
    (1.01, 3, 2.88782582172392116, 1986.47153326793515, 0.97930276512788335, 0.0102671554473349781),
    (1.01, 8, 10.0407696205948219, 6814.5601285319771, 0.95436027081864737, 0.0185676111619121396),
    (
        1.01,
        32,
        43.9090334833488536,
        29304.0435354662641,
        0.925467915292325333,
        0.0186586596476497864,
    ),
    (
        1.05,
        2,
        0.272948744628296972,
        37.9148695459701401,
        0.187009725323629693,
        0.00214536743322423677,
    ),
    (
        1.05,
        3,
        0.540844673017630274,
        73.502966158434175,
        0.178365529998374548,
        0.00833963353889436122,
    ),
    (1.05, 8, 1.8382914203536963, 234.124327807931818, 0.158112081431733076, 0.0138536354641749464),
    (
        1.05,
        32,
        7.70709081382223647,
        900.609161775050776,
        0.136457414115627742,
        0.0123559281088335801,
    ),
    (
        1.1,
        3,
        0.249893773921832366,
        16.7174893518487756,
        0.0801988940543094125,
        0.0065680459628840934,
    ),
    (
        1.1,
        32,
        3.35394564859072397,
        166.29323934157677,
        0.0485276250902367684,
        0.00766081604995874474,
    ),
    (
        1.3,
        2,
        0.0323451840884491417,
        0.73439161208854809,
        0.0224328470913807646,
        0.00116105939205225975,
    ),
    (
        1.3,
        3,
        0.0625292423063941912,
        1.28986875917330036,
        0.0188781235187322556,
        0.00295894397817243175,
    ),
    (
        1.3,
        8,
        0.197869088828034085,
        2.95762713083208429,
        0.0113681862787413645,
        0.00314306787159267848,
    ),
    (
        1.3,
        32,
        0.745953250004691099,
        6.62131301261795026,
        0.00565767922216267331,
        0.00150354299686771899,
    ),
    (
        1.7,
        3,
        0.0171905370450372272,
        0.116326814912343542,
        0.00500920591866242749,
        0.000900379812093678638,
    ),
    (
        1.7,
        32,
        0.18873699894192489,
        0.224286587304265193,
        0.000675691654542304207,
        0.000117192008336533989,
    ),
    (
        2.5,
        2,
        0.00282934627448968346,
        0.00524436858463827957,
        0.00210649076127868209,
        9.41569804570105338e-05,
    ),
    (
        2.5,
        3,
        0.00528155084611927832,
        0.00696325327047062699,
        0.00154149415195544602,
        0.000192838319646987323,
    ),
    (
        2.5,
        8,
        0.0150739912830722142,
        0.00560660182629525333,
        0.000552917430250850117,
        4.53590373461254855e-05,
    ),
    (
        2.5,
        32,
        0.0487503444574391963,
        0.000866379253304839752,
        0.000105693910636192226,
        1.43453941323106852e-06,
    ),
]


@pytest.mark.parametrize(("nu", "n", "mse", "cross", "pair", "pair_cross"), _HEAVY)
def test_heavy_tails(  # noqa: PLR0917 - one reference
    nu: float, n: int, mse: float, cross: float, pair: float, pair_cross: float
) -> None:
    found = minmax_sums(StudentT(nu, 0.0, 3.0), n, 4, "integer")
    assert found.singles[:3].sum() / 9 == pytest.approx(mse, rel=5e-14, abs=0)
    assert found.singles[4] / 9 == pytest.approx(cross, rel=5e-14, abs=1e-13 * mse)
    assert found.pair_error / 9 == pytest.approx(pair, rel=5e-14, abs=0)
    assert found.pair_cross / 9 == pytest.approx(pair_cross, abs=2e-13 * (mse + cross))


def _sums(density: Density, n: int, bits: int) -> FloatArray:
    found = minmax_sums(density, n, bits, "integer")
    return np.array([*found.singles[:5], found.pair_error, found.pair_cross])


@pytest.mark.parametrize(
    ("density", "n", "bits"),
    [
        (Gaussian(0.3, 1.0), 2, 2),
        (Gaussian(10.0, 1.0), 8, 4),
        (Logistic(0.3, 1.0), 5, 2),
        (Laplace(), 3, 3),
        (StudentT(5.0), 6, 1),
        pytest.param(Gaussian(), 16, 7, marks=pytest.mark.exhaustive),
        pytest.param(GeneralizedGaussian(0.7), 32, 4, marks=pytest.mark.exhaustive),
    ],
    ids=str,
)
def test_panels_between_thresholds_agree(
    density: Density, n: int, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _sums(density, n, bits)
    monkeypatch.setattr(_block_minmax, "suits_widths", lambda *_: False)
    expected = _sums(density, n, bits)
    square = expected[:3].sum()
    assert found[:3].sum() == pytest.approx(square, rel=5e-14, abs=0)
    np.testing.assert_allclose(found[:3], expected[:3], rtol=0, atol=2e-13 * square)
    np.testing.assert_allclose(found[3:5], expected[3:5], rtol=0, atol=2e-13 * square)
    assert found[5] == pytest.approx(expected[5], rel=1e-10, abs=1e-13 * square)
    assert found[6] == pytest.approx(expected[6], rel=1e-10, abs=1e-13 * square)


@pytest.mark.parametrize(
    "density",
    [
        Mixture([Laplace(0.0, 2.0), Gaussian(2.0, 0.5)], [0.7, 0.3]),
        StudentT(3.0, 1.0, 1.0),
        pytest.param(
            Mixture([StudentT(1.3), Gaussian(2.0, 0.5)], [0.7, 0.3]), marks=pytest.mark.exhaustive
        ),
    ],
    ids=str,
)
def test_mirrored_and_other_units(density: Density) -> None:
    one, other = (zero_point_sums(x, 7, 15) for x in (density, density.affine(-1.7)))
    assert one is not None
    assert other is not None
    square = one[:3].sum()
    mirrored = other[[0, 2, 1, 3, 4, 5, 6]] / (1.7 * np.array([1.7, 1.7, 1.7, -1, 1.7, 1.7, 1.7]))
    np.testing.assert_allclose(mirrored[:3], one[:3], rtol=0, atol=3e-14 * square)
    np.testing.assert_allclose(mirrored[3:], one[3:], rtol=3e-13, atol=3e-13 * square)


def test_narrow_pieces_beside_wide_ones() -> None:
    # What the width of a piece changes is a series in it, from a point mass on: other nodes.
    laws = [Discrete([0.0], [1.0]), *(Gaussian(0.0, k * 1e-6) for k in (1, 2, 4))]
    point, *others = (_sums(Mixture([Gaussian(), x], [0.5, 0.5]), 6, 3)[:3].sum() for x in laws)
    one, two, four = ((x - point) / k for x, k in zip(others, (1, 2, 4), strict=True))
    assert 2 * one - two == pytest.approx(2 * two - four, rel=1e-6)


def test_twelve_bits() -> None:
    # Rounding in steps of w / S that are short against the law: E[w^2] / (12 S^2) of values within.
    sums = [zero_point_sums(Gaussian(), 32, steps) for steps in (1023, 4095)]
    first, second = (
        x[:3].sum() * s * s for x, s in zip(sums, (1023, 4095), strict=True) if x is not None
    )
    assert second == pytest.approx(first, rel=1e-12)


def test_what_suits() -> None:
    assert suits_widths(Laplace(), 15)
    assert suits_widths(Mixture([Gaussian(), StudentT(1.5)], [0.5, 0.5]), 4095)
    assert not suits_widths(Laplace(0.1), 15)
    assert not suits_widths(Uniform(), 15)
    assert not suits_widths(Gaussian(200.0, 1.0), 15)
    assert not suits_widths(Gaussian(), 2**13 - 1)
    assert not suits_widths(Mixture([Gaussian(), Discrete([0.0], [1.0])], [0.5, 0.5]), 15)
