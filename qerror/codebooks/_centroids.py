"""Levels as centroids of their cells, by Newton's method.

With cells bounded by the midpoints t between neighbouring levels q, the MSE is least where
every level is the centroid of its cell: F_i = int_cell (q_i - x) p = 0, half the gradient. Its
Jacobian is tridiagonal: with gaps g and the density p at the midpoints,

    dF_i/dq_i     = P_i - (g_i p(t_i) + g_(i-1) p(t_(i-1))) / 4,    P_i the cell's probability,
    dF_i/dq_(i+1) = -g_i p(t_i) / 4,

so a step of Newton's costs as much as one look at the cells.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.codebooks._continuous import Continuous, continuous_part
from qerror.densities.atoms import Atoms
from qerror.densities.density import Density
from qerror.exceptions import InvalidValue

_STEPS = 200  # Newton's, halved where they overshoot; some ten do, so that this ends a fault
_CHUNK = 2**13  # cells at a time: a few megabytes
_HALVINGS = 50  # of one step: to 1e-15 of it
_LARGEST = 5.0  # change of u in one step
_ENOUGH = 1e-17  # of the MSE: a step that gains less is the last
_LOCALLY = 1e-12  # of a cell's own error, the same
_TOLERANCE = 1e-13  # of the MSE: what may be left to gain where rounding ends the descent
_SMALL = 1e-8  # of a cell's own error: a last step that needs no second look
_SLACK = 1e-14  # of the MSE: what a step may seem to lose to rounding
_LEAST_DAMPING, _MOST_DAMPING = 1e-8, 50.0  # in units of Lloyd's own curvature
_UNSTABLE = -1e-9  # curvature, in these units, from which a point is no minimum


@dataclass(frozen=True)
class Source:
    """What is quantized, in parts; all positions are relative to an origin in its midst."""

    continuous: Continuous
    atoms: Atoms
    centre: float
    unit: float

    @classmethod
    def of(cls, density: Density) -> "Source":
        part, (x, probability) = continuous_part(density), density.atoms()
        low, centre, high = density.ppf([0.25, 0.5, 0.75]).tolist()
        unit = 0.5 * (high - low) or math.sqrt(density.variance) or 1.0
        return cls(part, Atoms(x - part.origin, probability), centre - part.origin, unit)


class Cells(NamedTuple):
    """Probability, first and second moment about its level, for each cell of some levels."""

    levels: FloatArray
    mass: FloatArray
    first: FloatArray
    second: FloatArray

    @property
    def mse(self) -> float:
        return float(self.second.sum())

    @property
    def unrest(self) -> float:
        """What the MSE would fall by if every level moved to its cell's centroid."""
        return float((self.first * self.first / self.mass).sum())


def measure(source: Source, levels: FloatArray) -> Cells:
    """Integrate over the cells between the midpoints of neighbouring levels."""
    half = 0.5 * np.diff(levels)
    left, right = np.append(-math.inf, -half), np.append(half, math.inf)
    sums = np.zeros((3, levels.size))
    for first in range(0, levels.size, _CHUNK):
        part = slice(first, first + _CHUNK)
        for piece in source.continuous.pieces:
            sums[:, part] += piece.integrals(levels[part], left[part], right[part])
    x, probability = source.atoms
    if x.size:
        owner = np.searchsorted(levels[:-1] + half, x)
        offset = x - levels[owner]
        for k in range(3):
            sums[k] += np.bincount(owner, probability * offset**k, levels.size)
    return Cells(levels, *sums)


class Curvature(NamedTuple):
    """Half the Hessian of the MSE, a symmetric tridiagonal matrix, in q and in u."""

    diagonal: FloatArray
    beside: FloatArray
    bend: FloatArray
    """What u adds to the diagonal: F q'' / q'^2."""


def descend(source: Source, levels: FloatArray) -> FloatArray:
    """Follow Newton's steps, damped where they must be, down to a local minimum.

    The steps are taken in u with q = centre + unit sinh(u): levels in a heavy tail lie orders
    of magnitude apart, and each must move in proportion to its own size.
    """
    cells = _in_use(source, levels)
    damping = gain = 0.0
    for _ in range(_STEPS):
        curvature = curvature_of(source, cells)
        lloyd = cells.first / cells.mass
        newton = _newton_step(cells, curvature, 0.0)
        probe = lloyd if newton is None else newton
        gain = float(probe @ cells.first)
        step = newton if damping == 0 else _newton_step(cells, curvature, damping)
        if _is_settled(cells, probe):
            step = _escape(cells, curvature)
            if step is None:
                return _settle(source, cells, probe)
        elif damping > _MOST_DAMPING:
            # Lloyd 1982: moving every level to its centroid never raises the MSE.
            step = lloyd
        moved = cells.levels if step is None else _moved(source, cells.levels, step)
        trial = None if step is None else _accepted(source, cells, moved)
        if trial is not None:
            cells = trial
            damping = damping / 64 if damping > _LEAST_DAMPING else 0.0
        elif damping > _MOST_DAMPING:
            break
        else:
            damping = max(8 * damping, _LEAST_DAMPING)
    if gain > _TOLERANCE * cells.mse:
        raise InvalidValue(
            f"no optimum was found for {levels.size} levels: the outer ones lie where float64 has "
            "no digits left for the density; use fewer levels, or clip or truncate the density"
        )
    return cells.levels


