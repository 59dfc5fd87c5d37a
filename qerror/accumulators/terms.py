"""The law of one product of two quantized factors, in units of the formats' own levels."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from qerror._arrays import ArrayValue, FloatArray, IntArray, frozen
from qerror.analysis.report import ErrorReport
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue
from qerror.grids import Grid
from qerror.products.factors import Factor

_LISTED = 2048  # levels a side whose pairs are listed one by one
_STRATA = 160
_ROUNDS = 3  # of what is linear but for shares that lie at their ends
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

    Formats of more than 2,048 levels are represented by some of them: four for each of 160 parts of
    the density and for the tails', of the part's mean and power, and all together of Q(X)'s.
    """
    for side in (weight, activation):
        if not math.isfinite(side.scale):
            raise InvalidValue(
                f"no range of {side.format.name} is best where E[x^2] is infinite: give a scale"
            )
    sides = [_levels(each) for each in (weight, activation)]
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
    return math.prod(each.scale * each.scalar_format.grid().factor for each in sides)


def lattice_of(values: FloatArray) -> IntArray:
    """Return the largest k of which each value is a multiple of 2^k; EXACT for 0."""
    fraction, exponent = np.frexp(values)
    whole = np.ldexp(np.abs(fraction), 53).astype(np.int64)
    lowest = np.log2(np.maximum(whole & -whole, 1)).astype(np.int64)
    return np.where(values == 0, EXACT, lowest + exponent - 53)


def weighed(where: IntArray, weights: FloatArray, size: int) -> FloatArray:
    """Return the sum of the weights in each of so many bins."""
    return np.bincount(where, weights, size).astype(np.float64)


def _levels(side: Factor) -> tuple[FloatArray, FloatArray]:
    """Return levels before their factor and scale, with their probabilities."""
    grid, density, scale = side.scalar_format.grid(), side.density, side.scale
    unit = grid.factor * scale
    if grid.size > _LISTED:
        return _matched(_strata(grid, density, scale), side.report, unit)
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


class _Between(NamedTuple):
    """Probabilities of values, the levels below and above each, and its share of the upper one."""

    chance: FloatArray
    low: FloatArray
    high: FloatArray
    share: FloatArray


def _strata(grid: Grid, density: Density, scale: float) -> _Between:
    """Return two values for each part of the density, of the part's mean and power."""
    tails = 0.5 ** np.arange(10, 60)
    inner = np.arange(1, _STRATA) / _STRATA
    edges = density.ppf(np.unique([*tails, *inner, *(1 - tails)]))
    ends = scale * grid.min, scale * grid.max
    edges = np.unique([-math.inf, *edges[np.isfinite(edges)], *ends, 0.0, math.inf])
    mass, first, power = np.zeros((3, edges.size - 1))
    origin = np.zeros(edges.size - 1)
    for piece in density.pieces():
        part = piece.integrals(origin, edges[:-1], edges[1:])
        mass, first, power = mass + part.mass, first + part.first, power + part.second
    kept = mass > 0
    inside = kept & (edges[:-1] >= ends[0]) & (edges[1:] <= ends[1])
    mean = np.where(edges[1:] <= ends[0], *ends)  # of parts beyond the last levels
    mean[inside] = first[inside] / mass[inside]
    spread = np.zeros(mean.size)
    spread[inside] = np.sqrt(np.maximum(power[inside] / mass[inside] - mean[inside] ** 2, 0.0))
    x, p = density.atoms()
    atoms = grid.round_half_even(x, scale)
    values = np.concatenate([(mean - spread)[kept], (mean + spread)[kept], atoms])
    values = np.clip(values / scale, grid.min, grid.max)
    low, high, _ = grid.neighbours(values)
    gap = (high - low) * grid.factor
    share = np.where(gap > 0, (values - low * grid.factor) / np.where(gap > 0, gap, 1.0), 0.0)
    return _Between(np.concatenate([mass[kept] / 2, mass[kept] / 2, p]), low, high, share)


def _matched(
    between: _Between, report: ErrorReport[float], unit: float
) -> tuple[FloatArray, FloatArray]:
    """Return the levels beside values with probabilities that give Q(X) its mean and power."""
    wanted = np.array(
        [
            (report.signal_mean + report.mean_error) / unit,
            (report.signal_power + 2 * report.cross_moment + report.mse) / unit**2,
        ]
    )
    chance, low, high, share = between
    share = np.clip(share, 0.0, 1.0)
    size = math.sqrt(float(chance @ np.maximum(low**2, high**2)))
    for _ in range(_ROUNDS if np.isfinite(wanted).all() and size > 0 else 0):
        per_share = chance * np.stack([high - low, high**2 - low**2])  # of the two moments
        now = np.array([chance @ low, chance @ low**2]) + per_share @ share
        moves = share * (1 - share) * np.stack([np.ones(low.size), low / size])
        scale = np.array([size, size**2])
        solved = np.linalg.lstsq(
            per_share @ moves.T / scale[:, None], (wanted - now) / scale, rcond=1e-12
        )[0]
        share = np.clip(share + solved @ moves, 0.0, 1.0)
    levels = np.concatenate([low, high])
    found = np.concatenate([chance * (1 - share), chance * share])
    kept = found > 0
    return levels[kept], found[kept]
