"""What the analysis accepts, checked at its door."""

from qerror.densities._base import Density
from qerror.densities.names import parse_density
from qerror.exceptions import InvalidType
from qerror.formats._base import Format
from qerror.formats.names import parse_format
from qerror.grids import Grid


def as_format(value: Format | str) -> Format:
    """Return a format, given as such or by its name."""
    if isinstance(value, str):
        return parse_format(value)
    if not isinstance(value, Format):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected a number format or its name, got {value!r}")
    return value


def as_grid(value: Format | Grid | str) -> Grid:
    """Return a grid, given as such, as a format, or by a format's name."""
    return value if isinstance(value, Grid) else as_format(value).grid()


def as_density(value: Density | str) -> Density:
    """Return a density, given as such or as text."""
    if isinstance(value, str):
        return parse_density(value)
    if not isinstance(value, Density):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidType(f"expected a density such as Gaussian(std=2) or its name, got {value!r}")
    return value
