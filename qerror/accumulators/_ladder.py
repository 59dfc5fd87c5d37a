"""How far a walk leaps over a barrier: what a diffusion in its place has to know of its steps."""

import math

import numpy as np

from qerror._arrays import FloatArray
from qerror.densities.quadrature import gauss_legendre

_EDGES = np.append(0.0, np.geomspace(0.05, 40.0, 12))  # of frequencies times standard deviations
_NODES = 16
_LEAST = 0.1  # standard deviations; of walks on a coarse lattice the integral is rough


def overshoots(values: FloatArray, masses: FloatArray) -> tuple[float, float]:
    """Return E[H^2] / (2 E[H]) of a centred walk's ladder heights H, downward and upward.

    By Spitzer's identity (Siegmund 1979): for steps of unit variance with the characteristic
    function f, -int_0^inf log(2 (1 - Re f(y)) / y^2) / (pi y^2) dy, plus E[x^3] / 6 upward and
    minus that downward.
    """
    x = values - masses @ values
    spread = math.sqrt(float(masses @ x**2))
    if spread == 0:
        least = 1e-6 * float(np.abs(values).max())
        return least, least
    x = x / spread
    node, weight = gauss_legendre(_NODES)
    width = np.diff(_EDGES)[:, None]
    y, w = (_EDGES[:-1, None] + width * node).reshape(-1), (width * weight).reshape(-1)
    ratio = (2 * np.sin(np.outer(y / 2, x)) / y[:, None]) ** 2 @ masses  # 1 at 0, without loss
    top = float(_EDGES[-1])  # beyond it f is none
    integral = float(w @ (np.log(ratio) / y**2)) + (math.log(2) - 2 * math.log(top) - 2) / top
    even, odd = -integral / math.pi, float(masses @ x**3) / 6
    return spread * max(even - odd, _LEAST), spread * max(even + odd, _LEAST)
