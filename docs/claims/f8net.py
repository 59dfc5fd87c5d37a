"""Jin et al. 2022, F8Net: fixed-point 8-bit only multiplication."""

import math
from itertools import pairwise

import numpy as np

from docs.claims._finding import Check, Command, Finding, table
from qerror import (
    FixedPoint,
    Gaussian,
    Grid,
    Integer,
    Rectified,
    fractional_length_constant,
    optimal_scale,
    quantization_error,
)
from qerror._arrays import FloatArray

_BITS = 8
_STATED = {True: 40.0, False: 70.0}
_SPANS = {True: (0.1, 40.0), False: (0.1, 100.0)}
_BOUND = 0.01
_POINTS = 1001  # log-spaced standard deviations between which shares are interpolated


def signed_constant() -> Finding:
    """Judge the 40 of equation 1."""
    return _constant(signed=True)


def unsigned_constant() -> Finding:
    """Judge the 70 of equation 1."""
    return _constant(signed=False)


def signed_error() -> Finding:
    """Judge the range of signed codes in section 3.3."""
    return _below_one_per_cent(signed=True)


def unsigned_error() -> Finding:
    """Judge the range of unsigned codes in section 3.3."""
    return _below_one_per_cent(signed=False)


def equidistant() -> Finding:
    """Judge how the thresholds of figure 4 depend on the fractional length."""
    rows: list[tuple[str, ...]] = []
    worst = 0.0
    constants = {signed: fractional_length_constant(_BITS, signed) for signed in (True, False)}
    for length in range(1, _BITS):
        cells = [str(length)]
        for signed, constant in constants.items():
            threshold = constant * 2.0**-length
            fine, coarse = (_mse(n, threshold, signed) for n in (length, length - 1))
            worst = max(worst, abs(fine / coarse - 1))
            cells.append(f"{threshold:.6f}")
        rows.append(tuple(cells))
    return Finding(
        "The standard deviations at which the best fractional length changes are almost "
        "equidistant on a logarithmic scale.",
        "section 3.3, figure 4",
        "they are exactly equidistant: each is half of the one before",
        "The standard deviation above which FL - 1 is better than FL is C 2^-FL, with one C for "
        "all FL:\n\n"
        + table(("FL", "signed", "unsigned"), rows)
        + "\n\nAt each of them both lengths have the same MSE, "
        + ("to 12 digits." if worst < 1e-12 else f"to {worst:.1e}."),
        (Check("at every threshold both lengths have the same MSE, to 12 digits", worst < 1e-12),),
        code=(
            "from qerror import Gaussian, fractional_length_constant, quantization_error\n"
            "edge = Gaussian(std=fractional_length_constant(8) / 2**5)\n"
            "[f'{quantization_error(f, edge).mse:.10e}' for f in ('fixed8.5', 'fixed8.4')]"
        ),
    )


def stars() -> Finding:
    """Judge observation 1: what varies between the curves of figure 3."""
    whole = optimal_scale(Integer(_BITS), Gaussian())
    rows: list[tuple[str, ...]] = []
    errors: list[float] = []
    spreads: list[float] = []
    for length in range(_BITS):
        std = 2.0**-length / whole.scale
        errors.append(math.sqrt(_mse(length, std, signed=True)) / std)
        spreads.append(std)
        rows.append((str(length), f"{std:.6f}", f"{errors[-1]:.6%}"))
    same = max(errors) - min(errors) < 1e-12
    return Finding(
        "The optimal standard deviation and the minimum relative error vary with the fractional "
        "length.",
        "section 3.2, observation 1, figure 3",
        f"the minimum is {errors[0]:.4%} for every length; the standard deviation halves",
        "Signed, 8 bits:\n\n"
        + table(("FL", "optimal std", "minimum relative error"), rows)
        + "\n\nOnly std 2^FL matters, so all curves are one curve moved by octaves. What "
        "differs from curve to curve in the figure are the samples.",
        (
            Check("the optimal standard deviation varies", len(set(spreads)) == len(spreads)),
            Check("the minimum relative error varies", not same),
        ),
        (
            Command(
                f"qerror error fixed8.7 --dist gaussian --std {spreads[7]:.9g}",
                (f"{-20 * math.log10(errors[7]):.6f}",),
            ),
            Command(
                f"qerror error fixed8.0 --dist gaussian --std {spreads[0]:.9g}",
                (f"{-20 * math.log10(errors[0]):.6f}",),
            ),
        ),
    )


