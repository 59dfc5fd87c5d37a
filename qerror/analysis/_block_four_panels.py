"""Four-over-six below the largest value of a tensor, for densities with kinks or point masses.

All scales move with the largest value A. Where one of them puts a threshold between levels, an
edge of its own range or a place of no gain on a kink or a point mass, what it gives is not smooth
in A. Each pair of scales meets few of them: it has panels in A of its own that end there. What
both scales give together is cheap, and has panels that end at all such places.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._block_care import Care, care_of
from qerror.analysis._block_choice import Choice
from qerror.analysis._block_choice_nodes import (
    Problem,
    Step,
    cells_of,
    largest_gain,
    with_crossings,
)
from qerror.analysis._block_choice_together import Ask, choices
from qerror.analysis._block_four_points import Run, correction
from qerror.analysis._block_joint_steps import check_ends, joint_steps
from qerror.analysis._block_steps import BlockSums
from qerror.analysis._block_tensor import largest_values, means_below, mixed
from qerror.analysis._tensor_rules import jumps, of_run
from qerror.densities.density import Density
from qerror.densities.far_maximum import far_node
from qerror.densities.maximum import is_heavy, log_cumulative, maximum_nodes, suits_rule
from qerror.densities.quadrature import gauss_legendre
from qerror.densities.uniform import Uniform
from qerror.formats.format import ScalarFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import ScaleSteps
from qerror.grids import Grid

_SPENT = 1e-20  # of the law of the largest value
_NODES = 16  # of a panel
_MOST_MARKS = 24  # kinks, and the likeliest point masses, that panels end at
_EQUAL = 1e-12  # gains, in units of the largest
_FEW = 6  # values: of more, kinks of two gains together hardly count
RUNS = (1e-16, 1e-13)  # of the whole: what a run may leave, and beside point masses
_GAIN = 0.02  # of the square of the largest value of a block


class Tensors(NamedTuple):
    """Blocks of n values, `size` of them below one tensor scale."""

    element: ScalarFormat
    density: Density
    n: int
    size: int
    rule: FourOverSix

    @property
    def grid(self) -> Grid:
        return self.element.grid()

    @property
    def blocks(self) -> int:
        return self.size // self.n

    @property
    def unit(self) -> float:
        """The largest value at which the tensor scale is 1."""
        return self.rule.amax_divisor(self.element)

    def steps(self) -> tuple[ScaleSteps, ScaleSteps]:
        """Return both scales at a tensor scale of 1."""
        return joint_steps(*(one.steps(self.element, 1.0) for one in self.rule.candidates))


_Rule = tuple[FloatArray, FloatArray, FloatArray]
"""Nodes and weights of a run, and the ends of its panels."""
_Chance = Callable[[FloatArray], FloatArray]
Found = tuple[BlockSums, dict[int, float], float]
"""Sums, the probabilities of codes, and of clipping."""


def has_marks(density: Density, size: int) -> bool:
    """Tell whether the errors of blocks are not smooth in the largest value of a tensor."""
    return not suits_rule(density, size, 16) and (
        any(density.kinks) or bool(density.atom_sums.size)
    )


def sums_of_panels(tensors: Tensors) -> Found:
    """Return the expectations over all largest values that are no point masses."""
    parts = [(1.0, _both(tensors))]
    whole = float(parts[0][1][0].singles[:3].sum())
    steps = tensors.steps()
    six, four = steps
    asked: list[_Asked] = []
    last = int(np.searchsorted(six.edges, tensors.unit, "left")) - 1
    for k in range(last + 1):
        if six.scales[k] != four.scales[k]:
            asked += _of_step(tensors, steps, k, whole)
    asked += _of_own(tensors, steps, last, whole)
    found = choices([one.ask for one in asked])
    parts += [(one.weight, _changed(one, choice)) for one, choice in zip(asked, found, strict=True)]
    if tensors.density.atom_sums.size:
        parts += _corrections(tensors, asked)
    return mixed(parts)


def _corrections(tensors: Tensors, asked: Sequence["_Asked"]) -> Iterator[tuple[float, Found]]:
    """Yield what the nodes of each run leave of blocks of few values beside point masses."""
    runs: dict[tuple[float, ...], list[_Asked]] = {}
    for one in asked:
        runs.setdefault(one.run, []).append(one)
    for some in runs.values():
        edges = np.array(some[0].run[2:])
        places = np.array([one.place for one in some])
        weights = np.array([one.weight for one in some])
        problems = tuple(one.ask.problem for one in some)
        run = Run(places, weights, problems, edges, some[0].run[1])
        found = correction(tensors.density, tensors.size, run) if edges.size else None
        if found is not None:
            one = some[0] if some[0].mean is None else some[0]._replace(mean=0.0)
            yield 1.0, _changed(one, found)


class _Asked(NamedTuple):
    """One choice, at one largest value."""

    weight: float
    ask: Ask
    codes: tuple[int, int]
    n: int
    """How many values a block has, of which the choice may be by all or by all but the largest."""
    mean: float | None
    """Of the largest value, if that does not choose."""
    place: float
    run: tuple[float, ...]
    """Which step, what the law of the largest value is multiplied by, and ends of panels."""


def _changed(one: _Asked, choice: Choice) -> Found:
    """Return what a choice adds to half of both scales."""
    six, four = one.codes
    kept = 0.5 * choice.sign
    sums = choice.sums
    if one.mean is not None:
        n = one.n
        sums = BlockSums(
            sums.singles * ((n - 1) / n),
            sums.pair_error * ((n - 2) / n),
            (sums.pair_cross * (n - 2) + one.mean * float(sums.singles[3])) / n,
        )
    return sums, {six: -kept, four: kept} if six != four else {}, choice.clipped


def _both(tensors: Tensors) -> Found:
    """Return half of what both scales give together."""
    element, density, n, size, rule = tensors
    places, weights = largest_values(
        density,
        size,
        breaks=lambda likely: tuple(
            sorted({a for one in rule.candidates for a in jumps(density, n, element, one, likely)})
        ),
    )
    parts: list[tuple[float, Found]] = []
    for steps in tensors.steps():
        given = means_below(element, density, n, size, steps, tensors.unit, places)
        parts += [(0.5 * w, each) for w, each in zip(weights.tolist(), given, strict=True)]
    return mixed(parts)


def _of_step(
    tensors: Tensors, steps: tuple[ScaleSteps, ScaleSteps], k: int, whole: float
) -> Iterator[_Asked]:
    """Yield the choices of blocks that hold no largest value, in one step of both scales."""
    six, four = steps
    share = 1 - 1 / tensors.blocks
    if not share:
        return
    density, n, unit = tensors.density, tensors.n, tensors.unit
    low, high = float(six.edges[k]), min(float(six.edges[k + 1]), unit)
    low_in = k == 0 or bool(six.upward[k - 1])
    high_in = high == unit or not six.upward[k]
    step = Step(low, high, low_in, high_in, float(six.scales[k]), float(four.scales[k]))
    care = care_of(density)

    def chance(places: FloatArray) -> FloatArray:
        below, up, _ = _logs(density, places, step, unit)
        return np.exp(n * up) * -np.expm1(n * (below - up))

    codes = int(six.codes[k]), int(four.codes[k])
    for places, given, edges in _rule(tensors, step, n, chance, whole):
        weights = given * share
        likely = chance(places) * weights > care.left
        parts = (part[likely].tolist() for part in _logs(density, places, step, unit))
        logs = zip(*parts, strict=True)
        at = zip(places[likely].tolist(), weights[likely].tolist(), logs, strict=True)
        for place, weight, (below, up, all_in) in at:
            problem = _problem(tensors, step, place, n, math.exp(-all_in))
            ask = _ask(problem, care, whole, weight, (below, up))
            run = (float(k), share, *edges.tolist())
            yield _Asked(weight, ask, codes, n, None, place, run)


def _logs(
    density: Density, places: FloatArray, step: Step, unit: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log P(|X| < low), log P(|X| < high) of values that keep to A, and log P(|X| < A)."""
    ends = np.outer(places / unit, [step.low, step.high, unit])
    flat, at = np.unique(ends, return_inverse=True)
    logs = log_cumulative(density, flat)[at.reshape(ends.shape)]
    below = np.where(ends[:, 0] > 0, logs[:, 0] - logs[:, 2], -np.inf)
    return below, logs[:, 1] - logs[:, 2], logs[:, 2]


