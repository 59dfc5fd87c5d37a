"""Choices of the scale by sums of gains on a lattice, for scales in a ratio of small integers.

All places where the law of the gain is not smooth, the ends of its intervals, are then multiples
of one number u. With h = u / k, k = 1, 2, ..., each interval is replaced by its midpoints a
distance of h apart, and intervals of one gain stay what they are. E[sign(S)] of the sum of n such
values is a sum over the finitely many frequencies of the lattice. For each number of values that
move it counts midpoints in polytopes with vertices on the lattice, those on the facet S = 0 by
halves, which by the reciprocity of Ehrhart and Macdonald has even powers of h alone: they leave by
extrapolation (Richardson 1911). Blocks that are a tie count apart.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._block_choice_nodes import Cells, Problem, panels, unit_columns
from qerror.analysis._block_choice_products import between

_FINEST = 1000  # 1 / u, in units of the scale
_EXACT = 1e-9  # gains are so near to multiples of u
_LEVELS = (1, 2, 3, 4, 6, 8, 12)  # k
_MOST = 3 * 2**16  # places of the sums
_AT_ONCE = 2**17  # numbers that are transformed together: 1 MiB
_SAFETY = 16.0
_TINY = 1e-300

_Complex = npt.NDArray[np.complex128]
_Number = TypeVar("_Number", FloatArray, _Complex)


class Lattice(NamedTuple):
    """Intervals of the gain with ends on a lattice; the step is in units of its scale."""

    problem: Problem
    cells: Cells
    ends: IntArray
    """The gains at both ends of each interval, in units of u; (2, cells)."""
    low: BoolArray
    """Which intervals lie below the least largest value."""
    shells: tuple[BoolArray, BoolArray, BoolArray]
    """Which lie between that and each of the other three places of `Nodes`."""

    @classmethod
    def of(cls, problem: Problem, cells: Cells) -> "Lattice | None":
        """Find the lattice, if there is one that is not too fine."""
        gains = np.stack([cells.gain(problem, 0.0), cells.gain(problem, 1.0)])
        off = np.multiply.outer(np.arange(1, _FINEST + 1), np.unique(gains))
        fits = (np.abs(off - np.rint(off)) < _EXACT).all(axis=1)
        if not fits.any():
            return None
        ends = np.rint(gains * (1 + int(fits.argmax()))).astype(np.int64)
        middle = np.abs(0.5 * (cells.cuts[:-1] + cells.cuts[1:]))
        low = middle < problem.step.low
        six, four = (
            ~low & (middle < problem.grid.max * scale)
            for scale in (problem.step.six, problem.step.four)
        )
        found = cls(problem, cells, ends, low, (six, four, ~low))
        return found if found.size(_LEVELS[2]) <= _MOST else None

    @property
    def span(self) -> int:
        """The largest gain, in units of u."""
        return max(1, int(np.abs(self.ends).max(initial=0)))

    @property
    def columns(self) -> list[int]:
        """Which columns of `Nodes` are not 0, equal ones once."""
        clips = any((kind != 0).any() for kind in self.cells.kind)
        return [0, 1, 2, 5] if clips else [0, 1, 5]

    def size(self, k: int) -> int:
        """Return how many places sums have, an even number: midpoints are at odd u / (2 k)."""
        from scipy.fft import next_fast_len  # noqa: PLC0415 - loaded for this alone

        return 2 * int(next_fast_len(2 * k * self.problem.n * self.span + 1, real=True))


def extrapolated(
    lattice: Lattice, scales: FloatArray, shares: FloatArray
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the ten figures at each scale, in its units, and bounds on their errors.

    Each time they are better, until the lattice is too fine; (scales, 10).
    """
    atoms = _Atoms.of(lattice, scales, shares)
    table: list[FloatArray] = []
    last = np.zeros((scales.size, 10))
    for j, k in enumerate(_LEVELS):
        if lattice.size(k) > _MOST:
            return
        row = [_totals(lattice, k, (scales, shares), atoms)]
        for before, other in zip(table, _LEVELS[:j][::-1], strict=True):
            row.append(row[-1] + (row[-1] - before) / ((k / other) ** 2 - 1))
        if table:
            change = np.abs(row[-1] - table[-1])
            # Each change is the error before; by as much as it fell the next one will fall.
            fall = change / np.maximum(np.maximum(last, change), _TINY)
            yield row[-1], change * np.minimum(_SAFETY * fall, 1.0)
            last = change
        table = row


