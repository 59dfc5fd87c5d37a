"""Four-over-six of many point masses: every block listed, with its own choice of the scale."""

import math
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
import pytest

from qerror import BlockErrorReport, Discrete, quantization_error
from qerror.formats import as_grid

NORMAL = np.outer(2.0 ** np.arange(-6, 9), 1 + np.arange(8) / 8).ravel()
SCALES = np.concatenate([np.arange(8) * 2.0**-9, NORMAL])
LEVELS = as_grid("e2m1").points
TIE = 1e-11  # sums that are equal but for rounding


class Listed(NamedTuple):
    """What all blocks make together."""

    mse: float
    cross: float
    mean: float
    pair_error: float
    pair_cross: float
    codes: dict[float, float]


def listed(density: Discrete, n: int, by: str) -> Listed:
    """List the multisets of n values; each chooses M / 6 or M / 4 rounded to E4M3."""
    x = np.array(density.values)
    count = x.size
    which = np.array(list(combinations_with_replacement(range(count), n)))
    chance = np.prod(np.array(density.probabilities)[which], axis=1) * math.factorial(n)
    run = np.ones(len(which))
    for j in range(1, n):
        run = np.where(which[:, j] == which[:, j - 1], run + 1, 1.0)
        chance /= run
    block = x[which]
    most = np.abs(block).max(axis=1)
    scales = [nearest(SCALES, most / divisor) for divisor in (6, 4)]
    errors = [quantized(block, s[:, None]) - block for s in scales]
    size = [np.sum(e * e if by == "mse" else np.abs(e), axis=1) for e in errors]
    second = size[1] < size[0] - TIE
    e, scale = np.where(second[:, None], errors[1], errors[0]), np.where(second, *scales[::-1])

    def mean(values: np.ndarray) -> float:
        return math.fsum(chance * values)

    def pairs(a: np.ndarray, b: np.ndarray) -> float:
        return mean(a.sum(axis=1) * b.sum(axis=1) - (a * b).sum(axis=1)) / (n * (n - 1))

    codes = {float(s): math.fsum(chance[scale == s]) for s in np.unique(scale)}
    return Listed(
        mean((e * e).mean(axis=1)),
        mean((e * block).mean(axis=1)),
        mean(e.mean(axis=1)),
        pairs(e, e),
        pairs(block, e),
        codes,
    )


def quantized(block: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Round at each block's scale; at scale 0 all becomes 0."""
    found: np.ndarray = nearest(LEVELS, block / np.where(scale > 0, scale, 1.0)) * scale
    return found


def nearest(levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the nearest level; no value here lies at a tie."""
    found: np.ndarray = levels[np.searchsorted(0.5 * (levels[1:] + levels[:-1]), values)]
    return found


@pytest.mark.parametrize(
    ("count", "n", "by"),
    [
        (150, 2, "mse"),
        (60, 3, "mae"),
        (40, 4, "mse"),
        (33, 4, "mae"),
        (18, 5, "mse"),
        (9, 9, "mse"),
    ],
)
def test_every_block(count: int, n: int, by: str) -> None:
    rng = np.random.default_rng(count + n)
    chance = rng.random(count) + 0.1
    density = Discrete(tuple(np.sort(2 * rng.standard_normal(count))), tuple(chance / chance.sum()))
    found = quantization_error(f"nvfp4:4over6{'=mae' if by == 'mae' else ''}:n={n}", density)
    assert isinstance(found, BlockErrorReport)
    expected = listed(density, n, by)
    assert found.mse == pytest.approx(expected.mse, rel=1e-13, abs=0)
    assert found.cross_moment == pytest.approx(expected.cross, rel=3e-13, abs=0)
    assert found.mean_error == pytest.approx(expected.mean, rel=0, abs=1e-14)
    assert found.pair_error == pytest.approx(expected.pair_error, rel=0, abs=1e-14)
    assert found.pair_cross == pytest.approx(expected.pair_cross, rel=0, abs=1e-14)
    assert set(expected.codes) <= set(found.code_probabilities)
    for code, probability in expected.codes.items():
        assert found.code_probabilities[code] == pytest.approx(probability, rel=0, abs=5e-15)
