"""The law of a value over the largest magnitude of its block."""

import math
from itertools import pairwise

import numpy as np
from scipy.special import roots_jacobi

from qerror._arrays import FloatArray, integer, quoted
from qerror.analysis.single import quantization_error
from qerror.densities.branches import branch_points
from qerror.densities.density import Density
from qerror.densities.discrete import Discrete
from qerror.densities.extreme import tail_exponent
from qerror.densities.maximum import (
    MaximumNodes,
    MaximumRule,
    beyond,
    is_heavy,
    log_cumulative,
    maximum_nodes,
    maximum_rule,
    suits_rule,
)
from qerror.densities.mixture import Mixture
from qerror.densities.names import DensityLike, as_density, density_name
from qerror.densities.quadrature import gauss_rules
from qerror.densities.truncated import Truncated
from qerror.exceptions import InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import Absmax
from qerror.formats.codebook import Codebook

_NODES = 24  # of the law of a block's largest value
_FEW = 16  # values: for blocks of fewer that law is not smooth at 0
_AGREES = 1e-11  # relative, of the error by the law and that of the blocks
_TRIED = tuple(k / 7 for k in range(-7, 8))  # levels to compare them at
_STEP, _STEP_NODES = 3.0, 16  # stretches of the largest value, by its ratio
# A threshold that moves past a jump bends the error: it takes many nodes.
_KINKED_STEP, _KINKED_NODES = 1.1, 8
_SHARE = 1e-18  # of the power: largest values that count for less are left out
_FAR_NODES, _ROOT = 24, 4.0  # of all largest values from where a tail is a power of x,
_POWER = 0.05  # to this in its exponent,
_RARE = 1e-3  # hardly a block reaches it,
_FINE = 32.0  # and cells this much finer than the largest value lie in the tail too


def block_density(density: DensityLike, block_size: int) -> tuple[Density, float]:
    """Return the density of a value over its block's largest magnitude, weighted by that magnitude.

    With it, ordinary analysis answers questions about absmax blocks: for any levels q on
    [-1, 1], E[(Q(Y) - Y)^2] times the second result is the error E[e^2] of blocks at scale M.
    `lloyd_max` then finds the best codebook for a block size.

    The product is right to about 1e-11, and to some 1e-6 where the density has jumps or kinks off
    0 that the largest value may exceed. `lloyd_max` takes a second for 16 levels on one such as
    "gaussian", ten for heavy tails and mixtures of spreads far apart, and beside kinks half a
    minute.

    Parameters
    ----------
    density : Density, str or array_like
        Of the values: continuous, with a finite E[X^2], and without roots off 0 as `Arcsine` has.
    block_size : int
        At least 2.

    Returns
    -------
    density : Density
        A mixture of the density cut at some largest values, and of the largest value itself.
    power : float
        E[M^2 weight]: what turns its mean squared error into that of the values.

    Raises
    ------
    InvalidValue
        If the block is too small, or the density is none of the above.

    Examples
    --------
    >>> from qerror import lloyd_max
    >>> ratio, power = block_density("gaussian", 64)
    >>> best = lloyd_max(ratio, 16)
    >>> round(best.report.mse * power, 6)  # NF4 has 0.00846
    0.007622
    """
    density = as_density(density)
    n, name = integer("block_size", block_size, 2, 2**53), quoted(density_name(density))
    if density.atom_sums.size:
        raise InvalidValue(
            f"the law of a block needs a continuous density, without point masses: {name} has some"
        )
    if not math.isfinite(density.second_moment):
        raise InvalidValue(
            f"the law of a block needs a density with a finite second moment: {name} has none"
        )
    if any(branch_points(density)):
        raise InvalidValue(
            f"the law of a block needs a density that is smooth between its kinks: {name} starts "
            "as a root of x off 0, as an arcsine density at its ends"
        )
    panels = maximum_nodes(density, n)
    if n > _FEW and suits_rule(density, n - 1):
        found = _law(density, panels, n, maximum_rule(density, n - 1, _NODES))
        if _serves(*found, density, n):
            return found
    return _law(density, panels, n, _in_stretches(density, n))


def _law(
    density: Density, panels: MaximumNodes, n: int, rule: MaximumRule
) -> tuple[Density, float]:
    """Return the law and its power, by a rule of the largest of n - 1 values."""
    with np.errstate(under="ignore"):
        own = np.exp((n - 1) * panels.log_below) * panels.density * panels.nodes**2
    upper, lower = (own @ panels.weights + beyond(density, panels.top)[:, 2]).tolist()
    below = density.mass(-rule.nodes, rule.nodes)
    kept = below > 0
    m = rule.nodes[kept]
    parts: list[Density] = [Truncated(density.affine(1 / x), -1.0, 1.0) for x in m.tolist()]
    shares: FloatArray = rule.weights[kept] * m * m * below[kept]
    weights = np.append(shares, upper + lower)
    power = float(weights.sum())
    ends = Discrete((-1.0, 1.0), (lower / (upper + lower), upper / (upper + lower)))
    return Mixture((*parts, ends), tuple((weights / power).tolist())), power