class _Atoms(NamedTuple):
    """Intervals of one gain."""

    cells: IntArray
    gains: IntArray
    columns: FloatArray
    """Integrals over each; (columns, scales, intervals)."""

    @classmethod
    def of(cls, lattice: Lattice, scales: FloatArray, shares: FloatArray) -> "_Atoms":
        problem, cells, (left, right) = lattice.problem, lattice.cells, lattice.ends
        x, dx, cell, _ = panels(problem, cells, 1.0, 0.0, scales)
        flat = (left == right)[cell]
        x, dx, cell = x[flat], dx[flat], cell[flat]
        weights = unit_columns(problem, cells, cell, x)[:, lattice.columns].T
        values = weights[:, None, :] * _mass(problem, (scales, shares), x, dx)
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        sums = np.add.reduceat(values, starts, axis=2) if starts.size else values
        return cls(cell[starts], left[cell[starts]], sums)


def _mass(
    problem: Problem, given: tuple[FloatArray, FloatArray], x: FloatArray, dx: FloatArray
) -> FloatArray:
    """Return the probability of each place at each scale, with that of -x; (scales, places)."""
    scales, shares = given
    at = np.multiply.outer(scales, x)
    p = problem.density.pdf(at.ravel()) + problem.density.pdf(-at.ravel())
    found: FloatArray = p.reshape(at.shape) * np.multiply.outer(scales * shares, dx)
    return found


class _Midpoints(NamedTuple):
    """Midpoints of the other intervals."""

    cell: IntArray
    at: IntArray
    """Places on the lattice, from the least gain on."""
    columns: FloatArray
    """Of each; (columns, scales, midpoints)."""

    @classmethod
    def of(cls, lattice: Lattice, k: int, given: tuple[FloatArray, FloatArray]) -> "_Midpoints":
        problem, cells, (left, right) = lattice.problem, lattice.cells, lattice.ends
        count: IntArray = k * np.abs(right - left)
        cell: IntArray = np.repeat(np.arange(count.size), count)
        rank = np.arange(cell.size) - np.repeat(np.cumsum(count) - count, count)
        dx = np.diff(cells.cuts)[cell] / count[cell]
        x = cells.cuts[:-1][cell] + (rank + 0.5) * dx
        side = np.where(right > left, 1, -1)[cell]
        at = 2 * k * (left[cell] + lattice.span) + side * (2 * rank + 1)
        weights = unit_columns(problem, cells, cell, x)[:, lattice.columns].T
        return cls(cell, at, weights[:, None, :] * _mass(problem, given, x, dx))


