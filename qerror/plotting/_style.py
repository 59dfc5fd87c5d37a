"""How every figure looks, whatever the user's matplotlibrc says."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import matplotlib as mpl
from matplotlib import rcsetup, style

# Okabe and Ito 2008, told apart with any colour vision; their yellow is too faint for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))

_RC: Any = {
    "svg.hashsalt": "qerror",  # else every element gets a random name
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "svg.fonttype": "none",  # text stays text
}


_PRINT: Any = {
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "grid.linewidth": 0.4,
    "hatch.linewidth": 0.5,
    "axes.titlepad": 4,
    "legend.borderpad": 0.2,
    "legend.labelspacing": 0.3,
    "legend.columnspacing": 1.0,
}
"""A column of a paper: 8.5 cm, with text of 6.5 to 7.5 points."""


@contextmanager
def drawing(*, in_print: bool = False) -> Generator[None]:
    """Draw, and save, in the library's own style, or in that of a column of a paper."""
    with style.context("default"), mpl.rc_context(_RC | (_PRINT if in_print else {})):
        yield


def use_style() -> None:
    """Give every figure that this process draws from now on the library's look.

    For notebooks: colours that any eye tells apart, dashes besides, a light grid.
    """
    count = math.lcm(len(COLORS), len(LINES))  # so many pairs of them differ
    colors = [COLORS[i % len(COLORS)] for i in range(count)]
    lines = [LINES[i % len(LINES)] for i in range(count)]
    cycle = cast("object", rcsetup.cycler(color=colors, linestyle=lines))
    mpl.rcParams.update({**_RC, "axes.prop_cycle": cycle})


def line_style(index: int) -> dict[str, Any]:
    """Return how the curve number `index` looks: colour, dashes and marker each tell it apart.

    Later curves are thinner, so that one which covers another shows both.
    """
    return {
        "linewidth": max(1.1, 2.6 - 0.25 * index),
        "markersize": max(3.0, 7.0 - 0.6 * index),
        "color": COLORS[index % len(COLORS)],
        "linestyle": LINES[index % len(LINES)],
        "marker": MARKERS[index % len(MARKERS)],
    }
