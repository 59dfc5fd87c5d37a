"""Kuzmin et al. 2022: what they claim of formats and their products."""

import math
from itertools import pairwise

import numpy as np

from qerror.analysis import quantization_error, scalar_product_error
from qerror.crosscheck import cross_check
from qerror.densities import StudentT, parse_density
from qerror.optimize import format_switches
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.finding import Check, Command, Finding, table
from qerror.studies.measures import best, decibels, exponent_bits, lead, optimum, ranked

_GAUSSIAN = "gaussian"
_LISTED = ",".join(EIGHT_BITS)


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
            "names = 'int8', '5M2E', '4M3E', '3M4E', '2M5E'\n"
            "side = [optimal_scale(name, Gaussian()).report for name in names]\n"
            "found = [scalar_product_error(w, x) for w in side for x in side]\n"
            "shares = [(each.weight_error + each.activation_error) / each.mse for each in found]\n"
            "f'{min(shares):.4%} to {max(shares):.4%}'"
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
            "from qerror import optimal_scale\n"
            "from qerror.crosscheck import cross_check\n"
            "names = 'int8', '5M2E', '4M3E', '3M4E', '2M5E'\n"
            "scale = {name: optimal_scale(name, 'gaussian').scale for name in names}\n"
            "random = {name: np.random.default_rng(i) for i, name in enumerate(names)}\n"
            "checks = [cross_check(name, 'gaussian', scale=scale[name], size=200_000, "
            "rng=random[name]) for name in names]\n"
            "f'{max(check.worst for check in checks):.1f}'"
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
        (Check("on one density both have their optimum at the same scale", agree),),
        code=(
            "from math import log10\n"
            "from qerror import StudentT, Uniform\n"
            "densities = {'uniform': Uniform(-1, 1), 't(3)': StudentT(3)}\n"
            "{name: f'{10 * log10(densities[name].second_moment):+.2f} dB' for name in densities}"
        ),
        beside=(
            Check(
                "-10 log10 MSE, which the paper's code prints, is the SQNR on every density of "
                "figure 3",
                all(abs(offset) < 1e-12 for offset in offsets.values()),
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


def _falls(values: list[int]) -> bool:
    """Return whether values never rise."""
    return all(a >= b for a, b in pairwise(values))


def _db(name: str, density: str = _GAUSSIAN) -> str:
    return f"{best(name, density).sqnr_db:.2f}"
