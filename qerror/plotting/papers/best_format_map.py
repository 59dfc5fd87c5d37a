"""The best number of exponent bits over the plane of tail weight and bit width."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from qerror.plotting.papers._figure import canvas, fill, register, tail_axis
from qerror.reporting import Document, Row
from qerror.studies.our_own.best_format_map import HIGH, LOW, WIDTHS
from qerror.studies.study import column, distinct

_TOO_NARROW, _UPRIGHT, _WIDE = 0.07, 0.3, 0.37  # decades of nu - 2: for a name, level, with a lead


def draw(document: Document) -> Figure:
    """Draw a bar a width, cut where the best format changes."""
    figure = canvas(3.6)
    ax = figure.subplots()
    for row in document.rows:
        (low,), (high,), (bits,) = (column([row], key) for key in ("nu_low", "nu_high", "bits"))
        exponent_bits = int(column([row], "exponent_bits")[0])
        ax.barh(bits, high - low, 0.86, left=low, **fill(_place(exponent_bits)))
        width = math.log10((high - 2) / (low - 2))
        if width < _TOO_NARROW:
            continue  # hatch and legend say which it is
        ax.text(
            2 + ((low - 2) * (high - 2)) ** 0.5, bits, _label(row, width), ha="center",
            va="center", fontsize=5.5, rotation=90 if width < _UPRIGHT else 0,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
        )  # fmt: skip
    tail_axis(ax, LOW, HIGH)
    ax.set_yticks(distinct(document.rows, "bits"))
    ax.set_ylim(min(WIDTHS) - 0.6, max(WIDTHS) + 0.6)
    ax.grid(visible=False)
    ax.set_ylabel("bits of a code")
    kinds = sorted(distinct(document.rows, "exponent_bits"))
    handles = [
        Patch(**fill(_place(kind)), label=f"{kind} exponent bits" if kind else "integer")
        for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _label(row: Row, width: float) -> str:
    """Return the format, and its lead where there is space for it."""
    if width < _WIDE:
        return str(row["format"])
    (lead,) = column([row], "lead_db")
    return f"{row['format']}\n+{lead:.{1 if lead >= 0.1 else 2}f} dB"


def _place(exponent_bits: int) -> int:
    return max(0, exponent_bits - 1)


register("best-format-map", draw)
