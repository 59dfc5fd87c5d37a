"""Kuzmin et al. 2022: what they claim of the largest value and the bias."""

import math
from itertools import pairwise

import numpy as np
from scipy import special

from qerror.analysis import quantization_error
from qerror.densities import Gaussian
from qerror.formats import FloatingPoint, as_scalar_format
from qerror.studies.eight_bits import FLOATS
from qerror.studies.finding import Check, Command, Finding, rounds_to, table
from qerror.studies.measures import best, decibels, exponent_bits, optimum, power_loss

_GAUSSIAN = "gaussian"


def toy_optimum() -> Finding:
    """Judge the line search of the toy experiment."""
    five, six = optimum("5M2E", _GAUSSIAN), optimum("6M1E", _GAUSSIAN)
    rows = [
        (f"{7 - bits}", name, f"{optimum(name, _GAUSSIAN).max_value:.6f}", _db(name))
        for bits, name in ((bits, f"{7 - bits}M{bits}E") for bits in range(1, 7))
    ]
    return Finding(
        "On N(0, 1) the least MSE is at 5 mantissa bits and a largest value c of 4.35; 6 mantissa "
        "bits give a uniform quantizer, whose MSE is larger.",
        "section 4.3, figure 5",
        f"5M2E at c = {five.max_value:.6f}",
        table(("mantissa bits", "format", "best c", "SQNR dB"), rows)
        + f"\n\n5M2E at its best c has an MSE of {five.report.mse:.6e}, and 6M1E, a uniform grid, "
        f"{six.report.mse:.6e}.",
        (
            Check(
                "5 mantissa bits have the least MSE of 1 to 6",
                min((f"{7 - e}M{e}E" for e in range(1, 7)), key=_mse) == "5M2E",
            ),
            Check("the best c rounds to 4.35", rounds_to(five.max_value, "4.35")),
            Check("6 mantissa bits have a larger MSE", six.report.mse > five.report.mse),
        ),
        (Command("qerror optimize 5M2E --dist gaussian", (f"{five.max_value:.6f}",)),),
    )


def toy_learning() -> Finding:
    """Judge whether the straight-through gradient vanishes at the optimum."""
    from scipy.optimize import brentq

    form, exact = as_scalar_format("5M2E"), optimum("5M2E", _GAUSSIAN)
    stalled = float(brentq(_straight_through, 3.5, 4.5, xtol=1e-12))
    report = quantization_error(form, Gaussian(), form.scale_for(stalled))
    loss = exact.report.sqnr_db - report.sqnr_db
    away = abs(stalled / 4.35 - 1)
    return Finding(
        "Gradient descent with the straight-through gradient finds that c = 4.35.",
        "section 4.3 and appendix H",
        f"its expected gradient vanishes at c = {stalled:.4f}, {decibels(loss)} below the best",
        f"""\
With 5 mantissa bits, the expected straight-through gradient of the MSE is 2/c times the rounding
error minus 2 E[(|x| - c) 1(|x| > c)]. It is zero at c = {stalled:.6f}. There the SQNR is
{decibels(report.sqnr_db)}, {decibels(loss)} below that of the best c = {exact.max_value:.6f}. The
true derivative of the MSE, (2/c) E[Q e], is zero at the best c.""",
        (
            Check(
                f"descent ends where c rounds to 4.35 (off by {away:.1%})",
                rounds_to(stalled, "4.35"),
                away,
            ),
        ),
        (
            Command(
                f"qerror error 5M2E --dist gaussian --max-value {stalled:.6f}",
                (f"{report.sqnr_db:.4f}",),
            ),
            Command("qerror optimize 5M2E --dist gaussian", (f"{exact.report.sqnr_db:.4f}",)),
        ),
        code=(
            "from scipy.integrate import quad\n"
            "from scipy.optimize import brentq\n"
            "from qerror import Gaussian, parse_format, quantization_error\n"
            "form, density = parse_format('5M2E'), Gaussian()\n"
            "def beyond(c): return 2 * quad(lambda x: (x - c) * density.pdf(x).item(), c, 9)[0]\n"
            "def slope(c): return quantization_error(form, density, form.scale_for(c)).rounding / "
            "c - beyond(c)\n"
            "f'{brentq(slope, 3.5, 4.5):.4f}'"
        ),
    )


