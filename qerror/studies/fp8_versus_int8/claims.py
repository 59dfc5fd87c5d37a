"""Van Baalen et al. 2023, FP8 versus INT8 for efficient deep learning inference."""

import numpy as np

from qerror.codebooks import lloyd_max, panter_dite
from qerror.densities import density_name, parse_density
from qerror.formats import as_scalar_format
from qerror.grids import Grid
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.finding import Check, Command, Finding, table
from qerror.studies.fp8_versus_int8.fig5 import LEVELS, READ
from qerror.studies.measures import BIT_DB, best, effective_bits, lead, ranked

_READ = {density_name(density): read for density, read, _ in READ}
_DOTTED = {density_name(density): dotted for density, _, dotted in READ}
_ACCURACY = 0.015  # bits: what a reading of the figure is good for
_DENSITIES = tuple(_READ)
_WHERE = "figure 5"


def few_exponent_bits() -> Finding:
    """Judge that no and one exponent bit make an integer grid."""
    whole, one = as_scalar_format("int8").grid(), as_scalar_format("6M1E")
    same = bool(np.array_equal(one.grid(127 / one.max_value).points, whole.points))
    return Finding(
        "Formats with 0 and 1 exponent bits are INT8.",
        "preliminaries",
        f"6M1E has the {whole.size} levels of INT8",
        f"With one exponent bit the subnormals and the only binade have the same step: 6M1E, "
        f"scaled to end at 127, has exactly the {whole.size} levels of INT8 (-127..127). With "
        "none there are subnormals alone.",
        (Check("6M1E scaled to 127 has the levels of INT8", same),),
        (
            Command(
                "qerror optimize --formats int8,6M1E --dist gaussian",
                (f"{best('6M1E', 'gaussian').sqnr_db:.2f}", "0.00"),
            ),
        ),
    )


def table_of_bits() -> Finding:
    """Judge the fifteen bars of figure 5."""
    exact = {text: [_bits(name, text) for name in EIGHT_BITS] for text in _DENSITIES}
    off = {
        (text, name): read - true
        for text in _DENSITIES
        for name, read, true in zip(EIGHT_BITS, _READ[text], exact[text], strict=True)
    }
    wrong = [(*place, value) for place, value in off.items() if abs(value) > _ACCURACY]
    rows = [
        (text, *(f"{true:.3f} ({read:.2f})" for true, read in pairs))
        for text in _DENSITIES
        for pairs in [list(zip(exact[text], _READ[text], strict=True))]
    ]
    named = "; ".join(
        f"{name} on {text} is drawn {abs(value):.3f} bit too {'low' if value < 0 else 'high'}"
        for text, name, value in wrong
    )
    rest = max(abs(value) for value in off.values() if abs(value) <= _ACCURACY)
    return Finding(
        "The bits of accuracy, log2(std / RMSE), of INT8 and FP8-E2 to E5 on three densities.",
        _WHERE,
        f"{len(off) - len(wrong)} of {len(off)} bars are right; {named}",
        "Exact bits at the best range, in parentheses the value read off the figure:\n\n"
        + table(("density", *EIGHT_BITS), rows)
        + f"\n\n{named[0].upper()}{named[1:]}. The others are at most {rest:.3f} bit off, within "
        f"the {_ACCURACY} bit that the reading is good for.",
        tuple(
            Check(
                f"{name} on {text} lies within {_ACCURACY} bit of the reading"
                + ("" if abs(value) <= _ACCURACY else f" (off by {value:+.3f} bit)"),
                abs(value) <= _ACCURACY,
                abs(value) / exact[text][EIGHT_BITS.index(name)],
            )
            for (text, name), value in off.items()
        ),
        code=(
            "from math import log2\n"
            "from qerror import Uniform, optimal_scale\n"
            "mse = optimal_scale('5M2E', Uniform(-1, 1)).report.mse\n"
            f"round(log2(Uniform(-1, 1).variance / mse) / 2 - {_READ['uniform'][1]}, 3)"
        ),
    )


