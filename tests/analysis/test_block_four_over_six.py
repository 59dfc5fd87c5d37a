"""Four-over-six against samples, a slow choice by convolution, and laws."""

import math
from typing import Literal

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis._block_four_over_six import four_over_six_sums
from qerror.densities import Density, Discrete, Gaussian, Laplace
from qerror.exceptions import InvalidValue
from qerror.formats import as_scalar_format
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.stored_scales import Amax, scale_levels

_ELEMENT, _E4M3 = as_scalar_format("e2m1"), as_scalar_format("e4m3")
_TENSOR = 4.5 / (6 * 448)


def _sampled(
    density: Density, n: int, rule: FourOverSix, rng: np.random.Generator
) -> tuple[list[float], FloatArray]:
    """Return figures and kept scales of sampled blocks, rounded by midpoints."""
    grid = _ELEMENT.grid()
    levels, _ = scale_levels(as_scalar_format("e4m3"))
    x = density.sample(2000 * n, rng).reshape(-1, n)
    peak = np.abs(x).max(axis=1)
    errors, kept, costs = [], [], []
    for divisor in (6, 4):
        wanted = peak / divisor / _TENSOR
        level = levels[np.searchsorted(0.5 * (levels[1:] + levels[:-1]), wanted)]
        scale = (level * _TENSOR)[:, None]
        safe = np.where(scale > 0, scale, 1.0)
        e = (
            np.where(scale > 0, grid.points[np.searchsorted(grid.thresholds, x / safe)] * safe, 0)
            - x
        )
        errors.append(e)
        kept.append(level)
        costs.append((e * e if rule.error == "mse" else np.abs(e)).sum(axis=1))
    four = costs[1] < costs[0] * (1 - 1e-13)
    e = np.where(four[:, None], errors[1], errors[0])
    level = np.where(four, kept[1], kept[0])
    top = (6 * level * _TENSOR)[:, None]
    square = e * e
    pairs = n * (n - 1) or 1
    return [
        float(np.where(np.abs(x) <= top, square, 0).mean()),
        float(np.where(x < -top, square, 0).mean()),
        float(np.where(x > top, square, 0).mean()),
        float(e.mean()),
        float((x * e).mean()),
        float(((e.sum(axis=1) ** 2 - square.sum(axis=1)) / pairs).mean()),
        float(((x.sum(axis=1) * e.sum(axis=1) - (x * e).sum(axis=1)) / pairs).mean()),
        float((peak > top[:, 0] * (1 + 1e-13)).mean()),
    ], level


@pytest.mark.parametrize("error", ["mse", "mae"])
@pytest.mark.parametrize(("density", "n"), [(Gaussian(), 16), (Gaussian(0.4), 1)], ids=str)
def test_samples_agree(density: Density, n: int, error: Literal["mse", "mae"]) -> None:
    rule = FourOverSix(_E4M3, _TENSOR, None, error)
    found = four_over_six_sums(_ELEMENT, density, n, rule)
    figures = [*found.sums.singles[:5], found.sums.pair_error, found.sums.pair_cross, found.clipped]
    rng = np.random.default_rng(11)
    batches, levels = zip(*(_sampled(density, n, rule, rng) for _ in range(30)), strict=True)
    means = np.array(batches)
    spread = means.std(axis=0, ddof=1) / math.sqrt(means.shape[0])
    assert np.all(np.abs(means.mean(axis=0) - figures) <= 5 * spread + 1e-9)
    assert sum(found.codes.values()) == pytest.approx(1, abs=1e-12)
    kept = np.concatenate(levels)
    for code, p in found.codes.items():
        if p > 0.01:
            share = float((kept == code).mean())
            assert abs(share - p) <= 5 * math.sqrt(p * (1 - p) / kept.size)


def test_single_values_by_plain_integration() -> None:
    # Blocks of one value: the smaller of both squared errors, integrated on a fine grid.
    rule = FourOverSix(_E4M3, _TENSOR)
    found = four_over_six_sums(_ELEMENT, Laplace(), 1, rule).sums.singles
    grid, (levels, _) = _ELEMENT.grid(), scale_levels(as_scalar_format("e4m3"))
    x = (np.arange(2_000_000) + 0.5) * 1.5e-5
    least = np.full(x.size, np.inf)
    for divisor in (6, 4):
        cuts = 0.5 * (levels[1:] + levels[:-1])
        scale = levels[np.searchsorted(cuts, x / divisor / _TENSOR)] * _TENSOR
        safe = np.where(scale > 0, scale, 1.0)
        q = np.where(scale > 0, grid.points[np.searchsorted(grid.thresholds, x / safe)] * safe, 0.0)
        least = np.minimum(least, (q - x) ** 2)
    expected = float((least * np.exp(-x)).sum()) * 1.5e-5
    assert found[:3].sum() == pytest.approx(expected, rel=1e-7)


def test_powers_of_two_change_the_unit_alone() -> None:
    one = four_over_six_sums(_ELEMENT, Gaussian(), 16, FourOverSix(_E4M3, _TENSOR))
    eight = four_over_six_sums(_ELEMENT, Gaussian(0.0, 8.0), 16, FourOverSix(_E4M3, 8 * _TENSOR))
    np.testing.assert_allclose(eight.sums.singles, 64 * one.sums.singles, rtol=1e-11, atol=1e-15)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidValue, match="tensor scale"):
        four_over_six_sums(_ELEMENT, Gaussian(), 16, FourOverSix(_E4M3, Amax(1024)))
    with pytest.raises(InvalidValue, match="point masses"):
        four_over_six_sums(_ELEMENT, Discrete((-1.0, 1.0), (0.5, 0.5)), 16, FourOverSix(_E4M3))
