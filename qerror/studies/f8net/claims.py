"""Jin et al. 2022, F8Net: fixed-point 8-bit only multiplication."""

import math
from itertools import pairwise

import numpy as np

from qerror._arrays import FloatArray
from qerror.analysis import quantization_error
from qerror.densities import Gaussian, Rectified
from qerror.formats import FixedPoint, Integer
from qerror.grids import Grid
from qerror.optimize import fractional_length_constant, optimal_scale
from qerror.studies.f8net.rule import BITS, BOUND, error_range, relative, rule_constant
from qerror.studies.finding import Check, Command, Finding, table


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
    constants = {signed: fractional_length_constant(BITS, signed) for signed in (True, False)}
    for length in range(1, BITS):
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


def optimal_spreads() -> Finding:
    """Judge observation 1: the minima of figure 3 lie at other standard deviations."""
    spreads = [std for std, _ in _minima()]
    return Finding(
        "The optimal standard deviation varies with the fractional length.",
        "section 3.2, observation 1, figure 3",
        f"it halves from one length to the next: {spreads[0]:.4f} at 0, {spreads[7]:.6f} at 7",
        "Signed, 8 bits:\n\n" + _minima_table() + "\n\nOnly std 2^FL matters, so all curves "
        "are one curve moved by octaves.",
        (
            Check(
                "each optimal standard deviation is half of the one before, to 12 digits",
                max(abs(2 * b / a - 1) for a, b in pairwise(spreads)) < 1e-12,
            ),
        ),
        code=(
            "from qerror import Gaussian, optimal_scale\n"
            "scale = optimal_scale('int8', Gaussian()).scale\n"
            "[round(2.0**-length / scale, 6) for length in (0, 7)]"
        ),
    )


def least_errors() -> Finding:
    """Judge observation 1: the minima of figure 3 have other relative errors."""
    errors = [error for _, error in _minima()]
    same = max(errors) - min(errors) < 1e-12
    return Finding(
        "The minimum relative error varies with the fractional length.",
        "section 3.2, observation 1, figure 3",
        f"it is {errors[0]:.4%} for every length",
        "Signed, 8 bits:\n\n" + _minima_table() + "\n\nWhat differs from curve to curve in "
        "the figure are the samples.",
        (Check("two lengths differ in their minimum, at 12 digits", not same),),
        tuple(
            Command(
                f"qerror error fixed8.{length} --dist gaussian --std {_minima()[length][0]:.9g}",
                (f"{-20 * math.log10(errors[length]):.6f}",),
            )
            for length in (7, 0)
        ),
        code=(
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            "scale = optimal_scale('int8', Gaussian()).scale\n"
            "spread = {n: 2.0**-n / scale for n in (0, 7)}\n"
            "error = {n: quantization_error(f'fixed8.{n}', Gaussian(std=spread[n])).mse**0.5 / "
            "spread[n] for n in spread}\n"
            "{n: f'{error[n]:.4%}' for n in error}"
        ),
    )


def robustness() -> Finding:
    """Judge observation 2: what small and large fractional lengths are for."""
    spreads = (0.1, 1.0, 10.0)
    rows = [
        (f"{std:g}", *(f"{relative(length, std, signed=True):.2%}" for length in (0, 4, 7)))
        for std in spreads
    ]
    small = [relative(length, spreads[0], signed=True) for length in range(BITS)]
    large = [relative(length, spreads[-1], signed=True) for length in range(BITS)]
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
        (
            Command("qerror fixed-point --std 0.1", (f"{small[7] * 100:.3g}%",)),
            Command("qerror error fixed8.0 --dist gaussian --std 0.1", (f"{small[0] ** 2:.4f}",)),
        ),
    )


