"""The signal-to-quantization-noise ratio of formats: curves, or bars where nothing is swept."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from qerror.plotting._files import render
from qerror.plotting._style import COLORS, drawing, line_style
from qerror.reporting import Document, encode
from qerror.sweep import CHANNEL, SweepResult, SweepRow
from qerror.tables import decibels

_PANEL = (4.4, 3.4)  # inches
_LEGEND = 1.3
_ACROSS = 3
_MARKERS = 12  # on a curve, at most


def sweep_figure(result: SweepResult) -> Figure:
    """Draw the SQNR of every format, one panel a density.

    Curves over the swept parameter, on a logarithmic axis where its values are so spaced;
    without one, a bar a format, or a curve over the bits of at least three formats that all have
    another width. Undefined values (infinite variance) leave a gap.
    """
    name = result.parameter
    panels = result.series
    with drawing():
        figure, axes = _panels(len(panels), 0.0 if name is None else _LEGEND)
        for (title, rows), ax in zip(panels, axes, strict=True):
            ax.set_title(title, fontsize=9)
            if name is None and _is_over_bits(rows):
                _against_bits(ax, rows)
            elif name is None:
                _bars(ax, rows)
            else:
                _curves(ax, rows, name)
        if name is not None:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside right center", handlelength=3.5)
    return figure


def sweep_files(result: SweepResult, path: Path) -> dict[Path, bytes]:
    """Return the figure's file and, beside it, a CSV file with the data that it shows."""
    densities = ", ".join(title for title, _ in result.series)
    figure = render(sweep_figure(result), path, f"SQNR of number formats on {densities}")
    return {path: figure, path.with_suffix(".csv"): encode(_plotted(result), "csv")}


def _plotted(result: SweepResult) -> Document:
    name = result.parameter
    keys = [
        "density",
        *([name] if name else []),
        "format",
        *([] if name else ["bits_per_value"]),
        "sqnr_db",
    ]
    rows = [{key: row[key] for key in keys} for row in result.to_records()]
    return Document("plot", result.params, rows)


def _panels(count: int, legend: float) -> tuple[Figure, list[Axes]]:
    across = min(count, _ACROSS)
    down = math.ceil(count / across)
    size = (_PANEL[0] * across + legend, _PANEL[1] * down)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    axes = list(grid.flat)
    for unused in axes[count:]:
        unused.remove()
    return figure, axes[:count]


def _curves(ax: Axes, rows: Sequence[SweepRow], name: str) -> None:
    formats = list(dict.fromkeys(row.label(name) for row in rows))
    for index, each in enumerate(formats):
        own = [row for row in rows if row.label(name) == each]
        x = [row.value for row in own if row.value is not None]
        y = [row.report.sqnr_db for row in own]
        # Markers of neighbouring curves are shifted, so that equal curves show both.
        every = max(1, len(x) // _MARKERS)
        ax.plot(x, y, label=each, markevery=(index % every, every), **line_style(index))
    values = sorted({row.value for row in rows if row.value is not None})
    if name == CHANNEL:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    elif is_log_spaced(values):
        _log_axis(ax, values)
    ax.set_xlabel(name.replace("_", " "))
    ax.set_ylabel("SQNR in dB")
    ax.label_outer()
    if all(math.isnan(row.report.sqnr_db) for row in rows):
        _say_undefined(ax)


def _is_over_bits(rows: Sequence[SweepRow]) -> bool:
    """Tell whether the formats are of one kind and of increasing width."""
    bits = [row.bits_per_value for row in rows]
    kinds = {type(row.format) for row in rows}
    return len(rows) > 2 and len(kinds) == 1 and all(a < b for a, b in pairwise(bits))


def _against_bits(ax: Axes, rows: Sequence[SweepRow]) -> None:
    bits = [row.bits_per_value for row in rows]
    ax.plot(bits, [row.report.sqnr_db for row in rows], **line_style(0))
    for row, x in zip(rows, bits, strict=True):
        ax.annotate(
            row.format.name,
            (x, row.report.sqnr_db),
            xytext=(5, -8),
            textcoords="offset points",
            fontsize=7,
        )
    ax.margins(x=0.15, y=0.08)
    ax.set_xlabel("bits per value")
    ax.set_ylabel("SQNR in dB")
    ax.label_outer()
    if all(math.isnan(row.report.sqnr_db) for row in rows):
        _say_undefined(ax)


def _bars(ax: Axes, rows: Sequence[SweepRow]) -> None:
    names = [row.format.name for row in rows]
    heights = [row.report.sqnr_db for row in rows]
    best = max((height for height in heights if math.isfinite(height)), default=math.nan)
    places = range(len(rows))
    drawn = [height if math.isfinite(height) else 0.0 for height in heights]
    colors = [COLORS[0] if height == best else "#b8b8b8" for height in heights]
    ax.barh(places, drawn, height=0.62, color=colors)
    for place, height, length in zip(places, heights, drawn, strict=True):
        label = decibels(height) if not math.isnan(height) else "undefined"
        ax.annotate(
            label,
            (max(length, 0.0), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    ax.set_yticks(places, names)
    ax.set_ylim(len(rows) - 0.4, -0.6)  # the first format on top
    ax.grid(visible=False, axis="y")
    ax.margins(x=0.15)
    if math.isnan(best):
        ax.set_xlim(0, 1)
        ax.set_xticks([])
    ax.set_xlabel("SQNR in dB")
    ax.label_outer()


def is_log_spaced(values: Sequence[float]) -> bool:
    """Whether at least three positive values grow by one factor, to the digits of a decimal."""
    if len(values) < 3 or values[0] <= 0:
        return False
    ratios = [b / a for a, b in pairwise(values)]
    return max(ratios) - min(ratios) <= 1e-6 * max(ratios)


def _log_axis(ax: Axes, values: Sequence[float]) -> None:
    ax.set_xscale("log")
    decades = math.log10(values[-1] / values[0])
    if decades < 3:  # 1, 2, 5, 10 say more than two powers of ten
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())


def _say_undefined(ax: Axes) -> None:
    ax.text(
        0.5,
        0.5,
        "undefined: E[x²] is infinite",
        transform=ax.transAxes,
        ha="center",
        va="center",
    )
