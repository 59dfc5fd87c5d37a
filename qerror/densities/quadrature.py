"""Gauss-Legendre rules, made once and read-only, and Gauss rules of any weights."""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen

# Nodes that reach 1e-16 on a panel of at most this share of the law's panel width.
_NODES = ((0.005, 4), (0.06, 6), (0.2, 8), (np.inf, 12))

_STANDARD = (2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 24, 36, 48)  # most paths take one of these
_NEWTON = 8  # steps at most: two or three are enough
_FOUND = 1e-11  # a step of a root, whose square is what the next one would be


@lru_cache(maxsize=64)
def gauss_legendre(count: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights on [0, 1], each to the last digit."""
    return _rules(_STANDARD if count in _STANDARD else (count,))[count]


@lru_cache(maxsize=64)
def _rules(counts: tuple[int, ...]) -> Mapping[int, tuple[FloatArray, FloatArray]]:
    """Find several rules together.

    Newton's steps on the Legendre polynomial P, from Tricomi's first guess (Abramowitz and
    Stegun 1964, 22.16.6), in the widest floats there are: numpy.polynomial's rule, in float64,
    leaves the outermost weights of 48 nodes twelve digits. The weights on [-1, 1] are
    2 / ((1 - x^2) P'^2) (A. and S., 25.4.29).
    """
    halves = [(count + 1) // 2 for count in counts]
    degree = np.repeat(counts, halves)
    place = np.concatenate([np.arange(1, half + 1) for half in halves]) - 0.25
    guess = np.cos(place * math.pi / (degree + 0.5)) * (1 - (1 - 1 / degree) / (8 * degree**2))
    x: Any = guess.astype(np.longdouble)
    for _ in range(_NEWTON):
        value, slope = _legendre(degree, x)
        step = value / slope
        x -= step
        if float(abs(step).max()) < _FOUND:
            break
    _, slope = _legendre(degree, x)
    lower, weights = (1 - x) / 2, 1 / ((1 - x) * (1 + x) * slope * slope)
    ends = np.cumsum(halves)[:-1]
    parts = zip(counts, np.split(lower, ends), np.split(weights, ends), strict=True)
    return {n: (_mirrored(t, 1 - t, n // 2), _mirrored(w, w, n // 2)) for n, t, w in parts}


def _mirrored(first: Any, second: Any, count: int) -> FloatArray:
    """Return the first values and the leading ones of the second in reverse, in float64."""
    both = np.concatenate([first, second[:count][::-1]])
    return frozen(both.astype(np.float64))


def _legendre(degree: IntArray, x: Any) -> tuple[Any, Any]:
    """Return P and P' of each degree at each 0 <= x < 1 (DLMF 18.9.1, 18.9.17)."""
    most: int = degree.max()
    k = np.arange(1, most + 1).astype(x.dtype)
    p = np.ones((most + 1, x.size), x.dtype)
    p[1] = x
    for i, (ahead, behind) in enumerate(zip((2 * k - 1) / k, (k - 1) / k, strict=True)):
        if i:
            p[i + 1] = ahead * (x * p[i]) - behind * p[i - 1]
    at: IntArray = np.arange(int(x.size))
    value, before = p[degree, at], p[degree - 1, at]
    return value, degree * (before - x * value) / ((1 - x) * (1 + x))


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


def gauss_rule(x: FloatArray, w: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
    """Return the Gauss rule of the weights w at x; see `gauss_rules`."""
    return gauss_rules(x, w, (count,))[0]


def gauss_rules(
    x: FloatArray, w: FloatArray, counts: tuple[int, ...]
) -> list[tuple[FloatArray, FloatArray]]:
    """Return Gauss rules of the weights w at x: Lanczos, fully reorthogonalised.

    The first has the most nodes; the others come from leading parts of its Jacobi matrix. Golub
    and Welsch 1969; Gautschi 2004, Orthogonal Polynomials, section 2.2.
    """
    count = min(counts[0], x.size)
    total = w.sum()
    basis = np.zeros((count, x.size))
    basis[0] = np.sqrt(w / total)
    diagonal, off = np.zeros(count), np.zeros(count)
    for k in range(count):
        v = x * basis[k]
        diagonal[k] = v @ basis[k]
        for _ in range(2):
            v -= (basis[: k + 1] @ v) @ basis[: k + 1]
        off[k] = math.sqrt(v @ v)
        if k + 1 < count:
            basis[k + 1] = v / off[k]
    matrix = np.diag(diagonal) + np.diag(off[:-1], 1) + np.diag(off[:-1], -1)
    found: list[tuple[FloatArray, FloatArray]] = []
    for size in (min(each, count) for each in counts):
        nodes, vectors = np.linalg.eigh(matrix[:size, :size])
        found.append((nodes, total * vectors[0] ** 2))
    return found
