"""Values beyond the lowest level of affine blocks with an integer zero point.

Let l = -A w and u = (1 - A) w be the extremes and S the steps: the lowest level is -(z / S) w,
z = round(S A). Values x = -R w below it have z / S < R < A < (z + 1/2) / S: small triangles, over
which all is smooth but for a few lines on which two of l, u and x meet jumps of the density.
"""

from collections.abc import Iterator

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis._affine_ends import Ends, roughly
from qerror.analysis._affine_flats import heights
from qerror.analysis._affine_panels import panel_nodes
from qerror.analysis._affine_place_pairs import edges_of, jumps_of, pairs_apart
from qerror.densities.density import Density
from qerror.densities.quadrature import gauss_legendre

# Steps, and nodes by which values beyond the lowest level are integrated within half of one.
_CORNERS = ((32, 8), (128, 4), (np.inf, 3))
_NODES = 10  # of panels along a line
_MOST_STEPS = 2**10  # whose triangles are visited
_THIN = 1e-15  # panel
_ENDS = 2**12  # of panels of lines, handled together
_LINES = 2**16  # ends of panels, of triangles handled together


def beyond_lowest(density: Density, n: int, steps: int) -> float:
    """Return E[e^2] of values below the lowest level, the extremes themselves left out.

    To 1e-9 of all errors: it only says which part of them is clipped.
    """
    if n < 3:
        return 0.0
    if steps > _MOST_STEPS:  # s^2, and a part 1 / S of all values: the next term is 1 / S of it
        return beyond_lowest(density, n, _MOST_STEPS) * (_MOST_STEPS / steps) ** 3
    total = 0.0
    size = max(1, _ENDS // sum(edges.size for edges in edges_of(density, n)))
    for share, beside, weight in _triangles(density, steps):
        psi = steps * beside - np.rint(steps * share)
        square = weight * psi * psi / steps**2
        for start in range(0, share.size, size):
            at = slice(start, start + size)
            total += _of_triangles(density, n, share[at], beside[at], square[at])
    return total


def _of_triangles(
    density: Density, n: int, share: FloatArray, beside: FloatArray, weight: FloatArray
) -> float:
    row, ends = pairs_apart(density, n, share, beside, nodes=_NODES)
    if not ends.low.size:
        return 0.0
    width = ends.high - ends.low
    p = heights(density, -beside[row] * width) * width
    total = float((roughly(density, n, ends) * p) @ (width**2 * weight[row]))
    x, probability = density.atoms()
    for point, chance in zip(x[x < 0].tolist(), probability[x < 0].tolist(), strict=True):
        w = -point / beside
        low, high = -share * w, (1 - share) * w
        at_high = heights(density, high) * w * (w * w / -point)
        ends = Ends(low, high, heights(density, low), at_high, False, False)
        total += float((roughly(density, n, ends) * chance) @ (w * w * weight))
    return total


def _triangles(density: Density, steps: int) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
    """Return A, R and weights, some at a time: z / S < R < A < (z + 1/2) / S, z = 0, 1, ..."""
    jumps = jumps_of(density, zero=False)
    low, high = jumps[jumps < 0], jumps[jumps > 0]
    # Lines on which l and x, l and u, or x and u meet two jumps: A = c R, A = c, R = c (1 - A).
    ratio = np.unique(np.divide.outer(low, low))
    ratio = ratio[ratio > 1]
    slope = np.unique(np.divide.outer(-low, high))
    z = np.arange(steps + 1)[:, None] / steps
    steep = np.append(ratio, 1.0)[:, None] * slope
    parts = [z, z + 0.5 / steps, z * ratio, 1 - z / slope, steep / (1 + steep)]
    cuts = np.unique(np.clip(np.concatenate([x.ravel() for x in parts]), 0.0, 1.0))
    a, b = cuts[:-1], cuts[1:]
    middle = 0.5 * (a + b) * steps
    above = np.flatnonzero((middle > np.rint(middle)) & (b - a > _THIN))
    count = next(count for most, count in _CORNERS if steps < most)
    t, w = gauss_legendre(count)
    size = max(1, _LINES // ((ratio.size + slope.size + 2) * t.size))
    for first in range(0, above.size, size):
        some = above[first : first + size]
        share = (a[some, None] + (b - a)[some, None] * t).ravel()
        weight = ((b - a)[some, None] * w).ravel()
        start = np.repeat(np.rint(middle[some]) / steps, t.size)
        lines = np.concatenate([share[:, None] / ratio, (1 - share[:, None]) * slope], axis=1)
        lines = np.concatenate([start[:, None], lines, share[:, None]], axis=1)
        lines = np.sort(np.clip(lines, start[:, None], share[:, None]), axis=1)
        row, panel = np.nonzero(np.diff(lines, axis=1) > _THIN)
        at, r, dr = panel_nodes(lines[row, panel], lines[row, panel + 1], np.full(row.size, count))
        of = row[at]
        yield share[of], r, dr * weight[of]
