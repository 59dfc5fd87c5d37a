"""Van Baalen et al. 2023, figure 9: what INT8 represents exactly of FP8 with 4 exponent bits."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, fill, panel, register
from qerror.reporting import Document
from qerror.studies.fp8_versus_int8.fig9 import MATCHED
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the levels binade by binade, and the three ways to count."""
    figure = canvas(4.8)
    left, right = figure.subplots(2, 1)
    rows = select(document, panel="binades")
    exact, levels = column(rows, "exact"), column(rows, "levels")
    places = range(len(rows))
    left.bar(places, exact, label="an INT8 code", **fill(0))
    rest = [n - k for n, k in zip(levels, exact, strict=True)]
    left.bar(places, rest, bottom=exact, label="between two codes", **fill(1))
    left.set_xticks(places, [_power(low) for low in column(rows, "low")], fontsize=6.5)
    left.grid(visible=False, axis="x")
    left.set_xlabel("lower end of the binade of |x|, in steps of INT8")
    left.set_ylabel("levels of 3M4E")
    panel(left, "a", f"3M4E with its largest level at {MATCHED}")
    left.legend(fontsize=6.5)
    shares = select(document, panel="shares")
    kinds = {
        "of_range": "of the range",
        "of_values": "of the distinct values",
        "of_gaussian_data": "of Gaussian data at the best range",
    }
    for i, (key, label) in enumerate(kinds.items()):
        x = [k + 0.27 * (i - 1) for k in range(len(shares))]
        heights = [100 * share for share in column(shares, key)]
        right.bar(x, heights, 0.27, label=label, **fill(i))
        for place, height in zip(x, heights, strict=True):
            right.annotate(
                f"{height:.3g}" if height >= 0.01 else "<0.01",
                (place, height),
                xytext=(0 if height >= 1 else 3, 2),
                textcoords="offset points",
                ha="center",
                fontsize=5.5,
            )
    right.set_xticks(range(len(shares)), [f"{top:g}" for top in column(shares, "top")])
    right.set_ylim(0, 125)
    right.grid(visible=False, axis="x")
    right.set_xlabel("integer at which the largest level stands")
    right.set_ylabel("exact in INT8, in %")
    panel(right, "b", "three ways to count")
    right.legend(fontsize=6.5, loc="upper left")
    return figure


def _power(x: float) -> str:
    return f"$2^{{{math.frexp(x)[1] - 1}}}$" if x else "0"


register("int8-fig9", draw)
