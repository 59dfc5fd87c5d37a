"""Gauss-Legendre rules against roots and weights at 40 digits."""

from typing import Any

import mpmath
import numpy as np
import pytest

from qerror.densities.quadrature import gauss_legendre


def exact(count: int, near: float) -> tuple[Any, Any]:
    """Return the node next to `near` and its weight on [0, 1]."""
    x = 2 * mpmath.mpf(near) - 1
    for _ in range(3):
        p, before = mpmath.legendre(count, x), mpmath.legendre(count - 1, x)
        x -= p * (1 - x * x) / (count * (before - x * p))
    before = mpmath.legendre(count - 1, x)
    return (1 + x) / 2, (1 - x * x) / (count * before) ** 2


@pytest.mark.parametrize("count", [1, 2, 3, 8, 12, 20, 36, 48])
def test_every_node_and_weight_to_the_last_digit(count: int) -> None:
    nodes, weights = gauss_legendre(count)
    assert nodes.size == weights.size == count
    assert (np.diff(nodes) > 0).all()
    with mpmath.workdps(40):
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            root, share = exact(count, node)
            assert abs(node / root - 1) < 2.3e-16
            assert abs(weight / share - 1) < 2.3e-16
