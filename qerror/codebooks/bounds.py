"""What no quantizer of any kind beats, and what many levels reach at best."""

import math

import numpy as np
from scipy import special

from qerror._arrays import FloatArray, integer, real
from qerror.codebooks._continuous import Continuous, continuous_part
from qerror.densities.density import Density
from qerror.densities.names import as_density
from qerror.exceptions import InvalidValue

_MOST_LEVELS = 2**64  # codes of 64 bits
_GAUSSIAN_ENTROPY = 0.5 * math.log(2 * math.pi * math.e)


@np.errstate(under="ignore")
def panter_dite(density: Density | str, levels: int) -> float:
    """Return the MSE that the best quantizer of many levels tends to.

    (int p^(1/3))^3 / (12 levels^2): an asymptote, which few levels may beat or miss by several
    per cent. Point masses take a level each, which many levels do not notice: only the
    continuous part counts, and without one the result is 0. Where E[X^2] is infinite it is inf.

    Parameters
    ----------
    density : Density or str
        What is quantized.
    levels : int
        Number of levels, 1 .. 2^64.

    Raises
    ------
    InvalidValue
        If `levels` is outside its range.

    References
    ----------
    Panter and Dite 1951, Quantization distortion in pulse-count modulation with nonuniform
    spacing of levels, eq. 26; Zador 1982 for its validity.

    Examples
    --------
    >>> from qerror import Laplace, panter_dite
    >>> round(panter_dite(Laplace(), 256) * 256**2, 12)
    9.0
    """
    density = as_density(density)
    levels = integer("levels", levels, 1, _MOST_LEVELS)
    if not math.isfinite(density.second_moment):
        return math.inf
    return cube_root_integral(density) ** 3 / 12 / levels / levels


@np.errstate(under="ignore")
def shannon_bound(density: Density | str, bits: float) -> float:
    """Return the MSE below which no code of so many bits per value gets, however long.

    For a Gaussian this is the distortion-rate function itself, std^2 2^(-2 bits). For other
    densities it is Shannon's lower bound, e^(2h) / (2 pi e) 2^(-2 bits) with h the differential
    entropy: tight as `bits` grows, weak for few. A part that is made of point masses is taken
    to cost nothing, so that the bits all go to the continuous part of probability w,

        w e^(2h) / (2 pi e) 2^(-2 bits / w),  h the entropy of that part alone,

    and a density of point masses alone has the bound 0.

    Parameters
    ----------
    density : Density or str
        What is coded. Infinite E[X^2] is no obstacle: the bound stays finite.
    bits : float
        Bits per value, not negative.

    Raises
    ------
    InvalidValue
        If `bits` is negative or not finite.

    References
    ----------
    Shannon 1959, Coding theorems for a discrete source with a fidelity criterion; Berger 1971,
    Rate Distortion Theory, eq. 4.3.32. Gray 1973, A new class of lower bounds to information
    rates of stationary sources via conditional rate-distortion functions, for point masses.

    Examples
    --------
    >>> from qerror import Gaussian, shannon_bound
    >>> shannon_bound(Gaussian(std=2), 8) == 4 * 2.0**-16
    True
    """
    density, bits = as_density(density), real("bits", bits)
    if bits < 0:
        raise InvalidValue(f"bits must not be negative, got {bits:g}")
    mass = continuous_part(density).mass
    if mass <= 0:
        return 0.0
    whole = density.whole_piece
    known = whole.law.differential_entropy if whole else None
    if whole and known is not None:
        # By the law's own entropy: a Gaussian's bound then has no rounding at all.
        return whole.spread**2 * math.exp(2 * (known - _GAUSSIAN_ENTROPY)) * 2 ** (-2 * bits)
    entropy_power = math.exp(2 * (differential_entropy(density) - _GAUSSIAN_ENTROPY))
    return mass * entropy_power * 2 ** (-2 * bits / mass)


@np.errstate(under="ignore")
def differential_entropy(density: Density | str) -> float:
    """Return -int p ln p in nats of the continuous part, taken as a density of its own.

    Closed forms for the families (Cover and Thomas 2006, table 17.1), else by quadrature; -inf
    without a continuous part. With point masses the entropy of the whole is -inf: what is
    returned then is that of X given that it is no point mass.
    """
    density = as_density(density)
    known = density.differential_entropy
    if known is not None:
        return known
    part = continuous_part(density)
    if not part.pieces:
        return -math.inf
    total = part.integrate(_minus_p_log_p)
    for distance, level, power in part.tails:
        if level > 0:
            decay = power - 1
            total += level * distance / decay * (power / decay - math.log(level))
    # -int (p/w) ln(p/w) with w the mass
    return total / part.mass + math.log(part.mass)


@np.errstate(under="ignore")
def cube_root_integral(density: Density) -> float:
    """Return int p^(1/3) over the continuous part; E[X^2] must be finite."""
    known = density.cube_root_integral
    if known is not None:
        return known
    part = continuous_part(density)
    return _cube_root_by_quadrature(part) if part.pieces else 0.0


def _cube_root_by_quadrature(part: Continuous) -> float:
    total = part.integrate(np.cbrt)
    tails = (math.cbrt(level) * distance / (power / 3 - 1) for distance, level, power in part.tails)
    return total + sum(tails)


def _minus_p_log_p(p: FloatArray) -> FloatArray:
    return special.entr(p)
