"""A matrix of format pairs as a heat map."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from pathlib import Path

import numpy as np

from qerror.plotting._files import render
from qerror.plotting._style import drawing
from qerror.plotting.papers._figure import canvas
from qerror.plotting.papers._heat import heat_map
from qerror.reporting import Document, encode
from qerror.studies.study import column, distinct

_CELL = (0.95, 0.62)  # inches
_WIDEST = 24.0  # inches, beyond which cells and their figures get smaller
_SIZE = 9.0  # points
_KEYS = ("weight_density", "activation_density", "weight", "activation", "length", "sqnr_db")
_SUMMED = ("accumulator", "order", "accumulation_sqnr_db", "total_sqnr_db", "accumulation_loss_db")


def dot_files(document: Document, path: Path) -> dict[Path, bytes]:
    """Return the heat map's file and, beside it, a CSV file with the decibels that it shows.

    Parameters
    ----------
    document : Document
        Of `dot_document`: a row a pair of formats, activation formats running fastest. Of sums in
        a register the decibels are those with the register's errors.
    path : Path
        Ends in .svg, .png or .pdf.
    """
    rows = document.rows
    weights, activations = distinct(rows, "weight"), distinct(rows, "activation")
    first, shown = rows[0], "total_sqnr_db" if "accumulator" in rows[0] else "sqnr_db"
    values = np.array(column(rows, shown)).reshape(len(weights), len(activations))
    summed = f", summed in {first['accumulator']}, {first['order']}" if shown != "sqnr_db" else ""
    title = f"SQNR in dB{summed}: w {first['weight_density']}, x {first['activation_density']}"
    with drawing():
        height, width = (
            edge + cell * len(names)
            for edge, cell, names in ((1.6, _CELL[1], weights), (2.6, _CELL[0], activations))
        )
        share = min(1.0, _WIDEST / max(height, width))
        figure = canvas(share * height, share * width)
        ax = figure.subplots()
        heat_map(ax, values, weights, activations, size=share * _SIZE)
        if share < 1:
            ax.tick_params(labelsize=share * _SIZE)
        for text in ax.texts:
            text.set_in_layout(False)  # thousands, all within the axes
        figure.suptitle(title, fontsize=9)
    keys = [*_KEYS, *(_SUMMED if summed else ())]
    table = Document("plot", document.params, [{key: row[key] for key in keys} for row in rows])
    return {path: render(figure, path, title), path.with_suffix(".csv"): encode(table, "csv")}
