"""Which of two scales a block keeps, by the sum of what its values gain: characteristic functions.

While both scales are constant, a <= M < b, the choice is the sign of S = d(X_1) + ... + d(X_n), d
the difference of what is compared, squared or absolute errors. With phi_b(t) the integral of
exp(i t d) p over |x| < b and psi_b(t) that of delta exp(i t d) p,

    E[delta(X_1) sign(S); all |X_i| < b] = 2/pi int_0^inf Im(psi_b phi_b^(n-1)) / t dt

(Gil-Pelaez 1951); for two values of a block likewise, with psi psi phi^(n-2). Values whose gain is
one of a few exact amounts, 0 above all, do not let the integrand fall: blocks of them alone, and
with one other value, are known without frequencies and leave the integral.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.analysis._block_choice_law import GainLaw
from qerror.analysis._block_choice_nodes import (
    Cells,
    Nodes,
    Problem,
    cells_of,
    largest_gain,
    nodes_of,
    points_of,
    with_crossings,
)
from qerror.analysis._block_choice_orders import by_law
from qerror.analysis._block_choice_points import PointSums, exactly, merged
from qerror.analysis._block_choice_products import between, remaining, without_sign
from qerror.analysis._block_choice_series import frequencies_of, half_period
from qerror.analysis._block_frequencies import chebyshev_moments, frequencies
from qerror.analysis._block_steps import BlockSums
from qerror.densities.names import density_name
from qerror.densities.smooth_law import SmoothLaw
from qerror.exceptions import InvalidValue

_LIMITS = (16.0, 40.0, 96.0, 240.0)  # of t, in units of 1 / max |d|
_SERIES = (240.0, 6000.0)  # of t, of few values: the last one over (n - 2)^(1/2)
_MANY = 64  # values: so many gain so much together that nothing is left at high frequencies
_STEEP = 5  # values: steps of fewer need the last one,
_LIKELY = 1e-6  # if they have this probability
_FEW = (64, 8)  # values: fewer begin with the next limit
_MOST_CROSSINGS = 512  # sums of point masses that intervals are cut at
_MOST_PLACES = 64  # sums of exact gains beside two others
_MOST_POINTS = 64  # whose gains are told apart
_SETTLED = 1e-14  # of a probability
_PLAIN = 12  # values: so many may do without a law of their gains
_LAST = 24  # frequencies that tell what is left beyond
_SLOW = 1e5  # times what is allowed: it falls as a small power of 1 / t, to the last limit
_UNSETTLED = 1e10  # times: refused; what is left beyond the last limit would show in 5 digits
_EQUAL = 1e-13  # of the squares
_SURE = -45.0  # log of the probability that a sum has the other sign
_EXPONENTS = np.ldexp(1.0, np.arange(-16, 8))


class Choice(NamedTuple):
    """What the choice adds to half of what both scales give together."""

    sums: BlockSums
    sign: float
    """P(the second scale is kept) - P(the first one is)."""
    clipped: float
    """Of the probability that the largest value clips."""


def choice(
    problem: Problem,
    tolerance: float,
    log_below: tuple[float, float] | None = None,
    settled: float | None = None,
) -> Choice:
    """Return what the choice of the scale adds, over one step of both scales.

    Parameters
    ----------
    problem : Problem
        The step.
    tolerance : float
        Of the squared error, absolute.
    log_below : pair of float, optional
        log P(|X| < a) and log P(|X| < b), where they are known better than by nodes.
    settled : float, optional
        Of the probability of the choice, absolute, where it may be less exact than rounding: the
        frequencies of many values then do without a law of their gains.
    """
    if settled is not None and problem.n >= _PLAIN:
        quick = _choice(problem, (tolerance, max(settled, _SETTLED)), log_below, plain=True)
        if quick is not None:
            return quick
    found = _choice(problem, (tolerance, _SETTLED), log_below, plain=False)
    assert found is not None
    return found


def _choice(
    problem: Problem,
    allowed: tuple[float, float],
    log_below: tuple[float, float] | None,
    *,
    plain: bool,
) -> Choice | None:
    """Return the choice; without laws of gains None where that is not within what is allowed."""
    cells = cells_of(problem)
    unit = largest_gain(problem, cells)
    reach = _reach(problem, cells)
    unit = unit if unit > _EQUAL * reach else reach  # else all is a tie
    sums = _sums_of(problem, unit)
    law = None if plain else _law_of(problem, cells, unit)
    if cells is not None and law is None:
        cells = with_crossings(problem, cells, unit, _support(sums))
    nodes = nodes_of(problem, cells, unit, _limits(problem.n)[0])
    sure = _sure_sign(nodes, problem.n)
    if sure:
        total = sure * between(
            np.stack(
                [
                    without_sign(nodes.columns[:place].sum(axis=0), problem.n, log)
                    for place, log in zip(nodes.places, _logs(log_below), strict=True)
                ]
            )
        )
    else:
        known = _Known.of(nodes, problem.n, law or sums is not None)
        total = known.total
        if problem.n > 1 and known.leaves_some:
            if law is None:
                more, excess = _settled(problem, (cells, nodes), unit, known, allowed, log_below)
            else:
                more, excess = _by_series(law, problem, known, allowed, log_below)
            if plain and excess > 1:
                return None
            _check_settled(problem, excess)
            total = total + more
    figures = BlockSums(np.append(total[1:6], 0.0), float(total[6]), float(total[7]))
    return Choice(figures, float(total[0]), float(total[8] - total[9]))


def _reach(problem: Problem, cells: Cells | None) -> float:
    """Return the largest magnitude of a value, or its square: gains are roundings of it."""
    points = np.abs(points_of(problem)[0]).max(initial=0.0)
    ends = np.zeros(1) if cells is None else np.abs(cells.cuts[[0, -1]])
    largest = max(float(points), float(ends.max()))
    return largest if problem.error == "mae" else largest * largest


def _sums_of(problem: Problem, unit: float) -> PointSums | None:
    """Return the sums of point masses of a step, if they are few enough to be told apart."""
    x, p = points_of(problem)
    if not (x.size and problem.n > 1):
        return PointSums.of(np.zeros(1), np.ones(1), problem.n)
    if x.size > _MOST_POINTS:
        return None
    gain = np.append(problem.gain(x) / unit, 0.0)
    sums = PointSums.of(gain, np.append(p, 1.0), problem.n)
    mixed = problem.density.pieces()
    few = sums is None or not mixed or sums.support.size <= _MOST_CROSSINGS
    return sums if few else None


def _law_of(problem: Problem, cells: Cells | None, unit: float) -> GainLaw | None:
    """Return the law of gains where values are few, exact amounts too, and densities bounded."""
    if cells is None or not 2 <= problem.n < _MANY:
        return None
    density = problem.density
    with np.errstate(divide="ignore"):
        peaks = density.pdf(np.array(density.kinks))
    smooth = all(isinstance(piece.law, SmoothLaw) for piece in density.pieces())
    if not (smooth and np.isfinite(peaks).all()):
        return None
    exact = cells.exact_gains(problem, unit) / unit
    gains = np.concatenate([problem.gain(points_of(problem)[0]) / unit, exact, [0.0]])
    sums = PointSums.of(gains, np.ones(gains.size), problem.n)
    return None if sums is None else GainLaw.of(problem, cells, unit)


def _support(sums: PointSums | None) -> FloatArray:
    return np.zeros(1) if sums is None or sums.support.size > _MOST_CROSSINGS else sums.support


def _sure_sign(nodes: Nodes, n: int) -> float:
    """Return the sign that the sum has with all but no probability, else 0: Chernoff's bound."""
    mass = nodes.columns[:, 0]
    side = float(np.sign(mass @ nodes.gain))
    if n < 32 or side == 0:
        return 0.0
    factors = np.exp(-side * np.multiply.outer(_EXPONENTS, nodes.gain)) * mass
    for place in nodes.places:
        least = float(factors[:, :place].sum(axis=1).min())
        if least > 0 and n * math.log(least) > _SURE:
            return 0.0
    return side


