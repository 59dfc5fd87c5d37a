"""The best range of a format, as a search returns it."""

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from qerror._arrays import positive
from qerror.analysis.decibels import decibels_above
from qerror.analysis.report import ErrorReport
from qerror.densities.density import Density
from qerror.densities.names import density_name
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import ScalarFormat
from qerror.optimize import _plateau, _values
from qerror.optimize._curve import Scan
from qerror.tables import html_table, place, short

NEAREST = "nearest-even"
_QUICK = 2.0**100  # largest value over finest step
_PLATEAU_DB, _LITTLE_DB = 0.1, 0.01


class LocalMinimum(NamedTuple):
    """A range at which the MSE has a local minimum."""

    scale: float
    max_value: float
    mse: float


class Leeway(NamedTuple):
    """The largest values that lose little against the best one."""

    low: float
    """From here"""
    high: float
    """to here the loss stays below 0.1 dB."""
    smallest: float
    """The smallest of those searched that loses less than 0.01 dB."""

    def to_dict(self) -> dict[str, float]:
        """Return the columns of a record."""
        return {
            "plateau_low": self.low,
            "plateau_high": self.high,
            "smallest_max_value": self.smallest,
        }


@dataclass(frozen=True, repr=False)
class OptimalScale:
    """The best range of a format on a density.

    Where E[X^2] is infinite every scale has infinite MSE: `scale`, `max_value` and `bias` are
    nan, `at_edge` is True and there are no minima.
    """

    scale: float
    """The factor on the format's own grid."""
    max_value: float
    """The largest level at that scale."""
    bias: float | None
    """The exponent bias that gives the same grid at scale 1; None but for floating point."""
    report: ErrorReport[float]
    """The exact errors at that scale."""
    local_minima: tuple[LocalMinimum, ...]
    """The minima found, from the smallest range to the largest; one that loses more than 6 dB
    against the best range may be left out, and of very many only the lowest are kept."""
    at_edge: bool
    """Whether an end of the interval beats every minimum inside: the optimum lies beyond."""
    searched: tuple[float, float]
    """The interval of largest values that was searched."""
    format: ScalarFormat
    """The format that was scaled; of fixed point, at fractional length as given."""
    density: Density
    """What was quantized."""
    rounding: str = "nearest-even"
    """How values went to levels."""
    scan: Scan | None = field(default=None, repr=False, compare=False)
    """What the search saw, for the plateau; None where it saw no smooth curve."""

    @cached_property
    def plateau(self) -> tuple[float, float]:
        """The range may lie anywhere between these largest values for less than 0.1 dB.

        The connected interval about the optimum on which the MSE lies within 0.1 dB of its least
        value, exact at its ends; for fixed point, of the power-of-two scales. An end is infinite
        where no range is too large, and both are the optimum where there is no error.
        """
        return self.within(_PLATEAU_DB)

    @cached_property
    def leeway(self) -> Leeway:
        """The plateau, and the smallest range that loses less than 0.01 dB."""
        most, little = self._most(_PLATEAU_DB), self._most(_LITTLE_DB)
        if self._is_smooth and 0 < most < math.inf:
            low, high, smallest = self._ends(*self._both(most), self._first(little))
            return Leeway(low, high, max(self.searched[0], smallest))
        return Leeway(*self.plateau, self.smallest_within(_LITTLE_DB))

    @property
    def has_quick_leeway(self) -> bool:
        """Whether `leeway` takes no longer than the search did.

        A format with more than 6 exponent bits may stand anywhere in hundreds of octaves, all
        of which are walked through.
        """
        steps = self.format.grid().steps
        return not steps.size or self.format.max_value / float(steps.min()) < _QUICK

    @np.errstate(under="ignore")
    def within(self, decibels: float) -> tuple[float, float]:
        """Return the connected interval of largest values that lose less than so many dB.

        Parameters
        ----------
        decibels : float
            Positive.
        """
        most = self._most(decibels)
        if not 0 < most < math.inf:
            return self.max_value, self.max_value
        if self.rounding != NEAREST:
            mse = _values.mse_of(self.format, self.density, self.rounding)
            about = _values.octaves if isinstance(self.format, FixedPoint) else _values.interval
            low, high = about(mse, self.scale, most)
        elif isinstance(self.format, FixedPoint):
            low, high = _plateau.octaves(self.format, self.density, self.scale, most)
        else:
            low, high = self._ends(*self._both(most))
            return low, high
        return low * self.format.max_value, high * self.format.max_value

    @np.errstate(under="ignore")
    def smallest_within(self, decibels: float) -> float:
        """Return the smallest largest value, of those searched, that loses less than so many dB.

        Where the optimum is flat this is the range that costs the fewest octaves. For data it is
        found among scanned ranges, 8 for each level that passes the largest values: a narrower
        dip below it may be missed.

        Parameters
        ----------
        decibels : float
            Positive.
        """
        most = self._most(decibels)
        if not 0 < most < math.inf:
            return self.max_value
        if isinstance(self.format, FixedPoint):
            return self.within(decibels)[0]
        top = self.format.max_value
        if self._is_smooth:
            return max(self.searched[0], *self._ends(self._first(most)))
        minima = [found.scale for found in self.local_minima if found.scale < self.scale]
        if self.rounding != NEAREST:
            mse = _values.mse_of(self.format, self.density, self.rounding)
            known = np.array([*minima, self.scale])
            first = float(known[int(np.argmax(mse(known) <= most))])
            return max(self.searched[0] / top, _values.end(mse, first, most, -1)) * top
        low = _plateau.smallest(
            self.format, self.density, self.searched[0] / top, [*minima, self.scale], most
        )
        return low * top

    def __repr__(self) -> str:
        given = {"max_value": self.max_value, "scale": self.scale, "bias": self.bias}
        figures = {**given, "sqnr_db": self.report.sqnr_db}
        shown = [f"{key}={short(each, 6)}" for key, each in figures.items() if each is not None]
        where = f"{self.format.name} on {density_name(self.density)}"
        edge = ", at_edge" if self.at_edge else ""
        minima = f"{len(self.local_minima)} local minima"
        return f"<OptimalScale of {where}: {', '.join(shown)}{edge}; {minima}>"

    def _repr_html_(self) -> str:
        header = ("max value", "bias/scale", "MSE", "dB above the best")
        body = [
            (
                short(minimum.max_value, 6),
                place(minimum.scale, self.format.bias_at(minimum.scale)),
                short(minimum.mse, 6),
                short(decibels_above(minimum.mse, self.report.mse), 3),
            )
            for minimum in self.local_minima
        ]
        best = [i for i, each in enumerate(self.local_minima) if each.scale == self.scale]
        return html_table(repr(self).strip("<>"), header, body, marked=best)

    @property
    def _is_smooth(self) -> bool:
        """Whether ends are found along the slope of the MSE."""
        scaled = isinstance(self.format, FixedPoint)
        return self.rounding == NEAREST and not scaled and bool(self.density.pieces())

    def _both(self, most: float) -> list[_plateau.Wanted]:
        return [_plateau.Wanted(self.scale, most, side) for side in (-1, 1)]

    def _first(self, most: float) -> _plateau.Wanted:
        """Return the lower end about the first minimum that is low enough."""
        enough = (each.scale for each in self.local_minima if each.mse <= most)
        return _plateau.Wanted(next(enough, self.scale), most, -1)

    def _ends(self, *wanted: _plateau.Wanted) -> list[float]:
        """Return the largest values at these ends."""
        found = _plateau.ends(self.format, self.density, self.scan, wanted)
        return [scale * self.format.max_value for scale in found]

    def _most(self, decibels: float) -> float:
        """Return the MSE that is so many dB above the least; nan where there is none."""
        return self.report.mse * 10 ** (positive("decibels", decibels) / 10)
