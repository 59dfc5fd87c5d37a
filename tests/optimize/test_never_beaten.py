"""Searches against dense scans, on pairs of formats and densities made to mislead a search.

Narrow components away from 0, rare wide ones, point masses, cuts, one-sided and uneven grids.
The scan has no knowledge of the search: its interval follows from the density's parts.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import (
    Clipped,
    Density,
    Discrete,
    Gaussian,
    GeneralizedGaussian,
    Laplace,
    Logistic,
    Mixture,
    Rectified,
    StudentT,
    Truncated,
    Uniform,
)
from qerror.formats import Codebook, FloatingPoint, Integer, ScalarFormat, as_scalar_format
from qerror.optimize import best_zero_point, optimal_scale

PAIRS = 300
ALLOWED = 1e-9  # of the MSE
CELLS = 750_000  # of one scan: levels times scales
GOLDEN = (math.sqrt(5) - 1) / 2


class Draw:
    """A source of densities and formats."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([7, seed])

    def one(self, *choices: Callable[[], Density | ScalarFormat]) -> Density | ScalarFormat:
        return choices[self.rng.integers(len(choices))]()

    def size(self, low: float, high: float) -> float:
        """Return a power of ten with an exponent between two."""
        return float(10 ** self.rng.uniform(low, high))

    def place(self, low: float = -1.5, high: float = 1.0) -> float:
        return float(self.rng.choice([-1.0, 1.0])) * self.size(low, high)

    def density(self) -> Density:
        found = self.one(
            lambda: self.narrow(Gaussian),
            lambda: self.narrow(Laplace),
            self.rare,
            lambda: Gaussian(self.place(0, 3), self.size(-1, 1)),
            self.atoms_beside,
            self.cut,
            self.short,
            self.one_sided,
            self.discrete,
        )
        assert isinstance(found, Density)
        return found

    def narrow(self, family: type[Gaussian] | type[Laplace]) -> Density:
        count = int(self.rng.integers(1, 6))
        parts = [family(self.place(), self.size(-4, -1)) for _ in range(count)]
        return Mixture(parts, self.rng.dirichlet(np.ones(count)).tolist())

    def rare(self) -> Density:
        share = self.size(-4, -1)
        wide = self.one(
            lambda: Gaussian(0.0, self.size(1, 6)),
            lambda: Laplace(self.place(), self.size(1, 5)),
            lambda: Uniform(-self.size(1, 5), self.size(0, 4)),
            lambda: Gaussian(self.place(1, 5), self.size(-1, 2)),
            lambda: StudentT(3.0, 0.0, self.size(1, 4)),
        )
        assert isinstance(wide, Density)
        return Mixture([Gaussian(0.0, self.size(-3, 0)), wide], [1 - share, share])

    def atoms_beside(self) -> Density:
        values = np.unique(np.round(self.rng.normal(0, 2, int(self.rng.integers(1, 4))), 3))
        smooth = self.one(
            Gaussian,
            lambda: Laplace(0.3, 0.2),
            lambda: StudentT(3.0, -1.0, 0.1),
            lambda: Gaussian(self.place(), self.size(-3, -1)),
        )
        assert isinstance(smooth, Density)
        share = float(self.rng.uniform(0.01, 0.9))
        atoms = Discrete(values.tolist(), [1 / values.size] * values.size)
        return Mixture([smooth, atoms], [1 - share, share])

    def cut(self) -> Density:
        whole = self.one(
            lambda: Gaussian(self.place(), self.size(-1, 1)),
            lambda: StudentT(2.5),
            Laplace,
            Logistic,
            lambda: GeneralizedGaussian(float(self.rng.uniform(0.5, 4))),
        )
        assert isinstance(whole, Density)
        low, high = sorted(self.rng.normal(0, 2, 2).tolist())
        limited = Clipped if self.rng.integers(2) else Truncated
        return limited(whole, low, high + 0.05)

    def short(self) -> Density:
        start = self.size(-2, 2)
        found = Uniform(start, start * (1 + self.size(-2, 1)))
        return found if self.rng.integers(2) else found.affine(-1.0)

    def one_sided(self) -> Density:
        if self.rng.integers(2):
            return Truncated(Gaussian(0.0, self.size(-1, 1)), -math.inf, -self.size(-3, -1))
        return Rectified(StudentT(3.0, self.place(), self.size(-2, 0)))

    def discrete(self) -> Density:
        count = int(self.rng.integers(1, 12))
        values = np.concatenate([self.rng.normal(0, 1, count), self.rng.normal(0, 2, count)])
        values[:count] = np.round(values[:count], 2)
        values = np.unique(values)
        return Discrete(values.tolist(), self.rng.dirichlet(np.ones(values.size)).tolist())

    def form(self) -> ScalarFormat:
        found = self.one(self.integer, self.unsigned, self.floating, self.codebook, self.named)
        assert isinstance(found, ScalarFormat)
        return found

    def integer(self) -> ScalarFormat:
        return Integer(int(self.rng.integers(2, 9)), symmetric=bool(self.rng.integers(2)))

    def unsigned(self) -> ScalarFormat:
        bits = int(self.rng.integers(2, 9))
        zero = int(self.rng.integers(2**bits - 1))
        return Integer(bits, signed=False, zero_point=zero)

    def floating(self) -> ScalarFormat:
        exponent_bits = int(self.rng.integers(2, 6))
        return FloatingPoint(int(self.rng.integers(1, 8 - exponent_bits)), exponent_bits)

    def codebook(self) -> ScalarFormat:
        values = np.unique(np.round(self.rng.normal(0, 2, int(self.rng.integers(2, 12))), 3))
        return Codebook((values if values[-1] > 0 else -values).tolist())

    def named(self) -> ScalarFormat:
        return as_scalar_format(str(self.rng.choice(["e4m3", "e5m2", "e2m1", "e3m2", "e4m3fnuz"])))


