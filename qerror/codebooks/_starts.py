"""Where the descent to the best levels starts."""

import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.codebooks._centroids import Source
from qerror.codebooks._continuous import Continuous

_FINE, _FINEST = 8, 32  # parts of the fine partition per level, and more; both twice
_MOST_SITES = 1024  # of the exact search over cuts
_PANELS, _MOST_PANELS = 16, 2**17  # per level: linear interpolation is fair there; and in all


class Compander:
    """A coordinate y, from 0 to 1, in which optimal levels are about equally spaced.

    y is the share of int p^(1/3) to the left (Panter and Dite 1951), or of int p^power,
    interpolated between many panel edges.
    """

    def __init__(self, part: Continuous, levels: int, power: float = 1 / 3) -> None:
        def weight_of(start: FloatArray, stop: FloatArray) -> FloatArray:
            return part.panels(lambda p: np.power(p, power), start, stop)

        start, stop = part.edges[:-1], part.edges[1:]
        weight = weight_of(start, stop)
        most = weight.sum() / min(_PANELS * levels, _MOST_PANELS)
        found: list[tuple[FloatArray, ...]] = []
        while start.size:
            middle = 0.5 * (start + stop)
            heavy = (weight > most) & (middle > start) & (middle < stop)
            found.append((start[~heavy], stop[~heavy], weight[~heavy]))
            start, stop = (
                np.concatenate([start[heavy], middle[heavy]]),
                np.concatenate([middle[heavy], stop[heavy]]),
            )
            weight = weight_of(start, stop)
        start, stop, weight = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(start)
        total = np.append(0.0, np.cumsum(weight[order]))
        self._x = np.append(start[order], stop.max())
        self._y = total / total[-1]

    def position(self, y: FloatArray) -> FloatArray:
        """Return x at coordinates y."""
        x: FloatArray = np.interp(y, self._y, self._x)
        return x

    def refined(self, few: FloatArray, levels: int) -> FloatArray:
        """Return many levels that end as `few` optimal ones do.

        Level i of n lies near y = (i + 1/2 + d_i) / n, where d_i depends near either end on the
        distance from that end in levels, whatever n is, and is linear between the ends.
        """
        n = few.size
        y: FloatArray = np.interp(few, self._x, self._y)  # pyright: ignore[reportUnknownVariableType]
        shift = np.array(y, dtype=np.float64) * n - np.arange(n, dtype=np.float64) - 0.5
        left, right = float(shift[n // 2 - 1]), float(shift[n // 2])
        inner = np.linspace(left, right, levels - n)
        shift = np.concatenate([shift[: n // 2], inner, shift[n // 2 :]])
        found = self.position((np.arange(levels) + 0.5 + shift) / levels)
        return np.unique(found)


def sites(source: Source, levels: int) -> tuple[FloatArray, FloatArray]:
    """Return the parts of a fine partition of the density, each by its centroid and probability.

    Half of them are spread by p^(1/3), which goes far out; half by p^(1/2), which does not.
    """
    part, atoms = source.continuous, source.atoms
    count = _FINE * levels + _FINEST
    y = np.arange(1, count) / count
    limits = [end for piece in part.pieces for end in (piece.low, piece.high)]
    inner = [Compander(part, levels, power).position(y) for power in (1 / 3, 1 / 2)]
    edges = np.unique(np.concatenate([*inner, limits]))
    edges = edges[np.isfinite(edges)]
    centre = np.append(edges[0], edges)
    left, right = np.zeros(centre.size), np.append(0.0, np.append(np.diff(edges), math.inf))
    left[0] = -math.inf
    mass, first = np.zeros((2, centre.size))
    for piece in part.pieces:
        local = piece.integrals(centre, left, right)
        mass, first = mass + local.mass, first + local.first
    used = mass > 0
    x = np.append(centre[used] + first[used] / mass[used], atoms.positions)
    order = np.argsort(x, kind="stable")
    return x[order], np.append(mass[used], atoms.probabilities)[order]


def with_atoms(levels: FloatArray, x: FloatArray) -> FloatArray:
    """Move the level nearest to each point mass onto it."""
    if not x.size:
        return levels
    nearest = np.abs(levels[:, None] - x).argmin(axis=0)
    moved = levels.copy()
    moved[nearest] = x
    return np.unique(moved)


def best_cut(x: FloatArray, probability: FloatArray, levels: int) -> FloatArray:
    """Return the centroids of the best cut of ascending points into `levels` runs.

    Dynamic programming (Bruce 1965; Fisher 1958): the best cut of the first j points into n runs
    ends in one run, and what is left of it is a best cut into n - 1 runs.
    """
    if x.size > _MOST_SITES:
        share = np.cumsum(probability)
        wanted = (np.arange(levels) + 0.5) / levels * float(share[-1])
        at = np.searchsorted(share, wanted)
        return np.unique(x[at])
    cost = _run_costs(x, probability)
    best = cost[0]
    first = np.zeros((levels, x.size), dtype=np.int64)
    for n in range(1, levels):
        ending = cost[1:] + best[:-1, None]
        first[n] = ending.argmin(axis=0) + 1
        best = ending.min(axis=0)
    found: list[float] = []
    stop = x.size
    for n in range(levels - 1, -1, -1):
        start = int(first[n, stop - 1])
        run = slice(start, stop)
        found.append(float(np.average(x[run], weights=probability[run])))
        stop = start
    return np.array(found[::-1])


def _run_costs(x: FloatArray, probability: FloatArray) -> FloatArray:
    """Return the squared error of the run of points i..j about its centroid; inf for i > j."""
    n = x.size
    cost = np.full((n, n), np.inf)
    mass, mean, square = np.zeros((3, n))
    for j in range(n):
        # Point j joins the runs that start at 0..j; sums of squares only ever grow.
        p, away = probability[j], x[j] - mean[: j + 1]
        total = mass[: j + 1] + p
        square[: j + 1] += p * mass[: j + 1] / total * away**2
        mean[: j + 1] += p / total * away
        mass[: j + 1] = total
        cost[: j + 1, j] = square[: j + 1]
    return cost
