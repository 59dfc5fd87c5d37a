"""Kuzmin et al. 2022, FP8 Quantization: The Power of the Exponent."""

import math
from functools import cache
from itertools import pairwise

import numpy as np
from scipy import special

from docs.claims._finding import Check, Command, Finding, rounds_to, table
from docs.claims._measures import (
    EIGHT_BITS,
    FLOATS,
    best,
    decibels,
    exponent_bits,
    lead,
    optimum,
    ranked,
)
from qerror import (
    Gaussian,
    StudentT,
    parse_density,
    quantization_error,
    scalar_product_error,
)
from qerror.crosscheck import cross_check
from qerror.formats import FloatingPoint, as_scalar_format
from qerror.optimize import format_switches

_GAUSSIAN = "gaussian"
_LISTED = ",".join(EIGHT_BITS)
_ONE_OCTAVE = 2.0 ** np.linspace(0, 1, 101)  # the standard deviations that differ
_POWERS = 2.0 ** np.arange(-40.0, 20.0)


def uniform() -> Finding:
    """Judge the first panel of figure 3."""
    first, second = ranked("uniform")[:2]
    return Finding(
        "On a uniform density INT8 is best.",
        "section 3, figure 3",
        f"{first} leads by {decibels(lead('uniform'))}",
        _ranking("uniform")
        + f"\n\n{first} leads {second} by {decibels(lead('uniform'))}: equal steps suit equal "
        "probabilities.",
        (Check("INT8 has the largest SQNR of the five formats", first == "INT8"),),
        (
            Command(
                f"qerror optimize --formats {_LISTED} --dist uniform",
                (f"{best(first, 'uniform').sqnr_db:.2f}", f"{lead('uniform'):.2f}"),
            ),
        ),
    )


def gaussian() -> Finding:
    """Judge the second panel of figure 3."""
    first, second = ranked(_GAUSSIAN)[:2]
    return Finding(
        "On a Gaussian the format with 2 exponent bits is best.",
        "section 3, figure 3",
        f"{first} leads by {decibels(lead(_GAUSSIAN))}",
        _ranking(_GAUSSIAN)
        + f"\n\n{first} leads {second} by {decibels(lead(_GAUSSIAN))}, at any standard deviation, "
        "since the range is free. The command ranks every split of the eight bits.",
        (Check("5M2E has the largest SQNR of the five formats", first == "5M2E"),),
        (
            Command(
                "qerror optimize --bits 8 --dist gaussian",
                (f"{best(first, _GAUSSIAN).sqnr_db:.2f}", f"{lead(_GAUSSIAN):.2f}"),
            ),
        ),
    )


def tails() -> Finding:
    """Judge how the best format moves with nu in figure 3."""
    found = format_switches(list(EIGHT_BITS), StudentT(nu=3), "nu", 2.1, 100.0)
    bits = [exponent_bits(form.name) for form in found.winners]
    edges = [found.low, *(switch.value for switch in found.switches), found.high]
    rows = [
        (form.name, f"{low:.6g}", f"{high:.6g}")
        for form, (low, high) in zip(found.winners, pairwise(edges), strict=True)
    ]
    switches = ", ".join(f"{switch.value:.4f}" for switch in found.switches)
    return Finding(
        "The heavier the tails of a Student-t density, the more exponent bits are best.",
        "section 3, figure 3",
        f"the best format changes at nu = {switches}",
        table(("best format", "from nu", "to nu"), rows)
        + "\n\nTwo neighbours are equally good exactly at the edges. The more nu falls, the "
        "heavier the tails.",
        (
            Check("the exponent bits of the best format never fall as nu falls", _falls(bits)),
            Check("all four floating-point formats have their turn", sorted(bits) == [2, 3, 4, 5]),
        ),
        (
            Command(
                f"qerror optimize --formats {_LISTED} --dist student-t --over nu=2.1:100",
                tuple(f"{switch.value:.4f}" for switch in found.switches),
            ),
        ),
    )


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
    away = 1 - stalled / exact.max_value
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
            Check("descent ends within a tenth of the best c", abs(away) <= 0.1),
            Check("descent ends where c rounds to 4.35", rounds_to(stalled, "4.35")),
        ),
        (
            Command(
                f"qerror error 5M2E --dist gaussian --max-value {stalled:.6f}",
                (f"{report.sqnr_db:.4f}",),
            ),
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
        (
            Command(
                "qerror sweep --dist gaussian --std 64 --formats 5M2E,4M3E,3M4E,2M5E "
                "--over scale=1",
                (f"{best('5M2E', _GAUSSIAN).sqnr_db - losses['5M2E'][-1]:.2f}",),
            ),
        ),
    )


