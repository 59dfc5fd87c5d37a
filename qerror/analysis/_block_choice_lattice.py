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
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._block_choice_nodes import Cells, Problem, panels, unit_columns
from qerror.analysis._block_choice_products import between
from qerror.analysis._block_choice_shapes import still_share

_FINEST = 1000  # 1 / u, in units of the scale
_EXACT = 1e-9  # gains are so near to multiples of u
_LEVELS = (1, 2, 3, 4, 6, 8, 12)  # k
_MOST = 2**17  # places of the sums
_AT_ONCE = 2**16  # complex numbers that are transformed together: 1 MiB
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

    @property
    def parts(self) -> int:
        """How many times the places of one value those of all are, a multiple of 4."""
        return 4 * -(-self.problem.n // 4)

    def size(self, k: int) -> int:
        """Return how many places sums have; midpoints are at odd multiples of u / (2 k)."""
        from scipy.fft import next_fast_len  # noqa: PLC0415 - loaded for this alone

        return self.parts * int(next_fast_len(4 * k * self.span + 1))


def extrapolated(
    lattice: Lattice, scales: FloatArray, shares: FloatArray, wanted: BoolArray
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield the ten figures at each scale, in its units, and bounds on their errors.

    Each time those that are `wanted` still are better, until the lattice is too fine; (scales, 10).
    """
    atoms = _Atoms.of(lattice, scales, shares)
    table: list[FloatArray] = []
    last = np.zeros(0)
    for j, k in enumerate(_LEVELS):
        if lattice.size(k) > _MOST:
            return
        some = np.flatnonzero(wanted)
        row = [np.zeros((scales.size, 10))]
        own = atoms._replace(columns=atoms.columns[:, some])
        row[0][some] = _totals(lattice, k, (scales[some], shares[some]), own)
        for before, other in zip(table, _LEVELS[:j][::-1], strict=True):
            row.append(row[-1] + (row[-1] - before) / ((k / other) ** 2 - 1))
        if table:
            change = np.abs(row[-1] - table[-1])
            # Each change is the error before; by as much as it fell the next one will fall.
            last = last if last.size else np.abs(row[0])
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
        values = weights[:, None, :] * mass_of(problem, (scales, shares), x, dx)
        starts = np.flatnonzero(np.diff(cell, prepend=-1))
        sums = np.add.reduceat(values, starts, axis=2) if starts.size else values
        if zero := still_share(problem):  # the first interval becomes 0 at both scales
            sums[0, :, 0] += zero * shares
        return cls(cell[starts], left[cell[starts]], sums)


def mass_of(
    problem: Problem, given: tuple[FloatArray, FloatArray], x: FloatArray, dx: FloatArray
) -> FloatArray:
    """Return the probability of each place at each scale, with that of -x; (scales, places)."""
    scales, shares = given
    at = np.multiply.outer(scales, x)
    p = problem.density.pdf(at.ravel()) + problem.density.pdf(-at.ravel())
    found: FloatArray = p.reshape(at.shape) * np.multiply.outer(scales * shares, dx)
    return found


class _Midpoints(NamedTuple):
    """Midpoints of the other intervals, and where intervals of one gain are."""

    x: FloatArray
    dx: FloatArray
    cell: IntArray
    """Of the midpoints, and of the others behind them."""
    at: IntArray
    """Places on the lattice, from the least gain on, likewise."""

    @classmethod
    def of(cls, lattice: Lattice, k: int, atoms: _Atoms) -> "_Midpoints":
        cells, (left, right) = lattice.cells, lattice.ends
        count: IntArray = k * np.abs(right - left)
        cell: IntArray = np.repeat(np.arange(count.size), count)
        rank = np.arange(cell.size) - np.repeat(np.cumsum(count) - count, count)
        dx = np.diff(cells.cuts)[cell] / count[cell]
        x = cells.cuts[:-1][cell] + (rank + 0.5) * dx
        side = np.where(right > left, 1, -1)[cell]
        at = 2 * k * (left[cell] + lattice.span) + side * (2 * rank + 1)
        still = 2 * k * (atoms.gains + lattice.span)
        return cls(x, dx, np.append(cell, atoms.cells), np.append(at, still))


class _Sums(NamedTuple):
    """Frequencies of the sums on one lattice, and which values go where."""

    twist: _Complex
    """exp(i theta d) of the places of one value, theta = 2 pi / size times 1, 3, ..., parts / 2 - 1
    for each; fast Fourier transforms add multiples of 2 pi parts / size: with those of -theta
    these are all odd multiples of 2 pi / size."""
    turn: _Complex
    """exp(-i theta n c) at every frequency, c the place of no gain."""
    weights: FloatArray
    midpoints: _Midpoints
    low: tuple[IntArray, IntArray, IntArray]
    """Values below the least largest value: in order of their places, where each place starts."""
    shells: tuple[tuple[IntArray, IntArray, IntArray], ...]

    @classmethod
    def of(cls, lattice: Lattice, k: int, atoms: _Atoms) -> "_Sums":
        size, n, middle = lattice.size(k), lattice.problem.n, 2 * k * lattice.span
        least = 2 * np.arange(lattice.parts // 4) + 1
        odd = np.add.outer(least, lattice.parts * np.arange(size // lattice.parts)).ravel()
        unit = 2j * np.pi / size
        places = np.arange(2 * middle + 1)
        twist = np.exp(unit * np.multiply.outer(least, places))
        turn = np.exp(-unit * (n * middle * odd % size))
        # sign(s) is 4 / size times the sum of cot(theta / 2) sin(theta s), |s| < size / 2.
        weights = (4 / size) / np.tan(odd * (np.pi / size))
        midpoints = _Midpoints.of(lattice, k, atoms)
        low, *shells = (_in_order(midpoints, inside) for inside in (lattice.low, *lattice.shells))
        return cls(twist, turn, weights, midpoints, low, tuple(shells))


def _in_order(midpoints: _Midpoints, inside: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return which values lie inside, sorted, where equal places start, and those places."""
    some = np.flatnonzero(inside[midpoints.cell])
    some = some[np.argsort(midpoints.at[some], kind="stable")]
    starts = np.flatnonzero(np.diff(midpoints.at[some], prepend=-1))
    return some, starts, midpoints.at[some][starts]


def _totals(
    lattice: Lattice, k: int, given: tuple[FloatArray, FloatArray], atoms: _Atoms
) -> FloatArray:
    """Return the ten figures by one lattice, (scales, 10)."""
    sums = _Sums.of(lattice, k, atoms)
    x, dx, cell, _ = sums.midpoints
    weights = unit_columns(lattice.problem, lattice.cells, cell[: x.size], x)[:, lattice.columns].T
    rows = max(1, _AT_ONCE // (sums.weights.size * len(lattice.columns)))
    parts: list[FloatArray] = []
    for start in range(0, given[0].size, rows):
        some = slice(start, start + rows)
        mass = mass_of(lattice.problem, (given[0][some], given[1][some]), x, dx)
        own = atoms._replace(columns=atoms.columns[:, some])
        values = np.concatenate([weights[:, None, :] * mass, own.columns], axis=2)
        parts.append(_parts(lattice, sums, values, own))
    return between(np.concatenate(parts, axis=1))


def _parts(lattice: Lattice, sums: _Sums, values: FloatArray, atoms: _Atoms) -> FloatArray:
    """Return the figures below the four places less those below the first; (4, scales, 8)."""
    n = lattice.problem.n
    found = np.zeros((4, values.shape[1], 8))
    low = _odd_frequencies(values, sums, sums.low)
    for place in (3, 1, 2):
        inside = lattice.shells[place - 1]
        columns = lattice.columns if place == 3 else [0]
        if place < 3 and np.array_equal(inside, lattice.shells[2]):
            found[place] = found[3]
        elif inside.any():
            count = len(columns)
            shell = _odd_frequencies(values[:count], sums, sums.shells[place - 1])
            grown = _grown(low[:count], shell, n)
            grown *= sums.turn
            found[place][:, columns] = (grown.imag @ sums.weights).T
            found[place][:, columns] -= _ties(lattice, inside, atoms, count)
    found[..., 3] = found[..., 2]
    return found


def _odd_frequencies(
    values: FloatArray, sums: _Sums, order: tuple[IntArray, IntArray, IntArray]
) -> _Complex:
    """Return the sums of exp(i theta d); (columns, scales, frequencies)."""
    from scipy.fft import ifft  # noqa: PLC0415 - loaded for this alone

    some, starts, places = order
    spread = np.zeros((*values.shape[:2], 1, sums.twist.shape[1]))
    if places.size:
        spread[..., 0, places] = np.add.reduceat(values[..., some], starts, axis=2)
    size = sums.weights.size // sums.twist.shape[0]
    found = np.asarray(ifft(spread * sums.twist, size, norm="forward", overwrite_x=True))
    return found.reshape(*values.shape[:2], -1)


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
