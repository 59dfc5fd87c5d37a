"""Where the gains of a block's values are integrated: intervals, nodes and point masses."""

from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.densities.density import Density
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_ORDER = 12  # nodes of a panel
_PHASE = 9.0  # radians that a panel turns
NO_GAIN = 1e-12  # of the largest: levels that are equal but for their rounding
_ROUNDING = 4e-16
_BRANCHES = 40  # halvings towards a singular point of the density
_SPIKE = 0.25  # of the larger scale: narrower pieces have cells of their own
_LEAST = 1e-12  # of a cell: panels are no narrower for the density's sake


class Step(NamedTuple):
    """A range of the largest magnitude M in which both scales are constant."""

    low: float
    high: float
    low_in: bool
    """Whether M = low belongs to it."""
    high_in: bool
    six: float
    four: float


class Problem(NamedTuple):
    """One step of the scales for one kind of block."""

    grid: Grid
    density: Density
    n: int
    error: str
    """What is compared: "mse" or "mae"."""
    step: Step
    share: float = 1.0
    """What the density is multiplied by."""

    @property
    def folded(self) -> bool:
        """Whether x > 0 stands for -x too."""
        return self.grid.is_symmetric and self.density.is_symmetric

    def errors(self, x: FloatArray, scale: float) -> FloatArray:
        """Return Q(x) - x at a scale; at scale 0 every value becomes 0."""
        return self.grid.error_half_even(x, scale) if scale else -x

    def gain_of(self, six: FloatArray, four: FloatArray) -> FloatArray:
        """Return d, above 0 where the second scale is better, from both errors."""
        if self.error == "mae":
            return np.abs(six) - np.abs(four)
        return (six - four) * (six + four)

    def gain(self, x: FloatArray) -> FloatArray:
        """Return d(x)."""
        return self.gain_of(self.errors(x, self.step.six), self.errors(x, self.step.four))


class Nodes(NamedTuple):
    """Nodes in x, ascending in magnitude, and what is integrated there."""

    gain: FloatArray
    """d, in units of its largest magnitude; 0 exactly where both scales are equally good."""
    columns: FloatArray
    """p dx times 1, half the differences of the five figures, both errors, and x; (k, 9)."""
    point: BoolArray
    """Point masses."""
    flat: BoolArray
    """Of intervals with one gain throughout, 0 or another one."""
    places: tuple[int, int, int, int]
    """How many nodes lie below a, the places where M begins to clip at each scale, and b."""

    def upto(self, place: int) -> tuple[FloatArray, FloatArray]:
        """Return the gains and columns below a place."""
        return self.gain[:place], self.columns[:place]


def points_of(problem: Problem) -> tuple[FloatArray, FloatArray]:
    """Return the point masses that a step may hold and their probabilities, folded ones once."""
    x, p = problem.density.atoms()
    step = problem.step
    inside = np.abs(x) <= step.high if step.high_in else np.abs(x) < step.high
    if problem.folded:
        inside = inside & (x >= 0)
        p = np.where(x > 0, 2 * p, p)
    return x[inside], p[inside] * problem.share


class Cells(NamedTuple):
    """Intervals on which both scales give one level each, and the density is smooth."""

    cuts: FloatArray
    six: FloatArray
    """What values become at the first scale, one an interval."""
    four: FloatArray
    kind: tuple[IntArray, IntArray]
    """For each scale: 0 within the levels, 1 below and 2 above them."""

    def gain(self, problem: Problem, share: float) -> FloatArray:
        """Return d at a share of the width of each: it is linear in between."""
        x = self.cuts[:-1] + share * np.diff(self.cuts)
        return problem.gain_of(self.six - x, self.four - x)

    def exact_gains(self, problem: Problem, unit: float) -> FloatArray:
        """Return the gains of the intervals on which they do not change."""
        left, right = self.gain(problem, 0.0), self.gain(problem, 1.0)
        return left[np.abs(right - left) <= NO_GAIN * unit]

    def cut(self, more: FloatArray) -> "Cells":
        """Cut at further places within."""
        cuts = np.unique(np.concatenate([self.cuts, more]))
        at = np.searchsorted(self.cuts, cuts[:-1], "right") - 1
        return Cells(cuts, self.six[at], self.four[at], (self.kind[0][at], self.kind[1][at]))


def cells_of(problem: Problem, *, narrow: bool = True) -> Cells | None:
    """Return the intervals that a step covers, if there are any.

    They come near to what is `narrow` in the density.
    """
    step = problem.step
    if not problem.density.pieces():
        return None
    support = problem.density.support
    high, low = min(step.high, support[1]), max(-step.high, support[0])
    if problem.folded:
        low = 0.0
    if not low < high:
        return None
    marks = np.concatenate([_marks(problem), *(branches(problem) if narrow else [])])
    cuts = np.unique(np.concatenate([marks[(marks > low) & (marks < high)], [low, high]]))
    middle = 0.5 * (cuts[:-1] + cuts[1:])
    levels: list[FloatArray] = []
    kinds: list[IntArray] = []
    for scale in (step.six, step.four):
        grid = problem.grid
        ratio = middle / scale if scale else 0 * middle
        levels.append(grid.points[np.searchsorted(grid.thresholds, ratio)] * scale)
        kinds.append(np.where(ratio < grid.min, 1, np.where(ratio > grid.max, 2, 0)))
    return Cells(cuts, levels[0], levels[1], (kinds[0], kinds[1]))


