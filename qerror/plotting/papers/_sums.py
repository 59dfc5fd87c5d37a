"""What one register costs sums of growing lengths."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Sequence
from pathlib import Path

from qerror.accumulators import AccumulationReport
from qerror.plotting._files import render
from qerror.plotting._style import drawing
from qerror.plotting.papers._figure import canvas, thin
from qerror.reporting import Document, encode

_SIZE = (3.0, 4.6)  # inches
_ONE = 1.5  # the last length over the first where there is but one


def sum_files(
    document: Document, found: Sequence[AccumulationReport], path: Path
) -> dict[Path, bytes]:
    """Return the file of a figure of SQNR by length, and beside it a CSV file with what it shows.

    Parameters
    ----------
    document : Document
        Of `dot_document`, of one pair of formats.
    found : sequence of AccumulationReport
        By growing length, as of `accumulation_by_length`.
    path : Path
        Ends in .svg, .png or .pdf.
    """
    row = document.rows[0]
    register = f"{found[-1].accumulator}, {found[-1].order}"
    sides = (f"{row[side]} {row[f'{side}_density']}" for side in ("weight", "activation"))
    title = f"SQNR in dB, summed in {register}: w {next(sides)}, x {next(sides)}"
    curves = {
        "the factors alone": [each.product.sqnr_db for each in found],
        "the summing alone": [each.sqnr_db for each in found],
        "both": [each.total_sqnr_db for each in found],
    }
    lengths = [each.length for each in found]
    with drawing():
        figure = canvas(*_SIZE)
        ax = figure.subplots()
        for i, (label, values) in enumerate(curves.items()):
            shown = [value if math.isfinite(value) else math.nan for value in values]
            if not all(map(math.isnan, shown)):
                ax.plot(lengths, shown, label=label, **thin(i))
        ax.set_xscale("log", base=2)
        if len(lengths) == 1:
            ax.set_xlim(lengths[0] / _ONE, lengths[0] * _ONE)
        ax.set_xlabel("products in a sum")
        ax.set_ylabel("SQNR in dB")
        if ax.lines:
            ax.legend()
        figure.suptitle(title.replace(": ", "\n", 1), fontsize=9)
    lines = [
        {
            "weight_density": row["weight_density"],
            "activation_density": row["activation_density"],
            "weight": row["weight"],
            "activation": row["activation"],
            "accumulator": each.accumulator.name,
            "order": each.order.name,
            "length": each.length,
            "sqnr_db": each.product.sqnr_db,
            "accumulation_sqnr_db": each.sqnr_db,
            "total_sqnr_db": each.total_sqnr_db,
            "accumulation_loss_db": each.loss_db,
            "accumulation_overflow": each.overflow,
        }
        for each in found
    ]
    table = Document("plot", document.params, lines)
    return {path: render(figure, path, title), path.with_suffix(".csv"): encode(table, "csv")}
