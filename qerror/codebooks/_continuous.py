"""The continuous part of a density as one function, and integrals of what is made of it."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray, frozen
from qerror.densities.density import Density
from qerror.densities.piece import Piece, joined_pdf
from qerror.densities.quadrature import gauss_legendre

_NODES = 16  # a panel's integral to 1e-15, or the panel is halved
_TOLERANCE = 2e-15  # of a panel, or of the whole: half of it is the rounding of the sum
_DEEPEST = 60  # halvings of a panel
_CHUNK = 2**12  # panels at a time: a few megabytes
_INNERMOST = -64  # octaves of the spread around a piece's location
_LARGEST = 996  # up to 1e300
_FAINT = 1e-290  # below it, float64 soon has no digits left


class PowerTail(NamedTuple):
    """At y >= distance from a location the density is level (y / distance)^-power."""

    distance: float
    level: float
    power: float


@dataclass(frozen=True)
class Continuous:
    """The sum of a density's pieces, as a function of u = x - origin."""

    pieces: tuple[Piece, ...]
    origin: float

    def pdf(self, u: FloatArray) -> FloatArray:
        """Return the density at origin + u; a singular point itself counts nothing."""
        level = joined_pdf(self.pieces, u)
        return np.where(np.isinf(level), 0.0, level)

    @cached_property
    def mass(self) -> float:
        """The probability of the continuous part: 1 without point masses."""
        return sum(piece.integrals_at(piece.centre)[0] for piece in self.pieces)

    @cached_property
    def edges(self) -> FloatArray:
        """Panel edges from one end of the density to the other, fine where it may vary fast.

        They hold every limit and kink, and double their distance from every piece's location.
        """
        found = [edge for piece in self.pieces for edge in _octaves(piece)]
        return frozen(np.unique(np.array(found)))

    @property
    def tails(self) -> Iterator[PowerTail]:
        """What lies beyond the edges: only power laws have something left there."""
        for sign, edge in ((-1.0, self.edges[0]), (1.0, self.edges[-1])):
            unbounded = (
                (piece.law.tail_exponent(sign), piece.location)
                for piece in self.pieces
                if math.isinf(piece.high if sign > 0 else piece.low)
            )
            exponent, location = min(unbounded, default=(math.inf, 0.0))
            if math.isfinite(exponent):
                level = float(self.pdf(np.array([edge]))[0])
                yield PowerTail(sign * (float(edge) - location), level, exponent + 1)

    def integrate(self, function: Callable[[FloatArray], FloatArray]) -> float:
        """Integrate function(p) over the edges, by panels that are halved until they agree."""
        total = 0.0
        start, stop = self.edges[:-1], self.edges[1:]
        coarse = self.panels(function, start, stop)
        size = float(np.abs(coarse).sum())
        for depth in range(_DEEPEST + 1):
            middle = 0.5 * (start + stop)
            lower, upper = (
                self.panels(function, *ends) for ends in ((start, middle), (middle, stop))
            )
            fine = lower + upper
            allowed = _TOLERANCE * np.maximum(np.abs(fine), 1e-2 * size)
            settled = (np.abs(fine - coarse) <= allowed) | (depth == _DEEPEST)
            total += float(fine[settled].sum())
            split = ~settled
            if not split.any():
                break
            coarse = np.concatenate([lower[split], upper[split]])
            start, stop = (
                np.concatenate([start[split], middle[split]]),
                np.concatenate([middle[split], stop[split]]),
            )
        return total

    def panels(
        self, function: Callable[[FloatArray], FloatArray], start: FloatArray, stop: FloatArray
    ) -> FloatArray:
        """Integrate function(p) over each panel by one Gauss-Legendre rule."""
        nodes, weights = gauss_legendre(_NODES)
        found = np.empty(start.size)
        for first in range(0, start.size, _CHUNK):
            part = slice(first, first + _CHUNK)
            width = stop[part] - start[part]
            p = self.pdf(start[part, None] + width[:, None] * nodes)
            found[part] = width * (function(p) @ weights)
        return found


def continuous_part(density: Density) -> Continuous:
    """Return the continuous part, its origin where its heaviest piece is: x may be large there."""
    pieces = density.pieces()
    origin = max(pieces, key=lambda piece: piece.weight).location if pieces else 0.0
    return Continuous(tuple(_moved(piece, origin) for piece in pieces), origin)


def _moved(piece: Piece, origin: float) -> Piece:
    location, low, high = (x - origin for x in (piece.location, piece.low, piece.high))
    return replace(piece, location=location, low=low, high=high)


def _octaves(piece: Piece) -> list[float]:
    """Return a piece's limits and centre, and what doubles its distance from the location."""
    exponent = math.frexp(piece.spread)[1]
    steps = np.ldexp(piece.spread, np.arange(_INNERMOST, _LARGEST - abs(exponent)))
    ends: list[float] = []
    for sign in (-1.0, 1.0):
        x = piece.location + sign * steps
        x = x[(x > piece.low) & (x < piece.high)]
        faint = np.flatnonzero(_is_faint(piece, x))
        ends += x[: faint[0] + 1 if faint.size else x.size].tolist()
    limits = [end for end in (piece.low, piece.high) if math.isfinite(end)]
    inside = [piece.location] if piece.low < piece.location < piece.high else []
    return ends + limits + inside


def _is_faint(piece: Piece, x: FloatArray) -> BoolArray:
    """Tell where next to nothing of the piece is left."""
    level = piece.pdf(x) * piece.spread
    far = np.abs(x - piece.location) > piece.spread
    return far & (level < _FAINT)
