"""Densities fitted to distinct values with their counts: whatever their number, at one cost."""

import math
from collections.abc import Sequence

import numpy as np

from qerror._arrays import FloatArray, FrozenMapping, IntArray, read_only
from qerror.densities.density import Density
from qerror.densities.discrete import Discrete
from qerror.densities.empirical import Empirical
from qerror.exceptions import InvalidValue
from qerror.fitting.family import FITTERS
from qerror.fitting.fit import DEFAULT
from qerror.fitting.lattice import Distinct, Lattice, lattice_of
from qerror.fitting.result import Candidate, FitResult, joined
from qerror.fitting.summary import Summary, Unit

_ATOM = 0.01  # share of all values from which a repeated one counts as a point mass
_MOST_LISTED = 256  # point masses of a density that lists them
_PROBES = 1 << 12
_MOST_POINTS = 1 << 14  # of a summary: neighbours are joined where there are more


def fit_counted(
    values: FloatArray,
    counts: IntArray,
    families: Sequence[str] = DEFAULT,
    *,
    precision: float = 2.0**-53,
    spread: float = 0.0,
    are_distinct: bool = True,
) -> FitResult:
    """Fit densities to a sample that is given by its distinct values; see `fit`.

    Parameters
    ----------
    values : ndarray, shape (n,)
        Finite, strictly increasing.
    counts : ndarray of int, shape (n,)
        How often each occurs, positive.
    families : sequence of str
        As for `fit`.
    precision : float
        Half a unit in the last place of 1 in the dtype of the data.
    spread : float
        The mean squared distance of the data from `values`, where these are means of bins.
    are_distinct : bool
        Whether `values` are the data's own; means of bins lie on no grid and repeat nowhere.

    Raises
    ------
    InvalidValue
        If there is no value, or no family fits.
    """
    size = int(counts.sum())
    if not size:
        raise InvalidValue("there is nothing to fit: the data are empty")
    lattice, atoms = None, list[tuple[float, float]]()
    if are_distinct:
        found = Distinct(values, counts, precision)
        lattice = lattice_of(found)
        if lattice is not None and lattice.is_coarse:
            return _of_masses(values, counts, size, lattice)
        often = (counts >= _ATOM * size) & (counts > 1)
        atoms = [*zip(values[often].tolist(), (counts[often] / size).tolist(), strict=True)]
        values_left, counts_left = values[~often], counts[~often]
    else:
        values_left, counts_left = values, counts
    if values_left.size == 1:
        atoms.append((float(values_left[0]), int(counts_left[0]) / size))
    candidates: list[Candidate] = []
    excluded: dict[str, str] = {}
    if values_left.size > 1:
        data = _summary(values_left, counts_left, spread)
        candidates, excluded = _candidates(data, families)
    best = candidates[0].density if candidates else None
    limits = float(values[0]), float(values[-1])
    frozen = FrozenMapping(excluded)
    density = joined(best, atoms)
    return FitResult(density, tuple(candidates), frozen, size, tuple(atoms), limits, lattice)


def _of_masses(values: FloatArray, counts: IntArray, size: int, lattice: Lattice) -> FitResult:
    """Return the data themselves as point masses."""
    shares = (counts / size).tolist()
    listed = values.tolist()
    density: Density = Empirical(values, counts)
    if len(listed) <= _MOST_LISTED:
        density = Discrete(listed, shares)
    often = tuple(pair for pair in zip(listed, shares, strict=True) if pair[1] >= _ATOM)
    ends = (listed[0], listed[-1])
    return FitResult(density, (), FrozenMapping({}), size, often, ends, lattice)


def _candidates(data: Summary, families: Sequence[str]) -> tuple[list[Candidate], dict[str, str]]:
    """Fit every family, and order them by what their parameters are worth."""
    candidates: list[Candidate] = []
    excluded: dict[str, str] = {}
    for name in families:
        found = FITTERS[name](data)
        if isinstance(found, str):
            excluded[name] = found
        else:
            fields = found.density, found.log_likelihood, found.parameters, found.bounds
            candidates.append(Candidate(name, *fields))
    if not candidates:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in excluded.items())
        raise InvalidValue(f"no family fits the data: {reasons}")
    candidates.sort(key=lambda each: each.parameters - each.log_likelihood)
    return candidates, excluded


def _summary(values: FloatArray, counts: IntArray, spread: float) -> Summary:
    size = int(counts.sum())
    ranks = np.cumsum(counts)
    wanted = (np.arange(_PROBES) + 0.5) / _PROBES * size
    probe = values[np.minimum(np.searchsorted(ranks, wanted, "right"), values.size - 1)]
    low, high = float(values[0]), float(values[-1])
    unit = Unit.of(probe, low, high)
    d, rest = unit.distances(values)
    weights = counts.astype(np.float64)
    first = math.fsum((d * weights).tolist()), math.fsum((rest * weights).tolist())
    inside = math.ldexp(spread, -2 * unit.exponent) * size
    second = math.fsum((d * d * weights).tolist()), inside
    points, weights = _joined(d, weights)
    return Summary(unit, size, low, high, first, second, read_only(points), read_only(weights))


def _joined(d: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Join neighbours of one leading mantissa where there are very many points."""
    shift = 0
    keys = np.arange(d.size)
    bits = d.astype(np.float32).view(np.uint32)
    while keys.size > _MOST_POINTS:
        shift += 1
        keys = np.flatnonzero(np.diff(bits >> np.uint32(shift), prepend=~bits[:1]))
    if not shift:
        return d, weights
    total = np.add.reduceat(weights, keys)
    return np.add.reduceat(d * weights, keys) / total, total
