"""Block scales below a tensor scale that the largest of N values sets.

Given that largest magnitude A, the block that holds it has the top scale; the values of all other
blocks are independent and keep to |x| <= A, so that the steps of `_block_steps` apply, cut at A.
What remains is an integral over A, by the rule of its law. A point mass at +-A ends the steps by a
window of its own: with F_0 and F_1 the probabilities of |x| < A and |x| <= A, the other blocks
weigh the windows below it by F_1^(N-n) - F_0^(N-n) and its own by F_1^(N-n).
"""

from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_steps import (
    BlockSums,
    Steps,
    clipped_share,
    combined,
    likely_codes,
    live_steps,
    with_point,
)
from qerror.analysis._windows import WindowMoments, Windows
from qerror.densities.density import Density
from qerror.densities.magnitude import MaximumLaw
from qerror.densities.maximum import is_heavy, maximum_nodes, maximum_rule
from qerror.formats.format import ScalarFormat
from qerror.formats.scale_rule import ScaleSteps, largest
from qerror.formats.stored_scales import StoredScale
from qerror.grids import Grid

_NODES = 16  # of the rule of the largest value: all scales move with it, smoothly
_SPENT = 1e-20  # of the law of the largest value
_ROUNDING = 1e-15  # of the largest value: less beyond the top level is a rounding of its scale


class TensorSums(NamedTuple):
    """What a tensor scale from the data gives."""

    sums: BlockSums
    codes: dict[int, float]
    """Probability of each stored code."""
    clipped: float
    """P(M > scale * largest level)."""


class _Case(NamedTuple):
    """Blocks of n values, `blocks` of them below one tensor scale."""

    grid: Grid
    top: float
    density: Density
    n: int
    blocks: int


