"""Rules over the largest value of a tensor with fewer nodes than its panels have."""

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.quadrature import gauss_rule

_GROWTH = 0.75  # of the exponent of the tail, so that all powers have means
_RUN = 16  # nodes that a rule of fewer takes the place of
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
    """Return fewer nodes where less depends on them: a rule for each run of nodes."""
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
