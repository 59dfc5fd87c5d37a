"""How exact four-over-six is below a tensor scale from the data, for a density."""

from typing import NamedTuple

from qerror.densities.density import Density


class Care(NamedTuple):
    """How exact figures are below a tensor scale from the data."""

    nodes: int
    """Of the largest value of a tensor."""
    heavy: tuple[int, int]
    """Where tails are heavy: those of `largest_values`."""
    enough: float
    """Of the squared error of all, for each step."""
    rare: float
    """Of a probability, likewise."""
    left: float
    """Steps that are not asked."""


_ALL_DIGITS = Care(16, (64, 96), 1e-15, 1e-16, 1e-18)
_ALONE = Care(10, (40, 64), 1e-13, 1e-12, 1e-14)  # 1e-11: where each step is found by itself


def care_of(density: Density) -> Care:
    """Return what a density allows in some seconds: steps of one shape are found together."""
    alike = density.is_symmetric and not density.atom_sums.size
    end = density.support[1]
    return _ALL_DIGITS if alike and all(abs(k) in {0, end} for k in density.kinks) else _ALONE