def _problem(tensors: Tensors, step: Step, place: float, n: int, share: float) -> Problem:
    low, high, low_in, high_in, six, four = step
    tensor = place / tensors.unit
    at = Step(
        low * tensor,
        place if high == tensors.unit else high * tensor,
        low_in,
        high_in,
        six * tensor,
        four * tensor,
    )
    return Problem(tensors.grid, tensors.density, n, tensors.rule.error, at, share)


def _ask(
    problem: Problem, care: Care, whole: float, weight: float, logs: tuple[float, float] | None
) -> Ask:
    return Ask(problem, care.enough * whole / weight, logs, care.rare / weight)


def _of_own(
    tensors: Tensors, steps: tuple[ScaleSteps, ScaleSteps], last: int, whole: float
) -> Iterator[_Asked]:
    """Yield the choices of the block that holds the largest value, by its others."""
    six, four = steps
    scales = float(six.scales[last]), float(four.scales[last])
    if scales[0] == scales[1]:
        return
    check_ends(tensors.grid, tensors.unit, scales, tensors.rule.format)
    if tensors.n == 1:
        return
    density, care = tensors.density, care_of(tensors.density)
    step = Step(0.0, tensors.unit, True, False, *scales)
    codes = int(six.codes[last]), int(four.codes[last])
    share = 1 / tensors.blocks
    for places, given, edges in _rule(tensors, step, tensors.n - 1, np.ones_like, whole):
        logs = log_cumulative(density, places)
        ends = np.stack([density.pdf(places), density.pdf(-places)])
        means = places * (ends[0] - ends[1]) / ends.sum(axis=0)
        parts = (part.tolist() for part in (places, given * share, logs, means))
        for place, weight, all_in, mean in zip(*parts, strict=True):
            problem = _problem(tensors, step, place, tensors.n - 1, math.exp(-all_in))
            ask = _ask(problem, care, whole, weight, None)
            run = (-1.0, share, *edges.tolist())
            yield _Asked(weight, ask, codes, tensors.n, mean, place, run)


