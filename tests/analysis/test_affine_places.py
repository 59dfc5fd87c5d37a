"""Affine blocks of densities with jumps: by places between the extremes, and by thresholds."""

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis._affine_nodes import extreme_pairs
from qerror.analysis._affine_panels import Lattice
from qerror.analysis._affine_places import extremes_by_places, inner_by_places
from qerror.analysis._block_minmax import _sums, minmax_sums
from qerror.densities import Density, Discrete, Gaussian, Mixture, Truncated, Uniform

UNIFORMS = Mixture([Uniform(-1.0, 0.3), Uniform(-0.2, 2.0)], [0.6, 0.4])
HALVES = Mixture([Uniform(-1.0, 1.0), Uniform(0.0, 1.0)], [0.6, 0.4])
SYMMETRIC = Mixture([Uniform(-1.0, 1.0), Uniform(-0.5, 0.5)], [0.7, 0.3])
POINTS = Mixture([Uniform(-1.0, 2.0), Discrete([-0.4, 0.0, 0.6], [0.3, 0.4, 0.3])], [0.8, 0.2])
CUT = Mixture([Truncated(Gaussian(0.2, 0.8), -1.0, 1.5), Uniform(-0.5, 0.9)], [0.7, 0.3])


def _by_thresholds(density: Density, n: int, lattice: Lattice) -> FloatArray:
    """Cut panels wherever a threshold meets a jump."""
    total = np.zeros(7)
    for ends in extreme_pairs(density, n, lattice):
        if not (ends.low_point or ends.high_point):
            total += _sums(density, n, lattice, ends)
    return total


@pytest.mark.parametrize(
    ("density", "n", "steps", "integer"),
    [
        (HALVES, 3, 3, True),
        pytest.param(POINTS, 3, 3, True, marks=pytest.mark.exhaustive),
        pytest.param(POINTS, 3, 3, False, marks=pytest.mark.exhaustive),
        pytest.param(UNIFORMS, 3, 3, False, marks=pytest.mark.exhaustive),
        pytest.param(UNIFORMS, 3, 3, True, marks=pytest.mark.exhaustive),
        pytest.param(CUT, 12, 7, True, marks=pytest.mark.exhaustive),
        pytest.param(SYMMETRIC, 9, 15, False, marks=pytest.mark.exhaustive),
        pytest.param(SYMMETRIC, 20, 15, True, marks=pytest.mark.exhaustive),
    ],
    ids=str,
)
def test_places_and_thresholds_agree(density: Density, n: int, steps: int, integer: bool) -> None:
    lattice = Lattice(steps, integer)
    found = inner_by_places(density, n, lattice) + extremes_by_places(density, n, lattice)
    expected = _by_thresholds(density, n, lattice)
    mse = expected[:3].sum()
    assert found[:3].sum() == pytest.approx(mse, rel=1e-13, abs=0)
    # Where values clip: of little, and split to less.
    np.testing.assert_allclose(found[:3], expected[:3], rtol=0, atol=1e-9 * mse)
    np.testing.assert_allclose(found[[3, 4, 6]], expected[[3, 4, 6]], rtol=0, atol=1e-12 * mse)
    # Pairs, but for what is of a higher order in 1 / steps.
    assert found[5] == pytest.approx(expected[5], rel=0, abs=0.1 * mse / steps**2)


@pytest.mark.parametrize(
    ("n", "mse"),
    [
        # Both extremes in panels of 10 nodes that end wherever a threshold meets a jump or an end:
        # `_between_extremes` of the tests of affine blocks.
        (5, 2.7963592541845763e-06),
        pytest.param(32, 9.238746528210145e-06, marks=pytest.mark.exhaustive),
    ],
)
def test_eight_bits(n: int, mse: float) -> None:
    found = minmax_sums(UNIFORMS, n, 8, "real").singles
    assert found[:3].sum() == pytest.approx(mse, rel=1e-13, abs=0)


@pytest.mark.exhaustive
def test_eight_bits_with_an_integer_zero_point() -> None:
    # Mirrored, all corners lie elsewhere.
    one, other = (minmax_sums(side, 9, 8, "integer") for side in (CUT, CUT.affine(-1.0)))
    mse = one.singles[:3].sum()
    assert other.singles[:3].sum() == pytest.approx(mse, rel=1e-13, abs=0)
    mirrored = other.singles[[0, 2, 1, 3, 4]] * [1, 1, 1, -1, 1]
    np.testing.assert_allclose(one.singles[:5], mirrored, rtol=0, atol=1e-11 * mse)
    assert one.pair_error == pytest.approx(other.pair_error, rel=0, abs=1e-9 * mse)
