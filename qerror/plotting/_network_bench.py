"""The figure of algorithms on backends."""

# matplotlib leaves much of itself untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from statistics import fmean
from typing import Any, cast

from matplotlib.figure import Figure

from qerror.plotting._style import COLORS, MARKERS
from qerror.reporting import Document, Row


def bench_figure(document: Document) -> tuple[Figure, str]:
    """Return accuracies after training on every backend, a panel a network.

    A mark is the mean over seeds, its line reaches from the least to the largest.
    """
    rows = [row for row in document.rows if _is_plain(row)]
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    title = f"Accuracy after training in {rows[0]['bits']} bits"
    figure = Figure(figsize=(8.4, 0.9 + 2.9 * len(models)), layout="constrained")
    panels = figure.subplots(len(models), 1, squeeze=False)[:, 0]
    algorithms = list(dict.fromkeys(str(row["algorithm"]) for row in rows))
    for model, ax in zip(models, panels, strict=True):
        _draw(ax, [row for row in rows if row["model"] == model], algorithms)
        ax.set_title(model)
        ax.set_ylabel("accuracy / %")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    figure.suptitle(title)
    return figure, title


def _is_plain(row: Row) -> bool:
    return row["backend"] != "Academic" or (row["graph"] == 1 and row["folding"] == -1)


def _draw(ax: Any, rows: Sequence[Row], algorithms: Sequence[str]) -> None:
    backends = list(dict.fromkeys(str(row["backend"]) for row in rows))
    for number, algorithm in enumerate(algorithms):
        places, middles, ends = list[float](), list[float](), list[tuple[float, float]]()
        for place, backend in enumerate(backends):
            own = [
                cast("float", row["accuracy"])
                for row in rows
                if row["algorithm"] == algorithm and row["backend"] == backend
            ]
            if own:
                places.append(place + 0.11 * (number - (len(algorithms) - 1) / 2))
                middles.append(fmean(own))
                ends.append((middles[-1] - min(own), max(own) - middles[-1]))
        color = COLORS[number % len(COLORS)]
        marker = MARKERS[number % len(MARKERS)]
        if not places:  # for the legend, which is that of all panels
            ax.plot([], [], color=color, marker=marker, linestyle="", label=algorithm)
            continue
        ax.errorbar(
            places,
            middles,
            yerr=list(zip(*ends, strict=True)),
            color=color,
            marker=marker,
            linestyle="",
            markersize=5,
            label=algorithm,
        )
    ax.set_xticks(range(len(backends)), backends)
    fp32 = {row["seed"]: cast("float", row["fp32_accuracy"]) for row in rows}
    ax.axhline(fmean(fp32.values()), color="0.6", linewidth=0.8, linestyle="--", label="FP32")
