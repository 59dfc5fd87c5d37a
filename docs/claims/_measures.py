"""What several findings need: formats at their best range, and units."""

import math
from functools import cache

from qerror import Density, ErrorReport, parse_density, parse_format
from qerror.formats import FloatingPoint
from qerror.optimize import OptimalScale, optimal_scale

EIGHT_BITS = ("INT8", "5M2E", "4M3E", "3M4E", "2M5E")
"""The formats that both FP8 papers compare, by growing number of exponent bits."""

FLOATS = EIGHT_BITS[1:]

BIT_DB = 20 * math.log10(2)
"""What one bit is worth, in dB."""


@cache
def optimum(name: str, density: str) -> OptimalScale:
    """Return a format at its best range."""
    return optimal_scale(parse_format(name), parse_density(density))


def best(name: str, density: str) -> ErrorReport[float]:
    """Return the errors of a format at its best range."""
    return optimum(name, density).report


def ranked(density: str, names: tuple[str, ...] = EIGHT_BITS) -> list[str]:
    """Return the formats from the best to the worst."""
    return sorted(names, key=lambda name: best(name, density).mse)


def lead(density: str) -> float:
    """Return by how many dB the best format leads the second."""
    first, second = ranked(density)[:2]
    return best(first, density).sqnr_db - best(second, density).sqnr_db


def exponent_bits(name: str) -> int:
    """Return the exponent bits of a format, 0 for integers."""
    form = parse_format(name)
    return form.exponent_bits if isinstance(form, FloatingPoint) else 0


def effective_bits(density: Density, mse: float) -> float:
    """Return log2(std / RMSE), the unit of van Baalen et al. 2023, figure 5."""
    return 0.5 * math.log2(density.variance / mse)


def decibels(value: float) -> str:
    """Return a ratio in dB as it is written on the page."""
    return f"{value:.2f} dB"
