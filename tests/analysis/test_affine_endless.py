"""Affine blocks with a real offset under tails without a variance."""

import pytest

from qerror.analysis import _affine_endless
from qerror.analysis._block_minmax import minmax_sums
from qerror.densities import Gaussian, Mixture, StudentT

# t(nu), 4 bits: nu, n, E[e^2], E[x e], E[e_1 e_2] and E[x_1 e_2]. An 80-bit sum by other means:
# Gauss panels of 20 nodes over the logarithm of the larger extreme and over the other one, these
# ending at distances from 0, and from where a threshold meets 0, that double from 1/50 of a spread
# on, and every cell by closed forms and series of int p, int x p and int x^2 p. Powers give what
# lies beyond e^40.
_HEAVY = [
    (
        1.7,
        8,
        0.0561706444424223195,
        0.00141679476476136523,
        0.0089231703843099747,
        -0.178173350008667381,
    ),
    (2.5, 3, 0.00187126155073197411, 0.000127528365818790629, 0, -0.00419238753989853785),
    (
        2.5,
        32,
        0.0521581787791861323,
        0.00207206470897524459,
        0.00249097889219347994,
        -0.00425545448063105633,
    ),
    pytest.param(
        *(1.05, 3, 0.337103535328249887, -0.0764147936425663203, 0, -71.2145505844839223),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(
            1.05,
            32,
            68.5323255457668088,
            -0.953409051165835533,
            58.4856750486718451,
            -902.222442050043457,
        ),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(1.1, 3, 0.148510311682254861, -0.0316493680408749131, 0, -15.7408226439373711),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(
            1.1,
            8,
            1.66143771408590938,
            -0.0951700257630860934,
            0.826045477052497195,
            -49.0077030411864267,
        ),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(1.3, 3, 0.0320140679090878415, -0.00510708444128333087, 0, -1.10344587990877027),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(
            1.3,
            8,
            0.303801943919290359,
            -0.00945351858513530865,
            0.102747149627466201,
            -2.90502611253392479,
        ),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(
            1.3,
            32,
            3.18179768908574187,
            -0.0129427998671699642,
            1.9404427950406757,
            -6.81558377960224857,
        ),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(1.7, 3, 0.00723765457965964583, -0.00043780696545441815, 0, -0.0857141008303946123),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(
            1.7,
            32,
            0.375315172403888388,
            0.00618703040706751237,
            0.118690753853433721,
            -0.26165014353275874,
        ),
        marks=pytest.mark.exhaustive,
    ),
    pytest.param(
        *(
            2.5,
            8,
            0.0120652529128039361,
            0.00112403024796979238,
            0.000285980298418027891,
            -0.00573472984305498649,
        ),
        marks=pytest.mark.exhaustive,
    ),
]


@pytest.mark.parametrize(("nu", "n", "mse", "cross", "pair", "pair_cross"), _HEAVY)
def test_heavy_tails(  # noqa: PLR0917 - one reference
    nu: float, n: int, mse: float, cross: float, pair: float, pair_cross: float
) -> None:
    found = minmax_sums(StudentT(nu, 0.0, 3.0), n, 4, "real")
    assert found.singles[0] / 9 == pytest.approx(mse, rel=1e-13, abs=0)
    assert found.singles[4] / 9 == pytest.approx(cross, abs=1e-12 * mse)
    assert found.pair_error / 9 == pytest.approx(pair, abs=2e-12 * mse)
    assert found.pair_cross / 9 == pytest.approx(pair_cross, abs=2e-12 * (mse - pair_cross))


@pytest.mark.exhaustive
def test_many_levels_are_less_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    density = StudentT(1.3)
    found = minmax_sums(density, 8, 6, "real").singles[:3].sum()
    monkeypatch.setattr(_affine_endless, "_MANY", 2**6)
    exact = minmax_sums(density, 8, 6, "real").singles[:3].sum()
    assert found == pytest.approx(exact, rel=1e-8, abs=0)


@pytest.mark.exhaustive
def test_mirrored() -> None:
    density = Mixture([StudentT(1.8), Gaussian(1.0, 2.0)], [0.7, 0.3])
    one, other = (minmax_sums(x, 4, 2, "real") for x in (density, density.affine(-2.0)))
    assert other.singles[0] == pytest.approx(4 * one.singles[0], rel=1e-13)
    assert other.singles[3] == pytest.approx(-2 * one.singles[3], rel=1e-12)
    assert other.pair_cross == pytest.approx(4 * one.pair_cross, rel=1e-11)
