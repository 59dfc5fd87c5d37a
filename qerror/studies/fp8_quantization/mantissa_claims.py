"""Kuzmin et al. 2022: the mantissa bits that learn in the toy experiment."""

import math

from qerror.analysis import quantization_error
from qerror.densities import Gaussian
from qerror.formats import FloatingPoint
from qerror.studies.finding import Check, Command, Finding, table
from qerror.studies.measures import optimum

_START = FloatingPoint(3, 4).max_value  # c at the start
_BITS = range(1, 7)


def _factor(m: int) -> float:
    """Return (dF/dm)/(F - x) inside, appendix H: the same for every value."""
    return math.log(2) * (2.0 ** (7 - m) * math.log(2) - 1 / (2.0 ** (m + 1) - 1) - 1)


def _slope(m: int, c: float) -> float:
    """Return dMSE/dm on N(0, 1) by the paper's gradient: 2 E[e^2; inside] times the factor."""
    form = FloatingPoint(m, 7 - m)
    return 2 * quantization_error(form, Gaussian(), form.scale_for(c)).rounding * _factor(m)


def toy_mantissa() -> Finding:
    """Judge whether mantissa bits that learn can oscillate about 5.5."""
    best = optimum("5M2E", "gaussian").max_value
    slopes = {m: (_slope(m, _START), _slope(m, best)) for m in _BITS}
    rows = [
        (str(m), f"{_factor(m):.4f}", f"{far:.3g}", f"{near:.3g}")
        for m, (far, near) in slopes.items()
    ]
    least = min(_factor(m) for m in _BITS)
    return Finding(
        "In the toy experiment m rises from 3 and oscillates about 5.5.",
        "section 4.3 and figure 5",
        f"the gradient in m is positive at every m (its factor is at least {least:.4f}): m falls",
        "The paper's gradient of the MSE in m is 2 E[e^2; inside] times a factor of m alone, "
        "ln 2 (2^(7-m) ln 2 - 1/(2^(m+1) - 1) - 1). On N(0, 1), where c starts and at the best c "
        f"of 5M2E, {best:.6g}:\n\n"
        + table(("m", "factor", f"dMSE/dm at c = {_START:g}", f"at c = {best:.6g}"), rows)
        + "\n\nBoth are positive up to 6 bits, the most there are: descent lowers m whatever its "
        "rate, and c's rule does not enter. To oscillate between 5 and 6 it would have to "
        "change its sign there. docs/methods.md shows descents by both rules.",
        (
            Check(
                "the gradient pushes m up from 5 and down from 6, as an oscillation needs",
                slopes[5][1] < 0 < slopes[6][1],
            ),
            Check("at the start it pushes m up from 3", slopes[3][0] < 0),
        ),
        (
            Command(
                f"qerror error 5M2E --dist gaussian --max-value {best:.12g}",
                (f"{slopes[5][1] / 2 / _factor(5):.8e}",),
            ),
        ),
        code=(
            "import math\n"
            "def factor(m): return 2 ** (7 - m) * math.log(2) - 1 / (2 ** (m + 1) - 1) - 1\n"
            "[round(math.log(2) * factor(m), 4) for m in range(1, 7)]"
        ),
    )
