"""The best format of a bit width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from qerror.analysis.decibels import decibels_above
from qerror.densities.density import Density
from qerror.densities.names import (
    DensityLike,
    as_density,
    density_name,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_format, as_scalar_format
from qerror.optimize.fractional_length import optimal_fractional_length
from qerror.optimize.optimum import OptimalScale
from qerror.optimize.scale import optimal_scale
from qerror.tables import decibels, html_table, place, short

Formats: TypeAlias = Sequence[Format | str] | int
"""Formats to choose from, or a bit width that stands for all of its formats."""

RANGE_PARAMETERS = ("max_value", "range")
"""What can be swept of formats besides the parameters of the density."""

BLOCK_SIZE = "block_size"
"""What can be swept of formats that share scales."""

_MOST_EXPONENT_BITS = 11  # float64's
_SHOWN = 6  # formats in a repr
TIE = 1e-12  # of ln MSE: less than this sets no format apart; the earlier one is taken


@dataclass(frozen=True)
class RankedFormat:
    """A format at its best range, and how it stands among others."""

    format: ScalarFormat
    optimum: OptimalScale
    below_best_db: float
    """How far its SQNR lies below the best one's; nan where E[X^2] is infinite."""


@dataclass(frozen=True, repr=False)
class FormatRanking:
    """Formats from the least mean squared error to the largest."""

    density: Density
    ranking: tuple[RankedFormat, ...]

    @property
    def best(self) -> RankedFormat:
        """The first of the ranking."""
        return self.ranking[0]

    def __repr__(self) -> str:
        names = ", ".join(
            f"{entry.format.name} {decibels(entry.optimum.report.sqnr_db)}"
            for entry in self.ranking[:_SHOWN]
        )
        more = ", ..." if len(self.ranking) > _SHOWN else ""
        return f"<FormatRanking on {density_name(self.density)}, SQNR in dB: {names}{more}>"

    def _repr_html_(self) -> str:
        header = ("rank", "format", "max value", "bias/scale", "MSE", "SQNR dB", "dB below")
        body = [
            (
                str(rank),
                entry.format.name,
                short(entry.optimum.max_value),
                place(entry.optimum.scale, entry.optimum.bias),
                short(entry.optimum.report.mse),
                decibels(entry.optimum.report.sqnr_db),
                decibels(entry.below_best_db),
            )
            for rank, entry in enumerate(self.ranking, start=1)
        ]
        return html_table(density_name(self.density), header, body, marked=(0,))


def formats_of_width(bits: int, signed: bool = True) -> tuple[ScalarFormat, ...]:
    """Return the formats of a bit width: integer, every floating-point split, fixed point.

    Parameters
    ----------
    bits : int
        Width of a code, the sign included: 2..53 signed, 1..53 unsigned.
    signed : bool
        Whether codes have a sign.

    Returns
    -------
    tuple of Format
        Integers (symmetric if signed); mantissa and exponent bits xMyE with 2 to 11 exponent
        bits and every code finite (with one exponent bit the levels are those of the integer);
        fixed point at fractional length 0, which `optimal_format` moves.

    Raises
    ------
    InvalidValue
        If `bits` is outside its range.
    """
    whole = Integer(bits, signed)
    rest = whole.bits - signed
    floats = [
        FloatingPoint(rest - exponent_bits, exponent_bits, signed=signed)
        for exponent_bits in range(2, min(rest, _MOST_EXPONENT_BITS) + 1)
    ]
    return whole, *floats, FixedPoint(whole.bits, 0, signed)


def optimal_format(formats: Formats, density: DensityLike) -> FormatRanking:
    """Rank formats by their mean squared error, each at its best range.

    Parameters
    ----------
    formats : sequence of Format or str, or int
        What to choose from; a bit width stands for `formats_of_width`.
    density : Density, str or array_like
        What is quantized.

    Returns
    -------
    FormatRanking
        Equally good formats keep their order. A fixed-point format appears with its best
        fractional length. Where E[X^2] is infinite no format is better than another.

    Raises
    ------
    InvalidValue
        If there is no format, or one of them has no positive level.

    References
    ----------
    Kuzmin et al. 2022, section 3 and figure 3, compare five of them; van Baalen et al. 2023,
    figure 5.

    Examples
    --------
    >>> from qerror import StudentT, optimal_format
    >>> optimal_format(8, StudentT(3)).best.format.name
    '3M4E'
    """
    density = as_density(density)
    found = [_at_best(form, density) for form in map(as_scalar_format, listed(formats))]
    found.sort(key=lambda pair: float(f"{pair[1].report.mse:.12e}"))
    least = found[0][1].report.mse
    return FormatRanking(
        density, tuple(RankedFormat(*pair, behind(pair[1].report.mse, least)) for pair in found)
    )


def listed(formats: Formats) -> list[Format]:
    """Return formats to choose from, or all of a bit width."""
    if isinstance(formats, int):
        return list(formats_of_width(formats))
    if isinstance(formats, str | Format):
        raise InvalidType(f"expected a list of formats or a bit width, got {formats!r}")
    found = [as_format(form) for form in formats]
    if not found:
        raise InvalidValue("there is no format to choose from; give some, or a bit width")
    return found


def _at_best(form: ScalarFormat, density: Density) -> tuple[ScalarFormat, OptimalScale]:
    """Return a format at its best range; of fixed point the best of its kind, at scale 1."""
    if isinstance(form, FixedPoint) and math.isfinite(density.second_moment):
        length = optimal_fractional_length(density, form.word_length, form.signed)
        form = form.with_fractional_length(length)
    return form, optimal_scale(form, density)


def behind(mse: float, least: float) -> float:
    """Return how far an MSE lies above the least in dB.

    0 where two formats tie, nan where both MSEs are infinite.
    """
    if math.isinf(least):
        return math.nan
    return 0.0 if mse <= least * (1 + TIE) else decibels_above(mse, least)
