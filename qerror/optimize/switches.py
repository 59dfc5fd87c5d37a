"""Where along a parameter one format takes another's place as the best."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from qerror._arrays import integer, positive, real
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
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.formats.format import ScalarFormat
from qerror.optimize.ranking import TIE, Formats, listed
from qerror.optimize.scale import optimal_scale
from qerror.tables import html_table, short

RANGE_PARAMETERS = ("max_value", "range")
"""What `format_switches` can sweep besides the parameters of the density."""

_AMBIGUOUS = ("scale", "bias")
"""Parameters that a quantizer has: those of a density by these names need their prefix."""

_POINTS = 17  # where winners are compared before the switches between them are closed in


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
    contest = _contest(listed(formats), density, over, low)
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
        return next(i for i, error in enumerate(errors) if error <= least + TIE)

    def index(self, form: ScalarFormat) -> int:
        return self.formats.index(form)


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
    if gap > TIE and low < value < high and depth < len(contest.formats):
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
