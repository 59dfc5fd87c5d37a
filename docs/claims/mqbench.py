"""Li et al. 2021, MQBench."""

import math

import numpy as np

from docs.claims._finding import Check, Command, Finding, table
from docs.claims._measures import BIT_DB, best, decibels
from qerror import Gaussian, Integer, parse_density, quantization_error
from qerror.formats import as_scalar_format

_WIDTHS = (2, 3, 4, 8)
_RECTIFIED = "rectified(gaussian)"
_TENSORS = {
    "uniform": "uniform",
    "Gaussian within 5": "clipped(gaussian, low=-5, high=5)",
    "t(3) within 100": "clipped(student-t(nu=3), low=-100, high=100)",
}
_QUANTILE = 0.9999  # appendix C.1


def adaptive_sign() -> Finding:
    """Judge what a sign bit costs data without negative values."""
    gains = {
        bits: best(f"uint{bits}", _RECTIFIED).sqnr_db - best(f"int{bits}", _RECTIFIED).sqnr_db
        for bits in range(2, 9)
    }
    rows = [(str(bits), f"{gain:.2f}", f"{gain / BIT_DB:.3f}") for bits, gain in gains.items()]
    low, high = min(gains.values()), max(gains.values())
    return Finding(
        "Symmetric signed codes waste one bit on non-negative activations; adaptive sign gives it "
        "back.",
        "appendix E, academic setup",
        f"worth {low:.2f} to {high:.2f} dB on a rectified Gaussian; one bit is {BIT_DB:.2f} dB",
        "Gain of unsigned over signed codes on a rectified Gaussian, each at its best range:\n\n"
        + table(("width", "gain dB", "gain in bits"), rows)
        + "\n\nTwice as many levels halve the step, but then a wider range is best, which takes "
        "part of the bit back.",
        (
            Check("unsigned codes are better at every width", low > 0),
            Check("they gain a whole bit at every width", low >= BIT_DB),
        ),
        (
            Command(
                "qerror optimize --formats int8,uint8 --dist 'rectified(gaussian)'",
                (f"{gains[8]:.2f}",),
            ),
        ),
    )


def calibrations() -> Finding:
    """Judge MSE ranges against min-max and quantiles."""
    found = {
        (label, bits): _losses(bits, text) for label, text in _TENSORS.items() for bits in (4, 8)
    }
    rows = [
        (label, f"INT{bits}", *(f"{loss:.2f}" for loss in losses))
        for (label, bits), losses in found.items()
    ]
    worst = max(losses[0] for losses in found.values())
    shown = found["t(3) within 100", 8]
    return Finding(
        "Searching the range by MSE is better than taking the maximum or a quantile.",
        "appendix C.1 and C.2",
        f"min-max loses up to {decibels(worst)}, on a uniform density "
        f"{decibels(found['uniform', 8][0])} at 8 bits",
        f"Loss against the best range in dB; the quantile is {_QUANTILE:g}:\n\n"
        + table(("density", "format", "min-max", "quantile"), rows)
        + "\n\nThis is the error of the tensor. That none of them always gives the best network, "
        "as the paper finds, is no contradiction.",
        (
            Check(
                "the best range loses to neither in any case",
                all(min(losses) >= 0 for losses in found.values()),
            ),
            Check("min-max loses 3 dB or more on a tensor with outliers", shown[0] >= 3),
        ),
        (
            Command(
                "qerror optimize int8 --dist 'clipped(student-t(nu=3), low=-100, high=100)'",
                tuple(f"{loss:.2f}" for loss in shown),
            ),
        ),
    )


def norm() -> Finding:
    """Judge LSQ's starting scale as a calibration."""
    density = Gaussian()
    mean_size = math.sqrt(2 / math.pi)
    losses: dict[int, float] = {}
    rows: list[tuple[str, ...]] = []
    for bits in _WIDTHS:
        form = Integer(bits)
        report = quantization_error(form, density, 2 * mean_size / math.sqrt(form.max_value))
        least = best(f"int{bits}", "gaussian")
        losses[bits] = least.sqnr_db - report.sqnr_db
        rows.append((str(bits), f"{losses[bits]:.2f}", f"{report.mse / least.mse:.2f}"))
    eight = Integer(8)
    scale = 2 * mean_size / math.sqrt(eight.max_value)
    return Finding(
        "The norm of the data, LSQ's first scale 2 mean(abs(x)) / sqrt(p), serves as a "
        "calibration for post-training quantization.",
        "appendix C.1 and F",
        f"on a Gaussian it loses {decibels(losses[2])} at 2 bits, {decibels(losses[8])} at 8",
        "Loss against the best scale on a Gaussian:\n\n"
        + table(("width", "loss dB", "times the least MSE"), rows)
        + "\n\nIt is where training may start at few bits. At 8 bits it is no range to deploy.",
        (
            *(
                Check(f"at {bits} bits it loses less than 3 dB", losses[bits] < 3)
                for bits in _WIDTHS
            ),
        ),
        (
            Command(
                f"qerror error int8 --dist gaussian --scale {scale:.9g}",
                (f"{best('int8', 'gaussian').sqnr_db - losses[8]:.5f}",),
            ),
        ),
    )


