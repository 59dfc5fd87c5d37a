"""What several findings need: formats at their best range, and units."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis import ErrorReport, quantization_error
from qerror.densities import Density, Gaussian, parse_density
from qerror.formats import FloatingPoint, as_scalar_format
from qerror.optimize import OptimalScale, optimal_scale
from qerror.studies.eight_bits import EIGHT_BITS

BIT_DB = 20 * math.log10(2)
"""What one bit is worth, in dB."""

_POSITIONS = 192  # of an octave: the mean over them, and where the search for the worst starts
_WIDTH = 1.5 / _POSITIONS
_NEAR_DB = 0.05  # what a crest can lie above the points beside it
_BESIDE = 1e-6  # of an octave: a loss falls by dB an octave beside a cusp, and not beside a crest
_EXPONENTS = np.arange(-40.0, 20.0)


@cache
def optimum(name: str, density: str) -> OptimalScale:
    """Return a format at its best range."""
    return optimal_scale(as_scalar_format(name), parse_density(density))


def best(name: str, density: str) -> ErrorReport[float]:
    """Return the errors of a format at its best range."""
    return optimum(name, density).report


def ranked(density: str, names: tuple[str, ...] = EIGHT_BITS) -> list[str]:
    """Return the formats from the best to the worst."""
    return sorted(names, key=lambda name: best(name, density).mse)


def lead(density: str) -> float:
    """Return by how many dB the best format leads the second."""
    first, second = ranked(density)[:2]
    return best(first, density).sqnr_db - best(second, density).sqnr_db


def exponent_bits(name: str) -> int:
    """Return the exponent bits of a format, 0 for integers."""
    form = as_scalar_format(name)
    return form.exponent_bits if isinstance(form, FloatingPoint) else 0


def effective_bits(density: Density, mse: float) -> float:
    """Return log2(std / RMSE), the unit of van Baalen et al. 2023, figure 5."""
    return 0.5 * math.log2(density.variance / mse)


def decibels(value: float) -> str:
    """Return a ratio in dB as it is written on the page."""
    return f"{value:.2f} dB"


@dataclass(frozen=True)
class PowerLoss:
    """What a format loses where its scale must be a power of two, by the data's spread."""

    mean: float
    """In dB, over the standard deviations of one octave; others repeat it."""
    worst: float
    """In dB, at the worst standard deviation."""
    std: float
    """The worst standard deviation, in [1, 2]: nine digits at a cusp, six on a smooth crest."""


@cache
def power_loss(name: str) -> PowerLoss:
    """Return what powers of two lose against real scales on centred Gaussians.

    An integer exponent bias is such a scale. The worst case is solved, not sampled: it lies
    where two powers are equally bad, or at a crest of one of them.
    """
    from scipy.optimize import minimize_scalar

    positions = np.arange(_POSITIONS) / _POSITIONS
    sampled = _power_losses(name, positions)
    is_crest = (sampled >= np.roll(sampled, 1)) & (sampled >= np.roll(sampled, -1))
    is_high = sampled >= sampled.max() - _NEAR_DB

    def gain(position: float) -> float:
        return -float(_power_losses(name, np.array([position]))[0])

    crests = [
        minimize_scalar(gain, bounds=(x - _WIDTH, x + _WIDTH), options={"xatol": 1e-13})
        for x in positions[is_crest & is_high].tolist()
    ]
    top = min(crests, key=lambda each: float(each.fun))
    # A search finds a cusp to all digits that it is asked for, the top of a smooth crest to half.
    is_cusp = gain(float(top.x) + _BESIDE) - float(top.fun) > _BESIDE
    std = float(f"{2.0 ** (float(top.x) % 1):.{9 if is_cusp else 6}g}")
    return PowerLoss(float(sampled.mean()), -float(top.fun), std)


def _power_losses(name: str, positions: FloatArray) -> FloatArray:
    """Return the losses in dB at standard deviations 2^position."""
    exact = best(name, "gaussian").sqnr_db
    scales = np.exp2(_EXPONENTS - positions[:, None])
    report = quantization_error(as_scalar_format(name), Gaussian(), scales.reshape(-1))
    return np.asarray(exact - report.sqnr_db.reshape(scales.shape).max(axis=1))
