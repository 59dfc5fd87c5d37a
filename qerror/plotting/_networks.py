"""Figures of studies on networks: predicted against measured SQNR, and others beside this."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure

from qerror.plotting._files import render
from qerror.plotting._network_bench import bench_figure
from qerror.plotting._network_layers import formats_figure, tails_figure
from qerror.plotting._style import COLORS, MARKERS, drawing
from qerror.reporting import Document, Row, encode

_TITLES = {"weight": "weights", "activation": "layer inputs", "output": "layer outputs"}


def network_files(document: Document, path: Path) -> dict[Path, bytes]:
    """Return the figure's file and, beside it, a CSV file with what it shows.

    Parameters
    ----------
    document : Document
        Of `predict_document`, `format_document`, `tail_document` or `bench_document`.
    path : Path
        Ends in .svg, .png or .pdf.
    """
    figures = {
        "predict": _predicted,
        "formats": formats_figure,
        "tails": tails_figure,
        "bench": bench_figure,
    }
    with drawing():
        figure, title = figures[str(document.params["study"])](document)
    table = Document("plot", document.params, document.rows)
    return {path: render(figure, path, title), path.with_suffix(".csv"): encode(table, "csv")}


def _predicted(document: Document) -> tuple[Figure, str]:
    """Return predicted against measured SQNR, a panel a kind."""
    rows = document.rows
    kinds = [kind for kind in _TITLES if any(row["kind"] == kind for row in rows)]
    title = f"{document.params['model']}: SQNR of every layer in dB"
    figure = Figure(figsize=(1 + 3.1 * len(kinds), 3.9), layout="constrained")
    for kind, ax in zip(kinds, figure.subplots(1, len(kinds), squeeze=False)[0], strict=True):
        _draw(ax, [row for row in rows if row["kind"] == kind])
        ax.set_title(_TITLES[kind])
    figure.suptitle(title)
    return figure, title


def _draw(ax: Any, rows: Sequence[Row]) -> None:
    formats = list(dict.fromkeys(str(row["format"]) for row in rows))
    for number, form in enumerate(formats):
        own = [row for row in rows if row["format"] == form]
        ax.scatter(
            [cast("float", row["predicted_sqnr_db"]) for row in own],
            [cast("float", row["measured_sqnr_db"]) for row in own],
            s=14,
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            label=form,
            linewidths=0,
        )
    low, high = ax.get_xlim()
    ax.axline((low, low), (high, high), color="#888888", linewidth=0.8, zorder=0)
    ax.set_xlabel("predicted")
    ax.set_ylabel("measured")
    ax.legend(fontsize=7, handletextpad=0.1)
