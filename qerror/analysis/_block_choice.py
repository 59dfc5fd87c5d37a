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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qerror._arrays import BoolArray, FloatArray
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
from qerror.analysis._block_choice_points import PointSums, merged
from qerror.analysis._block_frequencies import Complex, chebyshev_moments, frequencies
from qerror.analysis._block_steps import BlockSums
from qerror.densities.names import density_name
from qerror.exceptions import InvalidValue

_LIMITS = (16.0, 40.0, 96.0, 240.0)  # of t, in units of 1 / max |d|
_FEW = (64, 8)  # values: fewer begin with the next limit
_MOST_CROSSINGS = 512  # sums of point masses that intervals are cut at
_MOST_POINTS = 64  # whose gains are told apart
_SETTLED = 1e-14  # of a probability
_LAST = 24  # frequencies that tell what is left beyond
_SLOW = 1e5  # times what is allowed: it falls as a small power of 1 / t, to the last limit
_UNSETTLED = 1e10  # times: refused; what is left beyond the last limit would show in 5 digits
_EQUAL = 1e-13  # of the squares
_SURE = -45.0  # log of the probability that a sum has the other sign
_EXPONENTS = np.ldexp(1.0, np.arange(-16, 8))

Parts = npt.NDArray[Any]


class Choice(NamedTuple):
    """What the choice adds to half of what both scales give together."""

    sums: BlockSums
    sign: float
    """P(the second scale is kept) - P(the first one is)."""
    clipped: float
    """Of the probability that the largest value clips."""