def maxima() -> Finding:
    """Judge the formula of the largest value, after equation 8."""
    rows: list[tuple[str, str, str]] = []
    equal = True
    for name in FLOATS:
        form = as_scalar_format(name)
        assert isinstance(form, FloatingPoint)
        largest = (2 - 2.0**-form.mantissa_bits) * 2.0 ** (2**form.exponent_bits - form.bias - 1)
        equal = equal and largest == form.max_value
        rows.append((name, f"{form.bias:g}", f"{form.max_value:g}"))
    return Finding(
        "The largest value of a format is c = (2 - 2^-m) 2^(2^e - b - 1), so 240 for 3M4E with "
        "bias 8.",
        "section 4, after equation 8, and section 4.3",
        ", ".join(f"{name} {largest}" for name, _, largest in rows),
        table(("format", "bias", "largest level"), rows)
        + "\n\nThe grids are enumerated from their codes; the formula gives their last levels "
        "exactly.",
        (
            Check("the formula equals the last level of all four grids", equal),
            Check("3M4E ends at 240", rows[2][2] == "240"),
        ),
        (Command("qerror show 3M4E", (rows[2][2],)),),
    )


def fixed_bias() -> Finding:
    """Judge what the format's own bias loses, figure 2 on the right."""
    spreads = (1 / 64, 1.0, 64.0)
    losses = {
        name: [_at_own_bias(name, std, best(name, _GAUSSIAN).sqnr_db) for std in spreads]
        for name in FLOATS
    }
    worst = {name: max(values) for name, values in losses.items()}
    rows = [(name, *(f"{value:.2f}" for value in losses[name])) for name in FLOATS]
    return Finding(
        "The fixed bias 2^(e-1) can fail: too much is clipped, or too few levels are used.",
        "section 3, figure 2",
        f"5M2E loses {decibels(worst['5M2E'])} on a Gaussian of std {spreads[-1]:g}",
        "Loss of the fixed bias against the best real one on a Gaussian, in dB:\n\n"
        + table(("format", *(f"std {std:g}" for std in spreads)), rows)
        + "\n\nA large std is clipped, a small one falls among the subnormals. With 5 exponent "
        "bits the range is wide enough for all three.",
        (
            Check("some format loses 20 dB or more where values are clipped", worst["5M2E"] >= 20),
            Check("some format loses 20 dB or more among small values", losses["5M2E"][0] >= 20),
        ),
        code=(
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            "best = optimal_scale('5M2E', Gaussian()).report.sqnr_db\n"
            "loss = best - quantization_error('5M2E', Gaussian(std=64)).sqnr_db\n"
            "f'{loss:.2f} dB'"
        ),
    )


def integer_bias() -> Finding:
    """Judge integer biases against real ones, figure 2 on the right."""
    losses = {name: power_loss(name) for name in FLOATS}
    rows = [
        (name, f"{loss.mean:.4f}", f"{loss.worst:.4f}", f"{loss.std:.6f}")
        for name, loss in losses.items()
    ]
    worst = losses["5M2E"]
    return Finding(
        "An integer bias does worse than a real one.",
        "section 3, figure 2",
        f"5M2E loses up to {worst.worst:.4f} dB on a Gaussian",
        "Loss of the best integer bias against the best real one in dB, over the standard "
        "deviations of one octave (others repeat it):\n\n"
        + table(("format", "mean", "worst", "at std"), rows)
        + "\n\nThe worst case is solved: there two integers are equally bad.",
        (
            Check(
                "every format loses on average",
                all(loss.mean > 0 for loss in losses.values()),
            ),
        ),
        (
            Command(
                f"qerror optimize 5M2E --dist gaussian --std {worst.std:.9g}",
                (f"{worst.worst:.2f}",),
            ),
        ),
        code=(
            "import numpy as np\n"
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            f"density = Gaussian(std={worst.std!r})\n"
            "best = optimal_scale('5M2E', density).report.sqnr_db\n"
            "powers = quantization_error('5M2E', density, 2.0 ** np.arange(-40, 20)).sqnr_db\n"
            "f'{best - powers.max():.4f} dB'"
        ),
    )


