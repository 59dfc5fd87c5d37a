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

from qerror._arrays import FloatArray, quoted
from qerror.analysis._block_choice_halves import by_halves, halves_suffice
from qerror.analysis._block_choice_known import Known
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
from qerror.analysis._block_choice_points import PointSums
from qerror.analysis._block_choice_products import between, four_places, remaining, without_sign
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
_MOST_POINTS = 64  # whose gains are told apart
SETTLED = 1e-14  # of a probability
_PLAIN = 12  # values: so many may do without a law of their gains
LAST = 24  # frequencies that tell what is left beyond
_SLOW = 1e5  # times what is allowed: it falls as a small power of 1 / t, to the last limit
_FASTER = 2.0  # at the next limit it has fallen by no more than this power of its last fall
_UNSETTLED = 1e10  # times: refused; what is left beyond the last limit would show in 5 digits
_EQUAL = 1e-13  # of the squares
_SURE = -45.0  # log of the probability that a sum has the other sign
_SQUARES = np.array([1, 2, 3, 5, 6, 7])  # the figures in units of squared errors
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
        quick = _choice(problem, (tolerance, max(settled, SETTLED)), log_below, plain=True)
        if quick is not None:
            return quick
    found = _choice(problem, (tolerance, SETTLED), log_below, plain=False)
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
    reach = reach_of(problem, cells)
    unit = unit if unit > _EQUAL * reach else reach  # else all is a tie
    sums = _sums_of(problem, unit)
    law = None if plain else _law_of(problem, cells, unit)
    if cells is not None and law is None:
        cells = with_crossings(problem, cells, unit, _support(sums))
    nodes = nodes_of(problem, cells, unit, limits_of(problem.n)[0])
    if plain and not falls(nodes):
        return None
    sure = sure_sign(nodes, problem.n)
    if sure:
        total = sure * between(
            np.stack(
                [
                    without_sign(nodes.columns[:place].sum(axis=0), problem.n, log)
                    for place, log in zip(nodes.places, _logs(log_below), strict=True)
                ]
            )
        )
    elif sums is None and cells is None and halves_suffice(nodes.gain.size, problem.n):
        ends = {place: nodes.upto(place) for place in set(nodes.places)}
        halves = {place: by_halves(*part, problem.n) for place, part in ends.items()}
        total = between(np.stack([halves[place] for place in nodes.places]))
    else:
        known = Known.of(nodes, problem.n, law or sums is not None)
        total = known.total
        if problem.n > 1 and known.leaves_some:
            if law is None:
                at = cells, nodes
                more, excess = _settled(problem, at, unit, known, allowed, log_below, plain)
            else:
                more, excess = _by_series(law, problem, known, allowed, log_below)
            if plain and excess > 1:
                return None
            _check_settled(problem, excess)
            total = total + more
    figures = BlockSums(np.append(total[1:6], 0.0), float(total[6]), float(total[7]))
    return Choice(figures, float(total[0]), float(total[8] - total[9]))


def reach_of(problem: Problem, cells: Cells | None) -> float:
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


def falls(nodes: Nodes) -> bool:
    """Tell whether products fall with the frequency where no gain but 0 is told apart.

    Intervals of one other gain come back to their whole weight at frequencies beyond the last.
    """
    return not np.any(nodes.flat & (nodes.gain != 0))


def sure_sign(nodes: Nodes, n: int) -> float:
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


def _settled(  # noqa: PLR0917 - one step's description
    problem: Problem,
    at: tuple[Cells | None, Nodes],
    unit: float,
    known: Known,
    allowed: tuple[float, float],
    log_below: tuple[float, float] | None,
    plain: bool,
) -> tuple[FloatArray, float]:
    """Integrate over as many frequencies as count; the first nodes serve the first limit.

    If there is another way, it ends before limits that will not do.
    """
    (cells, nodes), limits = at, list(limits_of(problem.n))
    more, excess = np.zeros(10), 0.0
    while limits:
        limit, last = limits.pop(0), excess
        more, rest = _by_frequencies(nodes, problem.n, known, limit, log_below)
        excess = excess_of(rest, allowed)
        if excess <= 1 or not limits:
            break
        if plain and hopeless(excess, last):
            break
        if excess > _SLOW:
            limits = limits[-1:]
        nodes = nodes_of(problem, cells, unit, limits[0])
    return more, excess