def best_formats() -> Finding:
    """Judge which bar of figure 5 is the longest."""
    winners = [ranked(text)[0] for text in _DENSITIES]
    leads = [f"{lead(text) / BIT_DB:.3f}" for text in _DENSITIES]
    rows = list(zip(_DENSITIES, winners, leads, strict=True))
    longest = [EIGHT_BITS[int(np.argmax(_READ[text]))] for text in _DENSITIES]
    return Finding(
        "INT8 is best on the uniform density, E2 on the Gaussian, E4 on Student-t with nu = 3.",
        _WHERE,
        "leads of " + ", ".join(leads) + " bit",
        table(("density", "best format", "lead in bits"), rows),
        tuple(
            Check(f"{drawn} is best on {text}", winner == drawn)
            for text, winner, drawn in zip(_DENSITIES, winners, longest, strict=True)
        ),
        (
            Command(
                "qerror optimize --bits 8 --dist student-t --nu 3",
                (f"{best(winners[-1], _DENSITIES[-1]).sqnr_db:.2f}",),
            ),
        ),
        code=(
            "from math import log2\n"
            "from qerror import optimal_scale\n"
            "def mse(name, density): return optimal_scale(name, density).report.mse\n"
            "names = 'int8', '5M2E', '4M3E', '3M4E', '2M5E'\n"
            f"found = [sorted(mse(name, text) for name in names) for text in {_DENSITIES!r}]\n"
            "[round(log2(each[1] / each[0]) / 2, 3) for each in found]"
        ),
    )


def dotted_line() -> Finding:
    """Judge what the dotted line of figure 5 is."""
    rows: list[tuple[str, ...]] = []
    lloyd: dict[str, float] = {}
    asymptote: dict[str, float] = {}
    for text in _DENSITIES:
        density = parse_density(text)
        lloyd[text] = effective_bits(density, lloyd_max(density, LEVELS).report.mse)
        asymptote[text] = effective_bits(density, panter_dite(density, LEVELS))
        rows.append((text, f"{_DOTTED[text]:.2f}", f"{lloyd[text]:.4f}", f"{asymptote[text]:.4f}"))
    nearer = sum(
        abs(asymptote[text] - read) <= abs(lloyd[text] - read) for text, read in _DOTTED.items()
    )
    heavy = _DENSITIES[-1]
    return Finding(
        "The dotted line is the Lloyd-Max quantizer, the best that 256 levels can do.",
        _WHERE,
        f"on t(3) Lloyd-Max reaches {lloyd[heavy]:.3f} bits, the line "
        f"{_DOTTED[heavy]:.2f}; Panter and Dite's asymptote is {asymptote[heavy]:.3f}",
        table(("density", "line, read", "Lloyd-Max", "Panter-Dite"), rows)
        + f"\n\nThe line is Panter and Dite's limit for many levels, which is at least as near "
        f"to all {nearer} readings; {LEVELS} levels can do better than it says.",
        tuple(
            Check(
                f"the true Lloyd-Max on {text} lies within {_ACCURACY} bit of the line "
                f"({lloyd[text] - read:+.3f} bit)",
                abs(lloyd[text] - read) <= _ACCURACY,
                abs(lloyd[text] - read) / read,
            )
            for text, read in _DOTTED.items()
        ),
        code=(
            "from math import log2\n"
            "from qerror import StudentT, lloyd_max, panter_dite\n"
            "t3 = StudentT(nu=3)\n"
            "mse = lloyd_max(t3, 256).report.mse, panter_dite(t3, 256)\n"
            "[round(log2(t3.variance / each) / 2, 4) for each in mse]"
        ),
    )


def exact_range() -> Finding:
    """Judge how much of FP8-E4 INT8 represents exactly."""
    top = 120
    form = as_scalar_format("3M4E")
    levels = form.grid(top / form.max_value)
    exact = _integers(levels)
    outside = float(np.abs(levels.points[~exact]).max())
    start = float(np.abs(levels.points[np.abs(levels.points) > outside]).min())
    by_range, by_code = 1 - start / top, float(exact.mean())
    return Finding(
        "INT8 represents roughly 90% of the range of FP8-E4 without error.",
        "figure 9",
        f"{by_range:.1%} of the range, {by_code:.1%} of the values",
        f"""\
Let the integer {top} be the largest level of FP8-E4 (3M4E with bias 9). From {start:g} to {top} all
of its levels are integers: {by_range:.2%} of the range. But most levels lie below: only
{int(exact.sum())} of {levels.size} levels are integers, {by_code:.2%}.""",
        (Check("the share of the range rounds to 90%", round(by_range, 1) == 0.9),),
        (Command("qerror show 3M4E:bias=9", (f"{top}", f"{outside:g}", f"{start:g}")),),
        code=(
            "import numpy as np\n"
            "from qerror import parse_format\n"
            f"form, top = parse_format('3M4E'), {top}\n"
            "x = form.grid(form.scale_for(top)).points\n"
            "whole = x == np.round(x)\n"
            "start = abs(x[abs(x) > abs(x[~whole]).max()]).min()\n"
            "f'{1 - start / top:.1%} of the range, {whole.mean():.1%} of the values'"
        ),
    )


def _bits(name: str, density: str) -> float:
    return effective_bits(parse_density(density), best(name, density).mse)


def _integers(grid: Grid) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(grid.points == np.round(grid.points))


FINDINGS = (few_exponent_bits, table_of_bits, best_formats, dotted_line, exact_range)