def integer_bias() -> Finding:
    """Judge integer biases against real ones, figure 2 on the right."""
    losses = {name: _integer_losses(name) for name in FLOATS}
    rows = [(name, f"{losses[name].mean():.4f}", f"{losses[name].max():.4f}") for name in FLOATS]
    at_one = best("5M2E", _GAUSSIAN).sqnr_db - _best_power("5M2E", 1.0)
    return Finding(
        "An integer bias does worse than a real one.",
        "section 3, figure 2",
        f"5M2E loses up to {decibels(float(losses['5M2E'].max()))} on a Gaussian",
        "Loss of the best integer bias against the best real one in dB, over the standard "
        "deviations of one octave (others repeat it):\n\n"
        + table(("format", "mean", "worst"), rows)
        + f"\n\nAt std 1 it is {decibels(at_one)} for 5M2E.",
        (
            Check(
                "every format loses on average",
                all(float(values.mean()) > 0 for values in losses.values()),
            ),
            Check(
                "no format ever gains",
                all(float(values.min()) > -1e-9 for values in losses.values()),
            ),
        ),
        (Command("qerror optimize 5M2E --dist gaussian", (f"{at_one:.2f}",)),),
    )


def bias_by_exponent_bits() -> Finding:
    """Judge how the choice of bias matters less with more exponent bits."""
    worst = {name: float(_integer_losses(name).max()) for name in FLOATS}
    values = list(worst.values())
    small = ", ".join(f"{name} {decibels(worst[name])}" for name in FLOATS[1:])
    return Finding(
        "The more exponent bits, the less the bias matters.",
        "section 3",
        f"rounding the bias costs 5M2E up to {decibels(worst['5M2E'])}, {small}",
        f"The worst loss by an integer bias on a Gaussian falls from {decibels(values[0])} at 2 "
        f"exponent bits to {decibels(values[1])} at 3. From there on it is small and no longer "
        f"falls: {small}. The range then spans the density, and what is left is the position of "
        "the binades, which every format has.",
        (
            Check("2 exponent bits lose most", max(values) == values[0]),
            Check("each further exponent bit lowers the loss", sorted(values)[::-1] == values),
        ),
        code=(
            "import numpy as np\n"
            "from qerror import Gaussian, optimal_scale, quantization_error\n"
            "def db(f, s): return quantization_error(f, Gaussian(std=s), 2.0 ** np.arange(-40.0, "
            "20)).sqnr_db.max().item()\n"
            "best = {f: optimal_scale(f, Gaussian()).report.sqnr_db for f in ('5M2E', '4M3E', "
            "'2M5E')}\n"
            "{f: round(max(best[f] - db(f, s) for s in 2 ** np.linspace(0, 1, 101)), 2) "
            "for f in best}"
        ),
    )


def two_terms() -> Finding:
    """Judge which terms of the scalar product's error matter."""
    shares: dict[tuple[str, str], float] = {}
    for w in EIGHT_BITS:
        for x in EIGHT_BITS:
            found = scalar_product_error(best(w, _GAUSSIAN), best(x, _GAUSSIAN))
            shares[w, x] = (found.weight_error + found.activation_error) / found.mse
    low, high = min(shares.values()), max(shares.values())
    return Finding(
        "Of the error of a product, the first two terms, each factor's error times the other's "
        "power, decide.",
        "appendix A.2, after equation 19",
        f"they make up {low:.4%} to {high:.4%} of it",
        f"""\
For all {len(shares)} pairs of the five formats on Gaussians, each at its best range, the two terms
are between {low:.5%} and {high:.5%} of the MSE. At the best ranges E[x e] = -E[e^2], so the other
four add up to minus the product of the two errors.""",
        (
            Check(
                "the two terms differ from the MSE by less than 1% for every pair",
                max(abs(share - 1) for share in shares.values()) < 0.01,
            ),
        ),
        code=(
            "from qerror import Gaussian, optimal_scale, scalar_product_error\n"
            "side = optimal_scale('2M5E', Gaussian()).report\n"
            "product = scalar_product_error(side, side)\n"
            "round((product.weight_error + product.activation_error) / product.mse, 6)"
        ),
    )


