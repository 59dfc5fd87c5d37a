"""Two errors of an affine block of a density with jumps: what swings with the levels, and the rest.

Between the extremes l and u, w apart, the mean error mu = int e p is, by parts,

    mu = (w / S)^2 sum_j c_j Psi(S r_j) + ...,   Psi(y) = psi(y)^2 / 2 - 1/24,

c_j the jumps of the density, r_j the places of theirs, and psi the sawtooth; point masses add
-w / S psi(S r_j) of their probability. Over all blocks these swing through whole periods: of mu^2
their mean squares are left, and what else mu holds, which is smooth. The difference is of the
second order in 1 / S of E[e_1 e_2], which is itself of that order of E[e^2].
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_cells import cell_moments, point_moments
from qerror.analysis._affine_ends import Powers, Within
from qerror.analysis._affine_panels import Lattice
from qerror.analysis._affine_place_pairs import jumps_of, smooth_pairs
from qerror.analysis._affine_rows import Rows
from qerror.densities.density import Density

_LIKELY = 1e-19  # of the most likely pair
_CHUNK = 2**13  # pairs of extremes handled together
_COMMON = 64  # periods after which two swings may meet again
_SAME = 1e-12


class Swings(NamedTuple):
    """The parts of the mean error that swing with the places of the jumps, a row for each jump."""

    even: FloatArray
    """Factors of Psi."""
    odd: FloatArray
    """Factors of psi."""
    phase: FloatArray
    """Where among the levels each jump lies: S r."""
    jumps: FloatArray

    @property
    def value(self) -> FloatArray:
        """What they add to the mean error."""
        psi = self.phase - np.rint(self.phase)
        found: FloatArray = (self.even * (psi * psi / 2 - 1 / 24) + self.odd * psi).sum(axis=0)
        return found


def inner_pairs(density: Density, n: int, lattice: Lattice) -> float:
    """Return E[e_1 e_2] of values between extremes that are no point masses."""
    if n < 4:
        return 0.0
    ends = smooth_pairs(density, n, integer=lattice.integer)
    within = Within.of(density, ends)
    weight = Powers.of(ends, within, n - 2).inner
    width = ends.high - ends.low
    share = weight * width**4
    kept = np.flatnonzero(share > _LIKELY * share.max())
    total = 0.0
    for start in range(0, kept.size, _CHUNK):
        at = kept[start : start + _CHUNK]
        low, high = ends.low[at], ends.high[at]
        rows = Rows.between(low, high, lattice.steps, integer=lattice.integer)
        moments = cell_moments(density, rows)
        if density.atom_sums.size:
            moments = moments.plus(point_moments(density.atom_sums, rows))
        swings = mean_swings(density, low, high, lattice)
        rest = moments.mean - swings.value
        total += float(weight[at] @ (rest * rest + mean_square(swings, integer=lattice.integer)))
    return total


def mean_swings(density: Density, low: FloatArray, high: FloatArray, lattice: Lattice) -> Swings:
    """Return the parts of pairs of extremes that swing."""
    jumps = jumps_of(density, zero=False)
    if lattice.integer:
        jumps = jumps[jumps != 0]  # a level always
    x = jumps[:, None]
    inside = (x > low) & (x < high)
    width = high - low
    before, after = (density.pdf(np.nextafter(jumps, end)) for end in (-np.inf, np.inf))
    at, chance = density.atoms()
    points = np.zeros(jumps.size)
    points[np.searchsorted(jumps, at[np.isin(at, jumps)])] = chance[np.isin(at, jumps)]
    unit = width / lattice.steps
    even = np.where(inside, (after - before)[:, None] * unit * unit, 0.0)
    odd = np.where(inside, -points[:, None] * unit, 0.0)
    phase = (x - (0.0 if lattice.integer else low)) / unit
    if not lattice.integer:
        return Swings(even, odd, phase, jumps)
    # Both extremes lie alike between levels.
    ends = (density.pdf(low) - density.pdf(high)) * unit * unit
    return Swings(
        np.vstack([even, ends]),
        np.vstack([odd, 0 * ends]),
        np.vstack([phase, -low / unit]),
        np.append(jumps, np.nan),
    )


def mean_square(swings: Swings, *, integer: bool) -> FloatArray:
    """Return the mean square over all phases; with an integer zero point some go together."""
    found: FloatArray = np.square(swings.even).sum(axis=0) / 720
    found = found + np.square(swings.odd).sum(axis=0) / 12
    if not integer:
        return found
    for i in range(swings.jumps.size - 1):
        for j in range(i):
            ratio = float(swings.jumps[i] / swings.jumps[j])
            common = Fraction(ratio).limit_denominator(_COMMON)
            p, q = abs(common.numerator), common.denominator
            if p > _COMMON or abs(ratio - float(common)) > _SAME * abs(ratio):
                continue
            sign = -1.0 if ratio < 0 else 1.0
            # Fourier series of both: sum_k (-1)^k ... over the common multiples of p and q.
            even, odd = (1.0, 1.0) if (p + q) % 2 == 0 else (-7 / 8, -0.5)
            found = found + 2 * swings.even[i] * swings.even[j] * (even / (720 * (p * q) ** 2))
            found = found + 2 * sign * swings.odd[i] * swings.odd[j] * (odd / (12 * p * q))
    return found
