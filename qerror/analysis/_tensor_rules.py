"""Rules over the largest value of a tensor with fewer nodes than its panels have."""

import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.densities.quadrature import gauss_rule
from qerror.formats.format import ScalarFormat
from qerror.formats.stored_scales import StoredScale

_GROWTH = 0.75  # of the exponent of the tail, so that all powers have means
_RUN = 16  # nodes that a rule of fewer takes the place of
_MOST_BREAKS = 2**18  # of panels, times scales: beyond them jumps are many and small
_UNLIKELY = -40.0  # of log P(a block's largest value is so small)
_WIDER = 1.5  # at the most, a block's largest value over its scale times the divisor
_SETTLED = 1e-15  # of the whole
# Shares of the whole, and the nodes that serve a run of at least so much.
_GRADES = ((1e-3, 16), (1e-7, 10), (1e-11, 6), (0.0, 3))


def heavy_rule(
    x: FloatArray, weight: FloatArray, exponent: float, count: int
) -> tuple[FloatArray, FloatArray]:
    """Return a rule for what varies smoothly with log A, and grows as the errors do.

    They grow as A^2, or as A^(2 - a) where E[A^2] is infinite, P(A > t) ~ t^-a.
    """
    log = np.log(x)
    growth = min(2.0, _GROWTH * exponent)
    nodes, found = gauss_rule(log, weight * np.exp(growth * log), count)
    return np.exp(nodes), found * np.exp(-growth * nodes)


def graded(x: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return fewer nodes where less depends on them: a rule for each run of nodes with weight."""
    x, weight = x[weight > 0], weight[weight > 0]
    runs = max(1, x.size // _RUN)
    power = weight * np.square(x)
    whole = float(power.sum())
    nodes: list[FloatArray] = []
    weights: list[FloatArray] = []
    for at in np.array_split(np.arange(x.size), runs):
        share = float(power[at].sum()) / whole
        count = next(count for least, count in _GRADES if share >= least)
        if count >= at.size:
            nodes.append(x[at])
            weights.append(weight[at])
            continue
        some, found = gauss_rule(x[at], weight[at], count)
        nodes.append(some)
        weights.append(found)
    return np.concatenate(nodes), np.concatenate(weights)


def jumps(
    density: Density, n: int, element: ScalarFormat, rule: StoredScale, likely: FloatArray
) -> tuple[float, ...]:
    """Return the largest values of a tensor at which the errors of its blocks are not smooth.

    They move all thresholds along; there a threshold between levels, or one between scales, meets
    a point mass or a kink of the density. They are looked for between the ends of the ascending
    `likely`. Of very many those of the rarest point masses are left out.
    """
    low, high = likely[0], likely[-1]
    grid, divisor = element.grid(), rule.divisor_for(element)
    steps, whole = rule.steps(element, 1.0), rule.amax_divisor(element)
    thresholds = np.unique(np.abs(np.concatenate([grid.thresholds, [grid.min, grid.max]])))
    thresholds = thresholds[thresholds > 0]
    scales = steps.scales[steps.scales > 0]
    x, probability = density.atoms()
    marks = np.abs([*density.kinks, *x[np.argsort(-probability, kind="stable")].tolist()])
    found: list[float] = []
    for mark in dict.fromkeys(marks[marks > 0].tolist()):
        # A scale at which the mark is on a threshold has blocks of values that are as small.
        reach = _WIDER * divisor * mark / thresholds
        with np.errstate(divide="ignore"):
            met = n * np.log(density.cdf(reach) - density.cdf(-reach)) > _UNLIKELY
        cells = np.outer(scales, thresholds[met]).ravel()
        places = mark * whole / np.concatenate([steps.edges[1:-1], cells])
        places = places[(places > low) & (places < high)]
        if (len(found) + places.size) * scales.size > _MOST_BREAKS:
            break
        found += places.tolist()
    return tuple(sorted(set(found)))


def by_panels(x: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return fewer nodes where panels are narrow, or less depends on them.

    A rule of k nodes over a panel of width h leaves (h / 2A)^(2k) of it.
    """
    nodes: list[FloatArray] = []
    weights: list[FloatArray] = []
    whole = float(weight @ np.square(x))
    for panel, given in zip(x.reshape(-1, _RUN), weight.reshape(-1, _RUN), strict=True):
        some, its = panel[given > 0], given[given > 0]
        share = float(its @ np.square(some)) / whole
        if share < _SETTLED**2:
            continue
        narrow = float(np.ptp(some)) / (2 * float(some[-1]))
        count = max(1, math.ceil(0.5 * math.log(_SETTLED / share) / math.log(narrow)))
        rule = gauss_rule(some, its, count) if count < some.size else (some, its)
        nodes.append(rule[0])
        weights.append(rule[1])
    return np.concatenate(nodes), np.concatenate(weights)


def of_run(
    x: FloatArray, weight: FloatArray, share: FloatArray, left: float
) -> tuple[FloatArray, FloatArray] | None:
    """Return fewer nodes of ascending ones, as many as their width and share ask for, or none.

    A rule of k nodes over a run of width h leaves (h / 2A)^(2k) of its share; `left` may be.
    """
    whole = float(share.sum())
    if whole < left / 10:
        return None
    narrow = float(np.ptp(x)) / (2 * float(x[-1]))
    count = max(1, math.ceil(0.5 * math.log(left / whole) / math.log(narrow)))
    return gauss_rule(x, weight, count) if count < x.size else (x, weight)
