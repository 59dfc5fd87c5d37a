"""Densities, masses and first moments, of all uniform parts of a density at once."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray, frozen
from qerror.densities.density import Density
from qerror.densities.piece import Piece, joined_pdf
from qerror.densities.uniform import Flat


class Flats(NamedTuple):
    """The sum of all uniform parts: constants between edges."""

    edges: FloatArray
    heights: FloatArray
    mass: FloatArray
    """Below the edges."""
    first: FloatArray
    """int x p below the edges."""
    others: tuple[Piece, ...]
    """The pieces that are not uniform."""

    def pdf(self, x: FloatArray) -> FloatArray:
        """Return the density at x, which is on no edge."""
        if not self.heights.size:
            return np.zeros(x.shape)
        padded = np.concatenate([np.zeros(1), self.heights, np.zeros(1)])
        found: FloatArray = padded[np.searchsorted(self.edges, x, "right")]
        return found

    def mass_below(self, x: FloatArray) -> FloatArray:
        """Return the probability below x."""
        if not self.heights.size:
            return np.zeros(x.size)
        at, more = self._within(x)
        return self.mass[at] + more

    def first_below(self, x: FloatArray) -> FloatArray:
        """Return int x p below x."""
        if not self.heights.size:
            return np.zeros(x.size)
        at, more = self._within(x)
        x = np.minimum(x, self.edges[-1])
        return self.first[at] + more * (0.5 * (x + self.edges[at]))

    def _within(self, x: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the interval of each x, and the probability below x there."""
        at = np.searchsorted(self.edges[1:-1], x, "right")
        more = np.minimum(np.maximum(x, self.edges[0]), self.edges[-1]) - self.edges[at]
        return at, self.heights[at] * more


@lru_cache(maxsize=64)
def flats_of(density: Density) -> Flats:
    """Return the uniform parts of a density."""
    flat = [piece for piece in density.pieces() if isinstance(piece.law, Flat)]
    others = tuple(piece for piece in density.pieces() if not isinstance(piece.law, Flat))
    edges = np.unique([end for piece in flat for end in (piece.low, piece.high)])
    middle = 0.5 * (edges[1:] + edges[:-1])
    heights = np.zeros(middle.size)
    for piece in flat:
        inside = (piece.low < middle) & (middle < piece.high)
        heights[inside] += piece.weight / piece.spread
    parts = heights * np.diff(edges)
    mass, first = (np.append(0.0, np.cumsum(part)) for part in (parts, parts * middle))
    return Flats(frozen(edges), frozen(heights), frozen(mass), frozen(first), others)


def heights(density: Density, x: FloatArray) -> FloatArray:
    """Return the density at places x, on none of its edges."""
    flats = flats_of(density)
    return flats.pdf(x) + joined_pdf(flats.others, x)


def masses(density: Density, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return P(low < X <= high) as the difference of two distribution functions."""
    flats = flats_of(density)
    if not flats.heights.size:
        return np.maximum(density.cdf(high) - density.cdf(low), 0.0)
    found = flats.mass_below(high) - flats.mass_below(low)
    for piece in flats.others:
        found += piece.mass_below(high) - piece.mass_below(low)
    if density.atom_sums.size:
        found += density.atom_sums.mass(np.nextafter(low, np.inf), high)
    return np.maximum(found, 0.0)