def _by_series(
    law: GainLaw,
    problem: Problem,
    known: Known,
    allowed: tuple[float, float],
    log_below: tuple[float, float] | None,
) -> tuple[FloatArray, float]:
    """Sum over as many frequencies as count, those of a law of gains."""
    limits = list(_series_limits(problem.n, log_below))
    while True:
        more, rest = _series(law, problem.n, known, limits.pop(0), _logs(log_below))
        excess = excess_of(rest, allowed)
        if excess <= 1 or not limits:
            return more, excess


def _series(
    law: GainLaw, n: int, known: Known, limit: float, logs: tuple[float | None, ...]
) -> tuple[FloatArray, FloatArray]:
    """Sum over t up to a limit; returns what is left beyond, about, besides."""
    t, moving = frequencies_of(n, limit), law.transformed(n, limit)
    whole = np.stack([fixed.sum(axis=0) for fixed in known.fixed]) + law.whole
    still = np.exp(1j * np.outer(t, known.gains))

    def part(k: int, *, first: bool) -> FloatArray:
        turned = still @ known.fixed[k] + moving[k] - whole[k]
        at = (whole[k], turned), known.fixed[k], known.gains, known.order
        return remaining(*at, t, n, logs[k], first=first)

    parts = between(four_places(whole[:, 0].tolist(), part))
    total: FloatArray = (4 / half_period(n)) * np.sum(parts / t[:, None], axis=0)
    return total, np.abs(parts[-LAST:]).max(axis=0) / n


def _series_limits(n: int, log_below: tuple[float, float] | None) -> tuple[float, ...]:
    """Return up to which t series are summed, for n > 2: they fall like t^-4 at least."""
    low, high = (-math.inf, 0.0) if log_below is None else log_below
    share = math.exp(n * high) - math.exp(n * low)
    last = _SERIES[1] / math.sqrt(n - 2)
    return (last,) if n < _STEEP and share > _LIKELY else (_SERIES[0], last)


def excess_of(rest: FloatArray, allowed: tuple[float, float]) -> float:
    """Return how many times more is left beyond the last frequencies than is allowed."""
    tolerance, settled = allowed
    return max(float(rest[0]) / settled, float(rest[_SQUARES].max()) / tolerance)


def hopeless(excess: float, last: float) -> bool:
    """Tell whether the next limit will not do, from what the last two left (0: there is one)."""
    return last > 0 and excess * (excess / last) ** _FASTER > 1


def _check_settled(problem: Problem, excess: float) -> None:
    if excess > _UNSETTLED:
        why = (
            "its narrow or singular parts gain amounts too alike to be told apart; replace them by "
            "point masses, which are exact where they are few"
            if problem.density.pieces()
            else "so many point masses have too many sums; take larger blocks or fewer values"
        )
        raise InvalidValue(
            f"four-over-six of {quoted(density_name(problem.density))} cannot be found: "
            f"{why}, or simulate: qerror.estimate_error"
        )


def limits_of(n: int) -> tuple[float, ...]:
    return _LIMITS[sum(n < few for few in _FEW) :] if n > 1 else (1.0,)


def _by_frequencies(
    nodes: Nodes,
    n: int,
    known: Known,
    limit: float,
    log_below: tuple[float, float] | None,
) -> tuple[FloatArray, FloatArray]:
    """Integrate over t up to a limit; returns what is left beyond, about, besides."""
    table = frequencies(n, limit)
    ends = sorted(set(nodes.places))
    moments = chebyshev_moments(nodes.gain, nodes.columns, table.terms, ends)
    turned = dict(zip(ends, table.turned(moments), strict=True))
    whole = dict(zip(ends, moments[:, 0], strict=True))
    logs = _logs(log_below)

    def part(k: int, *, first: bool) -> FloatArray:
        place = nodes.places[k]
        at = (whole[place], turned[place]), known.fixed[k], known.gains, known.order
        return remaining(*at, table.nodes, n, logs[k], first=first)

    parts = between(four_places(nodes.places, part))
    total: FloatArray = (2 / math.pi) * (table.weights / table.nodes) @ parts
    return total, np.abs(parts[-LAST:]).max(axis=0) / n


def _logs(below: tuple[float, float] | None) -> tuple[float | None, ...]:
    """Return log F at the four places, where it is known."""
    return (None,) * 4 if below is None else (below[0], None, None, below[1])
