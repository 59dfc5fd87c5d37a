"""Functions of a place between two extremes as Legendre series, and times a sawtooth of levels."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.quadrature import gauss_legendre

_ORDERS = (26, 16)  # nodes of a panel, of few panels and of many
_MANY = (8, 24)  # edges
_SETTLED = 1e-11  # of the largest coefficient: the last ones of a panel, which integrate to 0
_NARROWEST = 1e-6  # panel
_CHUNK = 2**10  # cells handled together
_TOGETHER = 2**5  # places


class Series(NamedTuple):
    """Functions of r as Legendre series between edges."""

    edges: FloatArray
    coefficients: FloatArray
    """Shape (panels, order, functions)."""


Sampled: TypeAlias = Callable[[FloatArray], FloatArray]
"""Functions of r, shape (r, functions)."""


def adaptive(
    sampled: Sampled, edges: FloatArray, settled: float = _SETTLED, least: int = _ORDERS[-1]
) -> Series:
    """Expand functions in panels, halved until their series end.

    Parameters
    ----------
    sampled : callable
        The functions.
    edges : array of shape (k,)
        Where panels end at first.
    settled : float
        Of the largest coefficient: as small as the last ones of a panel are to be.
    least : int
        Nodes of a panel where there are very many.
    """
    order = (*_ORDERS, least)[int(np.searchsorted(_MANY, edges.size))]
    t, w = gauss_legendre(order)
    k = np.arange(order)
    project = (2 * k + 1)[:, None] * np.polynomial.legendre.legvander(2 * t - 1, order - 1).T * w
    todo = list(itertools.pairwise(edges.tolist()))
    found: list[tuple[float, float, FloatArray]] = []
    most: FloatArray | float = 0.0
    while todo:
        low, high = np.array(todo).T[:, :, None]
        r = (low + (high - low) * t).ravel()
        values = np.concatenate(
            [sampled(r[i : i + _TOGETHER]) for i in range(0, r.size, _TOGETHER)]
        )
        values = values.reshape(len(todo), order, -1)
        parts = [(*ends, project @ part) for ends, part in zip(todo, values, strict=True)]
        sizes = np.stack([np.abs(series[0]) * (high - low) for low, high, series in parts])
        most = np.maximum(most, sizes.max(axis=0))
        todo.clear()
        for low, high, series in parts:
            rest = np.abs(series[-2:]).max(axis=0) * (high - low)
            if (rest <= settled * most).all() or high - low <= _NARROWEST:
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
    total = np.zeros((3, series.coefficients.shape[2]))
    # Exact: of order + 2 at most, on each half of a cell.
    for psi, values in _cells(series, steps, 2, 2):
        factors = psi, psi * psi * (psi > 0), psi * psi * (psi < 0)
        total += np.stack(factors) @ values
    return Sawtooth(*total)


def against_orders(series: Series, steps: int, polynomials: tuple[FloatArray, ...]) -> FloatArray:
    """Integrate series times polynomials of psi(S r), shape (polynomials, functions)."""
    total = np.zeros((len(polynomials), series.coefficients.shape[2]))
    for psi, values in _cells(series, steps, 1, len(polynomials) // 2 + 1):
        factors = [np.polynomial.polynomial.polyval(psi, c) for c in polynomials]
        total += np.stack(factors) @ values
    return total


def _cells(
    series: Series, steps: int, parts: int, more: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Return psi at nodes of cells, or of their halves, and the series' weighted values there.

    Nodes that integrate what is so many degrees, twice, above the series.
    """
    order = series.coefficients.shape[1]
    t, w = gauss_legendre(order // 2 + more)
    for panel, (low, high) in enumerate(itertools.pairwise(series.edges.tolist())):
        # Cells end halfway between levels, their halves at levels too.
        first = math.floor(parts * (steps * low - 0.5)) + 1
        last = math.ceil(parts * (steps * high - 0.5))
        inner = (np.arange(first, last, dtype=np.float64) / parts + 0.5) / steps
        cuts = np.concatenate([np.array([low]), inner, np.array([high])])
        for start in range(0, cuts.size - 1, _CHUNK):
            some = cuts[start : start + _CHUNK + 1]
            width = np.diff(some)[:, None]
            r: FloatArray = some[:-1, None] + width * t
            psi = steps * r - np.rint(steps * r.mean(axis=1, keepdims=True))
            z: FloatArray = (2 * r - low - high) / (high - low)
            basis = np.polynomial.legendre.legvander(z.ravel(), order - 1)
            values: FloatArray = basis @ series.coefficients[panel]
            values *= (width * w).reshape(-1, 1)
            yield psi.ravel(), values
