"""Kuzmin et al. 2022, figure 5: what SGD learns in the toy experiment, both rules side by side.

The data are trained (`qerror.pytorch.studies.toy_document`), so this figure is drawn from a
document and is not among those that the command line computes.
"""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from pathlib import Path

from matplotlib.figure import Figure

from qerror.plotting._files import render
from qerror.plotting._style import drawing
from qerror.plotting.papers._figure import canvas, curve, panel
from qerror.reporting import Document, encode
from qerror.studies.study import distinct, select


def draw(document: Document) -> Figure:
    """Draw m and c over the iterations where both learn, and c where m is 5."""
    figure = canvas(6.4)
    top, middle, bottom = figure.subplots(3, 1)
    both = select(document, panel="c and m")
    for index, rule in enumerate(distinct(both, "rule")):
        for shift, rate in enumerate(distinct(both, "learning_rate")):
            rows = select(document, panel="c and m", rule=rule, learning_rate=rate)
            place, label = 2 * index + shift, f"{rule}, rate {rate:g}"
            curve(top, rows, "iteration", "m", index=place, label=label)
            curve(middle, rows, "iteration", "c", index=place, label=label)
        rows = select(document, panel="c", rule=rule)
        curve(bottom, rows, "iteration", "c", index=2 * index, label=rule)
    top.axhline(5.5, color="#555555", linewidth=0.6, linestyle=":")
    top.set_ylabel("m, mantissa bits before rounding")
    panel(top, "a", "m, where both learn; dotted: the paper's 5.5")
    middle.set_ylabel("c")
    panel(middle, "b", "c, where both learn")
    bottom.axhline(4.35, color="#555555", linewidth=0.6, linestyle=":")
    bottom.set_yscale("log", base=2)
    bottom.set_ylabel("c")
    panel(bottom, "c", "c alone, m = 5; dotted: the best c, 4.35")
    for ax in (top, middle, bottom):
        ax.set_xlabel("iteration")
        ax.legend()
    return figure


def toy_files(document: Document, stem: str) -> dict[str, bytes]:
    """Return the figure as SVG and its data as CSV, by file name."""
    title = "What SGD learns in the toy experiment, by both rules"
    with drawing(in_print=True):
        picture = render(draw(document), Path(f"{stem}.svg"), title)
    return {f"{stem}.svg": picture, f"{stem}.csv": encode(document, "csv")}