def sizes(density: Density) -> Iterator[float]:
    """Yield magnitudes at which something happens."""
    for piece in density.pieces():
        yield piece.spread
        yield abs(piece.location) + 8 * piece.spread
        yield from (abs(end) for end in (piece.low, piece.high) if math.isfinite(end))
    yield from np.abs(density.atoms().positions).tolist()


def least(form: ScalarFormat, density: Density) -> float:
    """Return the least MSE of a scan over all ranges and a golden-section polish of its dips."""
    grid, own = form.grid(), [size for size in sizes(density) if size > 1e-12]
    left = max(-grid.max / grid.min, 1.0) if grid.min < 0 else 1.0
    count = min(3000, max(1000, CELLS // grid.size))
    scales = np.geomspace(min(own) / 16, 64 * max(own) * left, count) / form.max_value

    def mse(at: FloatArray) -> FloatArray:
        return quantization_error(form, density, at).mse

    found = mse(scales)
    padded = np.concatenate([[math.inf], found, [math.inf]])
    dips = np.flatnonzero((found <= padded[:-2]) & (found <= padded[2:]))
    dips = dips[np.argsort(found[dips])[:16]]
    a, b = scales[np.maximum(dips - 1, 0)], scales[np.minimum(dips + 1, count - 1)]
    fine = a[:, None] * (b / a)[:, None] ** np.linspace(0, 1, 33)
    rows, best = np.arange(dips.size), mse(fine)
    k = np.clip(best.argmin(axis=1), 1, 31)
    a, b = fine[rows, k - 1], fine[rows, k + 1]
    lowest = min(found.min(), best.min())
    for _ in range(24):
        x, y = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
        at_x, at_y = mse(x), mse(y)
        lowest = min(lowest, at_x.min(), at_y.min())
        a, b = np.where(at_x < at_y, a, x), np.where(at_x < at_y, y, b)
    return float(lowest)


@pytest.mark.slow
@pytest.mark.thinned(29)
@pytest.mark.parametrize("seed", range(PAIRS))
def test_the_best_scale_is_never_beaten(seed: int) -> None:
    draw = Draw(seed)
    density, form = draw.density(), draw.form()
    best = optimal_scale(form, density)
    assert best.report.mse <= least(form, density) * (1 + ALLOWED), (form, density)


@pytest.mark.slow
@pytest.mark.thinned(24)
@pytest.mark.parametrize("seed", range(24))
def test_the_best_zero_point_is_never_beaten(seed: int) -> None:
    draw = Draw(1000 + seed)
    density, bits = draw.density(), int(draw.rng.integers(2, 4))
    found = best_zero_point(bits, density).report.mse
    for zero in range(2**bits - 1):
        form = Integer(bits, signed=False, zero_point=zero)
        assert found <= least(form, density) * (1 + ALLOWED), (form, density)
