"""What densities that limit another one share."""

import math

from qerror._arrays import real
from qerror.densities.density import Atoms, Density
from qerror.densities.from_scipy import FromScipy, is_frozen_distribution
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue


def inner_density(value: object, owner: object) -> Density:
    """Return the density that a wrapper is given; refuse anything that is none."""
    if isinstance(value, Density):
        return value
    if is_frozen_distribution(value):
        return FromScipy(value)
    raise InvalidType(
        f"{type(owner).__name__} wraps a density, got {value!r}; "
        "give one such as Gaussian(), or a frozen distribution of scipy.stats"
    )


def ordered_limits(owner: object, density: object, low: float, high: float) -> None:
    """Check a wrapper's parameters and store the limits as floats."""
    object.__setattr__(owner, "density", inner_density(density, owner))
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


def affine_limits(low: float, high: float, scale: float, shift: float) -> tuple[float, float]:
    """Return where scale x + shift takes the limits, in their order."""
    ends = sorted((scale * low + shift, scale * high + shift))
    return ends[0], ends[1]
