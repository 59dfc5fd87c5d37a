"""Functions of a place between two extremes as Legendre series, and times a sawtooth of levels."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.quadrature import gauss_legendre

_ORDERS = (26, 16)  # nodes of a panel, of few panels and of many
_MANY = 8
_SETTLED = 1e-11  # of the largest coefficient: the last ones of a panel, which integrate to 0
_NARROWEST = 1e-6  # panel


class Series(NamedTuple):
    """Functions of r as Legendre series between edges."""

    edges: FloatArray
    coefficients: FloatArray
    """Shape (panels, order, functions)."""


Sampled: TypeAlias = Callable[[FloatArray], FloatArray]
"""Functions of r, shape (r, functions)."""


def adaptive(sampled: Sampled, edges: FloatArray) -> Series:
    """Expand functions in panels, halved until their series end."""
    order = _ORDERS[edges.size > _MANY]
    t, w = gauss_legendre(order)
    k = np.arange(order)
    project = (2 * k + 1)[:, None] * np.polynomial.legendre.legvander(2 * t - 1, order - 1).T * w
    todo = list(itertools.pairwise(edges.tolist()))
    found: list[tuple[float, float, FloatArray]] = []
    most: FloatArray | float = 0.0
    while todo:
        parts = [(low, high, project @ sampled(low + (high - low) * t)) for low, high in todo]
        sizes = np.stack([np.abs(series[0]) * (high - low) for low, high, series in parts])
        most = np.maximum(most, sizes.max(axis=0))
        todo.clear()
        for low, high, series in parts:
            rest = np.abs(series[-2:]).max(axis=0) * (high - low)
            if (rest <= _SETTLED * most).all() or high - low <= _NARROWEST:
                found.append((low, high, series))
            else:
                middle = 0.5 * (low + high)
                todo += [(low, middle), (middle, high)]
    found.sort(key=lambda part: part[0])
    ends = np.array([part[0] for part in found] + [found[-1][1]])
    return Series(ends, np.stack([part[2] for part in found]))


class Sawtooth(NamedTuple):
    """Integrals of functions of r times powers of the sawtooth psi(S r) = S r - round(S r)."""

    first: FloatArray
    """Times psi."""
    above: FloatArray
    """Times psi^2, where psi > 0."""
    below: FloatArray

    @property
    def second(self) -> FloatArray:
        """Times psi^2."""
        return self.above + self.below


def against(series: Series, steps: int) -> Sawtooth:
    """Integrate series times the sawtooth of so many steps."""
    # Exact: of order + 2 at most, on each half of a cell.
    t, w = gauss_legendre(series.coefficients.shape[1] // 2 + 2)
    total = np.zeros((3, series.coefficients.shape[2]))
    order = series.coefficients.shape[1]
    for panel, (low, high) in enumerate(itertools.pairwise(series.edges.tolist())):
        first, last = math.floor(2 * steps * low) + 1, math.ceil(2 * steps * high)
        halves = np.arange(first, last, dtype=np.float64)
        cuts: FloatArray = np.concatenate([[low], halves / (2 * steps), [high]])
        width = np.diff(cuts)[:, None]
        r: FloatArray = cuts[:-1, None] + width * t
        psi = steps * r - np.rint(steps * r.mean(axis=1, keepdims=True))
        z: FloatArray = (2 * r - low - high) / (high - low)
        basis = np.polynomial.legendre.legvander(z.ravel(), order - 1)
        values: FloatArray = basis @ series.coefficients[panel]
        psi, weight = psi.ravel(), (width * w).ravel()
        for k, factor in enumerate((psi, psi * psi * (psi > 0), psi * psi * (psi < 0))):
            total[k] += (factor * weight) @ values
    return Sawtooth(*total)
