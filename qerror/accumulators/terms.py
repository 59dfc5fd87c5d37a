"""The law of one product of two quantized factors, in units of the formats' own levels."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from qerror._arrays import ArrayValue, FloatArray, IntArray, frozen
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.grids import Grid
from qerror.products import Factor

_LISTED = 2048  # levels a side whose pairs are listed one by one
_STRATA = 512
EXACT = 4096
"""The lattice of the number 0: a multiple of every power of two."""


@dataclass(frozen=True, eq=False)
class Terms(ArrayValue):
    """What is added: values in ascending order, their probabilities and lattices."""

    values: FloatArray
    probabilities: FloatArray
    lattice: IntArray
    """The largest k of which each value is a multiple of 2^k; for a value that stands for a
    cell of values, that of theirs."""
    exact: bool = True
    """Whether the values are themselves and stand for nothing else."""

    @cached_property
    def mean(self) -> float:
        """E[p]."""
        return float(self.probabilities @ self.values)

    @cached_property
    def variance(self) -> float:
        """E[(p - E[p])^2]."""
        return float(self.probabilities @ (self.values - self.mean) ** 2)

    @cached_property
    def is_symmetric(self) -> bool:
        """Whether -p is distributed as p is, to rounding."""
        same = np.array_equal(self.values, -self.values[::-1])
        return same and np.allclose(self.probabilities, self.probabilities[::-1], 1e-9, 0.0)

    @cached_property
    def largest(self) -> float:
        """The largest |p|."""
        return float(np.abs(self.values).max())

    @cached_property
    def finest(self) -> int:
        """The k of the finest lattice: all values are multiples of 2^k."""
        return int(self.lattice.min())


def product_terms(weight: Factor, activation: Factor) -> Terms:
    """Return the law of Q(w) Q(x), in units of both formats' levels at their own scales.

    Formats of more than 2,048 levels are represented by 512 of them and the tails', each with
    the power of its part of the density.
    """
    sides = [_levels(each.format.grid(), each.density, each.scale) for each in (weight, activation)]
    (v, p), (u, q) = sides
    with np.errstate(over="ignore"):
        product = np.multiply.outer(v, u).reshape(-1)
    if not np.isfinite(product).all():
        raise InvalidValue(
            f"the products of {weight.format.name} and {activation.format.name} at their own "
            "scales leave float64; choose narrower formats"
        )
    chance = np.multiply.outer(p, q).reshape(-1)
    values, where = np.unique(product + 0.0, return_inverse=True)
    total = weighed(where, chance, values.size)
    kept = total > 0
    values = values[kept]
    return Terms(frozen(values), frozen(total[kept] / total.sum()), frozen(lattice_of(values)))


def unit_of(weight: Factor, activation: Factor) -> float:
    """Return what a product of 1 stands for."""
    sides = (weight, activation)
    return math.prod(each.scale * each.format.grid().factor for each in sides)


def lattice_of(values: FloatArray) -> IntArray:
    """Return the largest k of which each value is a multiple of 2^k; EXACT for 0."""
    fraction, exponent = np.frexp(values)
    whole = np.ldexp(np.abs(fraction), 53).astype(np.int64)
    lowest = np.log2(np.maximum(whole & -whole, 1)).astype(np.int64)
    return np.where(values == 0, EXACT, lowest + exponent - 53)


def weighed(where: IntArray, weights: FloatArray, size: int) -> FloatArray:
    """Return the sum of the weights in each of so many bins."""
    return np.bincount(where, weights, size).astype(np.float64)


def _levels(grid: Grid, density: Density, scale: float) -> tuple[FloatArray, FloatArray]:
    """Return levels before their factor and scale, with their probabilities."""
    unit = grid.factor * scale
    if grid.size > _LISTED:
        return _strata(grid, density, scale)
    points = grid.base_points
    low, high = -np.diff(points, prepend=-math.inf) / 2, np.diff(points, append=math.inf) / 2
    chance = np.zeros(points.size)
    for piece in density.pieces():
        chance += piece.integrals(points * unit, low * unit, high * unit).mass
    x, p = density.atoms()
    if x.size:
        chosen = grid.round_half_even(x, scale) / unit
        near = np.searchsorted((points[1:] + points[:-1]) / 2, chosen)
        chance += weighed(near, p, points.size)
    kept = chance > 0
    return points[kept], chance[kept]


def _strata(grid: Grid, density: Density, scale: float) -> tuple[FloatArray, FloatArray]:
    """Return one level for each part of the density, of the part's power."""
    tails = 0.5 ** np.arange(10, 60)
    inner = np.arange(1, _STRATA) / _STRATA
    edges = density.ppf(np.unique([*tails, *inner, *(1 - tails)]))
    edges = np.unique([-math.inf, *edges[np.isfinite(edges)], 0.0, math.inf])
    mass, power = np.zeros(edges.size - 1), np.zeros(edges.size - 1)
    origin = np.zeros(edges.size - 1)
    for piece in density.pieces():
        part = piece.integrals(origin, edges[:-1], edges[1:])
        mass, power = mass + part.mass, power + part.second
    kept = (mass > 0) & np.isfinite(power)
    side = np.where(edges[:-1] < 0, -1.0, 1.0)[kept]
    values = side * np.sqrt(power[kept] / mass[kept])
    x, p = density.atoms()
    values, chance = np.append(values, x), np.append(mass[kept], p)
    return grid.round_half_even(values, scale) / (grid.factor * scale), chance
