"""Li et al. 2021, MQBench."""

import math

import numpy as np

from qerror.analysis import quantization_error
from qerror.densities import Gaussian, parse_density
from qerror.formats import Integer, as_scalar_format
from qerror.studies.finding import Check, Command, Finding, rounds_to, table
from qerror.studies.measures import BIT_DB, best, decibels, power_loss

_WIDTHS = (2, 3, 4, 8)
_RECTIFIED = "rectified(gaussian)"
_TENSORS = {
    "uniform": "uniform",
    "Gaussian within 5": "clipped(gaussian, low=-5, high=5)",
    "t(3) within 100": "clipped(student-t(nu=3), low=-100, high=100)",
}
_QUANTILE = 0.9999  # appendix C.1
_USEFUL_DB = 3.0  # half a bit: what a calibration for deployment may lose


def adaptive_sign() -> Finding:
    """Judge what a sign bit costs data without negative values."""
    gains = {
        bits: best(f"uint{bits}", _RECTIFIED).sqnr_db - best(f"int{bits}", _RECTIFIED).sqnr_db
        for bits in range(2, 9)
    }
    rows = [(str(bits), f"{gain:.2f}", f"{gain / BIT_DB:.3f}") for bits, gain in gains.items()]
    low, high = min(gains.values()), max(gains.values())
    return Finding(
        "Symmetric signed codes waste one bit on non-negative activations.",
        "appendix E, academic setup",
        f"worth {low:.2f} to {high:.2f} dB on a rectified Gaussian; one bit is {BIT_DB:.2f} dB",
        "Gain of unsigned over signed codes on a rectified Gaussian, each at its best range:\n\n"
        + table(("width", "gain dB", "gain in bits"), rows)
        + "\n\nUnsigned codes have twice as many levels from 0 up: one bit exactly. They halve the "
        "step, but then a wider range is best, which takes part of the bit back.",
        (
            Check(
                "at every width unsigned codes have twice as many levels from 0 up",
                all(2**bits == 2 * (Integer(bits).max_value + 1) for bits in gains),
            ),
            Check(
                "the gain rounds to one bit at every width",
                all(rounds_to(gain / BIT_DB, "1") for gain in gains.values()),
            ),
        ),
        (
            Command(
                "qerror optimize --formats int8,uint8 --dist 'rectified(gaussian)'",
                (f"{gains[8]:.2f}",),
            ),
        ),
        code=(
            "from qerror import optimal_scale\n"
            "def db(name): return optimal_scale(name, 'rectified(gaussian)').report.sqnr_db\n"
            "gains = [db(f'uint{bits}') - db(f'int{bits}') for bits in range(2, 9)]\n"
            "f'{min(gains):.2f} to {max(gains):.2f} dB'"
        ),
        beside=(
            Check(
                f"the SQNR gains a whole bit at every width ({low / BIT_DB:.3f} bits at the least)",
                low >= BIT_DB,
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
    widest = max(found, key=lambda key: found[key][0])
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
                f"qerror optimize int{widest[1]} --dist '{_TENSORS[widest[0]]}'", (f"{worst:.2f}",)
            ),
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
        + "\n\nIt is where training may start at few bits. At 8 bits it is no range to deploy. The "
        f"paper states no figure; {_USEFUL_DB:g} dB, half a bit, is our measure of what a "
        "calibration may lose.",
        (
            *(
                Check(
                    f"at {bits} bits it loses less than {_USEFUL_DB:g} dB ({losses[bits]:.2f} dB)",
                    losses[bits] < _USEFUL_DB,
                    losses[bits] / _USEFUL_DB - 1,
                )
                for bits in _WIDTHS
            ),
        ),
        (
            Command(
                f"qerror error int8 --dist gaussian --scale {scale:.9g}",
                (f"{best('int8', 'gaussian').sqnr_db - losses[8]:.5f}",),
            ),
        ),
        code=(
            "from math import pi, sqrt\n"
            "from qerror import Gaussian, Integer, optimal_scale, quantization_error\n"
            "def lsq(form): return 2 * sqrt(2 / pi) / sqrt(form.max_value)\n"
            "def at(form): return quantization_error(form, Gaussian(), lsq(form)).sqnr_db\n"
            "forms = Integer(2), Integer(8)\n"
            "best = {form: optimal_scale(form, Gaussian()).report.sqnr_db for form in forms}\n"
            "[round(best[form] - at(form), 2) for form in forms]"
        ),
    )


def power_of_two() -> Finding:
    """Judge the cost of a power-of-two scale."""
    losses = {bits: power_loss(f"int{bits}") for bits in (4, 8)}
    rows = [
        (str(bits), f"{loss.mean:.2f}", f"{loss.worst:.4f}", f"{loss.std:.6f}")
        for bits, loss in losses.items()
    ]
    spreads = {f"int{bits}": loss.std for bits, loss in losses.items()}
    return Finding(
        "Power-of-two scales, as TVM's, cost accuracy.",
        "appendix B.1, figure 8",
        f"up to {losses[4].worst:.4f} dB at 4 bits and {losses[8].worst:.4f} dB at 8 on a Gaussian",
        "Loss of the best power-of-two scale against the best real one, over the standard "
        "deviations of one octave:\n\n"
        + table(("width", "mean dB", "worst dB", "at std"), rows)
        + "\n\nThe paper sees it in training curves, together with per-tensor scales.",
        (
            Check("at 4 bits it costs 1 dB or more in the worst case", losses[4].worst >= 1),
            Check("at 8 bits it costs 1 dB or more in the worst case", losses[8].worst >= 1),
        ),
        tuple(
            Command(
                f"qerror optimize int{bits} --dist gaussian --std {loss.std:.9g}",
                (f"{loss.worst:.2f}",),
            )
            for bits, loss in losses.items()
        ),
        code=(
            "import numpy as np\n"
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            f"worst = {spreads!r}\n"
            "density = {name: Gaussian(std=worst[name]) for name in worst}\n"
            "best = {name: optimal_scale(name, density[name]).report.sqnr_db for name in worst}\n"
            "powers = 2.0 ** np.arange(-20, 20)\n"
            "db = {name: quantization_error(name, density[name], powers).sqnr_db.max() "
            "for name in worst}\n"
            "{name: f'{best[name] - db[name]:.4f} dB' for name in worst}"
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
        code=(
            "from qerror import optimal_scale\n"
            "best = optimal_scale('int8', 'gaussian').report\n"
            "f'{best.clipping / best.mse:.1%}'"
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
