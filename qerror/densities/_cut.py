"""What densities that limit another one share."""

import math
import reprlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from qerror._arrays import real
from qerror.densities.atoms import Atoms
from qerror.densities.density import Density
from qerror.densities.from_scipy import frozen_density, is_frozen_distribution
from qerror.densities.piece import Piece
from qerror.exceptions import InvalidType, InvalidValue

DEEPEST = 32  # densities around each other


def inner_density(value: object, owner: object) -> Density:
    """Return the density that a wrapper is given; refuse anything that is none."""
    if isinstance(value, Density):
        _check_depth(value, owner)
        return value
    if is_frozen_distribution(value):
        return frozen_density(value)
    raise InvalidType(
        f"{type(owner).__name__} wraps a density, got {reprlib.repr(value)}; "
        "give one such as Gaussian(), or a frozen distribution of scipy.stats"
    )


def _check_depth(density: Density, owner: object) -> None:
    """Refuse nests so deep that comparing or printing them would exhaust Python's stack."""
    layer: list[Density] = [density]
    for _ in range(DEEPEST):
        layer = [inner for outer in layer for inner in _inside(outer)]
        if not layer:
            return
    raise InvalidValue(
        f"{type(owner).__name__} would nest densities more than {DEEPEST} deep; "
        "write the same law with fewer layers"
    )


def _inside(density: Density) -> Sequence[Density]:
    """Return what a density wraps."""
    found: list[Density] = list(getattr(density, "components", ()))
    wrapped: object = getattr(density, "density", None)
    return [*found, wrapped] if isinstance(wrapped, Density) else found


def ordered_limits(owner: object, density: object, low: float, high: float) -> None:
    """Check a wrapper's parameters and store the limits as floats."""
    object.__setattr__(owner, "density", inner_density(density, owner))
    for name, value in (("low", low), ("high", high)):
        object.__setattr__(owner, name, _limit(name, value))
    if not low < high:
        raise InvalidValue(f"low must be below high, got low={low:g}, high={high:g}")


def _limit(name: str, value: Any) -> float:
    """Return a limit as a float: a real number, or an infinity."""
    if isinstance(value, float | np.floating):
        number = float(cast("float", value))
        return number if math.isinf(number) else real(name, number)
    return real(name, value)


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
