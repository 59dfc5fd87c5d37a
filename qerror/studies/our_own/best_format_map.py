"""The best number of exponent bits over the plane of tail weight and bit width."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from qerror.analysis.decibels import decibels_above
from qerror.densities import StudentT
from qerror.formats import FixedPoint, FloatingPoint, Format
from qerror.optimize import format_switches, formats_of_width, optimal_scale
from qerror.reporting import Document, Row
from qerror.studies.study import STUDIES, Study, figure_data

WIDTHS = range(3, 11)
LOW, HIGH = 2.2, 200.0
MOST_EXPONENT_BITS = 5
_POINTS = 5  # where winners are compared first; between two that differ every switch is found


def data() -> Document:
    """Return the stretches of nu on which one format of a width is the best on Student-t data.

    Formats: the integer and xMyE with 2 to 5 exponent bits, each at its best range; switches
    between them to about ten digits.
    """
    params = {"low": LOW, "high": HIGH, "most_exponent_bits": MOST_EXPONENT_BITS}
    return figure_data(params, (row for bits in WIDTHS for row in _stretches(bits)))


def _stretches(bits: int) -> Iterator[Row]:
    formats = [form for form in formats_of_width(bits) if _is_shown(form)]
    found = format_switches(formats, StudentT(3), "nu", LOW, HIGH, points=_POINTS)
    edges = [LOW, *(switch.value for switch in found.switches), HIGH]
    for (low, high), winner in zip(pairwise(edges), found.winners, strict=True):
        yield {
            "bits": bits,
            "nu_low": low,
            "nu_high": high,
            "format": winner.name,
            "exponent_bits": winner.exponent_bits if isinstance(winner, FloatingPoint) else 0,
            "lead_db": _lead(formats, _middle(low, high)),
        }


def _middle(low: float, high: float) -> float:
    """Return the middle of a stretch of the axis, which is even in log(nu - 2)."""
    return 2 + math.sqrt((low - 2) * (high - 2))


def _lead(formats: Sequence[Format], nu: float) -> float:
    """Return by how many dB the best format leads the second."""
    first, second = sorted(optimal_scale(form, StudentT(nu)).report.mse for form in formats)[:2]
    return decibels_above(second, first)


def _is_shown(form: Format) -> bool:
    if isinstance(form, FloatingPoint):
        return form.exponent_bits <= MOST_EXPONENT_BITS
    return not isinstance(form, FixedPoint)


STUDIES.register(
    "best-format-map",
    Study(
        "Best format by tail weight and bit width on Student-t data",
        "our own",
        data,
        "The format with the least error at its best range on Student-t data, among the "
        "integers and floating point with 2 to 5 exponent bits, by degrees of freedom and "
        "bits of a code; vertical edges are exact switches. Numbers give the lead over the "
        "second best in dB in the middle of a stretch.",
    ),
)
