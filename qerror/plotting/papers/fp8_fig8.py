"""Kuzmin et al. 2022, figure 8: analytic against simulated errors, with error bars."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.densities import density_name
from qerror.plotting._style import COLORS, MARKERS
from qerror.plotting.papers._figure import canvas, format_index, register
from qerror.reporting import Document
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.fp8_quantization.fig8 import DENSITIES, SIZE
from qerror.studies.study import column, select


def draw(document: Document) -> Figure:
    """Draw sampled against exact, and their difference with two standard errors."""
    figure = canvas(11, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    left.plot([20, 50], [20, 50], color="#777777", linewidth=0.8)
    places = {name: i for i, name in enumerate(density_name(law) for law in DENSITIES)}
    for name in EIGHT_BITS:
        i = format_index(name)
        rows = select(document, format=name)
        style = {"color": COLORS[i], "marker": MARKERS[i], "linestyle": "none", "label": name}
        left.plot(column(rows, "exact_db"), column(rows, "sampled_db"), **style)
        x = [places[str(row["density"])] + 0.15 * (i - 2) for row in rows]
        pairs = zip(column(rows, "sampled_db"), column(rows, "exact_db"), strict=True)
        y = [sampled - exact for sampled, exact in pairs]
        bars = [2 * error for error in column(rows, "standard_error_db")]
        right.errorbar(x, y, yerr=bars, capsize=3, **style)
        loose = [k for k, row in enumerate(rows) if not row["settled"]]
        own = {**style, "markerfacecolor": "white", "label": None, "zorder": 5}
        right.plot([x[k] for k in loose], [y[k] for k in loose], **own)
    left.set_xlabel("exact SQNR in dB")
    left.set_ylabel(f"SQNR of {SIZE:,} samples in dB")
    right.axhline(0, color="#777777", linewidth=0.8)
    right.set_xticks(range(len(places)), list(places))
    right.grid(visible=False, axis="x")
    right.set_yscale("symlog", linthresh=0.01)
    right.set_ylabel("sampled - exact, in dB")
    right.set_title(
        "bars: two standard errors; hollow: too few samples carry the error", fontsize=10
    )
    right.legend(fontsize=8, ncols=5, loc="upper center", columnspacing=1, handletextpad=0.2)
    right.margins(y=0.2)
    return figure


register("fp8-fig8", draw)
