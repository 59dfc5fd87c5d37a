"""The law of a value over its block's maximum, against blocks and against sums over both."""

import math

import numpy as np
import pytest
from scipy import stats

from qerror import (
    Arcsine,
    Gaussian,
    HalfGaussian,
    Laplace,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
    lloyd_max,
    parse_format,
    quantization_error,
)
from qerror.densities import Density
from qerror.exceptions import InvalidValue
from qerror.formats import Absmax, BlockFormat, Codebook
from qerror.optimize import block_density

SPREADS = Mixture((Gaussian(), Gaussian(std=100.0)), (0.999, 0.001))


def of_blocks(name: str, density: Density, n: int) -> float:
    element = parse_format(name)
    assert isinstance(element, Codebook)
    form = BlockFormat(element, Absmax(divisor=1.0), n)
    return quantization_error(form, density).mse


@pytest.mark.parametrize("name", ["nf4", "codebook:-1,-0.3,0.2,0.5,0.97"])
@pytest.mark.parametrize(
    ("density", "n"),
    [
        (Gaussian(), 32),
        (Laplace(scale=0.7), 32),
        (Gaussian(), 2),
        (Laplace(), 16),
        (SPREADS, 17),  # 24 nodes left 3e-4
        (Mixture((Gaussian(), Gaussian(std=8.0)), (0.95, 0.05)), 64),  # and here 2e-8
        (Mixture((Gaussian(-3.0), Gaussian(3.0)), (0.5, 0.5)), 16),
        (Gaussian(0.7), 3),
        (HalfGaussian(), 24),
        (StudentT(5.0), 64),
        (StudentT(30.0), 64),
        (StudentT(4.0, 0.7), 3),
        (StudentT(3.5), 100_000),
        (Mixture((StudentT(3.0), Gaussian(std=5.0)), (0.5, 0.5)), 64),
    ],
    ids=repr,
)
def test_the_law_of_a_block_gives_its_error(name: str, density: Density, n: int) -> None:
    ratio, power = block_density(density, n)
    by_ratio = power * quantization_error(name, ratio).mse
    assert of_blocks(name, density, n) == pytest.approx(by_ratio, rel=2e-12, abs=0)


@pytest.mark.parametrize("name", ["nf4", "codebook:-0.9,-0.11,0.4,0.8"])
@pytest.mark.parametrize(
    ("density", "n"),
    [
        (Mixture((Uniform(-1.0, 1.0), Uniform(-2.0, 2.0)), (0.5, 0.5)), 17),
        (Mixture((Truncated(Gaussian(std=3.0), -1.0, 1.0), Laplace()), (0.5, 0.5)), 1024),
        (Uniform(0.3, 2.0), 2),
    ],
    ids=repr,
)
def test_jumps_leave_a_millionth(name: str, density: Density, n: int) -> None:
    ratio, power = block_density(density, n)
    by_ratio = power * quantization_error(name, ratio).mse
    assert of_blocks(name, density, n) == pytest.approx(by_ratio, rel=5e-6, abs=0)


def test_a_law_that_leans_to_one_side() -> None:
    """Both formulas for a Gaussian about 0.7 in blocks of 3, summed over M and x on their own."""
    n, levels = 3, np.array([-0.9, -0.2, 0.3, 0.8])
    law = stats.norm(0.7)
    rule, weight = np.polynomial.legendre.leggauss(20)

    def nodes(ends: list[float]) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.array(ends[:-1])[:, None], np.array(ends[1:])[:, None]
        half = 0.5 * (high - low)
        return (half * rule + 0.5 * (low + high)).ravel(), (half * weight).ravel()

    middles = 0.5 * (levels[1:] + levels[:-1])
    total = 0.0
    for m, dm in zip(*nodes(np.linspace(0.0, 10.0, 41).tolist()), strict=True):
        up, down = law.pdf(m), law.pdf(-m)
        within = law.cdf(m) - law.cdf(-m)
        x, dx = nodes([-m, *(m * middles).tolist(), m])
        error = (m * levels[np.searchsorted(middles, x / m)] - x) ** 2
        others = (n - 1) * within ** (n - 2) * (up + down) * (dx @ (error * law.pdf(x)))
        own = within ** (n - 1) * m * m * (up * 0.2**2 + down * 0.1**2)
        total += dm * (others + own)
    ratio, power = block_density(Gaussian(0.7), n)
    found = power * quantization_error(Codebook(levels.tolist()), ratio).mse
    assert found == pytest.approx(total, rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("density", "n"), [(Gaussian(), 64), (Gaussian(0.7), 17), (StudentT(3.0), 8)], ids=repr
)
def test_the_best_codebook_of_a_block_beats_others(density: Density, n: int) -> None:
    ratio, power = block_density(density, n)
    best = lloyd_max(ratio, 4)
    levels = best.codebook.grid().points
    ours = quantization_error(BlockFormat(best.codebook, Absmax(divisor=1.0), n), density).mse
    assert ours == pytest.approx(power * best.report.mse, rel=1e-11, abs=0)
    for k in range(levels.size):
        for step in (-1e-3, 1e-3):
            moved = Codebook((levels + step * np.eye(levels.size)[k]).tolist())
            form = BlockFormat(moved, Absmax(divisor=1.0), n)
            assert quantization_error(form, density).mse > ours


@pytest.mark.parametrize(
    ("density", "n", "message"),
    [
        (Rectified(Gaussian()), 64, "point masses"),
        (StudentT(1.5), 64, "finite second moment"),
        (Arcsine(-1.0, 1.0), 64, "root of x"),
        (Gaussian(), 1, "block_size"),
        (Gaussian(), math.nan, "block_size"),
    ],
    ids=repr,
)
def test_what_has_no_law(density: Density, n: int, message: str) -> None:
    with pytest.raises((InvalidValue, TypeError), match=message):
        block_density(density, n)
