"""MX formats against the threshold at which their scales double."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from matplotlib.figure import Figure

from qerror.plotting.papers._figure import canvas, curve, panel, register
from qerror.reporting import Document
from qerror.studies.blocks.theta import DENSITIES, FORMATS, RULES
from qerror.studies.study import column, select

_TITLES = ("MXFP4", "MXFP6, E2M3")
_LABELS = ("Gaussian", "t(3)")


def draw(document: Document) -> Figure:
    """Draw a curve a density, a panel a format; the rules are vertical lines."""
    figure = canvas(4.8)
    axes = figure.subplots(2, 1, sharex=True)
    for ax, letter, name, title in zip(axes, "ab", FORMATS, _TITLES, strict=True):
        for i, (density, label) in enumerate(zip(DENSITIES, _LABELS, strict=True)):
            rows = select(document, panel="curve", format=name, density=density)
            curve(ax, rows, "share", "sqnr_db", index=i, label=label)
        by_place: dict[float, list[str]] = {}
        for rule in RULES:
            place = column(select(document, panel="rule", format=name, rule=rule), "share")[0]
            by_place.setdefault(place, []).append(rule.upper())
        for place, rules in by_place.items():
            ax.axvline(place, color="#777777", linewidth=0.6, linestyle=":")
            ax.annotate(
                ", ".join(rules), (place, 0.03), xycoords=("data", "axes fraction"),
                xytext=(-1.5, 0), textcoords="offset points", rotation=90, fontsize=5.5,
                ha="right", va="bottom", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0},
            )  # fmt: skip
        panel(ax, letter, title)
        ax.set_ylabel("SQNR in dB")
    axes[-1].set_xlabel("threshold theta / largest level of the element")
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, handlelength=3.5
    )
    return figure


register("blocks-theta", draw)
