"""A law alone: location 0 and spread 1, whatever family it is of."""

from functools import lru_cache
from typing import NamedTuple, final

from qerror.densities.density import Density
from qerror.densities.law import Law
from qerror.densities.piece import Piece

_LEAST, _MOST = 1e-20, 1e20  # spreads: what is far out in one unit is so in the other


@final
class _Standard(Density):
    """The density of a law: one instance for each, so that it is its own identity."""

    def __init__(self, law: Law) -> None:
        self._pieces = (Piece(law),)

    def pieces(self) -> tuple[Piece, ...]:
        return self._pieces


class Shape(NamedTuple):
    """A density of X / unit, the same for all X of one shape."""

    density: Density
    unit: float


_standard = lru_cache(maxsize=128)(_Standard)


def shape_of(density: Density) -> Shape:
    """Return what densities that differ by a factor alone share; else the density itself."""
    piece = density.whole_piece
    if piece is None or piece.location != 0 or not _LEAST < piece.spread < _MOST:
        return Shape(density, 1.0)
    return Shape(_standard(piece.law), piece.spread)
