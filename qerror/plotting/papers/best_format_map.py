"""The best number of exponent bits over the plane of tail weight and bit width."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator
from itertools import pairwise

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from qerror.densities import StudentT
from qerror.formats import FixedPoint, FloatingPoint, Format
from qerror.optimize import format_switches, formats_of_width
from qerror.plotting.papers._figure import (
    FIGURES,
    PaperFigure,
    canvas,
    column,
    distinct,
    figure_data,
    fill,
)
from qerror.reporting import Document, Row

WIDTHS = range(3, 11)
LOW, HIGH = 2.2, 200.0
MOST_EXPONENT_BITS = 5
_TOO_NARROW = 1.08  # for a name


def data() -> Document:
    """Return the stretches of nu on which one format of a width is the best on Student-t data.

    Formats: the integer and xMyE with 2 to 5 exponent bits, each at its best range; switches
    between them to about ten digits.
    """
    params = {"low": LOW, "high": HIGH, "most_exponent_bits": MOST_EXPONENT_BITS}
    return figure_data(params, (row for bits in WIDTHS for row in _stretches(bits)))


def _stretches(bits: int) -> Iterator[Row]:
    formats = [form for form in formats_of_width(bits) if _is_shown(form)]
    found = format_switches(formats, StudentT(3), "nu", LOW, HIGH, points=9)
    edges = [LOW, *(switch.value for switch in found.switches), HIGH]
    for (low, high), winner in zip(pairwise(edges), found.winners, strict=True):
        yield {
            "bits": bits,
            "nu_low": low,
            "nu_high": high,
            "format": winner.name,
            "exponent_bits": winner.exponent_bits if isinstance(winner, FloatingPoint) else 0,
        }


def _is_shown(form: Format) -> bool:
    if isinstance(form, FloatingPoint):
        return form.exponent_bits <= MOST_EXPONENT_BITS
    return not isinstance(form, FixedPoint)


def draw(document: Document) -> Figure:
    """Draw a bar a width, cut where the best format changes."""
    figure = canvas(9.5, 4.6)
    ax = figure.subplots()
    for row in document.rows:
        (low,), (high,), (bits,) = (column([row], key) for key in ("nu_low", "nu_high", "bits"))
        exponent_bits = int(column([row], "exponent_bits")[0])
        ax.barh(bits, high - low, 0.86, left=low, **fill(_place(exponent_bits)))
        if high / low < _TOO_NARROW:
            continue  # hatch and legend say which it is
        narrow = high / low < 1.3
        ax.text(
            (low * high) ** 0.5, bits, str(row["format"]), ha="center", va="center",
            fontsize=7 if narrow else 8, rotation=90 if narrow else 0,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    ax.set_xscale("log")
    ticks = (2.2, 3, 4, 5, 7, 10, 20, 50, 100, 200)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(LOW, HIGH)
    ax.set_yticks(distinct(document.rows, "bits"))
    ax.grid(visible=False)
    ax.set_xlabel("degrees of freedom of Student's t: heavier tails to the left")
    ax.set_ylabel("bits of a code")
    kinds = sorted(distinct(document.rows, "exponent_bits"))
    handles = [
        Patch(**fill(_place(kind)), label=f"{kind} exponent bits" if kind else "integer")
        for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside right center")
    return figure


def _place(exponent_bits: int) -> int:
    return max(0, exponent_bits - 1)


FIGURES.register(
    "best-format-map",
    PaperFigure(
        "Best format by tail weight and bit width on Student-t data",
        "our own",
        data,
        draw,
    ),
)
