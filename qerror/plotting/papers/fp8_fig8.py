"""Kuzmin et al. 2022, figure 8: analytic against simulated errors, with error bars."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from typing import Any

from matplotlib.figure import Figure

from qerror.densities import density_name
from qerror.plotting._style import COLORS, MARKERS
from qerror.plotting.papers._figure import (
    canvas,
    format_index,
    register,
)
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_quantization.fig8 import DENSITIES, SIZE
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw the difference of sampled and exact, with two standard errors."""
    figure = canvas(2.9)
    ax = figure.subplots()
    places = {name: i for i, name in enumerate(density_name(each) for each in DENSITIES)}
    for name in EIGHT_BITS:
        i = format_index(name)
        rows = select(document, format=name)
        style: dict[str, Any] = {
            "color": COLORS[i],
            "marker": MARKERS[i],
            "linestyle": "none",
            "label": name,
        }
        style |= {"markersize": 3.5}
        x = [places[str(row["density"])] + 0.15 * (i - 2) for row in rows]
        pairs = zip(column(rows, "sampled_db"), column(rows, "exact_db"), strict=True)
        y = [sampled - exact for sampled, exact in pairs]
        bars = [2 * error for error in column(rows, "standard_error_db")]
        ax.errorbar(x, y, yerr=bars, capsize=2, elinewidth=0.7, capthick=0.7, **style)
        loose = [k for k, row in enumerate(rows) if not row["settled"]]
        own: dict[str, Any] = {**style, "markerfacecolor": "white", "label": None, "zorder": 5}
        ax.plot([x[k] for k in loose], [y[k] for k in loose], **own)
    ax.axhline(0, color="#777777", linewidth=0.6)
    ax.set_xticks(range(len(places)), ("uniform", "Gaussian", "t(8)"))
    ax.grid(visible=False, axis="x")
    ax.set_yscale("symlog", linthresh=0.01)
    ax.set_xlabel("density")
    ax.set_ylabel(f"SQNR of {SIZE:,} samples\nless the exact one, in dB")
    figure.legend(*ax.get_legend_handles_labels(), ncols=5, loc="outside upper center",
                  handletextpad=0.1)  # fmt: skip
    return figure


register("fp8-fig8", draw)
