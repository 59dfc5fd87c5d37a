"""Which of two scales a block keeps, by the sum of what its values gain: characteristic functions.

While both scales are constant, a <= M < b, the choice is the sign of S = d(X_1) + ... + d(X_n), d
the difference of what is compared, squared or absolute errors. With phi_b(t) the integral of
exp(i t d) p over |x| < b and psi_b(t) that of delta exp(i t d) p,

    E[delta(X_1) sign(S); all |X_i| < b] = 2/pi int_0^inf Im(psi_b phi_b^(n-1)) / t dt

(Gil-Pelaez 1951); for two values of a block likewise, with psi psi phi^(n-2).
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_steps import BlockSums
from qerror.densities.density import Density
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.smooth_law import SmoothLaw
from qerror.grids import Grid

_ORDER = 12  # nodes of a panel, in x and in t
_PHASE = 9.0  # radians that a panel in x turns
_TURN = 6.0  # radians that the first panel in t turns the product
_GROWTH = 1.25  # of panels in t
_WIDEST = 4.0  # of a panel in t, in units of 1 / max |d|
_TIERS = (8.0, 24.0, 72.0, 216.0)  # of t, in units of 1 / max |d|
_SETTLED = 2e-13  # of what the powers of phi still add
_NO_GAIN = 1e-12  # of the largest: levels that are equal but for their rounding
_CHUNK = 2**17  # exponentials at a time
_BRANCHES = 30  # halvings towards a singular point of the density

Complex = npt.NDArray[np.complex128]


class Step(NamedTuple):
    """A range of the largest magnitude M in which both scales are constant."""

    low: float
    high: float
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

    @property
    def folded(self) -> bool:
        """Whether x > 0 stands for -x too."""
        return self.grid.is_symmetric and self.density.is_symmetric

    def errors(self, x: FloatArray, scale: float) -> FloatArray:
        """Return Q(x) - x at a scale; at scale 0 every value becomes 0."""
        return self.grid.error_half_even(x, scale) if scale else -x

    def gain(self, x: FloatArray) -> FloatArray:
        """Return d(x): above 0 where the second scale is better."""
        six, four = self.errors(x, self.step.six), self.errors(x, self.step.four)
        if self.error == "mae":
            return np.abs(six) - np.abs(four)
        return (six - four) * (six + four)


class Choice(NamedTuple):
    """What the choice adds to half of what both scales give together."""

    sums: BlockSums
    sign: float
    """P(the second scale is kept) - P(the first one is)."""
    clipped: float
    """Of the probability that the largest value clips."""


class _Nodes(NamedTuple):
    """Nodes in x, and what is integrated there."""

    gain: FloatArray
    """d, in units of its largest magnitude."""
    columns: FloatArray
    """p dx times 1, half the differences of the five figures, both errors, and x; (k, 9)."""
    places: tuple[int, int, int, int]
    """How many nodes lie below a, the places where M begins to clip at each scale, and b."""


def choice(problem: Problem) -> Choice:
    """Return what the choice of the scale adds, over one step of both scales."""
    cuts = _cuts(problem)
    unit = float(np.abs(problem.gain(_middles(cuts, 1e-9))).max())
    if unit == 0:
        return Choice(BlockSums(np.zeros(6), 0.0, 0.0), 0.0, 0.0)
    known = _Known.of(_nodes(problem, _with_roots(problem, cuts), unit, 1.0), problem.n)
    total = known.total
    if problem.n > 1:
        total = total + _by_frequencies(problem, cuts, unit, known)
    sums = BlockSums(np.append(total[1:6], 0.0), total[6], total[7])
    return Choice(sums, float(total[0]), float(total[8] - total[9]))


def _by_frequencies(problem: Problem, cuts: FloatArray, unit: float, known: "_Known") -> FloatArray:
    """Integrate over t, in tiers: higher frequencies need more nodes in x."""
    total, rest, start, width = np.zeros(10), np.zeros(10), 0.0, 0.0
    for stop in _TIERS:
        nodes = _nodes(problem, cuts, unit, stop)
        width = width or min(_first_width(nodes, problem.n), stop)
        for t, w, wider in _panels(start, stop, width):
            parts = _integrand(nodes, t, problem.n, known)
            total += (2 / math.pi) * (w / t) @ parts
            rest, width = np.abs(parts).max(axis=0), wider
            if _is_settled(rest / t[-1], nodes, problem.n):
                return total
        start = stop
    return total


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
    for piece in problem.density.pieces():
        if isinstance(piece.law, SmoothLaw) and piece.law.branch_at_zero:
            away = piece.spread * np.ldexp(1.0, -np.arange(_BRANCHES))
            found += [piece.location + away, piece.location - away]
    return np.concatenate(found)


def _cuts(problem: Problem) -> FloatArray:
    """Return the ends of intervals on which all is smooth, ascending."""
    high = problem.step.high
    low = 0.0 if problem.folded else -high
    marks = _marks(problem)
    return np.unique(np.concatenate([marks[(marks > low) & (marks < high)], [low, high]]))


def _middles(cuts: FloatArray, inset: float) -> FloatArray:
    """Return points just within both ends of each interval, and its middle."""
    width = np.diff(cuts)
    return np.concatenate(
        [cuts[:-1] + inset * width, cuts[1:] - inset * width, cuts[:-1] + 0.5 * width]
    )


def _with_roots(problem: Problem, cuts: FloatArray) -> FloatArray:
    """Add the places where both scales are equally good: d is linear between the cuts."""
    width = np.diff(cuts)
    left, right = (problem.gain(cuts[:-1] + part * width) for part in (0.25, 0.75))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 0.25 - 0.5 * left / (right - left)
    at = (share > 0) & (share < 1)
    return np.unique(np.concatenate([cuts, (cuts[:-1] + share * width)[at]]))


def _nodes(problem: Problem, cuts: FloatArray, unit: float, reach: float) -> _Nodes:
    """Place nodes that resolve the density and exp(i t d / unit) up to t = reach."""
    low, width = cuts[:-1], np.diff(cuts)
    turn = (
        2
        * np.abs(problem.gain(low + 0.75 * width) - problem.gain(low + 0.25 * width))
        * (reach / unit)
    )
    parts = np.maximum(np.ceil(turn / _PHASE), np.ceil(width / _room(problem.density, cuts)))
    parts = np.maximum(parts, 1.0).astype(np.int64)
    rank: IntArray = np.arange(int(parts.sum())) - np.repeat(np.cumsum(parts) - parts, parts)
    span: FloatArray = np.repeat(width / parts, parts)
    start: FloatArray = np.repeat(low, parts) + rank * span
    t, w = gauss_legendre(_ORDER)
    x, dx = (start[:, None] + span[:, None] * t).ravel(), (span[:, None] * w).ravel()
    p = problem.density.pdf(x) + (problem.density.pdf(-x) if problem.folded else 0.0)
    mass = p * dx
    atom = problem.density.atoms().probabilities
    x, mass = np.append(x, np.zeros(atom.size)), np.append(mass, atom)
    order = np.argsort(np.abs(x), kind="stable")
    return _filled(problem, x[order], mass[order], unit)


def _filled(problem: Problem, x: FloatArray, mass: FloatArray, unit: float) -> _Nodes:
    step, grid = problem.step, problem.grid
    six, four = problem.errors(x, step.six), problem.errors(x, step.four)
    half = 0.5 * (_figures(grid, x, four, step.four) - _figures(grid, x, six, step.six))
    columns = np.stack([np.ones(x.size), *half, six, four, x])
    if problem.folded:  # each node stands for -x too
        columns[[2, 3]] = 0.5 * (columns[2] + columns[3])
        columns[[4, 6, 7, 8]] = 0.0
    ends = np.array([step.low, grid.max * step.six, grid.max * step.four, step.high])
    places = np.searchsorted(np.abs(x), np.clip(ends, step.low, step.high))
    a, c, d, b = places.tolist()
    return _Nodes(problem.gain(x) / unit, (columns * mass).T, (a, c, d, b))


def _figures(grid: Grid, x: FloatArray, error: FloatArray, scale: float) -> FloatArray:
    """Return e^2 within, below and above the levels, e and x e, shape (5, k)."""
    square = error * error
    below = (x < grid.min * scale) & (scale > 0)
    above = (x > grid.max * scale) & (scale > 0)
    return np.stack(
        [
            np.where(below | above, 0.0, square),
            np.where(below, square, 0.0),
            np.where(above, square, 0.0),
            error,
            x * error,
        ]
    )


def _room(density: Density, cuts: FloatArray) -> FloatArray:
    """Return how wide a panel in each interval may be for the density's sake."""
    room = np.full(cuts.size - 1, np.inf)
    for piece in density.pieces():
        if isinstance(piece.law, SmoothLaw):
            at, to = piece.standard(cuts[:-1]), piece.standard(cuts[1:])
            nearest = np.where((at < 0) & (to > 0), 0.0, np.minimum(np.abs(at), np.abs(to)))
            room = np.minimum(room, piece.spread * piece.law.panel_width(nearest))
    return room


