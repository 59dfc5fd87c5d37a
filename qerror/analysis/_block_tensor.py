"""Block scales below a tensor scale that the largest of N values sets.

Given that largest magnitude A, the block that holds it has the top scale; the values of all other
blocks are independent and keep to |x| <= A, so that the steps of `_block_steps` apply, cut at A.
What remains is an integral over A, by the rule of its law. A point mass at +-A ends the steps by a
window of its own: with F_0 and F_1 the probabilities of |x| < A and |x| <= A, the other blocks
weigh the windows below it by F_1^(N-n) - F_0^(N-n) and its own by F_1^(N-n).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from qerror._arrays import FloatArray, IntArray
from qerror.analysis._block_absmax import edge_of, largest_alone
from qerror.analysis._block_largest import with_largest
from qerror.analysis._block_steps import (
    BlockSums,
    Steps,
    clipped_share,
    clipped_sum,
    clipped_windows,
    combined,
    likely_codes,
    live_steps,
    split,
    with_point,
)
from qerror.analysis._tensor_rules import by_panels, graded, heavy_rule, jumps
from qerror.analysis._windows import WindowMoments, Windows
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent
from qerror.densities.far_maximum import far_node
from qerror.densities.magnitude import MaximumLaw
from qerror.densities.maximum import (
    is_heavy,
    maximum_nodes,
    maximum_rule,
    suits_rule,
)
from qerror.formats.format import ScalarFormat
from qerror.formats.scale_rule import ScaleSteps, largest
from qerror.formats.stored_scales import StoredScale
from qerror.grids import Grid

Code = TypeVar("Code", int, float)

_NODES = 16  # of the rule of the largest value: all scales move with it, smoothly
_HEAVY_NODES = (64, 96)  # for tails lighter and heavier than t^-4: 1e-14 of the error
_HEAVIER = 4.0
_SPENT = 1e-20  # of the law of the largest value
_TOGETHER = 256  # largest values: their cells fill tens of megabytes
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
        places, weights = largest_values(
            density, size, breaks=lambda likely: jumps(density, n, element, rule, likely)
        )
        for at in range(0, places.size, _TOGETHER):
            some = places[at : at + _TOGETHER]
            rules = [rule.steps(element, rule.tensor_for(a, element)) for a in some.tolist()]
            each = _below_values(case, rules, some)
            found += zip(weights[at : at + _TOGETHER].tolist(), each, strict=True)
        if is_heavy(density):
            found.append((1.0, _largest_alone(case, size, rule.divisor_for(element))))
    if density.atom_sums.size:
        for place in largest_points(density, size).tolist():
            steps = rule.steps(element, rule.tensor_for(place, element))
            found.append((1.0, _below_point(case, steps, place)))
        found.append((1.0, _nothing(case, rule.steps(element, 1.0))))
    return TensorSums(*mixed(found))


def _largest_alone(case: _Case, size: int, divisor: float) -> TensorSums:
    """Return what the largest values' own errors add: where they have any, they grow with A.

    Under a heavy tail that has its mean beyond the nodes of a rule, which leave it out.
    """
    singles, panels = np.zeros(6), maximum_nodes(case.density, size + 1)
    alone = largest_alone(case.density, panels, size, edge_of(case.grid, 1 / divisor))
    singles[:5] = alone[:5]
    return TensorSums(BlockSums(singles, 0.0, 0.0), {}, 0.0)


def _nothing(case: _Case, steps: ScaleSteps) -> TensorSums:
    """Return what tensors of zeros add: no error, and the least scale."""
    chance = zero_share(case.density, case.n * case.blocks)
    codes = {int(steps.codes[0]): chance} if chance else {}
    return TensorSums(BlockSums(np.zeros(6), 0.0, 0.0), codes, 0.0)


def zero_share(density: Density, size: int) -> float:
    """Return the probability that so many values are all 0."""
    x, probability = density.atoms()
    return float(probability[x == 0].sum()) ** size


def largest_values(
    density: Density,
    size: int,
    count: int = _NODES,
    heavy: tuple[int, int] = _HEAVY_NODES,
    breaks: Callable[[FloatArray], tuple[float, ...]] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Return a quadrature rule of the largest of `size` magnitudes, its continuous part.

    It has `count` nodes where tails are light and the density is smooth, and where tails are heavy
    those for tails lighter and heavier than t^-4. `breaks` returns the places between likely
    ones at which what is integrated is not smooth, if the density has kinks or point masses.
    """
    if suits_rule(density, size, _NODES):
        return maximum_rule(density, size, count)
    panels = maximum_nodes(density, size + 1)
    weight = panels.measure(size)
    keep = weight > _SPENT * weight.max()
    if breaks is not None and (any(density.kinks) or density.atom_sums.size):
        panels = maximum_nodes(density, size + 1, breaks(panels.nodes[keep]))
        weight, fewer = panels.measure(size), by_panels
    else:
        weight, fewer = weight * keep, graded
    if not is_heavy(density):
        return fewer(panels.nodes, weight)
    far = far_node(density, panels, size)
    weight = weight * (panels.nodes <= far.end)
    if any(density.kinks) or density.atom_sums.size:
        nodes, found = fewer(panels.nodes, weight)
    else:
        some, exponent = weight > 0, tail_exponent(density)
        nodes, found = heavy_rule(
            panels.nodes[some], weight[some], exponent, heavy[exponent < _HEAVIER]
        )
    return np.append(nodes, far.nodes), np.append(found, far.weights)