class _Known(NamedTuple):
    """What needs no frequencies: blocks of values of exact gains, and of one other value."""

    gains: FloatArray
    """The exact gains, 0 among them."""
    fixed: tuple[FloatArray, ...]
    """Sums of the columns over values of each, shape (gains, 9), below the four places."""
    total: FloatArray
    leaves_some: bool
    """Whether there are values of other gains."""

    order: int
    """How many of those blocks may have."""

    @classmethod
    def of(cls, nodes: Nodes, n: int, apart: GainLaw | bool) -> "_Known":
        """Sum what is known; `apart` says that point masses count as exact gains.

        A law of the gains gives blocks with two values of other gains too.
        """
        fixed: BoolArray = nodes.flat if isinstance(apart, GainLaw) else nodes.gain == 0
        if apart:
            fixed = fixed | nodes.point
        gains, _ = merged(np.append(nodes.gain[fixed], 0.0), np.ones(int(fixed.sum()) + 1))
        sums: list[FloatArray] = []
        found: list[FloatArray] = []
        for place in nodes.places:
            at = fixed[:place]
            nearest = np.abs(nodes.gain[:place][at, None] - gains).argmin(axis=1)
            columns = np.zeros((gains.size, nodes.columns.shape[1]))
            np.add.at(columns, nearest, nodes.columns[:place][at])
            sums.append(columns)
            at = at | isinstance(apart, GainLaw)
            moving = nodes.gain[:place][~at], nodes.columns[:place][~at]
            found.append(exactly(gains, columns, moving, n))
        if not isinstance(apart, GainLaw):
            return cls(gains, tuple(sums), between(np.stack(found)), not fixed.all(), 1)
        beside = PointSums.of(gains, np.ones(gains.size), n)
        order = 2 if beside is not None and beside.fewer[1].values.size <= _MOST_PLACES else 1
        more = np.stack(found) + by_law(apart, gains, tuple(sums), n, order)
        return cls(gains, tuple(sums), between(more), n > order and not fixed.all(), order)