def fixed_bias_by_exponent_bits() -> Finding:
    """Judge how a bias that is not chosen matters less with more exponent bits."""
    own = {name: _octaves_at_own_bias(name) for name in FLOATS}
    rows = [(name, str(exponent_bits(name)), f"{own[name]:.2f}") for name in FLOATS]
    first, last = FLOATS[0], FLOATS[-1]
    return Finding(
        "A bias that is not chosen for the data matters less for formats with many exponent bits, "
        "which have a large dynamic range.",
        "section 3",
        f"the fixed bias costs {first} up to {decibels(own[first])} and {last} "
        f"{decibels(own[last])} from std 1/64 to 64",
        "Loss of the fixed bias against the best real one on a Gaussian, the worst of the standard "
        "deviations 2^-6, 2^-5, ..., 2^6:\n\n"
        + table(("format", "exponent bits", "worst loss dB"), rows),
        (
            Check(
                "each further exponent bit lowers the worst loss of the fixed bias",
                all(own[b] < own[a] for a, b in pairwise(FLOATS)),
            ),
        ),
        code=(
            "import numpy as np\n"
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            "def at(name): return quantization_error(name, Gaussian(), 2.0 ** np.arange(-6, 7))\n"
            "def best(name): return optimal_scale(name, Gaussian()).report.sqnr_db\n"
            f"[round(best(f) - at(f).sqnr_db.min().item(), 2) for f in {FLOATS!r}]"
        ),
    )


def integer_bias_by_exponent_bits() -> Finding:
    """Judge how rounding the bias matters less with more exponent bits."""
    worst = {name: power_loss(name).worst for name in FLOATS}
    shown = ", ".join(f"{name} {worst[name]:.4f}" for name in FLOATS)
    rises = [(b, worst[b] / worst[a] - 1) for a, b in pairwise(FLOATS) if worst[b] > worst[a]]
    said = " and ".join(f"with {name} by {rise:.1%}" for name, rise in rises)
    spreads = {name: power_loss(name).std for name in FLOATS}
    return Finding(
        "Rounding the bias to an integer, too, matters less the more exponent bits there are.",
        "section 3",
        f"it costs {shown} dB",
        "The worst loss by an integer bias on a Gaussian falls at the third exponent bit. From "
        "there on it is small and rises again: the range then spans the density, and what is left "
        "is the position of the binades, which every format has, and which matters more the fewer "
        "mantissa bits there are.",
        (
            Check("2 exponent bits lose most", max(worst.values()) == worst[FLOATS[0]]),
            Check(
                f"each further exponent bit lowers the worst loss (it rises {said})",
                not rises,
                max((rise for _, rise in rises), default=None),
            ),
        ),
        code=(
            "import numpy as np\n"
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            "def db(f, s): return quantization_error(f, Gaussian(std=s), 2.0 ** np.arange(-40, "
            "20)).sqnr_db.max().item()\n"
            f"worst = {spreads!r}\n"
            "best = {f: optimal_scale(f, Gaussian()).report.sqnr_db for f in worst}\n"
            "{f: round(best[f] - db(f, worst[f]), 4) for f in best}"
        ),
    )


def _straight_through(c: float) -> float:
    """Return half the expected straight-through gradient in c of 5M2E on N(0, 1)."""
    form = as_scalar_format("5M2E")
    tail = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi) - c * float(special.ndtr(-c))
    return quantization_error(form, Gaussian(), form.scale_for(c)).rounding / c - 2 * tail


def _octaves_at_own_bias(name: str) -> float:
    """Return the worst loss of the fixed bias over standard deviations of -6 to 6 octaves."""
    report = quantization_error(as_scalar_format(name), Gaussian(), np.exp2(np.arange(-6.0, 7.0)))
    return best(name, _GAUSSIAN).sqnr_db - float(report.sqnr_db.min())


def _at_own_bias(name: str, std: float, best_db: float) -> float:
    return best_db - quantization_error(name, Gaussian(std=std)).sqnr_db


def _db(name: str, density: str = _GAUSSIAN) -> str:
    return f"{best(name, density).sqnr_db:.2f}"


def _mse(name: str) -> float:
    return best(name, _GAUSSIAN).mse
