"""Affine blocks of densities with jumps: what swings with the levels, and the rest.

Between the extremes l and u of a block, w = u - l, the errors of S steps are smooth functions of
both but for the terms of jumps, b_k(S r) with r = (x_j - l) / w of a jump at x_j (`_affine_jumps`).
The rest is integrated over the extremes in panels that know nothing of thresholds. Each term is

    int b_k(S r) K(r) dr,    K an integral over a line of pairs that have the jump at the place r.

With an integer zero point r = x_j / w, and the extremes are jumps as well, at A = -l / w.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_cells import cell_moments, point_moments
from qerror.analysis._affine_ends import Ends, Powers, Within, first_moments, roughly
from qerror.analysis._affine_jumps import (
    ORDER,
    Integrals,
    Jump,
    damping,
    has_derivatives,
    jumps_inside,
    of_limits,
    phases,
    swings,
)
from qerror.analysis._affine_panels import Lattice, marks_of
from qerror.analysis._affine_phase_lines import of_extremes, of_jump
from qerror.analysis._affine_place_pairs import smooth_pairs
from qerror.analysis._affine_place_swings import mean_square, mean_swings
from qerror.analysis._affine_places import many_corners, suits_places
from qerror.analysis._affine_rows import Rows
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent
from qerror.densities.smooth_law import SmoothLaw

_CHUNK = 2**12  # pairs of extremes handled together
_LIKELY = 1e-20  # of the most likely pair
_NARROW = 0.4  # of the largest step for which a longer series is exact
_FAR = 16.0  # of those: terms of derivatives would grow without an end from there on
_MOST_STEPS = 2**10  # of levels that heavy tails spread far apart


def suits_phases(density: Density, n: int, lattice: Lattice) -> bool:
    """Tell whether jumps have derivatives on both sides, and their series of terms end.

    They end if only the density itself jumps, or where steps are usually short. Where they do not
    quite, they still serve jumps that meet thresholds in too many places for anything else.
    """
    if not (density.pieces() and marks_of(density).size and has_derivatives(density)):
        return False
    if tail_exponent(density) < math.inf and lattice.steps > _MOST_STEPS:
        return False
    if not any(any(jump.by[2:]) for jump in jumps_inside(density)):
        return True
    share = np.exp2(-1.0 / np.array([n]))
    typical = float((density.ppf(share) - density.ppf(1 - share))[0])
    short = 2 * typical <= _widest(density) * lattice.steps
    return short or (many_corners(density, lattice) and not suits_places(density, lattice))


def inner_by_phases(density: Density, n: int, lattice: Lattice) -> FloatArray:
    """Return the seven sums of values between extremes; clipped ones as rounded."""
    if n < 3:
        return np.zeros(7)
    jumps = tuple(x for x in jumps_inside(density) if x.x != 0 or not lattice.integer)
    wide = _widest(density) * lattice.steps
    heavy = _FAR * wide if tail_exponent(density) < math.inf else math.inf
    total = _rest(density, n, lattice, jumps, _Widths(wide, heavy))
    for jump in jumps:
        total += of_jump(density, n, lattice, jump, heavy)
    if lattice.integer:
        total += of_extremes(density, n, lattice, heavy)
    return total


def _widest(density: Density) -> float:
    """Return the longest step for which the series of all laws are exact."""
    zero = np.zeros(1)
    rooms = [
        piece.spread * float(piece.law.smooth_step(zero)[0])
        for piece in density.pieces()
        if isinstance(piece.law, SmoothLaw)
    ]
    return _NARROW * min(rooms)


class _Widths(NamedTuple):
    """Widths of blocks."""

    narrow: float
    """Up to it steps are short for the density."""
    damped: float
    """From it on terms of derivatives are damped, where tails are heavy."""


def _rest(
    density: Density, n: int, lattice: Lattice, jumps: tuple[Jump, ...], widths: _Widths
) -> FloatArray:
    """Integrate what is smooth in both extremes."""
    every = smooth_pairs(density, n, integer=lattice.integer)
    share = roughly(density, n, every) * np.square(every.high - every.low)
    kept = np.flatnonzero(share > _LIKELY * share.max(initial=0.0))
    total = np.zeros(7)
    for start in range(0, kept.size, _CHUNK):
        at = kept[start : start + _CHUNK]
        low, high, at_low, at_high = (x[at] for x in every[:4])
        ends = Ends(low, high, at_low, at_high, False, False)
        within = Within.of(density, ends)
        one, pair = Powers.of(ends, within, n - 1), Powers.of(ends, within, n - 2)
        other = pair.low * low + pair.high * high + pair.inner * first_moments(density, ends)
        rest = _smooth(density, lattice, jumps, widths, low, high, within.neither)
        swing = mean_square(mean_swings(density, low, high, lattice), integer=lattice.integer)
        total[[0, 3, 4]] += [one.inner @ part for part in rest]
        total[5] += pair.inner @ (np.square(rest.mean) + swing)
        total[6] += other @ rest.mean
    return total


def _smooth(  # noqa: PLR0917 - one chunk's description
    density: Density,
    lattice: Lattice,
    jumps: tuple[Jump, ...],
    widths: _Widths,
    low: FloatArray,
    high: FloatArray,
    log_mass: FloatArray,
) -> Integrals:
    """Return the integrals between extremes less the terms of jumps."""
    found = np.zeros((3, low.size))
    narrow = high - low <= widths.narrow
    for at in (np.flatnonzero(narrow), np.flatnonzero(~narrow)):
        if not at.size:
            continue
        a, b = low[at], high[at]
        by_series = bool(narrow[at[0]])
        if by_series:
            part = _by_series(density, lattice, a, b, log_mass[at])
        else:
            part = _by_cells(density, lattice, a, b)
        if widths.damped < math.inf or not by_series:
            damp = damping((b - a) / widths.damped) if widths.damped < math.inf else None
            part = part.minus(_terms(density, lattice, jumps, a, b, damp))
        if widths.damped < math.inf and by_series:
            part = part.plus(_terms(density, lattice, jumps, a, b, None))
        found[:, at] = part
    return Integrals(*found)


def _by_cells(density: Density, lattice: Lattice, low: FloatArray, high: FloatArray) -> Integrals:
    """Integrate from level to level."""
    rows = Rows.between(low, high, lattice.steps, integer=lattice.integer)
    found = cell_moments(density, rows)
    if density.atom_sums.size:
        found = found.plus(point_moments(density.atom_sums, rows))
    return Integrals(found.rounding + found.low + found.high, found.mean, found.cross)


def _by_series(
    density: Density, lattice: Lattice, low: FloatArray, high: FloatArray, log_mass: FloatArray
) -> Integrals:
    """Return what is left where steps are short: s^2 P / 12, and jumps that are levels always."""
    step = (high - low) / lattice.steps
    nothing = np.zeros(step.size)
    found = Integrals(step * step * np.exp(log_mass) / 12, nothing, nothing)
    at_level = np.zeros(1)
    if not lattice.integer:
        b = phases(at_level, ORDER + 3)
        return found.plus(of_limits(density, low, high, step, b))
    for jump in jumps_inside(density):
        if jump.x == 0:
            found = found.plus(swings(jump, at_level, step, None))
    return found


def _terms(  # noqa: PLR0917 - one chunk's description
    density: Density,
    lattice: Lattice,
    jumps: tuple[Jump, ...],
    low: FloatArray,
    high: FloatArray,
    damp: FloatArray | None,
) -> Integrals:
    """Return the terms of all jumps between the extremes."""
    step = (high - low) / lattice.steps
    total = np.zeros((3, low.size))
    for jump in jumps:
        at = np.flatnonzero((low < jump.x) & (jump.x < high))
        s = step[at]
        phase = (jump.x - (0.0 if lattice.integer else low[at])) / s
        total[:, at] += swings(jump, phase, s, None if damp is None else damp[at])
    if lattice.integer:
        b = phases(low / step, ORDER + 3)
        total += of_limits(density, low, high, step, b, damp)
    return Integrals(*total)