def _settled(  # noqa: PLR0917 - one step's description
    problem: Problem,
    at: tuple[Cells | None, Nodes],
    unit: float,
    known: "_Known",
    allowed: tuple[float, float],
    log_below: tuple[float, float] | None,
) -> tuple[FloatArray, float]:
    """Integrate over as many frequencies as count; the first nodes serve the first limit."""
    (cells, nodes), limits = at, list(_limits(problem.n))
    more, excess = np.zeros(10), 0.0
    while limits:
        limit = limits.pop(0)
        more, rest = _by_frequencies(nodes, problem.n, known, limit, log_below)
        excess = _excess(rest, allowed)
        if excess <= 1 or not limits:
            break
        if excess > _SLOW:
            limits = limits[-1:]
        nodes = nodes_of(problem, cells, unit, limits[0])
    return more, excess


def _by_series(
    law: GainLaw,
    problem: Problem,
    known: "_Known",
    allowed: tuple[float, float],
    log_below: tuple[float, float] | None,
) -> tuple[FloatArray, float]:
    """Sum over as many frequencies as count, those of a law of gains."""
    limits = list(_series_limits(problem.n, log_below))
    while True:
        more, rest = _series(law, problem.n, known, limits.pop(0), _logs(log_below))
        excess = _excess(rest, allowed)
        if excess <= 1 or not limits:
            return more, excess


def _series(
    law: GainLaw, n: int, known: "_Known", limit: float, logs: tuple[float | None, ...]
) -> tuple[FloatArray, FloatArray]:
    """Sum over t up to a limit; returns what is left beyond, about, besides."""
    t, moving = frequencies_of(n, limit), law.transformed(n, limit)
    whole = np.stack([fixed.sum(axis=0) for fixed in known.fixed]) + law.whole
    still = np.exp(1j * np.outer(t, known.gains))
    found: dict[float, FloatArray] = {}  # where nothing clips its place is an end of the step
    for k in (0, 3, 1, 2):
        below = float(whole[k, 0])
        if below not in found:
            turned = still @ known.fixed[k] + moving[k] - whole[k]
            part = (whole[k], turned), known.fixed[k]
            found[below] = remaining(*part, known.gains, known.order, t, n, logs[k])
    parts = between(np.stack([found[float(below)] for below in whole[:, 0]]))
    total: FloatArray = (4 / half_period(n)) * np.sum(parts / t[:, None], axis=0)
    return total, np.abs(parts[-_LAST:]).max(axis=0) / n


def _series_limits(n: int, log_below: tuple[float, float] | None) -> tuple[float, ...]:
    """Return up to which t series are summed, for n > 2: they fall like t^-4 at least."""
    low, high = (-math.inf, 0.0) if log_below is None else log_below
    share = math.exp(n * high) - math.exp(n * low)
    last = _SERIES[1] / math.sqrt(n - 2)
    return (last,) if n < _STEEP and share > _LIKELY else (_SERIES[0], last)


def _excess(rest: FloatArray, allowed: tuple[float, float]) -> float:
    """Return how many times more is left beyond the last frequencies than is allowed."""
    tolerance, settled = allowed
    return max(float(rest[0]) / settled, float(rest[1:4].max()) / tolerance)


def _check_settled(problem: Problem, excess: float) -> None:
    if excess > _UNSETTLED:
        raise InvalidValue(
            f"four-over-six of {density_name(problem.density)} cannot be found: its "
            "narrow or singular parts gain amounts too alike to be told apart; replace "
            "them by point masses, which are exact, or simulate: qerror.estimate_error"
        )


def _limits(n: int) -> tuple[float, ...]:
    return _LIMITS[sum(n < few for few in _FEW) :] if n > 1 else (1.0,)


def _by_frequencies(
    nodes: Nodes,
    n: int,
    known: "_Known",
    limit: float,
    log_below: tuple[float, float] | None,
) -> tuple[FloatArray, FloatArray]:
    """Integrate over t up to a limit; returns what is left beyond, about, besides."""
    table = frequencies(n, limit)
    ends = sorted(set(nodes.places))
    moments = chebyshev_moments(nodes.gain, nodes.columns, table.terms, ends)
    turned = dict(zip(ends, table.turned(moments), strict=True))
    whole = dict(zip(ends, moments[:, 0], strict=True))
    parts = between(
        np.stack(
            [
                remaining(
                    (whole[at], turned[at]), fixed, known.gains, known.order, table.nodes, n, log
                )
                for at, fixed, log in zip(nodes.places, known.fixed, _logs(log_below), strict=True)
            ]
        )
    )
    total: FloatArray = (2 / math.pi) * (table.weights / table.nodes) @ parts
    return total, np.abs(parts[-_LAST:]).max(axis=0) / n


def _logs(below: tuple[float, float] | None) -> tuple[float | None, ...]:
    """Return log F at the four places, where it is known."""
    return (None,) * 4 if below is None else (below[0], None, None, below[1])
