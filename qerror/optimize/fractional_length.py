"""Fixed point: the fractional length that loses least, and the one constant behind it.

With s = std 2^FL, the standard deviation in steps, the MSE of a fixed-point format on a centred
Gaussian is 4^-FL M(s), where M belongs to the integers up to the largest code. One bit less of
fraction is as good where M(s) = 4 M(s / 2), the same s for every FL: so the best fractional
length is floor(log2(C / std)) with C that root. It depends on the largest code alone.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from qerror._arrays import FrozenMapping, positive
from qerror.analysis.decibels import decibels_above
from qerror.analysis.single import quantization_error
from qerror.densities.density import Density
from qerror.densities.gaussian import Gaussian
from qerror.densities.names import DensityLike, as_density
from qerror.densities.rectified import Rectified
from qerror.exceptions import InvalidValue
from qerror.formats.fixed import FixedPoint
from qerror.grids import Grid
from qerror.optimize.scale import optimal_scale

F8NET_WORD_LENGTH = 8
F8NET_CONSTANTS = FrozenMapping({True: 40.0, False: 70.0})
"""Jin et al. 2022, eq. 1, for signed and unsigned codes of 8 bits."""

_SHOWN = 3  # fractional lengths on either side of the best ones in a table
_SMALLEST, _LARGEST = 1e-140, 1e140  # squares of the errors shown stay within float64


@dataclass(frozen=True)
class FractionalLength:
    """One fixed-point format on a Gaussian (signed) or on its ReLU's output (unsigned)."""

    format: FixedPoint
    mse: float
    relative_error: float
    """sqrt(MSE) over the standard deviation, in both cases that before the ReLU."""
    above_best_db: float
    """How far the MSE lies above that of the best fractional length."""
    is_legal: bool
    """Whether F8Net allows it: 0 .. word_length, one less if signed."""


@dataclass(frozen=True)
class FixedPointChoice:
    """The best fractional length for one word length, sign and standard deviation."""

    constant: float
    """C in floor(log2(C / std))."""
    best: FractionalLength
    """Among all integers."""
    legal: FractionalLength
    """Among those that F8Net allows."""
    f8net: FractionalLength | None
    """What F8Net's own rule chooses; None where it has none, at other than 8 bits."""
    nearby: tuple[FractionalLength, ...]
    """The fractional lengths around the best ones of both signs, in ascending order."""


@np.errstate(under="ignore")
def optimal_fractional_length(density: DensityLike, word_length: int, signed: bool = True) -> int:
    """Return the fractional length with the least mean squared error.

    Parameters
    ----------
    density : Density, str or array_like
        What is quantized, as it is: pass ``Rectified(Gaussian(std=...))`` for a ReLU's output.
    word_length : int
        Bits of a code, the sign included.
    signed : bool
        Whether codes have a sign.

    Returns
    -------
    int
        Of equally good lengths the largest one, which has the smallest range. It may be negative
        or exceed the word length; F8Net clamps it to 0 .. word_length, one less if signed.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range, or E[X^2] is infinite.

    References
    ----------
    Jin et al. 2022, F8Net, eq. 1, approximates it for Gaussians.

    Examples
    --------
    >>> from qerror import Gaussian, optimal_fractional_length
    >>> optimal_fractional_length(Gaussian(std=0.3), 8)
    7
    """
    density, form = as_density(density), FixedPoint(word_length, 0, signed)
    found = optimal_scale(form, density)
    if math.isnan(found.scale):
        raise InvalidValue(
            "E[X^2] is infinite, and so is the MSE of every fractional length; clip or truncate "
            "the density first"
        )
    return -round(math.log2(found.scale))


@np.errstate(under="ignore")
def fractional_length_constant(word_length: int, signed: bool = True) -> float:
    """Return C such that floor(log2(C / std)) is the best fractional length.

    Exact for a centred Gaussian with signed codes and for its ReLU's output with unsigned
    ones; `std` is in both cases that of the Gaussian, before the ReLU.

    Parameters
    ----------
    word_length : int
        Bits of a code, the sign included.
    signed : bool
        Whether codes have a sign.

    Returns
    -------
    float
        The root of M(s) = 4 M(s / 2), with M the MSE of integers on a Gaussian of std s.

    Raises
    ------
    InvalidValue
        If the word length is outside its range.

    References
    ----------
    Jin et al. 2022, F8Net, eq. 1, has 40 and 70 for 8 bits, from samples.

    Examples
    --------
    >>> from qerror import fractional_length_constant
    >>> round(fractional_length_constant(8), 6), round(fractional_length_constant(8, False), 6)
    (39.224003, 72.118089)
    """
    return _constant(FixedPoint(word_length, 0, signed).max_code)


