"""Errors of block formats on the densities that are compared."""

from functools import cache

from qerror._arrays import FrozenMapping
from qerror.analysis import quantization_error
from qerror.densities import parse_density
from qerror.formats import parse_format

DENSITIES = ("gaussian", "laplace", "student-t(nu=5)")
"""From light tails to heavy ones."""
LABELS = FrozenMapping({"gaussian": "Gaussian", "laplace": "Laplace", "student-t(nu=5)": "t(5)"})


@cache
def sqnr_db(name: str, density: str, spread: float = 1.0) -> float:
    """Return the SQNR of a block format on a density multiplied by `spread`."""
    return quantization_error(name, parse_density(density).affine(spread, 0.0)).sqnr_db


@cache
def mean_sqnr_db(name: str, density: str) -> float:
    """Return the SQNR of the mean error over the spreads of one binade.

    Scales that are powers of two make the error depend on where the spread lies between two of
    them; other formats have the same error everywhere, or next to it.
    """
    return quantization_error(parse_format(name), density, binade_average=True).sqnr_db


def cost(name: str) -> float:
    """Return the bits of a value with its share of the scale."""
    return parse_format(name).bits_per_value