def robustness() -> Finding:
    """Judge observation 2: what small and large fractional lengths are for."""
    spreads = (0.1, 1.0, 10.0)
    rows = [
        (f"{std:g}", *(f"{_relative(length, std, signed=True):.2%}" for length in (0, 4, 7)))
        for std in spreads
    ]
    small = [_relative(length, spreads[0], signed=True) for length in range(_BITS)]
    large = [_relative(length, spreads[-1], signed=True) for length in range(_BITS)]
    return Finding(
        "Large fractional lengths suit small values and small ones large values; integers lose "
        "small values entirely.",
        "section 3.2, observation 2",
        f"at std {spreads[0]} integers are {small[0]:.0%} off and FL 7 {small[7]:.1%}",
        "Relative error of signed 8-bit fixed point on a Gaussian:\n\n"
        + table(("std", "FL 0", "FL 4", "FL 7"), rows),
        (
            Check(
                f"at std {spreads[0]} every longer fraction is better",
                all(a > b for a, b in pairwise(small)),
            ),
            Check(
                f"at std {spreads[-1]:g} FL 7 is worse than FL 0 by more than ten times",
                large[7] > 10 * large[0],
            ),
            Check(f"at std {spreads[0]} integers are off by 90% or more", small[0] >= 0.9),
        ),
        (Command("qerror fixed-point --std 0.1", (f"{small[7] * 100:.3g}%",)),),
    )


def pact() -> Finding:
    """Judge equation 4: PACT as scaled fixed point."""
    x = np.random.default_rng(0).normal(2.0, 3.0, size=20_000)
    alpha, steps = 6.0, 2**_BITS - 1
    direct = _quantized(Integer(_BITS, signed=False).grid(alpha / steps), x)
    worst = 0.0
    for length in range(_BITS + 1):
        eta = 2.0**length * alpha / steps
        fixed = _quantized(FixedPoint(_BITS, length, signed=False).grid(), x / eta)
        worst = max(worst, float(np.abs(eta * fixed - direct).max()))
    return Finding(
        "PACT is scaled fixed point: PACT(x) = eta fix(x / eta), eta = 2^FL alpha / (2^WL - 1).",
        "section 4.1, equation 4",
        f"equal for FL 0 to {_BITS}",
        f"On {x.size} values and for every FL from 0 to {_BITS} the two sides differ by less than "
        "1e-14: by rounding, not by a step.",
        (Check("both sides agree for every FL, to rounding", worst < 1e-14),),
        code=(
            "from qerror import Gaussian, Rectified, quantization_error\n"
            "eta, density = 2**5 * 6 / 255, Rectified(Gaussian(std=2))\n"
            "sides = ('ufixed8.5', eta), ('uint8', 6 / 255)\n"
            "[f'{quantization_error(f, density, scale).mse:.10e}' for f, scale in sides]"
        ),
    )


