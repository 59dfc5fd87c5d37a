"""The law of a sum of independent terms, on a mesh that widens with it."""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.accumulators.terms import Terms, weighed

_FINENESS = 48  # mesh points to a standard deviation, at least half as many
_DIRECT = 3e7  # multiplications up to which tails are convolved without cancellation
_NOTHING = 1e-60
_NOISE = 1e-17


class Mesh(NamedTuple):
    """Point masses at start, start + step, ..."""

    start: float
    step: float
    mass: FloatArray

    @property
    def points(self) -> FloatArray:
        """Where the masses are."""
        return self.start + self.step * np.arange(self.mass.size, dtype=np.float64)

    @property
    def moments(self) -> tuple[float, float]:
        """Mean and variance."""
        x = self.points
        mean = float(self.mass @ x)
        return mean, float(self.mass @ (x - mean) ** 2)

    def cdf(self, x: FloatArray) -> FloatArray:
        """Return P(X <= x), each mass spread evenly over one step."""
        edges = self.start + self.step * (np.arange(self.mass.size + 1) - 0.5)
        below = np.append(0.0, np.cumsum(self.mass))
        found: FloatArray = np.interp(x, edges, below)
        return found

    def tail(self, x: float) -> float:
        """Return P(X > x), to relative accuracy."""
        place = (x - self.start) / self.step + 0.5
        first = min(max(math.floor(place), -1), self.mass.size)
        part = 0.0 if not 0 <= first < self.mass.size else (first + 1 - place) * self.mass[first]
        return float(self.mass[max(first + 1, 0) :].sum() + part)

    def mirrored(self) -> "Mesh":
        """Return the law of -X."""
        return Mesh(-(self.start + self.step * (self.mass.size - 1)), self.step, self.mass[::-1])


def mesh_of(terms: Terms) -> Mesh:
    """Return terms on a mesh, each shared by its two neighbours so that its mean stays."""
    spread = math.sqrt(terms.variance) or abs(terms.mean) or 1.0
    step = 2.0 ** math.floor(math.log2(spread / _FINENESS))
    low = math.floor(terms.values[0] / step)
    place = terms.values / step - low
    left = np.floor(place).astype(np.int64)
    share = place - left
    size = int(left.max()) + 2
    mass = weighed(left, terms.probabilities * (1 - share), size)
    mass += weighed(left + 1, terms.probabilities * share, size)
    return Mesh(low * step, step, mass)


class Sums:
    """The laws of the sums of 1, 2, 3, ... terms."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._first = mesh_of(terms)
        self._known: dict[int, Mesh] = {1: self._first}

    def of(self, count: int) -> Mesh:
        """Return the law of the sum of `count` terms."""
        if count not in self._known:
            half = 1 << (count.bit_length() - 1)
            parts = (half // 2, half // 2) if count == half else (half, count - half)
            found = _sum(*(self.of(part) for part in parts))
            fine = math.sqrt(count) * self._first.step
            while found.step * 2 <= fine:
                found = _coarser(found)
            self._known[count] = found
        return self._known[count]

    def shape(self, count: int) -> Mesh:
        """Return the law of nearly so many terms: all up to 8, then two to an octave."""
        top = 1 << (count.bit_length() - 1)
        return self.of(count if count <= 8 else top + top // 2 if 2 * count >= 3 * top else top)


def _sum(a: Mesh, b: Mesh) -> Mesh:
    while a.step < b.step:
        a = _coarser(a)
    while b.step < a.step:
        b = _coarser(b)
    if a.mass.size * b.mass.size <= _DIRECT:
        mass, least = np.convolve(a.mass, b.mass), _NOTHING
    else:
        size = a.mass.size + b.mass.size - 1
        length = 1 << (size - 1).bit_length()
        product = np.fft.rfft(a.mass, length) * np.fft.rfft(b.mass, length)
        mass, least = np.fft.irfft(product, length)[:size], _NOISE
    kept = np.flatnonzero(mass > least)
    first, last = int(kept[0]), int(kept[-1]) + 1
    mass = np.maximum(mass[first:last], 0.0)
    return Mesh(a.start + b.start + first * a.step, a.step, mass / mass.sum())


def _coarser(mesh: Mesh) -> Mesh:
    """Return the law on every other point, the others' masses halved between neighbours."""
    mass = np.append(mesh.mass, np.zeros(1 + mesh.mass.size % 2))
    odd = mass[1::2]
    even = mass[::2].copy()
    even[:-1] += 0.5 * odd
    even[1:] += 0.5 * odd
    return Mesh(mesh.start, 2 * mesh.step, even)
