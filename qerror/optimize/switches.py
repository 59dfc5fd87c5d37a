"""Where along a parameter one format takes another's place as the best."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from qerror._arrays import integer, real
from qerror.densities.names import DensityLike, as_density
from qerror.exceptions import InvalidValue
from qerror.formats.format import Format
from qerror.optimize._contest import Contest, contest_of
from qerror.optimize.ranking import BLOCK_SIZE, TIE, Formats
from qerror.tables import html_table, short

_MOST_POINTS = 10_000  # a typing error shall not run for hours
_POINTS = 17  # where winners are compared before the switches between them are closed in


@dataclass(frozen=True)
class FormatSwitch:
    """A value of a parameter at which two formats are equally good and no other is better.

    Where they stay equal for a while: at which the second gets ahead by more than 1e-12. Of block
    sizes, which are whole numbers, the first at which the second is better.
    """

    value: float
    """Of the parameter."""
    below: Format
    """The best format below it."""
    above: Format
    """The best format above it."""
    mse: float


@dataclass(frozen=True, repr=False)
class FormatSwitches:
    """The best formats along a parameter, from `low` to `high`."""

    parameter: str
    """By name."""
    low: float
    """Where the search began."""
    high: float
    """Where it ended."""
    winners: tuple[Format, ...]
    """The best format of each stretch; one more than there are switches."""
    switches: tuple[FormatSwitch, ...]

    @property
    def stretches(self) -> tuple[tuple[float, float, Format], ...]:
        """From where to where each winner is the best; of block sizes the first and the last."""
        at = [switch.value for switch in self.switches]
        step = 1 if self.parameter == BLOCK_SIZE else 0
        return tuple(
            zip([self.low, *at], [*(x - step for x in at), self.high], self.winners, strict=True)
        )

    def __repr__(self) -> str:
        later = (f" | {short(switch.value, 6)} | {switch.above.name}" for switch in self.switches)
        way = f"{short(self.low)} | {self.winners[0].name}{''.join(later)} | {short(self.high)}"
        return f"<FormatSwitches over {self.parameter}: {way}>"

    def _repr_html_(self) -> str:
        body = [(short(low, 11), short(high, 11), form.name) for low, high, form in self.stretches]
        return html_table("", (f"from {self.parameter}", "to", "best"), body)


@np.errstate(under="ignore")
def format_switches(
    formats: Formats,
    density: DensityLike,
    over: str,
    low: float,
    high: float,
    *,
    points: int = _POINTS,
    binade_average: bool = True,
) -> FormatSwitches:
    """Return where along a parameter one format takes another's place as the best.

    Parameters
    ----------
    formats : sequence of Format or str, or int
        What to choose from; a bit width stands for `formats_of_width`. Formats that share scales
        in blocks take them from the values, and may stand beside others.
    density : Density, str or array_like
        What is quantized; its own value of the parameter does not matter.
    over : str
        A parameter of the density ("nu", "std", "density.scale", ...): every format stands at
        its best range. Or
        "max_value", the largest level of every format; or "range", a largest level r to which
        the density is clipped too, as by min-max calibration (Kuzmin et al. 2022, appendix D).
        Fixed point, whose range is not free, is left out of these two. Or "block_size" of block
        formats.
    low, high : float
        Where to look. Between positive limits the winners are compared at geometrically
        spaced points.
    points : int
        How many points: a format that is the best only between two neighbours may go unseen.
    binade_average : bool
        Whether block formats whose scales are powers of two are taken at the average over a
        binade of the density's spread, or at the spread given.

    Returns
    -------
    FormatSwitches
        Each switch is the root of the difference in ln MSE, to about 1e-12 relative. A format
        stays the best where others come to equal it.

    Raises
    ------
    InvalidValue
        If the density has no such parameter, low >= high, there is no format, or every MSE is
        infinite at one of the points.

    Examples
    --------
    >>> from qerror import StudentT, format_switches
    >>> found = format_switches(["5M2E", "4M3E"], StudentT(3), "nu", 3, 100)
    >>> round(found.switches[0].value, 6), found.switches[0].below.name
    (7.197769, '4M3E')
    """
    density = as_density(density)
    low, high = real("low", low), real("high", high)
    points = integer("points", points, 2, _MOST_POINTS)
    if not low < high:
        raise InvalidValue(f"low must be below high, got low={low:g}, high={high:g}")
    contest = contest_of(formats, density, over, (low, high), binade_average=binade_average)
    space = np.geomspace if low > 0 else np.linspace
    at = [low, *(float(x) for x in space(low, high, points)[1:-1]), high]
    if contest.whole:
        at = sorted({float(round(x)) for x in at})
    contest.prepare(at)
    first = last = contest.winner(low)
    switches = list[FormatSwitch]()
    for a, b in pairwise(at):
        switches += _between(contest, last, a, b, depth=0)
        last = contest.index(switches[-1].above) if switches else first
    winners = contest.formats[first], *(switch.above for switch in switches)
    return FormatSwitches(over, low, high, winners, tuple(switches))


def _between(
    contest: Contest, below: int, low: float, high: float, depth: int
) -> Iterator[FormatSwitch]:
    """Yield the switches between two values, at the lower of which `below` is the best.

    It stays so while no other is better by more than a tie.
    """
    above = contest.winner(high, below)
    if below == above:
        return
    if contest.whole:
        yield from _first(contest, below, low, high)
        return
    value = _crossing(contest, below, above, low, high)
    third = contest.winner(value, below)
    gap = contest.log_mse(below, value) - contest.log_mse(third, value)
    if gap > TIE and low < value < high and depth < len(contest.formats):
        before = list(_between(contest, below, low, value, depth + 1))
        yield from before
        yield from _between(contest, contest.index(before[-1].above), value, high, depth + 1)
    else:
        mse = math.exp(contest.log_mse(below, value))
        yield FormatSwitch(value, contest.formats[below], contest.formats[above], mse)


def _first(contest: Contest, below: int, low: float, high: float) -> Iterator[FormatSwitch]:
    """Yield the whole numbers between two at which another format becomes the best."""
    last = high
    while last - low > 1:
        middle = float(round(0.5 * (low + last)))
        stays = contest.winner(middle, below) == below
        low, last = (middle, last) if stays else (low, middle)
    above = contest.winner(last, below)
    mse = math.exp(contest.log_mse(above, last))
    yield FormatSwitch(last, contest.formats[below], contest.formats[above], mse)
    yield from _between(contest, above, last, high, depth=0)


def _crossing(contest: Contest, below: int, above: int, low: float, high: float) -> float:
    """Return where two formats are equally good, one of them better at either end.

    Where they tie at the lower end: where the second gets ahead by more than a tie.
    """
    from scipy.optimize import bisect, brentq

    tied = contest.lead(below, above, low) >= -TIE

    def lead(value: float) -> float:
        return contest.lead(below, above, value) - (TIE if tied else 0.0)

    ends = lead(low), lead(high)
    if ends[0] == 0:
        return low
    tolerance = 1e-15 * max(abs(low), abs(high))
    # An MSE that is 0 or infinite at an end has no secant there.
    search = brentq if all(map(math.isfinite, ends)) else bisect
    return float(search(lead, low, high, xtol=tolerance, rtol=1e-15))