def best_pair() -> Finding:
    """Judge figure 7: the best formats of the two factors."""
    pairs = {
        (w, x): scalar_product_error(best(w, _GAUSSIAN), best(x, _GAUSSIAN)).sqnr_db
        for w in EIGHT_BITS
        for x in EIGHT_BITS
    }
    order = sorted(pairs, key=lambda pair: pairs[pair], reverse=True)
    rows = [(w, *(f"{pairs[w, x]:.2f}" for x in EIGHT_BITS)) for w in EIGHT_BITS]
    ahead = pairs[order[0]] - pairs[order[1]]
    return Finding(
        "For a scalar product of two Gaussian factors 5M2E is the best format on both sides.",
        "appendix B, figure 7",
        f"{order[0][0]} x {order[0][1]}: {decibels(pairs[order[0]])}, {decibels(ahead)} ahead",
        "SQNR of the product in dB, weights down and activations across, each at its best range. "
        "Neither the standard deviations nor the length matter, because the factors have mean 0:"
        "\n\n"
        + table(("weight", *EIGHT_BITS), rows)
        + f"\n\nThe next pair, {order[1][0]} x {order[1][1]}, is {decibels(ahead)} below.",
        (Check("5M2E x 5M2E has the largest SQNR of 25 pairs", order[0] == ("5M2E", "5M2E")),),
        code=(
            "from qerror import Gaussian, optimal_scale, scalar_product_error\n"
            "side = {f: optimal_scale(f, Gaussian()).report for f in ('int8', '5M2E', '4M3E')}\n"
            "{(w, x): round(scalar_product_error(side[w], side[x]).sqnr_db, 2) "
            "for w in side for x in side}"
        ),
    )


def sampled() -> Finding:
    """Judge figure 8: the analysis against samples."""
    worst: dict[str, float] = {}
    for i, name in enumerate(EIGHT_BITS):
        scale = optimum(name, _GAUSSIAN).scale
        checked = cross_check(
            name, _GAUSSIAN, scale=scale, size=200_000, rng=np.random.default_rng(i)
        )
        worst[name] = checked.worst
    return Finding(
        "The analytic error agrees with the error of samples.",
        "appendix B.2, figure 8",
        f"at most {max(worst.values()):.1f} standard errors apart",
        "The largest distance between an exact and a sampled figure (MSE, its parts, mean error, "
        "cross moment), in standard errors of 200,000 samples of a Gaussian: "
        + ", ".join(f"{name} {value:.1f}" for name, value in worst.items())
        + ". The simulator shares no code with the analysis.",
        (
            Check(
                "no figure of the five formats is 5 standard errors off",
                max(worst.values()) <= 5,
            ),
        ),
        code=(
            "import numpy as np\n"
            "from qerror.crosscheck import cross_check\n"
            "cross_check('5M2E', 'gaussian', size=200_000, rng=np.random.default_rng(0)).passed"
        ),
    )