def _rule(tensors: Tensors, step: Step, n: int, chance: _Chance, whole: float) -> list[_Rule]:
    """Return nodes of the largest value between those at which one step is not smooth."""
    density, size = tensors.density, tensors.size
    x, probability = density.atoms()
    likely = x[np.argsort(-probability, kind="stable")]
    marks = np.unique(np.abs([*density.kinks, *likely.tolist()][:_MOST_MARKS]))
    breaks = np.unique(np.multiply.outer(marks, tensors.unit / _ratios(tensors, step, n)))
    panels = maximum_nodes(density, size + 1)
    weight = panels.measure(size)
    inside = panels.nodes[weight > _SPENT * weight.max()]
    breaks = breaks[(breaks > inside[0]) & (breaks < inside[-1])]
    panels = maximum_nodes(density, size + 1, tuple(breaks.tolist()))
    weight = panels.measure(size)
    far = far_node(density, panels, size) if is_heavy(density) else None
    if far is not None:
        weight = weight * (panels.nodes <= far.end)
    reach = panels.nodes * (step.high / tensors.unit)
    shares = np.maximum(1.0, (_GAIN / whole) * reach * reach)
    shares *= weight * chance(panels.nodes)
    found: list[_Rule] = []
    left = RUNS[1 if density.atom_sums.size else 0]
    for at in np.split(
        np.arange(weight.size), np.flatnonzero(np.diff(np.searchsorted(breaks, panels.nodes))) + 1
    ):
        some = at[shares[at] > _SPENT]
        rule = None
        if some.size:
            rule = of_run(panels.nodes[some], weight[some], shares[some], left)
        if rule is not None:
            found.append((*rule, _edges(panels.nodes[at].reshape(-1, _NODES))))
    if far is not None and far.nodes.size:
        found.append((far.nodes, far.weights, np.zeros(0)))
    return found


def _edges(nodes: FloatArray) -> FloatArray:
    """Return the ends of panels from their Gauss-Legendre nodes."""
    t, _ = gauss_legendre(_NODES)
    first, last = nodes[:, 0], nodes[:, -1]
    width = (last - first) / (t[-1] - t[0])
    low = first - width * t[0]
    high = low + width
    if abs(float(nodes[-1, 1] - low[-1]) / float(width[-1]) - t[1]) > 1e-6:
        # In the root of the distance from the support's end.
        width = (last - first) / (t[-1] ** 2 - t[0] ** 2)
        high[-1] = last[-1] + width[-1] * t[0] ** 2
        low[-1] = high[-1] - width[-1]
    found: FloatArray = np.append(low, high[-1])
    return found


def _ratios(tensors: Tensors, step: Step, n: int) -> FloatArray:
    """Return the magnitudes at which a step is not smooth, while the tensor scale is 1.

    They are all ends of its intervals, and where a value gains nothing; among few values also
    where it gains what another one loses at such an end.
    """
    anywhere = Uniform(-step.high, step.high)
    problem = Problem(tensors.grid, anywhere, n, tensors.rule.error, step)
    cells = cells_of(problem)
    assert cells is not None
    unit = largest_gain(problem, cells)
    sums: FloatArray = np.zeros(1)
    if not unit:
        return cells.cuts[cells.cuts > 0]
    if n <= _FEW:
        ends = np.concatenate([cells.gain(problem, share) for share in (0.0, 1.0)]) / unit
        sums = np.unique(np.rint(np.append(ends, 0.0) / _EQUAL)) * _EQUAL
    found = with_crossings(problem, cells, unit, sums).cuts
    return found[found > 0]