def choice(
    problem: Problem, tolerance: float, log_below: tuple[float, float] | None = None
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
    """
    cells = cells_of(problem)
    unit = largest_gain(problem, cells)
    reach = _reach(problem, cells)
    unit = unit if unit > _EQUAL * reach else reach  # else all is a tie
    sums = _sums_of(problem, unit)
    if cells is not None:
        cells = with_crossings(problem, cells, unit, _support(sums))
    nodes = nodes_of(problem, cells, unit, _limits(problem.n)[0])
    sure = _sure_sign(nodes, problem.n)
    if sure:
        total = sure * _between(
            np.stack(
                [
                    _without_sign(nodes.columns[:place].sum(axis=0), problem.n, log)
                    for place, log in zip(nodes.places, _logs(log_below), strict=True)
                ]
            )
        )
    else:
        known = _Known.of(nodes, problem.n, sums is not None)
        total = known.total
        if problem.n > 1 and known.leaves_some:
            total = total + _settled(problem, (cells, nodes), unit, known, tolerance, log_below)
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

    @classmethod
    def of(cls, nodes: Nodes, n: int, apart: bool) -> "_Known":
        """Sum what is known; `apart` says that point masses count as exact gains."""
        fixed: BoolArray = nodes.gain == 0
        if apart:
            fixed |= nodes.point
        gains, _ = merged(np.append(nodes.gain[fixed], 0.0), np.ones(int(fixed.sum()) + 1))
        sums: list[FloatArray] = []
        found: list[FloatArray] = []
        for place in nodes.places:
            at = fixed[:place]
            nearest = np.abs(nodes.gain[:place][at, None] - gains).argmin(axis=1)
            columns = np.zeros((gains.size, nodes.columns.shape[1]))
            np.add.at(columns, nearest, nodes.columns[:place][at])
            sums.append(columns)
            moving = nodes.gain[:place][~at], nodes.columns[:place][~at]
            found.append(_exactly(gains, columns, moving, n))
        return cls(gains, tuple(sums), _between(np.stack(found)), not fixed.all())


def _exactly(
    gains: FloatArray, fixed: FloatArray, moving: tuple[FloatArray, FloatArray], n: int
) -> FloatArray:
    """Return the figures of blocks with at most one value whose gain is none of the given."""
    sums = PointSums.of(gains, fixed[:, 0], n)
    if sums is None:  # with fewer of them than the whole step has, they are known too
        raise AssertionError
    found = np.zeros(8)
    one, two = sums.sign(1, gains), sums.sign(2, np.add.outer(gains, gains))
    found[:6] = one @ fixed[:, :6]
    six, four, x = fixed[:, 6:].T
    found[6] = 0.5 * (four @ two @ four - six @ two @ six)
    found[7] = 0.5 * (x @ two @ (four - six))
    d, columns = moving
    if not d.size:
        return found
    alone, beside = sums.sign(1, d), sums.sign(2, np.add.outer(gains, d))
    mass = columns[:, 0]
    found[0] += n * (alone @ mass)
    found[1:6] += alone @ columns[:, 1:6] + (n - 1) * (fixed[:, 1:6].T @ (beside @ mass))
    d_six, d_four, d_x = (beside @ columns[:, k] for k in (6, 7, 8))
    found[6] += four @ d_four - six @ d_six
    found[7] += 0.5 * (x @ (d_four - d_six) + (four - six) @ d_x)
    if n > 2 and (six.any() or four.any()):
        both = np.stack([sums.sign(3, np.add.outer(gains + g, d)) @ mass for g in gains.tolist()])
        found[6] += 0.5 * (n - 2) * (four @ both @ four - six @ both @ six)
        found[7] += 0.5 * (n - 2) * (x @ both @ (four - six))
    return found


def _settled(  # noqa: PLR0917 - one step's description
    problem: Problem,
    at: tuple[Cells | None, Nodes],
    unit: float,
    known: "_Known",
    tolerance: float,
    log_below: tuple[float, float] | None,
) -> FloatArray:
    """Integrate over as many frequencies as count; the first nodes serve the first limit."""
    (cells, nodes), limits = at, list(_limits(problem.n))
    more = np.zeros(10)
    while limits:
        limit = limits.pop(0)
        more, rest = _by_frequencies(nodes, problem.n, known, limit, log_below)
        excess = max(float(rest[0]) / _SETTLED, float(rest[1:4].max()) / tolerance)
        if excess <= 1:
            break
        if not limits:
            if excess > _UNSETTLED:
                raise InvalidValue(
                    f"four-over-six of {density_name(problem.density)} cannot be found: its "
                    "narrow or singular parts gain amounts too alike to be told apart; replace "
                    "them by point masses, which are exact, or simulate: qerror.estimate_error"
                )
            break
        if excess > _SLOW:
            limits = limits[-1:]
        nodes = nodes_of(problem, cells, unit, limits[0])
    return more


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
    parts = _between(
        np.stack(
            [
                _remaining((whole[at], turned[at]), fixed, known.gains, table.nodes, n, log)
                for at, fixed, log in zip(nodes.places, known.fixed, _logs(log_below), strict=True)
            ]
        )
    )
    total: FloatArray = (2 / math.pi) * (table.weights / table.nodes) @ parts
    return total, np.abs(parts[-_LAST:]).max(axis=0) / n


def _logs(below: tuple[float, float] | None) -> tuple[float | None, ...]:
    """Return log F at the four places, where it is known."""
    return (None,) * 4 if below is None else (below[0], None, None, below[1])


def _without_sign(whole: FloatArray, n: int, log: float | None) -> FloatArray:
    """Return the eight figures of all blocks of values below a place."""
    known = None if log is None or whole[0] <= 0 else np.array([log])
    found: FloatArray = _products(whole[None], n, known)[0]
    return found


def _remaining(  # noqa: PLR0917 - one product's description
    parts: tuple[FloatArray, Complex],
    fixed: FloatArray,
    gains: FloatArray,
    t: FloatArray,
    n: int,
    log: float | None,
) -> FloatArray:
    """Return the imaginary parts that are divided by t, less what is known; (t, 8).

    `parts` are the sums of the columns, and what they become at t less those.
    """
    whole, turned = parts
    if whole[0] <= 0:
        return np.zeros((t.size, 8))
    phi = whole + turned
    still: Parts = fixed[None, 0] if gains.size == 1 else np.exp(1j * np.outer(t, gains)) @ fixed
    with np.errstate(divide="ignore"):
        power = (math.log(whole[0]) if log is None else log) + _log1p(turned[:, 0] / whole[0])
    found = np.imag(_products(phi, n, power)) - _first_order(still, phi - still, n)
    return found if gains.size == 1 else found - np.imag(_products(still, n))


def _log1p(z: Complex) -> Complex:
    """Return log(1 + z), small real parts included."""
    a, b = z.real, z.imag
    return 0.5 * np.log1p(a * (2 + a) + b * b) + 1j * np.arctan2(b, 1 + a)


def _between(parts: FloatArray) -> FloatArray:
    """Return the ten figures from what lies below a, both places of clipping, and b."""
    low, six, four, high = parts
    clips = 0.5 * np.stack([high[..., 0] - four[..., 0], high[..., 0] - six[..., 0]], axis=-1)
    found: FloatArray = np.concatenate([high - low, clips], axis=-1)
    return found


def _products(parts: Parts, n: int, log: Parts | None = None) -> Parts:
    """Return phi^n, psi phi^(n-1) for five figures and the pairs' psi psi phi^(n-2).

    `log` is log phi, where that is known better than phi.
    """
    phi = parts[:, :1]
    rest = _integer_power(phi, n - 2) if log is None else np.exp((n - 2) * log[:, None])
    others = rest * phi
    six, four, x = (parts[:, k : k + 1] for k in (6, 7, 8))
    pairs = 0.5 * (four * four - six * six) * rest, 0.5 * x * (four - six) * rest
    return np.concatenate([phi * others, parts[:, 1:6] * others, *pairs], axis=1)


def _integer_power(phi: Parts, n: int) -> Parts:
    """Return phi^n, n >= 0, 0^0 = 1."""
    found: Parts = np.where(phi == 0, 0.0 if n else 1.0, phi) ** n
    return found


def _first_order(still: Parts, moving: Complex, n: int) -> FloatArray:
    """Return the imaginary part of the terms of first order of `_products` at still + moving."""
    p, m = still[:, :1], moving[:, :1]
    third = (n - 2) * _integer_power(p, n - 3) if n > 2 else 0.0
    second = _integer_power(p, n - 2)
    first = second * p
    six, four, x = (still[:, k : k + 1] for k in (6, 7, 8))
    d_six, d_four, d_x = (moving[:, k : k + 1] for k in (6, 7, 8))
    figures = first * moving[:, 1:6] + (n - 1) * second * still[:, 1:6] * m
    error = second * (four * d_four - six * d_six) + 0.5 * third * (four * four - six * six) * m
    cross = 0.5 * second * (x * (d_four - d_six) + (four - six) * d_x)
    cross = cross + 0.5 * third * x * (four - six) * m
    return np.imag(np.concatenate([n * first * m, figures, error, cross], axis=1))