def branches(problem: Problem) -> list[FloatArray]:
    """Return places that come geometrically near to what is narrow or singular in the density."""
    found: list[FloatArray] = []
    step = max(problem.step.six, problem.step.four)
    for piece in problem.density.pieces():
        law = piece.law
        if piece.spread < _SPIKE * step:
            away = piece.spread * np.ldexp(1.0, np.arange(-1, 7))
            found += [piece.location + away, piece.location - away, np.array([piece.location])]
        if isinstance(law, SmoothLaw) and law.branch_at_zero:
            away = piece.spread * np.ldexp(1.0, 1 - np.arange(_BRANCHES))
            found += [piece.location + away, piece.location - away]
    return found


def _marks(problem: Problem) -> FloatArray:
    """Return the x >= 0 or of both signs, without order, at which an integrand is not smooth."""
    grid, step = problem.grid, problem.step
    places = [grid.thresholds, np.array([grid.min, grid.max])]
    if problem.error == "mae":
        places.append(grid.points)
    ratios = np.concatenate(places)
    clips = grid.max * np.array([step.six, step.four])
    found = [ratios * step.six, ratios * step.four, clips, -clips]
    found += [np.array([0.0, step.low, -step.low, *problem.density.kinks])]
    return np.concatenate(found)


def largest_gain(problem: Problem, cells: Cells | None) -> float:
    """Return max |d|: it is linear on each interval."""
    x, _ = points_of(problem)
    found = [problem.gain(x)] if x.size else []
    if cells is not None:
        found += [cells.gain(problem, 0.0), cells.gain(problem, 1.0)]
    return max((float(np.abs(gain).max(initial=0.0)) for gain in found), default=0.0)


def with_crossings(problem: Problem, cells: Cells, unit: float, sums: FloatArray) -> Cells:
    """Cut where d(x) + s changes its sign, for any of the sums s."""
    left, right = cells.gain(problem, 0.0) / unit, cells.gain(problem, 1.0) / unit
    moves = np.flatnonzero(np.abs(right - left) > NO_GAIN)
    share = (-sums[None, :] - left[moves, None]) / (right - left)[moves, None]
    row, column = np.nonzero((share > 0) & (share < 1))
    width = np.diff(cells.cuts)[moves]
    return cells.cut(cells.cuts[moves][row] + share[row, column] * width[row])


def nodes_of(problem: Problem, cells: Cells | None, unit: float, reach: float) -> Nodes:
    """Place nodes that resolve the density and exp(i t d / unit) up to t = reach."""
    at, mass = points_of(problem)
    parts = [] if cells is None else [_of_cells(problem, cells, unit, reach)]
    if at.size or not parts:
        parts.append(columns_of_points(problem, at, mass))
    gain, x, columns, flat = (np.concatenate(each, axis=0) for each in zip(*parts, strict=True))
    point = np.arange(x.size) >= x.size - at.size
    size = np.abs(x)
    order = np.argsort(size, kind="stable")
    gain = gain[order] / unit
    gain = np.where(np.abs(gain) > NO_GAIN, np.clip(gain, -1.0, 1.0), 0.0)
    return Nodes(gain, columns[order], point[order], flat[order], places_of(problem, size[order]))


def places_of(problem: Problem, size: FloatArray) -> tuple[int, int, int, int]:
    """Return how many of the ascending magnitudes lie below each of the four places."""
    step = problem.step
    clips = problem.grid.max * np.array([step.six, step.four]) * (1 + _ROUNDING)
    a = int(np.searchsorted(size, step.low, "left" if step.low_in else "right"))
    b = int(np.searchsorted(size, step.high, "right" if step.high_in else "left"))
    c, d = np.clip(np.searchsorted(size, clips, "right"), a, b).tolist()
    return a, c, d, b


_Part = tuple[FloatArray, FloatArray, FloatArray, BoolArray]


def columns_of_points(problem: Problem, x: FloatArray, mass: FloatArray) -> _Part:
    """Return gains, places and columns of the point masses."""
    grid, step = problem.grid, problem.step
    errors = [problem.errors(x, scale) for scale in (step.six, step.four)]
    kinds = [
        np.where(
            x < grid.min * scale * (1 + _ROUNDING),
            1 if scale else 0,
            np.where(x > grid.max * scale * (1 + _ROUNDING), 2 if scale else 0, 0),
        )
        for scale in (step.six, step.four)
    ]
    gain = problem.gain_of(errors[0], errors[1])
    columns = _columns(problem, x, (errors[0], errors[1]), (kinds[0], kinds[1]), mass)
    return gain, x, columns, np.zeros(x.size, dtype=bool)


