"""How an error is distributed: its density, and how often it exceeds a size."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from qerror._arrays import FloatArray
from qerror.analysis.distribution import ErrorDistribution
from qerror.densities.names import density_name
from qerror.plotting._files import render
from qerror.plotting._style import drawing, line_style
from qerror.reporting import Document, encode

_POINTS = 401
_RAREST = 1e-6
_SIZE = (8.0, 3.4)  # inches


def _curves(found: ErrorDistribution) -> dict[str, FloatArray]:
    """Return what is drawn: places and the density, sizes and how often they are exceeded."""
    widest = found.largest_inside or float(found.absolute_quantile(0.99)) or 1.0
    high = max(float(found.absolute_quantile(1 - _RAREST)), widest)
    error = np.linspace(-1.25 * widest, 1.25 * widest, _POINTS)
    size = np.concatenate([np.linspace(0, widest, _POINTS // 2), np.geomspace(widest, high, 100)])
    size = np.unique(size)
    return {
        "error": error,
        "pdf": found.pdf(error),
        "size": size,
        "exceedance": found.exceedance(size),
    }


def distribution_figure(found: ErrorDistribution, title: str) -> Figure:
    """Draw the density of the error over one widest step, and the exceedance of its size."""
    return _drawn(_curves(found), title)


def distribution_files(found: ErrorDistribution, title: str, path: Path) -> dict[Path, bytes]:
    """Return the figure's file and, beside it, a CSV file with the data that it shows."""
    curves = _curves(found)
    rows = [
        {"curve": "pdf", "error": x, "value": y}
        for x, y in zip(curves["error"].tolist(), curves["pdf"].tolist(), strict=True)
    ]
    rows += [
        {"curve": "exceedance", "error": x, "value": y}
        for x, y in zip(curves["size"].tolist(), curves["exceedance"].tolist(), strict=True)
    ]
    params = {"density": density_name(found.density), "rounding": found.rounding}
    data = encode(Document("plot", params, rows), "csv")
    return {path: render(_drawn(curves, title), path, title), path.with_suffix(".csv"): data}


def _drawn(curves: dict[str, FloatArray], title: str) -> Figure:
    with drawing():
        figure = Figure(figsize=_SIZE, layout="constrained")
        left, right = figure.subplots(1, 2)
        style = {**line_style(0), "marker": ""}
        left.plot(curves["error"], curves["pdf"], **style)
        left.set_xlabel("error e = Q(x) - x")
        left.set_ylabel("density of e")
        left.set_ylim(bottom=0)
        shown = curves["exceedance"] > 0
        right.plot(curves["size"][shown], curves["exceedance"][shown], **style)
        right.set_yscale("log")
        right.set_xlabel("t")
        right.set_ylabel("P(|e| > t)")
        figure.suptitle(title, fontsize=10)
    return figure
