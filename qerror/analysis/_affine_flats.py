"""Probabilities and first moments between extremes, of all uniform parts of a density at once."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, frozen
from qerror.densities.density import Density
from qerror.densities.piece import Piece
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

    def below(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the probability below x, and int x p there."""
        if not self.heights.size:
            return np.zeros(x.size), np.zeros(x.size)
        x = np.clip(x, self.edges[0], self.edges[-1])
        at = np.clip(np.searchsorted(self.edges, x, "right") - 1, 0, self.heights.size - 1)
        start = self.edges[at]
        more = self.heights[at] * (x - start)
        return self.mass[at] + more, self.first[at] + more * (0.5 * (x + start))


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


def masses(density: Density, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return P(low < X <= high) as the difference of two distribution functions."""
    flats = flats_of(density)
    if not flats.heights.size:
        return np.maximum(density.cdf(high) - density.cdf(low), 0.0)
    found = flats.below(high)[0] - flats.below(low)[0]
    for piece in flats.others:
        found += piece.mass_below(high) - piece.mass_below(low)
    if density.atom_sums.size:
        found += density.atom_sums.mass(np.nextafter(low, np.inf), high)
    return np.maximum(found, 0.0)