def pact() -> Finding:
    """Judge equation 4: PACT as scaled fixed point."""
    x = np.random.default_rng(0).normal(2.0, 3.0, size=20_000)
    alpha, steps = 6.0, 2**BITS - 1
    direct = _quantized(Integer(BITS, signed=False).grid(alpha / steps), x)
    worst = 0.0
    for length in range(BITS + 1):
        eta = 2.0**length * alpha / steps
        fixed = _quantized(FixedPoint(BITS, length, signed=False).grid(), x / eta)
        worst = max(worst, float(np.abs(eta * fixed - direct).max()))
    return Finding(
        "PACT is scaled fixed point: PACT(x) = eta fix(x / eta), eta = 2^FL alpha / (2^WL - 1).",
        "section 4.1, equation 4",
        f"equal for FL 0 to {BITS}",
        f"On {x.size} values and for every FL from 0 to {BITS} the two sides differ by less than "
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
    found = rule_constant(signed)
    kind = "signed" if signed else "unsigned"
    data = "a Gaussian" if signed else "the ReLU of a Gaussian"
    return Finding(
        f"For {kind} codes the best fractional length is floor(log2({found.stated:g} / std)).",
        "section 3.3, equation 1",
        f"the constant is {found.exact:.6f}",
        f"""\
On {data} the exact rule is floor(log2(C / std)) with C = {found.exact:.8f}, the same for every
fractional length. With {found.stated:g} in its place the length is off by one on
{found.missed_octave:.2%} of every octave of standard deviations, where it loses up to
{found.loss_db:.2f} dB.""",
        (found.check,),
        (
            Command(
                "qerror fixed-point --std 0.3 --claims",
                (f"{found.exact:.8f}", f"{found.loss_db:.2f} dB"),
            ),
        ),
        beside=(
            Check(
                "the rule finds the best length at every standard deviation "
                f"({found.missed_octave:.2%} missed)",
                found.missed_octave == 0,
            ),
        ),
    )


def _below_one_per_cent(*, signed: bool) -> Finding:
    found = error_range(signed)
    kind = "signed" if signed else "unsigned"
    return Finding(
        f"For {kind} codes the best fractional length keeps the relative error below 1% for every "
        f"standard deviation from {found.low:g} to {'around ' if signed else ''}{found.high:g}.",
        "section 3.3",
        f"the worst is {found.worst:.2%}; below {BOUND:.0%} on {found.share_below:.0%} of that "
        "range",
        f"With the fractional lengths that the paper allows (0 to {BITS - signed}), the relative "
        f"error is {found.at_low:.3%} at {found.low:g}, {found.at_switches:.3%} wherever the best "
        f"length changes, and {found.at_high:.3%} at {found.high:g}. On a logarithmic scale "
        f"{found.share_below:.1%} of the range stays below {BOUND:.0%}. Lengths beyond the allowed "
        "ones could lower the error at the two ends, but not where the best length changes.",
        (found.check,),
        (
            Command(
                f"qerror fixed-point --std {found.low:g} --claims",
                tuple(f"{x:.2%}" for x in (found.at_low, found.at_switches, found.at_high)),
            ),
        ),
        beside=(
            Check(
                "the error is below 1% on at least half of the range, in octaves",
                found.share_below >= 0.5,
            ),
        ),
    )


def _minima() -> list[tuple[float, float]]:
    """Return the best standard deviation of every signed length, and its relative error."""
    whole = optimal_scale(Integer(BITS), Gaussian())
    spreads = [2.0**-length / whole.scale for length in range(BITS)]
    return [
        (std, math.sqrt(_mse(length, std, signed=True)) / std) for length, std in enumerate(spreads)
    ]


def _minima_table() -> str:
    rows = [
        (str(length), f"{std:.6f}", f"{error:.6%}") for length, (std, error) in enumerate(_minima())
    ]
    return table(("FL", "optimal std", "minimum relative error"), rows)


def _mse(length: int, std: float, signed: bool) -> float:
    before = Gaussian(std=std)
    form = FixedPoint(BITS, length, signed)
    return quantization_error(form, before if signed else Rectified(before)).mse


def _quantized(grid: Grid, x: FloatArray) -> FloatArray:
    return np.asarray(grid.points[np.searchsorted(grid.thresholds, x)])


FINDINGS = (
    robustness,
    optimal_spreads,
    least_errors,
    signed_error,
    unsigned_error,
    equidistant,
    signed_constant,
    unsigned_constant,
    pact,
)