@np.errstate(under="ignore")
def fixed_point_choice(word_length: int, std: float, signed: bool = True) -> FixedPointChoice:
    """Return the best fractional length for a Gaussian or its ReLU, and what lies around it.

    Parameters
    ----------
    word_length : int
        Bits of a code, the sign included.
    std : float
        Standard deviation of the centred Gaussian, before the ReLU if unsigned.
    signed : bool
        Signed codes for the Gaussian, or unsigned ones for its ReLU's output.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range: `std` lies in 1e-140..1e140.

    Examples
    --------
    >>> from qerror.optimize import fixed_point_choice
    >>> fixed_point_choice(8, 0.3).f8net.format.name
    'FIXED8.7'
    """
    std = positive("std", std)
    if not _SMALLEST < std < _LARGEST:
        raise InvalidValue(
            f"std must lie in {_SMALLEST:g}..{_LARGEST:g}, so that float64 holds the squares of "
            f"errors, got {std:g}; choose other units"
        )
    form = FixedPoint(word_length, 0, signed)
    constant = fractional_length_constant(word_length, signed)
    best = form.with_fractional_length(_length(constant, std))
    least = _relative_error(best, std)
    other = _length(fractional_length_constant(max(word_length, 2), not signed), std)

    def at(length: int) -> FractionalLength:
        candidate = form.with_fractional_length(length)
        error = _relative_error(candidate, std)
        loss = 20 * math.log10(error / least)
        legal = length == _clamped(length, form)
        return FractionalLength(candidate, (error * std) ** 2, error, loss, legal)

    rule = _f8net_length(form, std)
    own = best.fractional_length
    shown = range(min(own, other) - _SHOWN, max(own, other) + _SHOWN + 1)
    return FixedPointChoice(
        constant,
        at(own),
        at(_clamped(own, form)),
        None if rule is None else at(rule),
        tuple(at(length) for length in shown),
    )


def fixed_point_choice_of(
    density: DensityLike, word_length: int, signed: bool = True
) -> FixedPointChoice:
    """Return the best fractional length for any density, or for data, and what lies around it.

    Parameters
    ----------
    density : Density, str or array_like
        What is quantized, as it is.
    word_length : int
        Bits of a code, the sign included.
    signed : bool
        Whether codes have a sign.

    Returns
    -------
    FixedPointChoice
        Relative errors are sqrt(MSE) over the root mean square. There is no constant (nan);
        F8Net's rule takes the standard deviation, and has a choice for signed codes alone:
        unsigned ones would need that before the ReLU.

    Raises
    ------
    InvalidValue
        If a parameter is outside its range, E[X^2] is infinite, or all values are 0.
    """
    density, form = as_density(density), FixedPoint(word_length, 0, signed)
    own = optimal_fractional_length(density, word_length, signed)
    power = density.second_moment
    if not power > 0:
        raise InvalidValue("all values are 0: every fractional length holds them")
    least = _mse(form.with_fractional_length(own), density)

    def at(length: int) -> FractionalLength:
        candidate = form.with_fractional_length(length)
        mse = _mse(candidate, density)
        legal = length == _clamped(length, form)
        loss = decibels_above(mse, least)
        return FractionalLength(candidate, mse, math.sqrt(mse / power), loss, legal)

    std = math.sqrt(density.variance)
    rule = _f8net_length(form, std) if signed and std > 0 else None
    return FixedPointChoice(
        math.nan,
        at(own),
        at(_clamped(own, form)),
        None if rule is None else at(rule),
        tuple(at(length) for length in range(own - _SHOWN, own + _SHOWN + 1)),
    )


def _mse(form: FixedPoint, density: Density) -> float:
    return quantization_error(form, density, 1.0).mse


@cache
def _constant(max_code: int) -> float:
    """Return the root of M(s) = 4 M(s / 2) for the integers -max_code .. max_code.

    Codes 0 .. max_code have the same root: the ReLU's output is half of a Gaussian.
    """
    from scipy.optimize import brentq

    grid = Grid.uniform(-max_code, 1.0, 2 * max_code)

    def rise(log_ratio: float) -> float:
        s = max_code * math.exp(-log_ratio)
        fine, coarse = quantization_error(grid, Gaussian(), 1 / np.array([s, s / 2])).mse
        # In units of the standard deviation the factor 4 is already in the two errors.
        return math.log(fine) - math.log(coarse)

    # ln(max_code / s) grows slowly with the word length, from -0.17 to 2.4 at 53 bits.
    upper = 1 + 0.08 * max_code.bit_length()
    root = brentq(rise, -0.5, upper, xtol=1e-15, rtol=1e-15)
    return max_code * math.exp(-float(root))


def _length(constant: float, std: float) -> int:
    """Return floor(log2(constant / std)), exactly."""
    mantissa, exponent = math.frexp(constant)
    other, shift = math.frexp(std)
    return exponent - shift - (mantissa < other)


def _clamped(length: int, form: FixedPoint) -> int:
    """Return the nearest fractional length that F8Net allows."""
    return min(max(length, 0), form.word_length - form.signed)


def _f8net_length(form: FixedPoint, std: float) -> int | None:
    """Return what F8Net's rule chooses (Jin et al. 2022, eq. 1), or None where it has none."""
    if form.word_length != F8NET_WORD_LENGTH:
        return None
    return _clamped(_length(F8NET_CONSTANTS[form.signed], std), form)


def _relative_error(form: FixedPoint, std: float) -> float:
    """Return sqrt(MSE) / std on a Gaussian, or on its ReLU's output for unsigned codes."""
    density = Gaussian() if form.signed else Rectified(Gaussian())
    # Only std 2^FL matters, and its powers of two are exact.
    steps, exponent = math.frexp(std)
    unit = form.with_fractional_length(0)
    scale = math.ldexp(1 / steps, -exponent - form.fractional_length)
    return math.sqrt(quantization_error(unit, density, scale).mse)