def _first_width(nodes: _Nodes, n: int) -> float:
    """Return how far t may go until the product of n factors has turned some radians."""
    mass = nodes.columns[:, 0]
    total = mass.sum()
    mean = float(mass @ nodes.gain / total)
    spread = math.sqrt(float(mass @ (nodes.gain - mean) ** 2 / total))
    return _TURN / (n * abs(mean) + 3 * math.sqrt(n) * spread + 1)


def _panels(
    start: float, stop: float, width: float
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Return nodes and weights in t, panel by panel, and the width of the next one."""
    nodes, weights = gauss_legendre(_ORDER)
    while start < stop:
        end = stop if start + 1.5 * width > stop else start + width
        width_here = end - start
        width = min(_GROWTH * width, _WIDEST)
        yield start + width_here * nodes, width_here * weights, width
        start = end


class _Known(NamedTuple):
    """What needs no frequencies: values without gain, and the first order in those with one.

    The first order is the sign of a single gain. Without it the integrand falls faster with t,
    also where most values gain nothing.
    """

    still: tuple[FloatArray, ...]
    """Sums of the columns where d = 0, below a, both places of clipping, and b."""
    total: FloatArray
    """The first order, less the ties: S = 0 keeps the first scale."""

    @classmethod
    def of(cls, nodes: _Nodes, n: int) -> "_Known":
        sign = np.where(np.abs(nodes.gain) > _NO_GAIN, np.sign(nodes.gain), 0.0)
        still: list[FloatArray] = []
        single: list[FloatArray] = []
        for place in nodes.places:
            columns, signs = nodes.columns[:place], sign[:place]
            still.append(columns[signs == 0].sum(axis=0))
            single.append(signs @ columns)
        first = [_first_order(z, d[None, :], n)[0] for z, d in zip(still, single, strict=True)]
        ties = [_products(z[None, :], n)[0] for z in still]
        return cls(tuple(still), _between([x - y for x, y in zip(first, ties, strict=True)]))


def _integrand(nodes: _Nodes, t: FloatArray, n: int, known: _Known) -> FloatArray:
    """Return the imaginary parts that are divided by t, shape (t.size, 10)."""
    bounds = [0, *sorted(set(nodes.places))]
    total = np.zeros((t.size, 9), dtype=np.complex128)
    below = {0: total}
    for start, stop in pairwise(bounds):
        total = total + _turned(nodes, t, start, stop)
        below[stop] = total
    parts: list[FloatArray] = []
    for place, still in zip(nodes.places, known.still, strict=True):
        whole = below[place]
        moved = np.imag(whole - still)
        parts.append(np.imag(_products(whole, n)) - _first_order(still, moved, n))
    return _between(parts)


def _between(parts: "list[FloatArray]") -> FloatArray:
    """Return the ten figures from what lies below a, both places of clipping, and b."""
    low, six, four, high = parts
    clips = 0.5 * np.stack([high[..., 0] - four[..., 0], high[..., 0] - six[..., 0]], axis=-1)
    found: FloatArray = np.concatenate([high - low, clips], axis=-1)
    return found


def _products(parts: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Return phi^n, psi phi^(n-1) for five figures and the pairs' psi psi phi^(n-2)."""
    phi, others = parts[:, :1], parts[:, :1] ** (n - 1)
    found = [phi * others, parts[:, 1:6] * others]
    rest = parts[:, :1] ** (n - 2) if n > 1 else 0 * phi
    six, four, x = (parts[:, k : k + 1] for k in (6, 7, 8))
    found += [0.5 * (four * four - six * six) * rest, 0.5 * x * (four - six) * rest]
    return np.concatenate(found, axis=1)


def _first_order(still: FloatArray, moving: FloatArray, n: int) -> FloatArray:
    """Return the terms of first order of `_products` at still + moving."""
    p, m = float(still[0]), moving[:, :1]
    first = p ** (n - 1)
    second = p ** (n - 2) if n > 1 else 0.0
    third = (n - 2) * p ** (n - 3) if n > 2 else 0.0
    found = [n * first * m, first * moving[:, 1:6] + (n - 1) * second * still[1:6] * m]
    six, four, x = still[6:].tolist()
    d_six, d_four, d_x = (moving[:, k : k + 1] for k in (6, 7, 8))
    found += [
        second * (four * d_four - six * d_six) + 0.5 * third * (four * four - six * six) * m,
        0.5 * second * (x * (d_four - d_six) + (four - six) * d_x)
        + 0.5 * third * x * (four - six) * m,
    ]
    return np.concatenate(found, axis=1)


def _turned(nodes: _Nodes, t: FloatArray, start: int, stop: int) -> Complex:
    """Integrate exp(i t d) times each column over some of the nodes."""
    total = np.zeros((t.size, 9), dtype=np.complex128)
    size = max(1, _CHUNK // t.size)
    for first in range(start, stop, size):
        at = slice(first, min(first + size, stop))
        angle = np.multiply.outer(t, nodes.gain[at])
        columns = nodes.columns[at]
        total += np.cos(angle) @ columns + 1j * (np.sin(angle) @ columns)
    return total


def _is_settled(rest: FloatArray, nodes: _Nodes, n: int) -> bool:
    """Tell whether what is left beyond the last panel no longer counts."""
    within = float(nodes.columns[:, 0].sum())
    size = float(np.abs(nodes.columns[:, 1:4]).sum()) * within ** (n - 1)
    return bool(rest[0] <= _SETTLED and rest[1:4].max() <= _SETTLED * size)
