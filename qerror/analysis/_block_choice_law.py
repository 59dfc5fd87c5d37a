"""The law of what one value gains, as polynomials between the places where it is not smooth.

The gain is linear in x on every interval with one level at each scale, so that the gains of all
intervals have one density, smooth between the ends of theirs. With one or two values of a block
that gain no exact amount, E[sign(S)] is then an integral of polynomials: nothing is left to the
frequencies that would fall as slowly as they do, the square or the cube of 1 / t.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray, IntArray
from qerror.analysis._block_choice_nodes import NO_GAIN, Cells, Problem, columns_at, room_of
from qerror.analysis._block_choice_series import Complex, frequencies_of, transforms
from qerror.densities.quadrature import gauss_legendre

_ORDER = 12  # nodes of an interval; polynomials of one degree less
_SHARE = 0.5  # of the density's panels that an interval may take up: it is interpolated
_APART = 1e-13  # ends of intervals, in units of the largest gain
_PHASE = 9.0  # radians that nodes of one panel turn
_CHUNK = 2**9  # intervals whose coefficients are gathered together

Columns: TypeAlias = npt.NDArray[Any]


class GainLaw(NamedTuple):
    """The nine columns of `Nodes`, as functions of the gain, below the four places."""

    edges: FloatArray
    used: IntArray
    """Which of 4 * 9 are asked for, and not 0: below the places of clipping the first alone."""
    coefficients: FloatArray
    """Of Legendre polynomials, a row for each interval; (intervals, order, used)."""
    below: FloatArray
    """The integrals up to each edge; (intervals + 1, used)."""

    @classmethod
    def of(cls, problem: Problem, cells: Cells, unit: float) -> "GainLaw | None":
        """Gather all intervals on which the gain changes; None if it changes nowhere."""
        cells = _narrowed(problem, cells)
        left, right = cells.gain(problem, 0.0) / unit, cells.gain(problem, 1.0) / unit
        moving = np.flatnonzero(np.abs(right - left) > NO_GAIN)
        if not moving.size:
            return None
        edges = np.sort(np.concatenate([left[moving], right[moving]]))
        edges = edges[np.append(True, np.diff(edges) > _APART)]
        first = _nearest(edges, np.minimum(left, right)[moving])
        count = _nearest(edges, np.maximum(left, right)[moving]) - first
        cell = np.repeat(moving, count)
        interval = np.arange(cell.size) - np.repeat(np.cumsum(count) - count - first, count)
        order = np.argsort(interval, kind="stable")
        cell, interval = cell[order], interval[order]
        nodes, _ = gauss_legendre(_ORDER)
        gain = edges[interval, None] + np.diff(edges)[interval, None] * nodes
        width = np.diff(cells.cuts)[cell, None]
        steep = (right - left)[cell, None]
        share = np.clip((gain - left[cell, None]) / steep, 0.0, 1.0)
        x = cells.cuts[:-1][cell, None] + share * width
        dx = np.broadcast_to(width / np.abs(steep), x.shape)
        found = columns_at(problem, cells, np.repeat(cell, _ORDER), x.ravel(), dx.ravel())
        found = found.reshape(cell.size, -1)
        starts = np.flatnonzero(np.diff(interval, prepend=-1))
        values = np.zeros((edges.size - 1, 4, _ORDER, 9))
        for place, inside in enumerate(_inside(problem, cells)):
            some = np.where(inside[cell, None], found, 0.0)
            if some.size:
                total = np.add.reduceat(some, starts, axis=0)
                values[interval[starts], place] = total.reshape(-1, _ORDER, 9)
        values[:, 1:3, :, 1:] = 0.0
        used = np.flatnonzero(values.any(axis=(0, 2)))
        values = values.swapaxes(1, 2).reshape(edges.size - 1, _ORDER, 36)[:, :, used]
        coefficients = _projection() @ values
        whole = coefficients[:, 0] * np.diff(edges)[:, None]
        below = np.concatenate([np.zeros((1, used.size)), np.cumsum(whole, axis=0)])
        return cls(edges, used, coefficients, below)

    @property
    def whole(self) -> FloatArray:
        """The integrals over all gains, (4, 9)."""
        return self._all(self.below[-1]).reshape(4, 9)

    def signed(self, y: FloatArray) -> FloatArray:
        """Return the integrals of u(d) sign(d + y), (y, 4, 9)."""
        return self._all(self._signed(-y[:, None])).reshape(-1, 4, 9)

    def twice_signed(self, y: float) -> FloatArray:
        """Return the integrals of u(c) v(d) sign(c + d + y), (4, 9, 9)."""
        low, high = self.edges[0], self.edges[-1]
        cuts = np.concatenate([self.edges, np.clip(-y - self.edges, low, high)])
        cuts = np.sort(cuts)
        cuts = np.append(low, cuts[1:][np.diff(cuts) > _APART])
        nodes, weights = gauss_legendre(_ORDER)
        found = np.zeros((4, 9, 9))
        for start in range(0, cuts.size - 1, _CHUNK):
            ends = cuts[start : start + _CHUNK + 1]
            width = np.diff(ends)[:, None]
            gain = ends[:-1, None] + width * nodes
            u = self._values(gain) * (width * weights)[:, :, None]
            v = self._signed(-y - gain)
            u, v = (self._all(part).reshape(-1, 4, 9) for part in (u, v))
            found += u.transpose(1, 2, 0) @ v.transpose(1, 0, 2)
        return found

    def transformed(self, n: int, limit: float) -> Complex:
        """Return the integrals of exp(i t d) at the frequencies of sums of n gains, (4, t, 9)."""
        parts = np.ceil(np.diff(self.edges) * (limit / _PHASE)).astype(np.int64)
        interval = np.repeat(np.arange(parts.size), parts)
        rank = np.arange(interval.size) - np.repeat(np.cumsum(parts) - parts, parts)
        width = (np.diff(self.edges) / parts)[interval, None]
        nodes, weights = gauss_legendre(_ORDER)
        gain = self.edges[interval, None] + width * (rank[:, None] + nodes)
        columns = self._values(gain) * (width * weights)[:, :, None]
        count = frequencies_of(n, limit).size
        found = transforms(gain.ravel(), columns.reshape(gain.size, -1), n, count)
        return self._all(found).reshape(count, 4, 9).swapaxes(0, 1)

    def _all(self, columns: Columns) -> Columns:
        """Return all columns, those that are not used too: 0."""
        found: Columns = np.zeros((*columns.shape[:-1], 36), dtype=columns.dtype)
        found[..., self.used] = columns
        return found

    def _values(self, gain: FloatArray) -> FloatArray:
        """Return the columns at gains, each row within one interval."""
        interval, z = self._place(gain)
        return _legendre(z, _ORDER) @ self.coefficients[interval]

    def _signed(self, gain: FloatArray) -> FloatArray:
        """Return what lies above gains less what lies below, each row within one interval."""
        interval, z = self._place(gain)
        p = _legendre(z, _ORDER + 1)
        k = np.arange(1, _ORDER)
        integrals = np.empty((*z.shape, _ORDER))
        integrals[..., 0] = z + 1
        integrals[..., 1:] = (p[..., 2:] - p[..., :-2]) / (2 * k + 1)
        half = 0.5 * np.diff(self.edges)[interval, None, None]
        inner = integrals @ self.coefficients[interval]
        at = self.below[interval][:, None] + half * inner
        signed: FloatArray = self.below[-1] - 2 * at
        return signed

    def _place(self, gain: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the interval of each row, and where in it: -1 to 1."""
        middle = gain[:, gain.shape[1] // 2]
        interval = np.searchsorted(self.edges, middle, "right") - 1
        interval = np.clip(interval, 0, self.edges.size - 2)
        low, high = self.edges[interval, None], self.edges[interval + 1, None]
        return interval, np.clip((2 * gain - low - high) / (high - low), -1.0, 1.0)


def _narrowed(problem: Problem, cells: Cells) -> Cells:
    """Cut to parts of the density's panels."""
    width = np.diff(cells.cuts)
    parts = np.ceil(width / (_SHARE * room_of(problem.density, cells.cuts))).astype(np.int64)
    at = np.flatnonzero(parts > 1)
    more: list[FloatArray] = [
        cells.cuts[i] + width[i] * np.arange(1, k) / k
        for i, k in zip(at.tolist(), parts[at].tolist(), strict=True)
    ]
    return cells.cut(np.concatenate(more)) if more else cells


def _nearest(edges: FloatArray, values: FloatArray) -> IntArray:
    """Return the last edge that is no larger, but for what edges are apart."""
    return np.searchsorted(edges, values + 0.5 * _APART, "right") - 1


def _inside(problem: Problem, cells: Cells) -> list[BoolArray]:
    """Return which intervals lie below each of the four places of `Nodes`."""
    step = problem.step
    middle = np.abs(0.5 * (cells.cuts[:-1] + cells.cuts[1:]))
    clips = problem.grid.max * np.array([step.six, step.four])
    return [middle < step.low, *(middle < max(step.low, c) for c in clips), middle < np.inf]


def _projection() -> FloatArray:
    """Return what turns values at the nodes into coefficients of Legendre polynomials."""
    nodes, weights = gauss_legendre(_ORDER)
    k = np.arange(_ORDER)
    found: FloatArray = ((2 * k + 1) * weights[:, None] * _legendre(2 * nodes - 1, _ORDER)).T
    return found


def _legendre(z: FloatArray, size: int) -> FloatArray:
    """Return P_0, P_1, ... at z, along a last axis."""
    found = np.empty((*z.shape, size))
    found[..., 0] = 1.0
    found[..., 1] = z
    for k in range(1, size - 1):
        found[..., k + 1] = ((2 * k + 1) * z * found[..., k] - k * found[..., k - 1]) / (k + 1)
    return found