def largest_points(density: Density, size: int) -> FloatArray:
    """Return the magnitudes of point masses that the largest of `size` values can have."""
    m = np.unique(np.abs(density.atoms().positions))
    m = m[m > 0]
    edges = np.concatenate([[0.0], m, [np.inf]])
    inner = np.zeros(edges.size - 1, dtype=bool)
    inner[0] = True
    shells = Windows(edges[:-1], edges[1:], inner, ~inner | inner).masses(density)
    return m[MaximumLaw.of(shells).power(size)[: m.size] > _SPENT]


def means_below(  # noqa: PLR0917 - blocks below one tensor scale
    element: ScalarFormat,
    density: Density,
    n: int,
    size: int,
    steps: ScaleSteps,
    unit: float,
    places: FloatArray,
) -> list[TensorSums]:
    """Return the expectations given each largest value, by the steps for a largest value `unit`."""
    case = _Case(element.grid(), largest(element), density, n, size // n)
    found: list[TensorSums] = []
    for at in range(0, places.size, _TOGETHER):
        some = places[at : at + _TOGETHER]
        rules = [
            steps._replace(edges=steps.edges * tensor, scales=steps.scales * tensor)
            for tensor in (some / unit).tolist()
        ]
        found += _below_values(case, rules, some)
    return found


def _below_values(case: _Case, rules: Sequence[ScaleSteps], places: FloatArray) -> list[TensorSums]:
    """Return the expectations given each largest value of a continuous density, all together."""
    grid, top, density, n, _ = case
    limited = Steps.all_of(density, rules, n, places.tolist())
    scales = np.array([steps.scales[-1] for steps in limited])
    whole = Windows.below(places, np.ones(places.size, dtype=bool))
    others = whole.moments(grid, density, scales)
    ordinary = _ordinary(case, limited, rules)
    clips = [clipped_windows(n, steps, top) for steps in limited]
    masses = split(
        Windows.joined([w for _, w in clips]).masses(density), [a.size for a, _ in clips]
    )
    found: list[TensorSums] = []
    for k, steps in enumerate(limited):
        sums, codes = ordinary[k]
        clipped = clipped_sum(n, steps, clips[k][0], masses[k])
        other = others.rows(slice(k, k + 1)).times(np.array([1 / steps.total]))
        found.append(
            _with_own(
                case, TensorSums(sums, codes, clipped), other, steps, rules[k], float(places[k])
            )
        )
    return found


def _with_own(  # noqa: PLR0917 - one largest value's description
    case: _Case,
    ordinary: TensorSums,
    other: WindowMoments,
    steps: Steps,
    rule: ScaleSteps,
    place: float,
) -> TensorSums:
    """Join the block that holds the largest value with the others."""
    share, scale = 1 / case.blocks, float(steps.scales[-1])
    own = with_largest(
        case.grid, case.density, case.n, other, scale, place, alone=not is_heavy(case.density)
    )
    sums = scaled(ordinary.sums, 1 - share).plus(scaled(own, share))
    codes = {code: p * (1 - share) for code, p in ordinary.codes.items()}
    code = int(rule.codes[steps.first + steps.scales.size - 1])
    codes[code] = codes.get(code, 0.0) + share
    beyond = place > case.top * scale * (1 + _ROUNDING)
    return TensorSums(sums, codes, ordinary.clipped * (1 - share) + share * beyond)


def _ordinary(
    case: _Case, limited: Sequence[Steps], rules: Sequence[ScaleSteps]
) -> list[tuple[BlockSums, dict[int, float]]]:
    """Return the expectations of a block that does not hold the largest value."""
    grid, _, density, n, blocks = case
    if blocks == 1:
        return [(BlockSums(np.zeros(6), 0.0, 0.0), {}) for _ in limited]
    live = [live_steps(steps, n) for steps in limited]
    sizes = [at.size for at in live]
    windows = Windows.joined(
        [steps.windows.rows(at) for steps, at in zip(limited, live, strict=True)]
    )
    scales = np.concatenate([steps.scales[at] for steps, at in zip(limited, live, strict=True)])
    ahead = Windows.below(windows.low, ~windows.low_in)
    inner = ahead.moments(grid, density, scales).parted(sizes)
    shell = windows.moments(grid, density, scales).parted(sizes)
    found: list[tuple[BlockSums, dict[int, float]]] = []
    for k, steps in enumerate(limited):
        at, probability = likely_codes(steps, n)
        codes = dict(zip(rules[k].codes[at].tolist(), probability.tolist(), strict=True))
        found.append((combined(inner[k], shell[k], steps, n, live[k]), codes))
    return found


def moments_at(
    grid: Grid, density: Density, steps: Steps, live: IntArray
) -> tuple[WindowMoments, WindowMoments]:
    """Return the moments below and within some of the windows."""
    windows, scales = steps.windows.rows(live), steps.scales[live]
    ahead = Windows.below(windows.low, ~windows.low_in)
    return ahead.moments(grid, density, scales), windows.moments(grid, density, scales)


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
    inner, shell = moments_at(grid, density, limited, live)
    unit = limited.total**n
    below, reached = live[live < last], live[live == last]
    first = combined(inner.rows(slice(0, -1)), shell.rows(slice(0, -1)), limited, n, below)
    own = combined(inner.rows(slice(-1, None)), shell.rows(slice(-1, None)), limited, n, reached)
    sums = scaled(first, float(grown) * unit).plus(scaled(own, all_in * unit))
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


def scaled(sums: BlockSums, factor: float) -> BlockSums:
    """Multiply."""
    return BlockSums(sums.singles * factor, sums.pair_error * factor, sums.pair_cross * factor)


def mixed(
    found: Sequence[tuple[float, tuple[BlockSums, dict[Code, float], float]]],
) -> tuple[BlockSums, dict[Code, float], float]:
    """Add up sums, probabilities of codes and of clipping, each with its probability."""
    total = BlockSums(np.zeros(6), 0.0, 0.0)
    codes: dict[Code, float] = {}
    clipped = 0.0
    for weight, (sums, each, clips) in found:
        total = total.plus(scaled(sums, weight))
        for code, p in each.items():
            codes[code] = codes.get(code, 0.0) + weight * p
        clipped += weight * clips
    return total, codes, clipped