def _of_cells(problem: Problem, cells: Cells, unit: float, reach: float) -> _Part:
    """Return gains, places and columns of nodes in all cells."""
    x, dx, cell, turn = panels(problem, cells, unit, reach)
    gain = problem.gain_of(cells.six[cell] - x, cells.four[cell] - x)
    return gain, x, columns_at(problem, cells, cell, x, dx), turn[cell] <= NO_GAIN


def panels(
    problem: Problem, cells: Cells, unit: float, reach: float, scales: FloatArray | None = None
) -> tuple[FloatArray, FloatArray, IntArray, FloatArray]:
    """Return nodes in all cells, their weights and cells, and how much the gain turns in each.

    `scales` are units that the problem is stated in, all at once, for the density's sake.
    """
    low, width = cells.cuts[:-1], np.diff(cells.cuts)
    turn = np.abs(cells.gain(problem, 1.0) - cells.gain(problem, 0.0)) / unit
    units = [1.0] if scales is None else scales.tolist()
    rooms = [room_of(problem.density, cells.cuts * each) / each for each in units]
    parts = np.maximum(turn * reach / _PHASE, width / np.min(rooms, axis=0))
    parts = np.maximum(np.ceil(parts), 1.0).astype(np.int64)
    cell: IntArray = np.repeat(np.arange(parts.size), parts)
    rank: IntArray = np.arange(cell.size) - np.repeat(np.cumsum(parts) - parts, parts)
    span: FloatArray = (width / parts)[cell]
    start: FloatArray = low[cell] + rank * span
    t, w = gauss_legendre(_ORDER)
    x, dx = start[:, None] + span[:, None] * t, span[:, None] * w
    # In the root of the distance from a kink, where the density may be singular.
    for side, places in ((1.0, start), (-1.0, start + span)):
        at = np.flatnonzero(np.isin(places, problem.density.kinks))
        if at.size:
            x[at] = places[at, None] + side * span[at, None] * t * t
            dx[at] = span[at, None] * 2 * w * t
    return x.ravel(), dx.ravel(), np.repeat(cell, t.size), turn


def columns_at(
    problem: Problem, cells: Cells, cell: IntArray, x: FloatArray, dx: FloatArray
) -> FloatArray:
    """Return the nine columns of `Nodes` at places within cells."""
    p = problem.density.pdf(x) + (problem.density.pdf(-x) if problem.folded else 0.0)
    errors = cells.six[cell] - x, cells.four[cell] - x
    kinds = cells.kind[0][cell], cells.kind[1][cell]
    return _columns(problem, x, errors, kinds, p * dx * problem.share)


def unit_columns(problem: Problem, cells: Cells, cell: IntArray, x: FloatArray) -> FloatArray:
    """Return the nine columns at places within cells for a mass of 1 at each."""
    errors = cells.six[cell] - x, cells.four[cell] - x
    kinds = cells.kind[0][cell], cells.kind[1][cell]
    return _columns(problem, x, errors, kinds, np.ones(x.size))


def _columns(
    problem: Problem,
    x: FloatArray,
    errors: tuple[FloatArray, FloatArray],
    kinds: tuple[IntArray, IntArray],
    mass: FloatArray,
) -> FloatArray:
    """Return the nine columns: 1, half the differences of five figures, both errors, and x."""
    six, four = errors
    found = np.empty((x.size, 9))
    found[:, 0] = mass
    squares = six * six, four * four
    for k in range(3):
        found[:, k + 1] = (0.5 * mass) * (
            squares[1] * (kinds[1] == k) - squares[0] * (kinds[0] == k)
        )
    found[:, 4] = (0.5 * mass) * (four - six)
    found[:, 5] = x * found[:, 4]
    found[:, 6] = mass * six
    found[:, 7] = mass * four
    found[:, 8] = mass * x
    if problem.folded:  # each place stands for -x too
        found[:, [2, 3]] = 0.5 * (found[:, 2:3] + found[:, 3:4])
        found[:, [4, 6, 7, 8]] = 0.0
    return found


def room_of(density: Density, cuts: FloatArray) -> FloatArray:
    """Return how wide a panel in each interval may be for the density's sake."""
    width = np.diff(cuts)
    room = np.full(width.size, np.inf)
    for piece in density.pieces():
        law = piece.law
        if not isinstance(law, SmoothLaw):
            continue
        at, to = piece.standard(cuts[:-1]), piece.standard(cuts[1:])
        nearest = np.where((at < 0) & (to > 0), 0.0, np.minimum(np.abs(at), np.abs(to)))
        inside = (cuts[1:] > piece.low) & (cuts[:-1] < piece.high) & (nearest < law.horizon)
        own = piece.spread * law.panel_width(np.minimum(nearest, 1e100))
        own = np.where(nearest == 0, np.maximum(own, width) if law.branch_at_zero else own, own)
        room = np.where(inside, np.minimum(room, own), room)
    limited: FloatArray = np.maximum(room, _LEAST * width)
    return limited