def tensor_sums(
    element: ScalarFormat, density: Density, n: int, size: int, rule: StoredScale
) -> TensorSums:
    """Return the expectations for blocks of n values of a tensor of `size` values."""
    case = _Case(element.grid(), largest(element), density, n, size // n)
    found: list[tuple[float, TensorSums]] = []
    if density.pieces():
        places, weights = _largest(density, size)
        for place, weight in zip(places.tolist(), weights.tolist(), strict=True):
            steps = rule.steps(element, rule.tensor_for(place, element))
            found.append((weight, _below_value(case, steps, place)))
    if density.atom_sums.size:
        for place in _points(density, size).tolist():
            steps = rule.steps(element, rule.tensor_for(place, element))
            found.append((1.0, _below_point(case, steps, place)))
        found.append((1.0, _nothing(case, rule.steps(element, 1.0))))
    return _added(found)


def _nothing(case: _Case, steps: ScaleSteps) -> TensorSums:
    """Return what tensors of zeros add: no error, and the least scale."""
    x, probability = case.density.atoms()
    chance = float(probability[x == 0].sum()) ** (case.n * case.blocks)
    codes = {int(steps.codes[0]): chance} if chance else {}
    return TensorSums(BlockSums(np.zeros(6), 0.0, 0.0), codes, 0.0)


def _largest(density: Density, size: int) -> tuple[FloatArray, FloatArray]:
    """Return a quadrature rule of the largest of `size` magnitudes, its continuous part."""
    smooth = density.is_symmetric and not is_heavy(density) and not density.atoms().positions.size
    if smooth and not any(0 < abs(x) < density.support[1] for x in density.kinks):
        return maximum_rule(density, size, _NODES)
    panels = maximum_nodes(density, size + 1)
    weight = panels.measure(size)
    keep = weight > _SPENT * weight.max()
    return panels.nodes[keep], weight[keep]


def _points(density: Density, size: int) -> FloatArray:
    """Return the magnitudes of point masses that the largest of `size` values can have."""
    m = np.unique(np.abs(density.atoms().positions))
    m = m[m > 0]
    edges = np.concatenate([[0.0], m, [np.inf]])
    inner = np.zeros(edges.size - 1, dtype=bool)
    inner[0] = True
    shells = Windows(edges[:-1], edges[1:], inner, ~inner | inner).masses(density)
    return m[MaximumLaw.of(shells).power(size)[: m.size] > _SPENT]


def _below_value(case: _Case, steps: ScaleSteps, largest_value: float) -> TensorSums:
    """Return the expectations given the largest value of a continuous density."""
    grid, _, density, n, blocks = case
    limited = Steps.of(density, steps, n, largest_value)
    sums, codes, clipped = _ordinary(case, limited, steps)
    scale = limited.scales[-1:]
    whole = Windows.below(np.array([largest_value]), np.array([True]))
    others = whole.moments(grid, density, scale).times(np.array([1 / limited.total]))
    own = _with_largest(case, others, float(scale[0]), largest_value)
    share = 1 / blocks
    sums = _scaled(sums, 1 - share).plus(_scaled(own, share))
    codes = {code: p * (1 - share) for code, p in codes.items()}
    top = int(steps.codes[limited.first + limited.scales.size - 1])
    codes[top] = codes.get(top, 0.0) + share
    beyond = largest_value > case.top * float(scale[0]) * (1 + _ROUNDING)
    return TensorSums(sums, codes, clipped * (1 - share) + share * beyond)


def _ordinary(
    case: _Case, limited: Steps, steps: ScaleSteps
) -> tuple[BlockSums, dict[int, float], float]:
    """Return the expectations of a block that does not hold the largest value."""
    grid, top, density, n, blocks = case
    if blocks == 1:
        return BlockSums(np.zeros(6), 0.0, 0.0), {}, 0.0
    live = live_steps(limited, n)
    inner, shell = _moments(grid, density, limited, live)
    at, probability = likely_codes(limited, n)
    codes = dict(zip(steps.codes[at].tolist(), probability.tolist(), strict=True))
    return (
        combined(inner, shell, limited, n, live),
        codes,
        clipped_share(density, n, limited, top),
    )


def _moments(
    grid: Grid, density: Density, steps: Steps, live: IntArray
) -> tuple[WindowMoments, WindowMoments]:
    windows, scales = steps.windows.rows(live), steps.scales[live]
    ahead = Windows.below(windows.low, ~windows.low_in)
    return ahead.moments(grid, density, scales), windows.moments(grid, density, scales)


def _with_largest(
    case: _Case, others: WindowMoments, scale: float, largest_value: float
) -> BlockSums:
    """Return the expectations of the block that holds the largest value, at its end or its other.

    `others` are the moments of one of the other values.
    """
    grid, _, density, n, _ = case
    ends = np.array([largest_value, -largest_value])
    chance = density.pdf(ends)
    chance = chance / chance.sum()
    errors = grid.error_half_even(ends, scale)
    beyond = np.abs(ends) > np.array([grid.max, -grid.min]) * scale * (1 + _ROUNDING)
    square = chance * errors * errors
    end = np.array(
        [
            float(square[~beyond].sum()),
            float(square[1] * beyond[1]),
            float(square[0] * beyond[0]),
            float(chance @ errors),
            float(chance @ (ends * errors)),
            float(chance @ ends),
        ]
    )
    rest = np.array([float(part[0]) for part in others])
    singles = (end + (n - 1) * rest) / n
    if n < 2:
        return BlockSums(singles, 0.0, 0.0)
    error = ((n - 2) * rest[3] ** 2 + 2 * end[3] * rest[3]) / n
    cross = ((n - 2) * rest[3] * rest[5] + end[3] * rest[5] + end[5] * rest[3]) / n
    return BlockSums(singles, float(error), float(cross))


def _below_point(case: _Case, steps: ScaleSteps, place: float) -> TensorSums:
    """Return what the tensors add whose largest magnitude is that of a point mass."""
    grid, top, density, n, blocks = case
    limited = with_point(density, steps, place)
    law, last = limited.law, limited.scales.size - 1
    with np.errstate(under="ignore"):
        rest = (blocks - 1) * n
        all_in = limited.total**rest
        grown = all_in * -np.expm1(rest * law.drop[last]) if rest else 0.0
    # All windows but the last: some other block reaches the point; the last: this one does.
    live = np.union1d(live_steps(limited, n), [last])
    inner, shell = _moments(grid, density, limited, live)
    unit = limited.total**n
    below, reached = live[live < last], live[live == last]
    first = combined(inner.rows(slice(0, -1)), shell.rows(slice(0, -1)), limited, n, below)
    own = combined(inner.rows(slice(-1, None)), shell.rows(slice(-1, None)), limited, n, reached)
    sums = _scaled(first, float(grown) * unit).plus(_scaled(own, all_in * unit))
    at, probability = likely_codes(limited, n)
    codes: dict[int, float] = {}
    for index, p in zip(at.tolist(), probability.tolist(), strict=True):
        weight = all_in if index == last else float(grown)
        code = int(steps.codes[min(index, limited.scales.size - 2)])
        codes[code] = codes.get(code, 0.0) + p * weight * unit
    beyond = place > top * float(limited.scales[last]) * (1 + _ROUNDING)
    clipped = float(grown) * unit * clipped_share(density, n, limited.without_last(), top)
    clipped += all_in * unit * float(law.growth(n)[last]) * beyond
    return TensorSums(sums, codes, clipped)


def _scaled(sums: BlockSums, factor: float) -> BlockSums:
    return BlockSums(sums.singles * factor, sums.pair_error * factor, sums.pair_cross * factor)


def _added(found: list[tuple[float, TensorSums]]) -> TensorSums:
    """Add up the expectations, each with the probability of its largest value."""
    total = BlockSums(np.zeros(6), 0.0, 0.0)
    codes: dict[int, float] = {}
    clipped = 0.0
    for weight, each in found:
        total = total.plus(_scaled(each.sums, weight))
        for code, p in each.codes.items():
            codes[code] = codes.get(code, 0.0) + weight * p
        clipped += weight * each.clipped
    return TensorSums(total, codes, clipped)
