"""Affine blocks with an integer zero point, of smooth densities: by their width.

Let w = u - l be the width of a block with the extremes l < 0 < u and A = -l / w. Levels are the
multiples of w / S, S steps of them from z = round(S A) below 0 on. So a value x = r w, an extreme
too, has the error -w / S psi(S r) whether it clips or not, psi a sawtooth. With

    p(l) p(u) dl du = p(-A w) p((1 - A) w) w dw dA

one matrix of densities p(+-r w), w and r in nodes, holds all: its integrals over r, up to A and to
1 - A, times the sawtooth, are products with matrices that no density enters. Over log w all is
smooth, and equal steps converge as fast as Gauss rules. Under heavy tails what wide blocks add
falls as a sum of powers of w, whose sums have closed forms.
"""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_zero_places import KINDS, ORDER, Cells, Places, cells_of
from qerror.analysis._affine_zero_values import Values, settled_places
from qerror.analysis._affine_zero_widths import settled_sum, widths_of
from qerror.densities.density import Density
from qerror.densities.smooth_law import SmoothLaw

_FAR = 100.0  # spreads
_MOST_STEPS = 2**12
_CHUNK = 2**16  # widths times cells' nodes handled together


def suits_widths(density: Density, steps: int) -> bool:
    """Tell whether the density is smooth but in 0, and no piece of it far from there and narrow."""
    pieces = density.pieces()
    near = all(abs(piece.location) <= _FAR * piece.spread for piece in pieces)
    smooth = all(isinstance(piece.law, SmoothLaw) and piece.is_whole for piece in pieces)
    whole = smooth and not density.atom_sums.size and not any(density.kinks)
    return whole and near and steps <= _MOST_STEPS


def zero_point_sums(density: Density, n: int, steps: int) -> FloatArray | None:
    """Return the seven sums of blocks of n values with an integer zero point.

    Parameters
    ----------
    density : Density
        For which `suits_widths` is true, with a mean.
    n : int
        How many values share a scale, at least 2.
    steps : int
        From the lowest level to the highest.

    Returns
    -------
    array of shape (7,), optional
        None where equal steps of log w do not settle.
    """
    widths = widths_of(density, n, steps)
    places = settled_places(density, n, widths.spread, np.exp(widths.logs(0.0, 2 * widths.step)))

    def total(shift: float, step: float) -> FloatArray:
        w = np.exp(widths.logs(shift, step))
        return widths.sum(_at(density, n, steps, places, w), step)

    return settled_sum(total, widths.step)