def _in_use(source: Source, levels: FloatArray) -> Cells:
    """Return the cells of some levels; levels without any probability halve the worst cells."""
    cells = measure(source, levels)
    for _ in range(_HALVINGS):
        used = cells.mass > 0
        if used.all() and used.size == levels.size:
            break
        cells = measure(source, cells.levels[used])
        worst = np.argsort(cells.second)[cells.levels.size - levels.size :]
        spread = 0.5 * np.sqrt(cells.second[worst] / cells.mass[worst])
        kept = np.delete(cells.levels, worst)
        halves = (cells.levels[worst] + side * spread for side in (-1, 1))
        cells = measure(source, np.unique(np.concatenate([kept, *halves])))
    return measure(source, cells.levels[cells.mass > 0])


def _settle(source: Source, cells: Cells, step: FloatArray) -> FloatArray:
    """Take the last steps, which the MSE no longer shows but the centroids do.

    Where the curvature all but vanishes in some direction, as where a threshold lies on the kink
    of a Laplace density, Newton's step is rounding magnified: one that is not small against its
    cells must bring the levels nearer to their centroids.
    """
    for _ in range(_STEPS):
        moved = cells.levels + step
        if (np.abs(step) <= _SMALL * np.sqrt(cells.second / cells.mass)).all():
            return moved
        if not (np.diff(moved) > 0).all():
            break
        trial = measure(source, moved)
        if not ((trial.mass > 0).all() and trial.unrest < cells.unrest):
            break
        cells = trial
        following = _newton_step(cells, curvature_of(source, cells), 0.0)
        if following is None:
            break
        step = following
    return cells.levels


def _is_settled(cells: Cells, step: FloatArray) -> bool:
    """Tell whether a Newton step gains nothing, neither in total nor in any single cell."""
    gain = step * cells.first
    return gain.sum() <= _ENOUGH * cells.mse and bool((gain <= _LOCALLY * cells.second).all())


def _accepted(source: Source, cells: Cells, levels: FloatArray) -> Cells | None:
    """Return the cells of other levels, if these are in order, in use and no worse."""
    if not (np.diff(levels) > 0).all():
        return None
    trial = measure(source, levels)
    better = trial.mse <= cells.mse * (1 + _SLACK)
    return trial if better and (trial.mass > 0).all() else None


def curvature_of(source: Source, cells: Cells) -> Curvature:
    gaps = np.diff(cells.levels)
    flow = 0.25 * gaps * source.continuous.pdf(cells.levels[:-1] + 0.5 * gaps)
    away = cells.levels - source.centre
    bend = -cells.first * (away / source.unit / (1 + (away / source.unit) ** 2)) / source.unit
    return Curvature(cells.mass - np.append(flow, 0.0) - np.append(0.0, flow), -flow, bend)


def _moved(source: Source, levels: FloatArray, step: FloatArray) -> FloatArray:
    """Take a step in u that is given as if it were one in q."""
    away = (levels - source.centre) / source.unit
    u = np.clip(step / source.unit / np.hypot(away, 1), -_LARGEST, _LARGEST)
    # sinh(a + u) - sinh(a) = sinh(a) (cosh(u) - 1) + cosh(a) sinh(u)
    rise: FloatArray = 2 * away * np.sinh(0.5 * u) ** 2 + np.hypot(away, 1) * np.sinh(u)
    return levels + source.unit * rise


def _newton_step(cells: Cells, curvature: Curvature, damping: float) -> FloatArray | None:
    """Solve for the step, or return None where the damped matrix is not positive definite.

    The damping adds a multiple of Lloyd's own matrix, the cells' probabilities, with which
    alone the step leads towards the centroids.
    """
    from scipy.linalg import LinAlgError, solveh_banded

    # Scaled by the probabilities, which differ by many orders of magnitude.
    root = np.sqrt(cells.mass)
    bands = np.zeros((2, root.size))
    bands[0] = (curvature.diagonal + curvature.bend) / cells.mass + damping
    bands[1, :-1] = curvature.beside / (root[:-1] * root[1:])
    try:
        step: FloatArray = solveh_banded(bands, cells.first / root, lower=True)
    except LinAlgError:
        return None
    return step / root


def _escape(cells: Cells, curvature: Curvature) -> FloatArray | None:
    """Return a small step away from a saddle, or None at a minimum."""
    from scipy.linalg import eigh_tridiagonal

    root = np.sqrt(cells.mass)
    beside = curvature.beside / (root[:-1] * root[1:])
    value, vector = eigh_tridiagonal(
        curvature.diagonal / cells.mass, beside, select="i", select_range=(0, 0)
    )
    if value[0] > _UNSTABLE:
        return None
    return 1e-3 * math.sqrt(cells.mse) * vector[:, 0] / root
