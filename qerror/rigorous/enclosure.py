"""Enclosures: intervals of floats that contain the expected errors, proved by ball arithmetic."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from qerror._arrays import positive
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.format import Format
from qerror.formats.names import as_grid
from qerror.grids import Grid
from qerror.rigorous._context import Balls, Number
from qerror.rigorous._parts import parts_of
from qerror.rigorous._runs import LongLevels
from qerror.rigorous._sums import AnyLevels, Errors, Levels, errors_of
from qerror.rounding import as_rule

_FIRST, _LAST = 160, 2**15  # bits of working precision that are tried
_ENOUGH = 56  # correct bits: beyond those of float64
_LONG = 2**10  # levels from which runs are summed by their ends
_TINY = 1e-300  # value and radius below it are as good as 0


class Interval(NamedTuple):
    """An interval of floats that contains a real number."""

    low: float
    """The lower end; the figure is not below."""
    high: float
    """The upper end; the figure is not above."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def middle(self) -> float:
        """A number in the interval, half-way."""
        return self.low if self.low == self.high else self.low + 0.5 * (self.high - self.low)

    @property
    def radius(self) -> float:
        """How far the ends lie from the middle, at most."""
        if self.low == self.high:
            return 0.0
        half = max(self.high - self.middle, self.middle - self.low)
        return math.nextafter(half, math.inf)


@dataclass(frozen=True)
class EnclosureReport:
    """The figures of an `ErrorReport`, each as an interval that contains the true value.

    What does not exist is [nan, nan]; what is infinite has infinite ends.
    """

    rounding: Interval
    clipping_low: Interval
    clipping_high: Interval
    clipping: Interval
    mse: Interval
    sqnr_db: Interval
    mean_error: Interval
    cross_moment: Interval
    signal_power: Interval
    signal_mean: Interval

    def to_dict(self) -> dict[str, Interval]:
        """Return every figure by its name, in reading order."""
        return dict(vars(self))

    def __repr__(self) -> str:
        mse = self.mse
        return f"EnclosureReport(mse={mse.middle:.17g} ± {mse.radius:.1g})"


def enclosure(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = 1.0,
    *,
    rounding: str = "nearest-even",
) -> EnclosureReport:
    """Return intervals that contain the expected errors, with a proof by Arb's ball arithmetic.

    Every rounding on the way is part of a ball's radius, infinite tails are closed in formulas,
    and the precision is raised until the intervals are a few units in the last place of float64.

    Parameters
    ----------
    format_or_grid : Format, Grid or str
        Its levels are exact: those of float64 parameters, times the float64 product of the
        grid's factor and `scale`. Of more than 1024, long runs are summed by their ends, with a
        bound of what is left out (Euler and Maclaurin's formula).
    density : Density, str or array_like
        A built-in density, or one that wraps them.
    scale : float
        Multiplies the grid; positive.
    rounding : str
        A mode that sends every value to one level; beyond 2^16 + 1 levels not to-odd.

    Returns
    -------
    EnclosureReport

    Raises
    ------
    MissingLibrary
        If python-flint is not installed.
    InvalidValue
        If there is no formula for the density, or rounding is stochastic.
    TooLarge
        If more than 2^17 intervals would have to be visited one by one.

    References
    ----------
    Johansson 2017, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic.
    DLMF 2.10.1 (Euler and Maclaurin's formula).

    Examples
    --------
    >>> from qerror.rigorous import enclosure
    >>> found = enclosure("int8", "gaussian", 0.03)
    >>> found.mse.high / found.mse.low - 1 < 1e-15
    True
    """
    grid = as_grid(format_or_grid).scaled(positive("scale", scale))
    rule, law, balls = as_rule(rounding), as_density(density), Balls()
    by_runs = grid.size > _LONG and rule.mode not in {"stochastic", "to-odd"}
    levels: AnyLevels = (LongLevels if by_runs else Levels).of(grid, rule)
    bits = _FIRST
    while bits <= _LAST:
        with balls.at(bits):
            found = errors_of(levels, parts_of(law, balls), balls)
            if _is_sharp(found):
                return _report(found, balls)
        bits *= 2
    raise InvalidValue(
        f"{_LAST:,} bits do not suffice for this case: a term lies that far below the others"
    )


def _is_sharp(found: Errors) -> bool:
    """Tell whether every figure has as many correct bits as float64 shows."""
    parts = (found.rounding, found.clipping_low, found.clipping_high, found.signal_power)
    if not all(_sharp(part, part) for part in parts):
        return False
    size = found.mse if found.mse is not None else found.rounding
    if not _sharp(found.cross_moment, size):
        return False
    root = size.nonnegative_part().sqrt()
    return _sharp(found.mean_error, root) and _sharp(found.signal_mean, root)


def _sharp(value: Number | None, unit: Number) -> bool:
    """Tell whether a ball's radius is far below a unit's last place, or it is next to nothing."""
    if value is None or value.is_exact():
        return True
    radius = float(value.rad())
    return radius <= abs(float(unit.mid())) * 2.0**-_ENOUGH or (
        radius < _TINY and abs(float(value.mid())) < _TINY
    )


def _report(found: Errors, balls: Balls) -> EnclosureReport:
    low, high = found.clipping_low, found.clipping_high
    clipping = None if low is None or high is None else low + high
    mse, power = found.mse, found.signal_power
    infinite = Interval(math.inf, math.inf)
    missing = Interval(math.nan, math.nan)

    def shown(value: Number | None, otherwise: Interval = infinite) -> Interval:
        return otherwise if value is None else outwards(value, balls.number)

    def square(value: Number | None) -> Interval:
        # No square is negative: where nothing is left of one, its ball may be.
        interval = shown(value)
        return Interval(max(interval.low, 0.0), max(interval.high, 0.0))

    sqnr = missing
    if power is not None:
        sqnr = infinite
        if mse is not None and mse > 0:
            sqnr = shown(10 * (power / mse).log() / balls.number(10.0).log())
    cross = Interval(-math.inf, -math.inf)
    return EnclosureReport(
        square(found.rounding),
        square(low),
        square(high),
        square(clipping),
        square(mse),
        sqnr,
        shown(found.mean_error, missing),
        shown(found.cross_moment, cross),
        square(power),
        shown(found.signal_mean, missing),
    )


def outwards(value: Any, number: Callable[[float], Any]) -> Interval:
    """Return a ball as an interval of floats, rounded outwards."""
    low, high = float(value.lower()), float(value.upper())
    while not number(low) <= value.lower():
        low = math.nextafter(low, -math.inf)
    while not number(high) >= value.upper():
        high = math.nextafter(high, math.inf)
    return Interval(low, high)
