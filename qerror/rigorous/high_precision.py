"""Expected errors to any number of digits, by mpmath."""

from dataclasses import dataclass, fields
from typing import Any

from qerror._arrays import integer, positive
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.format import Format
from qerror.formats.names import as_grid
from qerror.grids import Grid
from qerror.rigorous._context import Digits, Number
from qerror.rigorous._parts import parts_of
from qerror.rigorous._sums import Errors, Levels, errors_of
from qerror.rounding import as_rule

_MOST = 2000  # digits
_GUARD = 64  # bits
_TRIES = 8  # times the precision is raised


@dataclass(frozen=True)
class HighPrecisionReport:
    """The figures of an `ErrorReport` as numbers of mpmath; None where one does not exist."""

    rounding: Any
    clipping_low: Any
    clipping_high: Any
    mse: Any
    sqnr_db: Any
    mean_error: Any
    cross_moment: Any
    signal_power: Any
    signal_mean: Any
    digits: int
    """So many of each are right, of odd moments relative to what they cancel against."""

    def to_dict(self) -> dict[str, str | None]:
        """Return every figure by its name, as text of so many digits."""
        import mpmath

        untyped: Any = mpmath
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        del values["digits"]
        return {
            name: None if value is None else str(untyped.nstr(value, self.digits))
            for name, value in values.items()
        }

    def __repr__(self) -> str:
        return f"HighPrecisionReport(mse={self.to_dict()['mse']})"


def high_precision(
    format_or_grid: Format | Grid | str,
    density: DensityLike,
    scale: float = 1.0,
    *,
    digits: int = 50,
    rounding: str = "nearest-even",
) -> HighPrecisionReport:
    """Return the expected errors to so many digits.

    The formulas are evaluated with more and more bits until two evaluations agree: no proof, as
    `enclosure` is one, but any number of digits, and without python-flint.

    Parameters
    ----------
    format_or_grid, density, scale, rounding
        As for `enclosure`.
    digits : int
        From 15 to 2000.

    Returns
    -------
    HighPrecisionReport

    Raises
    ------
    InvalidValue
        If there is no formula for the density, or rounding is stochastic.
    TooLarge
        If there are more than 2^16 + 1 levels.

    Examples
    --------
    >>> from qerror.rigorous import high_precision
    >>> high_precision("int4", "gaussian", 0.3, digits=30)
    HighPrecisionReport(mse=0.0157975855975468374110256892943)
    """
    count = integer("digits", digits, 15, _MOST)
    grid = as_grid(format_or_grid).scaled(positive("scale", scale))
    levels, law, c = Levels.of(grid, as_rule(rounding)), as_density(density), Digits()
    bits = int(3.33 * count) + 2 * _GUARD
    before: Errors | None = None
    for _ in range(_TRIES):
        with c.at(bits):
            found = errors_of(levels, parts_of(law, c), c)
            if before is not None and _agree(before, found, c.number(10.0) ** -count):
                return _report(found, count, c)
        before, bits = found, bits + bits // 2
    raise InvalidValue(
        f"{bits:,} bits do not suffice for {count} digits of this case: a term lies that far below "
        "the others"
    )


def _agree(a: Errors, b: Errors, tolerance: Number) -> bool:
    size = b.mse if b.mse is not None else b.rounding
    root = abs(size) ** 0.5
    units = {"mean_error": root, "cross_moment": size, "signal_mean": root}
    for name, value in vars(b).items():
        other = getattr(a, name)
        if value is None:
            continue
        if abs(value - other) > tolerance / 4 * abs(units.get(name, value)):
            return False
    return True


def _report(found: Errors, digits: int, c: Digits) -> HighPrecisionReport:
    mse, power = found.mse, found.signal_power
    sqnr = None
    if mse is not None and power is not None and mse > 0:
        sqnr = 10 * c.log(power / mse) / c.log(c.number(10.0))
    return HighPrecisionReport(
        found.rounding,
        found.clipping_low,
        found.clipping_high,
        mse,
        sqnr,
        found.mean_error,
        found.cross_moment,
        power,
        found.signal_mean,
        digits,
    )