def _constant(*, signed: bool) -> Finding:
    stated = _STATED[signed]
    exact = fractional_length_constant(_BITS, signed)
    kind = "signed" if signed else "unsigned"
    data = "a Gaussian" if signed else "the ReLU of a Gaussian"
    # The rule and the exact one differ where std 2^FL lies between the two constants.
    octave = abs(math.log2(exact / stated))
    loss = abs(20 * math.log10(_relative(0, stated, signed) / _relative(-1, stated, signed)))
    return Finding(
        f"For {kind} codes the best fractional length is floor(log2({stated:g} / std)).",
        "section 3.3, equation 1",
        f"the constant is {exact:.6f}",
        f"""\
On {data} the exact rule is floor(log2(C / std)) with C = {exact:.8f}, the same for every fractional
length. With {stated:g} in its place the length is off by one on {octave:.2%} of every octave of
standard deviations, where it loses up to {loss:.2f} dB.""",
        (
            Check(
                f"the exact constant rounds to {stated:g} at its one digit",
                round(exact, -1) == stated,
            ),
            Check(
                f"the rule finds the best length in every case ({octave:.2%} missed)",
                octave == 0,
            ),
        ),
        (Command("qerror fixed-point --std 0.3 --claims", (f"{exact:.8f}", f"{loss:.2f} dB")),),
    )


def _below_one_per_cent(*, signed: bool) -> Finding:
    low, high = _SPANS[signed]
    kind = "signed" if signed else "unsigned"
    spreads = np.geomspace(low, high, _POINTS)
    lengths = range(_BITS - signed + 1)
    errors = np.min([_relatives(length, spreads, signed) for length in lengths], axis=0)
    share = _share_below(np.log(errors / _BOUND))
    constant = fractional_length_constant(_BITS, signed)
    ends = [min(_relative(length, std, signed) for length in lengths) for std in (low, high)]
    switch = _relative(1, constant / 2, signed)
    return Finding(
        f"For {kind} codes the best fractional length keeps the relative error below 1% for every "
        f"standard deviation from {low:g} to {'around ' if signed else ''}{high:g}.",
        "section 3.3",
        f"the worst is {max(*ends, switch):.2%}; below {_BOUND:.0%} on {share:.0%} of that range",
        f"With the fractional lengths that the paper allows (0 to {lengths[-1]}), the relative "
        f"error is {ends[0]:.3%} at {low:g}, {switch:.3%} wherever the best length changes, and "
        f"{ends[1]:.3%} at {high:g}. On a logarithmic scale {share:.1%} of the range stays below "
        f"{_BOUND:.0%}. Lengths beyond the allowed ones could lower the error at the two ends, but "
        "not where the best length changes.",
        (
            Check("the error is below 1% over the whole range", max(*ends, switch) < _BOUND),
            Check("the error is below 1% on at least half of it, in octaves", share >= 0.5),
        ),
        (
            Command(
                f"qerror fixed-point --std {low:g} --claims",
                (f"{ends[0]:.2%}", f"{switch:.2%}", f"{ends[1]:.2%}"),
            ),
        ),
    )


def _share_below(level: FloatArray) -> float:
    """Return the share of equal steps on which a piecewise linear function is negative."""
    a, b = level[:-1], level[1:]
    crossed = np.abs(np.minimum(a, b)) / (np.abs(a) + np.abs(b))
    return float(np.where((a < 0) == (b < 0), a < 0, crossed).mean())


def _relatives(length: int, spreads: FloatArray, signed: bool) -> FloatArray:
    """Return the relative errors at many standard deviations, those before the ReLU."""
    density = Gaussian() if signed else Rectified(Gaussian())
    unit = FixedPoint(_BITS, 0, signed)
    found: FloatArray = np.sqrt(quantization_error(unit, density, 2.0**-length / spreads).mse)
    return found


def _relative(length: int, std: float, signed: bool) -> float:
    return float(_relatives(length, np.array([std]), signed)[0])


def _mse(length: int, std: float, signed: bool) -> float:
    before = Gaussian(std=std)
    form = FixedPoint(_BITS, length, signed)
    return quantization_error(form, before if signed else Rectified(before)).mse


def _quantized(grid: Grid, x: FloatArray) -> FloatArray:
    return np.asarray(grid.points[np.searchsorted(grid.thresholds, x)])


FINDINGS = (
    robustness,
    stars,
    signed_error,
    unsigned_error,
    equidistant,
    signed_constant,
    unsigned_constant,
    pact,
)
