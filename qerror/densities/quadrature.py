"""Gauss-Legendre rules, made once and read-only."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen

# Nodes that reach 1e-16 on a panel of at most this share of the law's panel width.
_NODES = ((0.005, 4), (0.06, 6), (0.2, 8), (np.inf, 12))


@lru_cache(maxsize=64)
def gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return frozen((nodes + 1) / 2), frozen(weights / 2)


class MomentRule(NamedTuple):
    """Gauss-Legendre nodes t on [0, 1] with the weights of int f, int t f and int t^2 f."""

    nodes: FloatArray
    zeroth: FloatArray
    first: FloatArray
    second: FloatArray


@lru_cache(maxsize=64)
def moment_rule(count: int) -> MomentRule:
    """Return the rule of so many nodes."""
    nodes, weights = gauss_legendre(count)
    return MomentRule(nodes, weights, frozen(weights * nodes), frozen(weights * nodes * nodes))


def rule_for(ratio: float) -> MomentRule:
    """Return the rule for cells whose half is at most this share of the panel width."""
    # A ratio that is nan takes the largest rule, and its nan to the sums, which are looked at.
    return moment_rule(next((count for upper, count in _NODES if ratio <= upper), _NODES[-1][1]))


def by_nodes(ratio: FloatArray) -> Iterator[tuple[FloatArray, FloatArray, IntArray]]:
    """Group intervals by the nodes that their relative width needs."""
    lower = -1.0
    for upper, count in _NODES:
        at = np.flatnonzero((ratio > lower) & (ratio <= upper))
        lower = upper
        if at.size:
            yield *gauss_legendre(count), at
