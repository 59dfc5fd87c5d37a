"""Scalar products of blocked operands against enumeration."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from qerror import Discrete, Gaussian, quantization_error, scalar_product_error
from qerror.analysis import BlockErrorReport
from qerror.formats import as_grid

VALUES = Discrete((-1.3, 0.4, 2.0), (0.25, 0.5, 0.25))


def quantized(block: tuple[float, ...], levels: list[float]) -> list[float]:
    """Quantize to the nearest level at scale M / 6, exact ties being left out of the values."""
    scale = max(map(abs, block)) / 6
    return [min(levels, key=lambda q: abs(q * scale - x)) * scale for x in block]


@pytest.mark.parametrize(("sizes", "length"), [((2, 2), 4), ((2, 1), 3), ((3, 2), 3), ((4, 2), 4)])
def test_every_product_of_point_masses(sizes: tuple[int, int], length: int) -> None:
    levels = as_grid("e2m1").points.tolist()
    chance = dict(zip(VALUES.values, VALUES.probabilities, strict=True))

    def sides(size: int) -> list[tuple[float, np.ndarray, np.ndarray]]:
        full = -(-length // size) * size
        found = []
        for x in itertools.product(VALUES.values, repeat=full):
            q = [y for k in range(0, full, size) for y in quantized(x[k : k + size], levels)]
            p = float(np.prod([chance[v] for v in x]))
            found.append((p, np.array(x[:length]), np.array(q[:length])))
        return found

    total = mean = 0.0
    for p, w, qw in sides(sizes[0]):
        for r, x, qx in sides(sizes[1]):
            error = float(qw @ qx - w @ x)
            total += p * r * error * error
            mean += p * r * error
    reports = [quantization_error(f"e2m1:g{size}", VALUES) for size in sizes]
    product = scalar_product_error(reports[0], reports[1], length)
    assert product.mse == pytest.approx(total, rel=1e-12, abs=0)
    assert product.mean_error == pytest.approx(mean, rel=1e-12, abs=1e-14)


def test_symmetric_blocks_add_nothing_to_pairs() -> None:
    side = quantization_error("mxfp4", Gaussian())
    assert isinstance(side, BlockErrorReport)
    product = scalar_product_error(side, side, 64)
    assert product.coherent == 0
    assert product.mse == pytest.approx(
        float(64 * Fraction(scalar_product_error(side, side).mse)), rel=1e-12, abs=0
    )
