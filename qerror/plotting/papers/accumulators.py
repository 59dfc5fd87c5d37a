"""What narrow registers cost scalar products of FP8 numbers, by length and order."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror.plotting._style import COLORS
from qerror.plotting.papers._figure import canvas, panel, register, thin
from qerror.reporting import Document
from qerror.studies.our_own.accumulators import LENGTHS, ORDERED, ORDERS, REGISTERS
from qerror.studies.study import column, select

_NAMES = {"fp32": "FP32", "fp22": "FP22 (14 bits)", "tf32": "TF32, FP16", "bf16": "BF16"}
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)))
_MARKS = ("o", "s", "^")


def draw(document: Document) -> Figure:
    """Draw the registers one below the other, and two of them in every order."""
    figure = canvas(6.4)
    upper, lower = figure.subplots(2, 1)
    for i, name in enumerate(REGISTERS):
        style = {**thin(i), "marker": "none"}
        _curve(upper, document, "registers", name, ORDERS[0], style, _NAMES[name])
    panel(upper, "a", "one after the other")
    for name in ORDERED:
        for j, order in enumerate(ORDERS):
            color = COLORS[REGISTERS.index(name) % len(COLORS)]
            style = {"color": color, "linestyle": _DASHES[j], "linewidth": 1.0}
            label = f"{_NAMES[name].split(' ')[0]}, {order.replace(':', ' by ')}"
            _curve(lower, document, "orders", name, order, style, label, _MARKS[j])
    panel(lower, "b", "by order")
    upper.legend(handlelength=3.0, loc="lower right")
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.2), "ncols": 2}
    lower.legend(handlelength=3.0, **below)
    return figure


def _curve(  # noqa: PLR0917 - what is drawn, how, and its name
    ax: Axes,
    document: Document,
    shown: str,
    name: str,
    order: str,
    style: dict[str, Any],
    label: str,
    mark: str = "o",
) -> None:
    rows = select(document, panel=shown, accumulator=name, order=order, source="theory")
    ax.plot(column(rows, "length"), column(rows, "loss_db"), label=label, **style)
    points = select(document, panel=shown, accumulator=name, order=order, source="bit by bit")
    ax.plot(
        column(points, "length"),
        column(points, "loss_db"),
        marker=mark,
        linestyle="none",
        color=style["color"],
        markersize=3.2,
        markerfacecolor="white",
        markeredgewidth=0.8,
    )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xticks(LENGTHS, [f"{length:,}" for length in LENGTHS])
    ax.set_xlabel("products in a sum")
    ax.set_ylabel("loss in dB")


register("accumulators", draw)