def _at(density: Density, n: int, steps: int, places: Places, width: FloatArray) -> FloatArray:
    """Return what widths add to the seven sums, per log w; shape (k, 7)."""
    cells = cells_of(places, steps)
    size = max(1, _CHUNK // cells.nodes.size)
    return np.concatenate(
        [
            _some(density, n, steps, places, cells, width[start : start + size])
            for start in range(0, width.size, size)
        ]
    )


class _Integrals(NamedTuple):
    """Integrals from 0 to places R on one side of 0, of p times w; (widths, nodes of cells)."""

    square: FloatArray
    """Of psi^2."""
    error: FloatArray
    """Of psi."""
    cross: FloatArray
    """Of r psi."""
    first: FloatArray
    """Of r."""
    beyond: FloatArray
    """Of psi^2 from the last level on."""
    whole: FloatArray
    """The first four up to 1; shape (widths, 4)."""

    @classmethod
    def of(cls, p: FloatArray, cells: Cells) -> "_Integrals":
        """Integrate panel by panel."""
        rows = p.shape[0]
        before = np.zeros((rows, KINDS))
        found: list[FloatArray] = []
        starts: list[FloatArray] = []
        for k, part in enumerate(cells.parts):
            values = p[:, k * ORDER : (k + 1) * ORDER]
            inner = (values @ part.integrals).reshape(rows, KINDS, -1)
            inner += before[:, :, None]
            found.append(inner)
            starts.append(values @ part.starts + before[:, :1])
            before = before + values @ part.whole
        parts = np.concatenate(found, axis=2)
        start = np.concatenate(starts, axis=1)[:, cells.sector]
        square, error, cross, first = (parts[:, k] for k in range(KINDS))
        return cls(square, error, cross, first, square - start, before)


def _some(  # noqa: PLR0917 - one chunk's description
    density: Density, n: int, steps: int, places: Places, cells: Cells, width: FloatArray
) -> FloatArray:
    values = Values.of(density, places, width)
    upper = _Integrals.of(values.upper, cells)
    if density.is_symmetric:
        lower = upper
        total = 2 * _both_signed(values, lower, upper, n, steps, cells.half)
        total[:, [1, 2]] = 0.5 * (total[:, [1]] + total[:, [2]])
        total[:, 3] = 0.0
    else:
        lower = _Integrals.of(values.lower, cells)
        total = _both_signed(values, lower, upper, n, steps, cells)
    unit = width / steps
    scale = np.stack([unit * unit * width, -unit * width, -unit * width * width, width * width])
    for sign, p, inside, whole in (
        (1.0, values.upper_end, values.above, upper.whole),
        (-1.0, values.lower_end, values.beneath, lower.whole),
    ):
        total += _one_signed(width, p, inside, whole.T * scale, n, sign)
    return total * values.width


def _both_signed(  # noqa: PLR0917 - one chunk's description
    values: Values, lower: _Integrals, upper: _Integrals, n: int, steps: int, cells: Cells
) -> FloatArray:
    """Sum over A: the lower side counts up to A, the upper one up to 1 - A."""
    w, count = values.width, cells.nodes.size
    unit = w / steps
    far, near = slice(None, -count - 1, -1), slice(count)
    square = (lower.square[:, near] + upper.square[:, far]) * (unit * unit * w)
    mean = (lower.error[:, near] - upper.error[:, far]) * (unit * w)
    cross = (lower.cross[:, near] + upper.cross[:, far]) * (-unit * w * w)
    first = (upper.first[:, far] - lower.first[:, near]) * (w * w)
    at_end = cells.psi * unit
    both = (1 - 2 * cells.nodes) * w  # of the extremes
    above = cells.psi > 0
    clipped = np.where(above, lower.beyond[:, near], upper.beyond[:, far]) * (unit * unit * w)
    two, one, none = _likely(values, n, cells)
    total = np.zeros((w.size, 7))

    def add(k: int, *factors: FloatArray) -> None:
        total[:, k] += np.einsum(",".join(["ij"] * len(factors)) + "->i", *factors)

    ends = (n - 1) * none * at_end * at_end
    inner = (n - 1) * (n - 2) * one
    part = ends + inner * clipped
    total[:, 1], total[:, 2] = part @ above, part @ ~above
    add(0, inner, square - clipped)
    total[:, 0] += ends.sum(axis=1)
    add(3, inner, mean)
    add(3, none, (2 * n - 2) * at_end)
    add(4, inner, cross)
    other = none * at_end * both
    total[:, 4] += (n - 1) * other.sum(axis=1)
    total[:, 6] += other.sum(axis=1)
    add(5, none, 2 * at_end, at_end)
    one = one * (n - 2)
    add(5, one, 4 * at_end, mean)
    add(6, one, 2 * first * at_end + both * mean)
    two = two * ((n - 2) * (n - 3))
    add(5, two, mean, mean)
    add(6, two, first, mean)
    return total


def _likely(values: Values, n: int, cells: Cells) -> FloatArray:
    """Return how likely extremes are, with n - 4, n - 3 and n - 2 values within; at cells."""
    within = np.exp(values.within)
    found = np.zeros((3, *within.shape))
    found[max(4 - n, 0)] = values.ends * np.exp(max(n - 4, 0) * values.within)
    for k in range(max(5 - n, 1), 3):
        found[k] = found[k - 1] * within
    found = found.reshape(-1, within.shape[1])
    parts = [
        found[:, k * ORDER : (k + 1) * ORDER] @ part.value for k, part in enumerate(cells.parts)
    ]
    likely = np.concatenate(parts, axis=1)
    likely *= cells.weights
    return likely.reshape(3, within.shape[0], -1)


def _one_signed(  # noqa: PLR0917 - one side's description
    width: FloatArray, p: FloatArray, inside: FloatArray, sums: FloatArray, n: int, sign: float
) -> FloatArray:
    """Return what blocks add of which all values lie on one side of 0, the farthest at w."""
    square, mean, cross, first = sums
    total = np.zeros((width.size, 7))
    one = p * inside ** (n - 2)
    total[:, 0] = (n - 1) * one * square
    total[:, 3] = (n - 1) * sign * one * mean
    total[:, 4] = (n - 1) * one * cross
    total[:, 6] = one * width * mean
    if n > 2:
        pair = (n - 2) * p * inside ** (n - 3)
        total[:, 5] = pair * mean * mean
        total[:, 6] += pair * first * mean
    return total