def _serves(law: Density, power: float, density: Density, n: int) -> bool:
    """Tell whether equal steps have the same error by the law as in blocks."""
    levels = Codebook(_TRIED)
    blocks = BlockFormat(levels, Absmax(divisor=1.0), n)
    exact = quantization_error(blocks, density).mse
    return abs(power * quantization_error(levels, law).mse - exact) <= _AGREES * exact


def _in_stretches(density: Density, n: int) -> MaximumRule:
    """Return Gauss rules of the largest of n - 1 values, one for each stretch of its range.

    Between the kinks of a density, and over one of its scales at a time, what it bounds is smooth.
    """
    panels = maximum_nodes(density, n)
    low, high = _range(panels, n)
    far = _far_from(density, panels, n) if is_heavy(density) else math.inf
    high = min(high, far)
    kinks = sorted({abs(x) for x in density.kinks if 0 < abs(x) < high})
    first = kinks[0] if kinks else high
    ends = [low, *(x for x in kinks if x > low), high]
    cuts = [
        cut
        for a, b in pairwise(ends)
        for cut in _spaced(a, b, _STEP if a < first else _KINKED_STEP)
    ]
    panels = maximum_nodes(density, n, tuple(x for x in (*cuts[1:], far) if x < math.inf))
    measure = panels.measure(n - 1)
    nodes, weights = list[FloatArray](), list[FloatArray]()
    for a, b in pairwise([0.0, *cuts[1:], far]):
        inside = np.flatnonzero((panels.nodes >= a) & (panels.nodes < b) & (measure > 0))
        if inside.size:
            count = _STEP_NODES if a < first else _KINKED_NODES
            ((x, w),) = gauss_rules(panels.nodes[inside], measure[inside], (count,))
            nodes.append(x)
            weights.append(w)
    if far < math.inf:
        x, w = _far_rule(density, far, n)
        nodes.append(x)
        weights.append(w)
    return MaximumRule(np.concatenate(nodes), np.concatenate(weights))


def _far_from(density: Density, panels: MaximumNodes, n: int) -> float:
    """Return the magnitude from where tails are powers of x, infinite if no block reaches it."""
    m, both = panels.nodes, panels.density.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        falls = -np.diff(np.log(both)) / np.diff(np.log(m))
    suits = abs(falls - (tail_exponent(density) + 1)) < _POWER
    suits &= -np.expm1(panels.log_below[1:]) * n < _RARE
    last = max((abs(x) for x in density.kinks), default=0.0)
    suits &= m[1:] > 2 * last
    first = np.flatnonzero(~suits)[-1] + 1
    return _FINE * float(m[1:][first]) if first < suits.size else math.inf


def _far_rule(density: Density, far: float, n: int) -> tuple[FloatArray, FloatArray]:
    """Return a rule of the largest of n - 1 values from a magnitude on, without an end.

    In s = 1 / m its power m^2 f dm is s^(a - 3) times what is smooth there; the error has powers
    s^a besides, which a root of s as the variable makes smooth enough.
    """
    b = _ROOT * (tail_exponent(density) - 2) - 1
    x, w = roots_jacobi(_FAR_NODES, 0.0, b)
    v = 0.5 * (1 + x[::-1])
    m = far * v**-_ROOT
    own = density.pdf(m) + density.pdf(-m)
    measure = (n - 1) * np.exp((n - 2) * log_cumulative(density, m)) * own
    weights: FloatArray = 0.5 * w[::-1] * (0.5 / v) ** b * measure * _ROOT * m / v
    return m, weights


def _range(panels: MaximumNodes, n: int) -> tuple[float, float]:
    """Return between which largest values all but a negligible share of the power lies."""
    share = panels.measure(n - 1) * panels.nodes**2
    inside = panels.nodes[share > _SHARE * share.max()]
    return float(inside[0]), float(inside[-1])


def _spaced(low: float, high: float, step: float) -> list[float]:
    """Return places from one to below the other, in ratios of at most a step."""
    count = max(1, math.ceil(math.log(high / low) / math.log(step)))
    return [float(x) for x in np.geomspace(low, high, count + 1)[:-1]]
