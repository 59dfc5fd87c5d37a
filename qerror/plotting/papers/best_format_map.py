"""The best number of exponent bits over the plane of tail weight and bit width."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from qerror.plotting.papers._figure import canvas, fill, register
from qerror.reporting import Document, Row
from qerror.studies.our_own.best_format_map import HIGH, LOW, WIDTHS
from qerror.studies.study import column, distinct

_WIDE = 1.75  # for a lead too
_TOO_NARROW = 1.2  # for a name


def draw(document: Document) -> Figure:
    """Draw a bar a width, cut where the best format changes."""
    figure = canvas(3.6)
    ax = figure.subplots()
    for row in document.rows:
        (low,), (high,), (bits,) = (column([row], key) for key in ("nu_low", "nu_high", "bits"))
        exponent_bits = int(column([row], "exponent_bits")[0])
        ax.barh(bits, high - low, 0.86, left=low, **fill(_place(exponent_bits)))
        if high / low < _TOO_NARROW:
            continue  # hatch and legend say which it is
        narrow = high / low < 1.6
        ax.text(
            (low * high) ** 0.5, bits, _label(row, high / low), ha="center", va="center",
            fontsize=5.5, rotation=90 if narrow else 0,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4},
        )  # fmt: skip
    ax.set_xscale("log")
    ticks = (2.2, 3, 4, 5, 7, 10, 20, 50, 100, 200)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(LOW, HIGH)
    ax.set_yticks(distinct(document.rows, "bits"))
    ax.set_ylim(min(WIDTHS) - 0.6, max(WIDTHS) + 0.6)
    ax.grid(visible=False)
    ax.set_xlabel("degrees of freedom of Student's t: heavier tails to the left")
    ax.set_ylabel("bits of a code")
    kinds = sorted(distinct(document.rows, "exponent_bits"))
    handles = [
        Patch(**fill(_place(kind)), label=f"{kind} exponent bits" if kind else "integer")
        for kind in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _label(row: Row, ratio: float) -> str:
    """Return the format, and its lead where there is space for it."""
    if ratio < _WIDE:
        return str(row["format"])
    (lead,) = column([row], "lead_db")
    return f"{row['format']}\n+{lead:.{1 if lead >= 0.1 else 2}f} dB"


def _place(exponent_bits: int) -> int:
    return max(0, exponent_bits - 1)


register("best-format-map", draw)
