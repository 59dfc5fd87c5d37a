"""What densities that limit another one share."""

import math

from qerror._arrays import real
from qerror.densities.density import Atoms, Density
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue


def require_density(value: object, owner: object) -> None:
    """Refuse anything but a density where one is expected."""
    if not isinstance(value, Density):
        raise InvalidType(
            f"{type(owner).__name__} wraps a density, got {value!r}; "
            "give one such as Gaussian(), or FromScipy(...) for a scipy.stats distribution"
        )


def ordered_limits(owner: object, density: object, low: float, high: float) -> None:
    """Check a wrapper's parameters and store the limits as floats."""
    require_density(density, owner)
    for name, value in (("low", low), ("high", high)):
        infinite = value in {-math.inf, math.inf}
        object.__setattr__(owner, name, float(value) if infinite else real(name, value))
    if not low < high:
        raise InvalidValue(f"low must be below high, got low={low:g}, high={high:g}")


def pieces_within(density: Density, low: float, high: float) -> list[Piece]:
    """Return the parts of the density's pieces inside [low, high]."""
    cut = (piece.within(low, high) for piece in density.pieces())
    return [piece for piece in cut if piece is not None]


def atoms_within(density: Density, low: float, high: float) -> Atoms:
    """Return the point masses inside [low, high]."""
    x, probability = density.atoms()
    inside = (x >= low) & (x <= high)
    return Atoms(x[inside], probability[inside])


def mass_within(density: Density, low: float, high: float) -> float:
    """Return P(low <= X <= high), accurate however far out the interval lies."""
    continuous = sum(
        piece.integrals_at(piece.centre)[0] for piece in pieces_within(density, low, high)
    )
    return continuous + float(atoms_within(density, low, high).probabilities.sum())
