"""What jumps of a density add to the errors of equal steps: terms whose mean over a step is 0.

With b_k(y) = B_k(t) / k!, t = y + 1/2 less the integer below, levels at multiples of a step s give
x the error -s b_1(x / s), whose square is s^2 (1/12 + 2 b_2). Since b_(k+1)' = b_k, by parts

    int e^2 p = s^2 P / 12 + 2 sum_jk (-1)^(k+1) s^(k+3) b_(k+3)(x_j / s) [p^(k)]_j,
    int e p = sum_jk (-1)^k s^(k+2) b_(k+2)(x_j / s) [p^(k)]_j,    k = -1, 0, 1, ...,

with the jumps [p^(k)]_j of the density's derivatives at x_j, k = -1 for point masses, and likewise
with x p in place of p. Limits of the integrals are jumps too.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_panels import marks_of
from qerror.densities.density import Density
from qerror.densities.piece import Piece
from qerror.densities.smooth_law import SmoothLaw

ORDER = 6  # the last k: what is left is below 1e-12 where a step is an eighth of the spread


class Jump(NamedTuple):
    """Where a density or one of its derivatives jumps."""

    x: float
    by: tuple[float, ...]
    """Of the point mass, and of p^(k), k = 0, 1, ..."""
    first: tuple[float, ...]
    """The same of x p; both have as many entries as are not 0."""


class Integrals(NamedTuple):
    """int e^2 p, int e p and int x e p, or what belongs to them; shape (rows,) each."""

    square: FloatArray
    mean: FloatArray
    cross: FloatArray

    def plus(self, other: "Integrals") -> "Integrals":
        """Add row by row."""
        return Integrals(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: "Integrals") -> "Integrals":
        """Subtract row by row."""
        return Integrals(*(a - b for a, b in zip(self, other, strict=True)))


@lru_cache(maxsize=64)
def jumps_inside(density: Density) -> tuple[Jump, ...]:
    """Return where inside its support the density jumps, or one of its derivatives does."""
    marks = marks_of(density)
    by = np.zeros((ORDER + 3, marks.size))
    by[1:-1] = derivatives(density, marks, 1.0) - derivatives(density, marks, -1.0)
    x, probability = density.atoms()
    by[0, np.isin(marks, x)] = probability[np.isin(x, marks)]
    first = marks * by
    first[2:] += np.arange(1, ORDER + 2)[:, None] * by[1:-1]  # (x p)^(k) = x p^(k) + k p^(k-1)
    found: list[Jump] = []
    for i, place in enumerate(marks.tolist()):
        count = np.flatnonzero(by[:, i]).max(initial=-1) + 2
        if count > 1:
            some = slice(min(int(count), ORDER + 2))
            found.append(Jump(place, tuple(by[some, i].tolist()), tuple(first[some, i].tolist())))
    return tuple(found)


def has_derivatives(density: Density) -> bool:
    """Tell whether all pieces have derivatives up to their ends."""
    return all(
        isinstance(piece.law, SmoothLaw) and not piece.law.branch_at_zero
        for piece in density.pieces()
    )


def derivatives(density: Density, x: FloatArray, side: float) -> FloatArray:
    """Return p^(k), k = 0..ORDER, from the right of x (side 1) or from the left; (k, x)."""
    total = np.zeros((ORDER + 1, x.size))
    for piece in density.pieces():
        below, above = (np.less_equal, np.less) if side > 0 else (np.less, np.less_equal)
        at = np.flatnonzero(below(piece.low, x) & above(x, piece.high))
        if at.size:
            total[:, at] += _of_piece(piece, x[at], side)
    return total


def _of_piece(piece: Piece, x: FloatArray, side: float) -> FloatArray:
    law = piece.law
    assert isinstance(law, SmoothLaw)
    z = piece.standard(x)
    found = np.stack(law.derivatives(np.abs(z), np.full(z.size, 1 / piece.spread), ORDER))
    mirrored = (z < 0) | ((z == 0) & (side < 0))
    found[1::2] = np.where(mirrored, -found[1::2], found[1::2])
    found *= piece.weight / piece.spread
    return found


@lru_cache(maxsize=16)
def periodic(order: int) -> tuple[FloatArray, ...]:
    """Return the coefficients of b_k, k = 0..order, in powers of y less the nearest integer."""
    found = [np.ones(1)]
    for _ in range(order):
        c = np.polynomial.polynomial.polyint(found[-1]).astype(np.float64)
        ends = np.polynomial.polynomial.polyval(
            np.array([0.5, -0.5]), np.polynomial.polynomial.polyint(c)
        )
        c[0] -= ends[0] - ends[1]
        found.append(c)
    return tuple(found)


def phases(y: FloatArray, order: int) -> FloatArray:
    """Return b_k(y), k = 0..order, along a first axis."""
    psi = y - np.rint(y)
    b = [np.polynomial.polynomial.polyval(psi, c) for c in periodic(order)]
    return np.stack(b).astype(np.float64)


def damping(width: FloatArray) -> FloatArray:
    """Return 1 for small widths and 1 / width for large ones, analytic between."""
    found: FloatArray = np.exp(-np.logaddexp(0.0, 8 * np.log(width)) / 8)
    return found


def swings(jump: Jump, phase: FloatArray, step: FloatArray, damp: FloatArray | None) -> Integrals:
    """Return the terms of one jump, whose place is so many steps from a level.

    Parameters
    ----------
    jump : Jump
        The jump.
    phase, step : array of shape (k,)
        x_j / s and s.
    damp : array of shape (k,), optional
        A factor d of each row: terms of p^(k), k > 0, are multiplied by d^k.
    """
    count = len(jump.by)
    b = phases(phase, count + 1)
    square, mean, cross = np.zeros((3, step.size))
    power = step
    for i, (by, first) in enumerate(zip(jump.by, jump.first, strict=True)):  # k = i - 1
        sign = -1.0 if i % 2 else 1.0
        square += (2 * sign * by) * (power * step * b[i + 2])
        mean -= (sign * by) * (power * b[i + 1])
        cross -= (sign * first) * (power * b[i + 1])
        power = power * step
        if damp is not None and i:
            power = power * damp
    return Integrals(square, mean, cross)


def jumps_of_limits(
    density: Density, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return p^(k) at the lower limit less that at the upper one, and so for x p; (k, rows)."""
    start, stop = derivatives(density, low, 1.0), derivatives(density, high, -1.0)
    by = start - stop
    first = low * start - high * stop
    first[1:] += np.arange(1, ORDER + 1)[:, None] * by[:-1]
    return by, first


def of_limits(  # noqa: PLR0917 - one chunk's description
    density: Density,
    low: FloatArray,
    high: FloatArray,
    step: FloatArray,
    b: FloatArray,
    damp: FloatArray | None = None,
) -> Integrals:
    """Return the terms of the integrals' limits.

    Parameters
    ----------
    density : Density
        Of one value.
    low, high, step : array of shape (k,)
        Limits, and s.
    b : array of shape (ORDER + 4, k) or (ORDER + 4, 1)
        b_k of the place of both limits among the levels.
    damp : array of shape (k,), optional
        As in `swings`.
    """
    by, first = jumps_of_limits(density, low, high)
    square, mean, cross = np.zeros((3, step.size))
    power = step * step
    for k in range(ORDER + 1):
        sign = -1.0 if k % 2 else 1.0
        square -= 2 * sign * by[k] * (power * step * b[k + 3])
        mean += sign * by[k] * (power * b[k + 2])
        cross += sign * first[k] * (power * b[k + 2])
        power = power * step
        if damp is not None:
            power = power * damp
    return Integrals(square, mean, cross)