def same_optimum() -> Finding:
    """Judge SQNR as a stand-in for the MSE, and -10 log10 MSE as one for the SQNR."""
    densities = ("uniform", _GAUSSIAN, "student-t(nu=3)")
    powers = {text: parse_density(text).second_moment for text in densities}
    offsets = {text: 10 * math.log10(power) for text, power in powers.items()}
    rows = [
        (text, f"{-10 * math.log10(best('INT8', text).mse):.2f}", _db("INT8", text), f"{off:+.2f}")
        for text, off in offsets.items()
    ]
    scales = np.geomspace(1e-3, 1, 400)
    agree = all(
        int(np.argmin(report.mse)) == int(np.argmax(report.sqnr_db))
        for report in (quantization_error("5M2E", text, scales) for text in densities)
    )
    return Finding(
        "SQNR in dB can stand for the MSE: what minimises the one maximises the other.",
        "appendix B.2",
        f"true for one density; between densities they shift by {max(offsets.values()):.2f} dB",
        "INT8 at its best range:\n\n"
        + table(("density", "-10 log10 MSE", "SQNR dB", "difference"), rows)
        + "\n\nFor one density the two differ by a constant, 10 log10 E[x^2]. The paper's public "
        "code prints the first, which is the SQNR for E[x^2] = 1 alone.",
        (
            Check("on one density both have their optimum at the same scale", agree),
            Check(
                "-10 log10 MSE is the SQNR on every density of figure 3",
                all(abs(offset) < 1e-12 for offset in offsets.values()),
            ),
        ),
        (
            Command(
                "qerror optimize int8 --dist uniform", (f"{best('INT8', 'uniform').sqnr_db:.2f}",)
            ),
        ),
    )


def growing_range() -> Finding:
    """Judge figure 10: min-max ranges that grow."""
    found = format_switches(list(EIGHT_BITS), StudentT(nu=8), "range", 2.0, 1e5)
    bits = [exponent_bits(form.name) for form in found.winners]
    at = [f"{switch.value:.4f}" for switch in found.switches]
    rows = [
        (switch.below.name, switch.above.name, value)
        for switch, value in zip(found.switches, at, strict=True)
    ]
    return Finding(
        "With min-max ranges on a Student-t density clipped at the range, the best number of "
        "exponent bits climbs from 0 (INT8) to 5 as the range grows.",
        "appendix D, figure 10",
        "it climbs at ranges " + ", ".join(at),
        "Student-t with nu = 8, clipped at r, and every format's largest value at r:\n\n"
        + table(("from", "to", "at r"), rows)
        + "\n\nOther nu move the switches, not their order.",
        (
            Check("the exponent bits of the best format never fall", _falls(bits[::-1])),
            Check("they start at 0 and end at 5", (bits[0], bits[-1]) == (0, 5)),
        ),
        (
            Command(
                f"qerror optimize --formats {_LISTED} --dist student-t --nu 8 --over range=2:1e5",
                tuple(at),
            ),
        ),
    )


def _ranking(density: str) -> str:
    rows = [(name, _db(name, density)) for name in ranked(density)]
    return table(("format at its best range", "SQNR dB"), rows)


def _db(name: str, density: str = _GAUSSIAN) -> str:
    return f"{best(name, density).sqnr_db:.2f}"


def _mse(name: str) -> float:
    return best(name, _GAUSSIAN).mse


def _falls(values: list[int]) -> bool:
    """Return whether values never rise."""
    return all(a >= b for a, b in pairwise(values))


def _straight_through(c: float) -> float:
    """Return half the expected straight-through gradient in c of 5M2E on N(0, 1)."""
    form = as_scalar_format("5M2E")
    tail = math.exp(-0.5 * c * c) / math.sqrt(2 * math.pi) - c * float(special.ndtr(-c))
    return quantization_error(form, Gaussian(), form.scale_for(c)).rounding / c - 2 * tail


def _at_own_bias(name: str, std: float, best_db: float) -> float:
    return best_db - quantization_error(name, Gaussian(std=std)).sqnr_db


def _best_power(name: str, std: float) -> float:
    """Return the SQNR at the best integer bias."""
    return float(quantization_error(name, Gaussian(std=std), _POWERS).sqnr_db.max())


@cache
def _integer_losses(name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return what the best integer bias loses, by the standard deviation in one octave."""
    exact = best(name, _GAUSSIAN).sqnr_db
    return np.array([exact - _best_power(name, float(std)) for std in _ONE_OCTAVE])


FINDINGS = (
    uniform,
    gaussian,
    tails,
    toy_optimum,
    toy_learning,
    maxima,
    fixed_bias,
    integer_bias,
    bias_by_exponent_bits,
    two_terms,
    best_pair,
    sampled,
    same_optimum,
    growing_range,
)
