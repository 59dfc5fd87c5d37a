"""Blocks whose equal steps lead from their smallest value to their largest: affine formats.

With l and u the extremes of n values, P = P(l < X < u) and J = int_l^u phi(x; l, u) p(x) dx,

    E[phi(X_1)] = int int (n-1)(n-2) P^(n-3) J p(l) p(u)
                        + (n-1) P^(n-2) (phi(l) + phi(u)) p(l) p(u) dl du,

and likewise for two values of a block. With an extreme at a point mass the powers of P become
their differences. A real offset has levels at both extremes. An integer zero point z has them at
(k - z) s with l <= 0 <= u; blocks of one sign are those whose other extreme is 0.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_cells import cell_moments, point_moments
from qerror.analysis._affine_endless import endless_sums, suits_endless
from qerror.analysis._affine_ends import (
    Ends,
    Powers,
    Within,
    growth,
    open_mass,
    power,
    second_growth,
)
from qerror.analysis._affine_larger import centre_of
from qerror.analysis._affine_nodes import extreme_pairs, one_sided
from qerror.analysis._affine_panels import Lattice
from qerror.analysis._affine_phases import inner_by_phases, suits_phases
from qerror.analysis._affine_places import extremes_by_places, inner_by_places, suits_places
from qerror.analysis._affine_rows import Rows
from qerror.analysis._affine_zero import suits_widths, zero_point_sums
from qerror.analysis._block_steps import BlockSums
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent

_Inner: TypeAlias = Callable[[Density, int, Lattice], FloatArray]

_CHUNK = 2**13  # pairs of extremes handled together
_UNLIKELY = 1e-18  # that all others have the same sign
_NEGLIGIBLE = 1e-19  # of the squared width, weighed with its probability


def minmax_sums(density: Density, n: int, bits: int, zero: str) -> BlockSums:
    """Return the expectations for blocks of n values between their extremes.

    1e-13 of the error are reached on smooth densities under all tails that have a mean (t(1.05):
    2e-14 with a real offset, 5e-15 with an integer zero point); with a real offset and 6 bits or
    more 1e-8 under tails between t^-1.25 and t^-2.3. With a real offset a pair's moments
    are good to 1e-12 of E[e^2] and of E[x_1 e_2]. Where a density has jumps inside, as a mixture of
    uniform ones, and elements have many bits, E[e_1 e_2] is good to 1e-4 of itself, which is about
    1e-9 of the error. The error is good to 4e-6 where jumps meet tails without an end and a law
    that is singular at 0, which takes minutes, or a power law and more than 10 bits.

    Parameters
    ----------
    density : Density
        Of one value.
    n : int
        How many values share a scale.
    bits : int
        All 2^bits codes are used.
    zero : {"real", "integer"}
        What the offset is, as in `MinMax`.

    Returns
    -------
    BlockSums
        For densities with P(|X| > t) ~ t^-a, a <= 1, the squared error is infinite and the
        moments that have both signs do not exist (nan).
    """
    if zero == "real" and (place := centre_of(density)):
        # Levels follow the values: only means and products with the values themselves move.
        found = minmax_sums(density.affine(1.0, -place), n, bits, zero)
        error = place * float(found.singles[3])
        moved = np.array([0.0, 0.0, 0.0, 0.0, error, place])
        return BlockSums(found.singles + moved, found.pair_error, found.pair_cross + error)
    mean = density.mean
    total = np.zeros(7)
    # Of two values with a real offset both are levels.
    if n > 2 or (n > 1 and zero == "integer"):
        if tail_exponent(density) <= 1:
            return _infinite(n, mean)
        with np.errstate(under="ignore", over="ignore"):
            total = _total(density, n, Lattice(2**bits - 1, integer=zero == "integer"))
    if density.is_symmetric and not density.atom_sums.size:
        total[[1, 2]] = 0.5 * (total[1] + total[2])
        total[3] = 0.0
    rounding, low, high, bias, cross, pair_error, pair_cross = total.tolist()
    singles = np.array([rounding, low, high, bias, cross, mean])
    return BlockSums(singles, pair_error, pair_cross)


def _total(density: Density, n: int, lattice: Lattice) -> FloatArray:
    """Return the seven sums: the five of errors and two of pairs of values."""
    if lattice.integer and suits_widths(density, lattice.steps):
        found = zero_point_sums(density, n, lattice.steps)
        if found is not None:
            return found
    if suits_endless(density, lattice):
        found = endless_sums(density, n, lattice, partial(_sums, density, n, lattice))
        if found is not None:
            return found
    total = np.zeros(7)
    by = _by_jumps(density, n, lattice)
    for ends in extreme_pairs(density, n, lattice, points_only=by is not None):
        total += _sums(density, n, lattice, ends)
    if by is not None and _has_pairs(density, lattice):
        total += by(density, n, lattice) + extremes_by_places(density, n, lattice)
    if lattice.integer:
        total += _one_signed(density, n, lattice)
    return total


def _by_jumps(density: Density, n: int, lattice: Lattice) -> _Inner | None:
    """Return what sums values between extremes of densities with jumps; None for panels."""
    if suits_phases(density, n, lattice):
        return inner_by_phases
    if density.pieces() and suits_places(density, lattice):
        return inner_by_places
    return None


def _has_pairs(density: Density, lattice: Lattice) -> bool:
    low, high = density.support
    return not lattice.integer or low < 0 < high


def _infinite(n: int, mean: float) -> BlockSums:
    singles = np.array([math.inf, 0.0, 0.0, math.nan, math.nan, mean])
    return BlockSums(singles, math.nan if n > 1 else 0.0, math.nan if n > 1 else 0.0)


def _sums(density: Density, n: int, lattice: Lattice, ends: Ends) -> FloatArray:
    """Return the seven sums of these pairs."""
    within = Within.of(density, ends)
    width = ends.high - ends.low
    # What a pair adds is at most this: it, with the width as the error.
    share = second_growth(within, ends, n) * width * width
    kept = np.flatnonzero(share > _NEGLIGIBLE * share.max(initial=0.0))
    if tail_exponent(density) <= 2:  # the bound itself has no mean
        kept = np.flatnonzero(share)
    total = np.zeros(7)
    for start in range(0, kept.size, _CHUNK):
        at = kept[start : start + _CHUNK]
        low, high, at_low, at_high = (x[at] for x in ends[:4])
        part = Ends(low, high, at_low, at_high, ends.low_point, ends.high_point)
        rows = Rows.between(low, high, lattice.steps, integer=lattice.integer)
        total += _some(density, n, rows, part, Within(*(x[at] for x in within)))
    return total


def _some(density: Density, n: int, rows: Rows, ends: Ends, within: Within) -> FloatArray:
    inner = cell_moments(density, rows)
    if density.atom_sums.size:
        inner = inner.plus(point_moments(density.atom_sums, rows))
    powers = Powers.of(ends, within, n - 1)
    total = np.zeros(7)
    total[:5] = inner.dot(powers.inner)[:5]
    low, high, nothing = ends.low, ends.high, np.zeros(ends.low.size)
    low_error, high_error = nothing, nothing
    if rows.zero is not None:
        low_error, high_error = rows.errors(low), rows.errors(high)
        for x, error, weights in ((low, low_error, powers.low), (high, high_error, powers.high)):
            total[:5] += _of_ends(x, error, weights, rows)
    if n > 1:
        pair = Powers.of(ends, within, n - 2)
        total[5] = _pairs(
            pair, inner.mean, inner.mean, (low_error, high_error), (low_error, high_error)
        )
        total[6] = _pairs(pair, inner.first, inner.mean, (low, high), (low_error, high_error))
    return total


def _of_ends(x: FloatArray, error: FloatArray, weights: FloatArray, rows: Rows) -> FloatArray:
    """Return what values at an extreme add to the five sums."""
    square = weights * error * error
    below, above = x < rows.anchor, x > rows.top
    return np.array(
        [
            float(square[~(below | above)].sum()),
            float(square[below].sum()),
            float(square[above].sum()),
            float(weights @ error),
            float(weights @ (error * x)),
        ]
    )


def _pairs(
    powers: Powers,
    f: FloatArray,
    g: FloatArray,
    f_ends: tuple[FloatArray, FloatArray],
    g_ends: tuple[FloatArray, FloatArray],
) -> float:
    """Return E[f(X_1) g(X_2)], f and g their integrals within and their values at the extremes."""
    (fl, fu), (gl, gu) = f_ends, g_ends
    terms = (
        (powers.inner, f * g),
        (powers.low, f * gl + fl * g),
        (powers.high, f * gu + fu * g),
        (powers.twice_low, fl * gl),
        (powers.twice_high, fu * gu),
        (powers.low_high, fl * gu + fu * gl),
    )
    return float(sum(weights @ value for weights, value in terms))


def _one_signed(density: Density, n: int, lattice: Lattice) -> FloatArray:
    """Return the sums of blocks without a value below 0, or without one above: z = 0 or 2^b - 1."""
    total = np.zeros(7)
    for mirrored in (False, True):
        side = density.affine(-1.0) if mirrored else density
        share = float(side.mass(0.0, np.inf))
        if share ** (n - 1) < _UNLIKELY:
            continue
        for ends in one_sided(side, n, lattice):
            part = _of_one_sign(side, n, lattice, ends)
            if mirrored:
                part[[1, 2]] = part[[2, 1]]
                part[3] = -part[3]
            total += part
    return total


def _of_one_sign(density: Density, n: int, lattice: Lattice, ends: Ends) -> FloatArray:
    """Return the sums of blocks whose values lie between 0 and these upper extremes."""
    rows = Rows.between(ends.low, ends.high, lattice.steps, integer=lattice.integer)
    zero = np.zeros(ends.low.size)
    inner = cell_moments(density, rows)
    if density.atom_sums.size:
        inner = inner.plus(point_moments(density.atom_sums, rows))  # 0 itself has no error
    with np.errstate(divide="ignore"):
        log = np.log(open_mass(density, zero, ends.high) + _mass_at_zero(density))
        grown = np.log(np.exp(log) + ends.at_high) if ends.high_point else log
    total = np.zeros(7)
    by = ends.at_high
    total[:5] = inner.dot(growth(log, grown, by, ends.high_point, n - 1))[:5]
    weights = growth(log, grown, by, ends.high_point, n - 2)
    # The upper extreme itself is a level.
    total[5] = weights @ (inner.mean * inner.mean)
    total[6] = weights @ (inner.first * inner.mean)
    total[6] += (by * ends.high * power(grown, n - 2)) @ inner.mean
    return total


def _mass_at_zero(density: Density) -> float:
    return float(density.atom_sums.mass(np.zeros(1), np.zeros(1))[0])