def power_of_two() -> Finding:
    """Judge the cost of a power-of-two scale."""
    spreads = 2.0 ** np.linspace(0, 1, 201)
    powers = 2.0 ** np.arange(-12.0, 6.0)
    rows: list[tuple[str, ...]] = []
    losses: dict[int, float] = {}
    for bits in (4, 8):
        exact = best(f"int{bits}", "gaussian").sqnr_db
        lost = [
            exact - float(quantization_error(Integer(bits), Gaussian(std=s), powers).sqnr_db.max())
            for s in spreads.tolist()
        ]
        losses[bits] = max(lost)
        rows.append((str(bits), f"{np.mean(lost):.2f}", f"{losses[bits]:.2f}"))
    std = 1.2
    found = quantization_error(Integer(8), Gaussian(std=std), powers).sqnr_db
    at = best("int8", "gaussian").sqnr_db - float(found.max())
    return Finding(
        "Power-of-two scales, as TVM's, cost accuracy.",
        "appendix B.1, figure 8",
        f"up to {decibels(losses[4])} at 4 bits and {decibels(losses[8])} at 8 on a Gaussian",
        "Loss of the best power-of-two scale against the best real one, over the standard "
        "deviations of one octave:\n\n"
        + table(("width", "mean dB", "worst dB"), rows)
        + "\n\nThe paper sees it in training curves, together with per-tensor scales.",
        (
            Check("at 4 bits it costs 1 dB or more in the worst case", losses[4] >= 1),
            Check("at 8 bits it costs 1 dB or more in the worst case", losses[8] >= 1),
        ),
        (
            Command(
                f"qerror optimize int8 --dist gaussian --std {std}",
                (f"{at:.2f}",),
            ),
        ),
    )


def both_errors() -> Finding:
    """Judge that the range trades rounding against clipping."""
    form, density = as_scalar_format("int8"), parse_density("gaussian")
    ranges = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    report = quantization_error(form, density, [form.scale_for(c) for c in ranges])
    rows = [
        (f"{c:g}", f"{a:.3e}", f"{b:.3e}")
        for c, a, b in zip(ranges, report.rounding, report.clipping, strict=True)
    ]
    least = best("int8", "gaussian")
    share = least.clipping / least.mse
    return Finding(
        "The range must be large enough against clipping and small enough against rounding.",
        "appendix B.2",
        f"at the best range of INT8 on a Gaussian clipping is {share:.1%} of the MSE",
        "INT8 on a Gaussian of std 1:\n\n"
        + table(("largest value", "rounding error", "clipping error"), rows)
        + f"\n\nAt the best range clipping is {share:.2%} of the MSE: the optimum is not where "
        "the two are equal.",
        (
            Check(
                "the clipping error falls with the range",
                bool((np.diff(report.clipping) < 0).all()),
            ),
            Check("the rounding error grows with it", bool((np.diff(report.rounding) > 0).all())),
        ),
        (
            Command(
                "qerror error int8 --dist gaussian --max-value 4",
                tuple(f"{x[3]:.3e}" for x in (report.rounding, report.clipping)),
            ),
        ),
    )


def _losses(bits: int, text: str) -> tuple[float, float]:
    """Return what the density's own limits and the quantile lose against the best range."""
    form, density = Integer(bits), parse_density(text)
    limits = max(density.support), float(density.ppf(_QUANTILE))
    found = quantization_error(form, density, [form.scale_for(limit) for limit in limits])
    least = best(f"int{bits}", text).sqnr_db
    return least - float(found.sqnr_db[0]), least - float(found.sqnr_db[1])


FINDINGS = (adaptive_sign, both_errors, calibrations, norm, power_of_two)