def _totals(
    lattice: Lattice, k: int, given: tuple[FloatArray, FloatArray], atoms: _Atoms
) -> FloatArray:
    """Return the ten figures by one lattice, (scales, 10)."""
    size = lattice.size(k)
    rows = max(1, _AT_ONCE // (size * len(lattice.columns)))
    parts = [
        _parts(
            lattice,
            k,
            atoms._replace(columns=atoms.columns[:, start : start + rows]),
            _Midpoints.of(
                lattice, k, (given[0][start : start + rows], given[1][start : start + rows])
            ),
        )
        for start in range(0, given[0].size, rows)
    ]
    return between(np.concatenate(parts, axis=1))


def _parts(lattice: Lattice, k: int, atoms: _Atoms, midpoints: "_Midpoints") -> FloatArray:
    """Return the figures below the four places less those below the first; (4, scales, 8)."""
    size, n = lattice.size(k), lattice.problem.n
    odd = 2 * np.arange(size // 4) + 1
    # sign(s) is 4 / size times the sum of cot(theta / 2) sin(theta s), |s| < size / 2.
    weights = (4 / size) / np.tan(odd * (np.pi / size))
    turn = np.exp((2j * np.pi / size) * (-n * 2 * k * lattice.span * odd % size))
    found = np.zeros((4, atoms.columns.shape[1], 8))

    def transformed(inside: BoolArray, count: int) -> _Complex:
        return _odd_frequencies(_spread(lattice, k, inside, atoms, midpoints)[:count], size)

    low = transformed(lattice.low, len(lattice.columns))
    for place in (3, 1, 2):
        inside = lattice.shells[place - 1]
        columns = lattice.columns if place == 3 else [0]
        if place < 3 and np.array_equal(inside, lattice.shells[2]):
            found[place] = found[3]
        elif inside.any():
            grown = _grown(low[: len(columns)], transformed(inside, len(columns)), n)
            found[place][:, columns] = ((grown * turn).imag @ weights).T
            found[place][:, columns] -= _ties(lattice, inside, atoms, len(columns))
    found[..., 3] = found[..., 2]
    return found


def _spread(
    lattice: Lattice, k: int, inside: BoolArray, atoms: _Atoms, midpoints: "_Midpoints"
) -> FloatArray:
    """Return the columns of some intervals on the lattice, from the least gain on."""
    found = np.zeros((*atoms.columns.shape[:2], 4 * k * lattice.span + 1))
    ends = np.flatnonzero(np.diff(midpoints.cell, append=-1)) + 1
    for start, end in pairwise([0, *ends.tolist()]):
        if inside[midpoints.cell[start]]:
            found[:, :, midpoints.at[start:end]] += midpoints.columns[:, :, start:end]
    for j in np.flatnonzero(inside[atoms.cells]).tolist():
        middle = 2 * k * (int(atoms.gains[j]) + lattice.span)
        found[:, :, middle] += atoms.columns[:, :, j]
    return found


def _odd_frequencies(values: FloatArray, size: int) -> _Complex:
    """Return the sums of exp(i theta d), theta an odd multiple of 2 pi / size below pi."""
    from scipy.fft import rfft  # noqa: PLC0415 - loaded for this alone

    found: _Complex = np.asarray(rfft(values, size))[..., 1::2][..., : size // 4].conj()
    return found


def _grown(low: _Number, more: _Number, n: int) -> _Number:
    """Return psi phi^(n - 1) of low + more less that of low, psi each row and phi the first."""
    a, delta = low[0], more[0]
    b = a + delta
    if n == 1:
        return more
    top, base, grown = b, a, delta  # powers of b and of a, and what is between them
    for bit in f"{n - 1:b}"[1:]:
        top, base, grown = top * top, base * base, grown * (top + base)
        if bit == "1":
            top, base, grown = top * b, base * a, grown * b + base * delta
    found: _Number = more * top + low * grown
    return found


def _ties(lattice: Lattice, inside: BoolArray, atoms: _Atoms, count: int) -> FloatArray:
    """Return the figures of blocks of one gain each that are a tie, (scales, columns)."""
    n, span, size = lattice.problem.n, lattice.span, lattice.size(1)
    parts = [np.zeros((count, atoms.columns.shape[1], 2 * span + 1)) for _ in range(2)]
    for part, where in zip(parts, (lattice.low, inside), strict=True):
        for j in np.flatnonzero(where[atoms.cells]).tolist():
            part[:, :, int(atoms.gains[j]) + span] += atoms.columns[:count, :, j]
    low, more = parts
    if not atoms.gains.any():
        return _grown(low[..., span], more[..., span], n).T
    turned = [np.fft.rfft(part, size) for part in parts]
    found: FloatArray = np.fft.irfft(_grown(turned[0], turned[1], n), size)[..., n * span].T
    return found
