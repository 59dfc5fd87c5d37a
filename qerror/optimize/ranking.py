"""The best format of a bit width, and where along a parameter another one takes its place."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from qerror._arrays import integer, positive, real
from qerror.analysis.decibels import decibels_above
from qerror.analysis.single import quantization_error
from qerror.densities.clipped import Clipped
from qerror.densities.density import Density
from qerror.densities.names import (
    DensityLike,
    as_density,
    at_parameter,
    density_name,
    own_parameter,
    parameter_values,
)
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.floating import FloatingPoint
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.integer import Integer
from qerror.formats.names import as_scalar_format
from qerror.optimize.fractional_length import optimal_fractional_length
from qerror.optimize.scale import OptimalScale, optimal_scale
from qerror.tables import decibels, html_table, place, short

Formats: TypeAlias = Sequence[Format | str] | int
"""Formats to choose from, or a bit width that stands for all of its formats."""

RANGE_PARAMETERS = ("max_value", "range")
"""What `format_switches` can sweep besides the parameters of the density."""

_AMBIGUOUS = ("scale", "bias")
"""Parameters that a quantizer has: those of a density by these names need their prefix."""

_MOST_EXPONENT_BITS = 11
_SHOWN = 6  # formats in a repr
_POINTS = 17  # where winners are compared before the switches between them are closed in
_TIE = 1e-12  # of ln MSE: less than this sets no format apart; the earlier one is taken


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


@dataclass(frozen=True)
class FormatSwitch:
    """A value of a parameter at which two formats are equally good and no other is better."""

    value: float
    below: ScalarFormat
    above: ScalarFormat
    mse: float


@dataclass(frozen=True, repr=False)
class FormatSwitches:
    """The best formats along a parameter, from `low` to `high`."""

    parameter: str
    low: float
    high: float
    winners: tuple[ScalarFormat, ...]
    """The best format of each stretch; one more than there are switches."""
    switches: tuple[FormatSwitch, ...]

    def __repr__(self) -> str:
        later = (f" | {short(switch.value, 6)} | {switch.above.name}" for switch in self.switches)
        way = f"{short(self.low)} | {self.winners[0].name}{''.join(later)} | {short(self.high)}"
        return f"<FormatSwitches over {self.parameter}: {way}>"

    def _repr_html_(self) -> str:
        ends = [self.low, *(switch.value for switch in self.switches), self.high]
        body = [
            (short(ends[i], 11), short(ends[i + 1], 11), form.name)
            for i, form in enumerate(self.winners)
        ]
        return html_table("", (f"from {self.parameter}", "to", "best"), body)


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
    found = [_at_best(form, density) for form in _listed(formats)]
    found.sort(key=lambda pair: float(f"{pair[1].report.mse:.12e}"))
    least = found[0][1].report.mse
    return FormatRanking(
        density, tuple(RankedFormat(*pair, _behind(pair[1].report.mse, least)) for pair in found)
    )


def format_switches(
    formats: Formats,
    density: DensityLike,
    over: str,
    low: float,
    high: float,
    *,
    points: int = _POINTS,
) -> FormatSwitches:
    """Return where along a parameter one format takes another's place as the best.

    Parameters
    ----------
    formats : sequence of Format or str, or int
        What to choose from; a bit width stands for `formats_of_width`.
    density : Density, str or array_like
        What is quantized; its own value of the parameter does not matter.
    over : str
        A parameter of the density ("nu", "std", "density.scale", ...): every format stands at
        its best range. Or
        "max_value", the largest level of every format; or "range", a largest level r to which
        the density is clipped too, as by min-max calibration (Kuzmin et al. 2022, appendix D).
        Fixed point, whose range is not free, is left out of these two.
    low, high : float
        Where to look. Between positive limits the winners are compared at geometrically
        spaced points.
    points : int
        How many points: two switches between neighbours may go unseen if the same format wins
        at both.

    Returns
    -------
    FormatSwitches
        Each switch is the root of the difference in ln MSE, to about 1e-12 relative.

    Raises
    ------
    InvalidValue
        If the density has no such parameter, low >= high, there is no format, or E[X^2] is
        infinite on the way.

    Examples
    --------
    >>> from qerror import StudentT, format_switches
    >>> found = format_switches(["5M2E", "4M3E"], StudentT(3), "nu", 3, 100)
    >>> round(found.switches[0].value, 6), found.switches[0].below.name
    (7.197769, '4M3E')
    """
    density = as_density(density)
    low, high = real("low", low), real("high", high)
    points = integer("points", points, 2, 10_000)
    if not low < high:
        raise InvalidValue(f"low must be below high, got low={low:g}, high={high:g}")
    contest = _contest(_listed(formats), density, over, low)
    space = np.geomspace if low > 0 else np.linspace
    at = [low, *(float(x) for x in space(low, high, points)[1:-1]), high]
    switches = tuple(switch for a, b in pairwise(at) for switch in _between(contest, a, b, depth=0))
    winners = [contest.winner(low), *(contest.index(switch.above) for switch in switches)]
    return FormatSwitches(over, low, high, tuple(contest.formats[i] for i in winners), switches)


@dataclass(frozen=True)
class _Contest:
    """Formats and their ln MSE as a function of the swept value."""

    formats: tuple[ScalarFormat, ...]
    log_mse: Callable[[int, float], float]

    def winner(self, value: float) -> int:
        errors = [self.log_mse(i, value) for i in range(len(self.formats))]
        least = min(errors)
        return next(i for i, error in enumerate(errors) if error <= least + _TIE)

    def index(self, form: ScalarFormat) -> int:
        return self.formats.index(form)


def _listed(formats: Formats) -> list[ScalarFormat]:
    if isinstance(formats, int):
        return list(formats_of_width(formats))
    if isinstance(formats, str | Format):
        raise InvalidType(f"expected a list of formats or a bit width, got {formats!r}")
    found = [as_scalar_format(form) for form in formats]
    if not found:
        raise InvalidValue("there is no format to choose from; give some, or a bit width")
    return found


def _at_best(form: ScalarFormat, density: Density) -> tuple[ScalarFormat, OptimalScale]:
    """Return a format at its best range; of fixed point the best of its kind, at scale 1."""
    if isinstance(form, FixedPoint) and math.isfinite(density.second_moment):
        length = optimal_fractional_length(density, form.word_length, form.signed)
        form = form.with_fractional_length(length)
    return form, optimal_scale(form, density)


def _behind(mse: float, least: float) -> float:
    """Return the distance in dB: 0 where two formats tie, nan where both MSEs are infinite."""
    if math.isinf(least):
        return math.nan
    return 0.0 if mse <= least * (1 + _TIE) else decibels_above(mse, least)


def _contest(formats: Sequence[ScalarFormat], density: Density, over: str, low: float) -> _Contest:
    if over in RANGE_PARAMETERS:
        positive("low", low)
        formats = [form for form in formats if not isinstance(form, FixedPoint)]
        if not formats:
            raise InvalidValue(f"fixed point has no {over} to sweep; sweep std, or leave it out")
    else:
        _check_own(density, over)

    @cache
    def log_mse(index: int, value: float) -> float:
        mse = _mse(formats[index], density, over, value)
        if math.isinf(mse):
            raise InvalidValue(
                f"E[X^2] is infinite at {over} = {value:g}, and so is every MSE; look elsewhere"
            )
        return math.log(mse) if mse > 0 else -math.inf

    return _Contest(tuple(formats), log_mse)


def _check_own(density: Density, over: str) -> None:
    """Refuse what is no parameter of the density, or what a quantizer has too."""
    names = [f"density.{own}" if own in _AMBIGUOUS else own for own in parameter_values(density)]
    known = ", ".join([*names, *RANGE_PARAMETERS])
    if over in _AMBIGUOUS:
        raise InvalidValue(
            f"cannot sweep {over!r}: it is the quantizer's, and every format stands at its best; "
            f"for the density's own write density.{over}. {density_name(density)} has {known}"
        )
    if own_parameter(over) not in parameter_values(density):
        raise InvalidValue(f"cannot sweep {over!r} of {density_name(density)}; there are {known}")


def _mse(form: ScalarFormat, density: Density, over: str, value: float) -> float:
    if over == "max_value":
        return quantization_error(form, density, form.scale_for(value)).mse
    if over == "range":
        return quantization_error(form, Clipped(density, -value, value), form.scale_for(value)).mse
    return optimal_scale(form, at_parameter(density, own_parameter(over), value)).report.mse


def _between(contest: _Contest, low: float, high: float, depth: int) -> Iterator[FormatSwitch]:
    """Yield the switches between two values with the winner of each."""
    below, above = contest.winner(low), contest.winner(high)
    if below == above:
        return
    value = _crossing(contest, below, above, low, high)
    third = contest.winner(value)
    gap = contest.log_mse(below, value) - contest.log_mse(third, value)
    if gap > _TIE and low < value < high and depth < len(contest.formats):
        yield from _between(contest, low, value, depth + 1)
        yield from _between(contest, value, high, depth + 1)
    else:
        mse = math.exp(contest.log_mse(below, value))
        yield FormatSwitch(value, contest.formats[below], contest.formats[above], mse)


def _crossing(contest: _Contest, below: int, above: int, low: float, high: float) -> float:
    """Return where two formats are equally good, one of them better at either end."""
    from scipy.optimize import brentq

    def lead(value: float) -> float:
        return contest.log_mse(below, value) - contest.log_mse(above, value)

    ends = lead(low), lead(high)
    if ends[0] == 0 or ends[1] == 0 or not all(map(math.isfinite, ends)):
        return low if ends[0] == 0 else high
    tolerance = 1e-15 * max(abs(low), abs(high))
    return float(brentq(lead, low, high, xtol=tolerance, rtol=1e-15))
