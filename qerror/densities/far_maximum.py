"""The largest of n magnitudes beyond its panels, where tails are so heavy that this counts.

Errors that follow the largest magnitude M have means that grow as M^(2-a) where P(|X| > t) falls as
t^-a with 1 < a < 2, so that their own mean lies, near a = 1, far beyond where M likely is.
"""

import math
from typing import NamedTuple

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.density import Density
from qerror.densities.extreme import tail_exponent
from qerror.densities.magnitude import magnitude_masses
from qerror.densities.maximum import MaximumNodes

_SLOW = 1.8  # of the exponent: for lighter tails panels leave less than 1e-16
_SLOW_SQUARES = 3.5  # the same for means of squares
_BEYOND = 1e-13  # of the law of M: there it is a power, and so are the means, to 1e-14 of the whole


class FarNode(NamedTuple):
    """sum w g(m) = E[g(M); M > end] for g of 1 and m^(2-a); no node, or one."""

    end: float
    nodes: FloatArray
    weights: FloatArray


def far_node(density: Density, panels: MaximumNodes, n: int) -> FarNode:
    """Return what takes the place of the panels' nodes beyond an end, and of what lies beyond all.

    It serves means that grow as m^(2-a), and is empty where these end within the panels.

    Parameters
    ----------
    density : Density
        With a continuous part.
    panels : MaximumNodes
        Of the density, for at least n values.
    n : int
        How many values, at least 1.
    """
    exponent = tail_exponent(density)
    if not 1 < exponent < _SLOW:
        return FarNode(np.inf, np.zeros(0), np.zeros(0))
    power, top = 2 - exponent, np.array([panels.top])
    # Beyond the panels the law is that of one value n times, and its density a power.
    last = n * float(magnitude_masses(density, top, np.array([np.inf]))[0])
    measure = panels.measure(n)
    end = float(panels.nodes[np.cumsum(measure[::-1])[::-1] > _BEYOND][-1])
    outside = panels.nodes > end
    m, weight = panels.nodes[outside], measure[outside]
    chance = float(weight.sum()) + last
    growth = exponent / (2 * exponent - 2)
    mean = float(weight @ (m / end) ** power) + last * growth * (panels.top / end) ** power
    node = end * (mean / chance) ** (1 / power)
    return FarNode(end, np.array([node]), np.array([chance]))


def has_slow_squares(density: Density) -> bool:
    """Tell whether E[M^2] exists and panels leave part of it."""
    return 2 < tail_exponent(density) < _SLOW_SQUARES


def far_squares(density: Density, panels: MaximumNodes, n: int) -> tuple[FloatArray, FloatArray]:
    """Return a node and its weight beyond all panels, for means that grow as m^2.

    So do those of errors of small values where 0 is no level. The parameters are those of
    `far_node`, and the density has slow squares.
    """
    exponent = tail_exponent(density)
    chance = n * magnitude_masses(density, np.array([panels.top]), np.array([np.inf]))
    return np.array([panels.top * math.sqrt(exponent / (exponent - 2))]), chance
