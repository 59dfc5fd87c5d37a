"""What formats do to every tensor of a network, and what training does to its tails."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from typing import Any, cast

from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullFormatter

from qerror.plotting._style import COLORS, MARKERS
from qerror.reporting import Document, Row

_KINDS = {"weight": "weights", "activation": "layer inputs"}


def formats_figure(document: Document) -> tuple[Figure, str]:
    """Return the SQNR of every tensor by format; weights at the formats' own bias; the gain."""
    rows = document.rows
    formats = list(dict.fromkeys(str(row["format"]) for row in rows))
    title = f"{document.params['model']}: formats on every tensor"
    figure = Figure(figsize=(8.4, 6.2), layout="constrained")
    axes = figure.subplots(2, 2)
    for ax, kind in zip(axes[0], _KINDS, strict=True):
        own = [row for row in rows if row["kind"] == kind]
        for number, form in enumerate(formats):
            _points(ax, number, form, [row for row in own if row["format"] == form], "sqnr_db")
        ax.set_title(f"{_KINDS[kind]}, at the best range")
    for number, form in enumerate(formats):
        own = [row for row in rows if row["format"] == form and row["kind"] == "weight"]
        if all(row["own_sqnr_db"] is not None for row in own):
            _points(axes[1, 0], number, form, own, "own_sqnr_db")
    axes[1, 0].set_title("weights, at the format's own bias")
    for ax in (*axes[0], axes[1, 0]):
        ax.set_xlabel("layer")
        ax.set_ylabel("SQNR in dB")
    _gains(axes[1, 1], rows, formats)
    _legend(figure, axes[0, 0])
    figure.suptitle(title)
    return figure, title


def _legend(figure: Figure, ax: Any) -> None:
    """Put one legend for all panels below them."""
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)


def _points(ax: Any, number: int, form: str, rows: Sequence[Row], key: str) -> None:
    ax.plot(
        range(1, len(rows) + 1),
        [cast("float", row[key]) for row in rows],
        color=COLORS[number % len(COLORS)],
        marker=MARKERS[number % len(MARKERS)],
        markersize=3.5,
        linewidth=0.7,
        label=form,
    )


def _gains(ax: Any, rows: Sequence[Row], formats: Sequence[str]) -> None:
    """Draw what formats gain over the first one, against the tensors' kurtosis."""
    first = {
        (row["layer"], row["kind"]): cast("float", row["sqnr_db"])
        for row in rows
        if row["format"] == formats[0]
    }
    for number, form in enumerate(formats[1:], start=1):
        own = [row for row in rows if row["format"] == form]
        ax.scatter(
            [cast("float", row["kurtosis"]) for row in own],
            [cast("float", row["sqnr_db"]) - first[row["layer"], row["kind"]] for row in own],
            s=12,
            color=COLORS[number % len(COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            linewidths=0,
        )
    ax.axhline(0, color="#888888", linewidth=0.8, zorder=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("kurtosis")
    ax.set_ylabel(f"gain over {formats[0]} in dB")
    ax.set_title("all tensors, at the best range")


_WHEN = {"before": "before", "after": "after", "without": "after training without quantizers"}


def tails_figure(document: Document) -> tuple[Figure, str]:
    """Return kurtosis, largest levels and mantissa bits of every layer, before and after."""
    rows = document.rows
    first = rows[0]
    title = f"{first['model']}, {first['format']}: tensors before and after training"
    learns = any(row["mantissa_bits"] is not None for row in rows)
    figure = Figure(figsize=(8.4, 8.6 if learns else 6.0), layout="constrained")
    panels = [("kurtosis", "kurtosis"), ("max_value", "largest level")]
    panels += [("mantissa_bits", "mantissa bits")] if learns else []
    axes = figure.subplots(len(panels), 2)
    for line, (key, label) in zip(axes, panels, strict=True):
        for ax, kind in zip(line, _KINDS, strict=True):
            _times(ax, [row for row in rows if row["kind"] == kind], key)
            if key == "mantissa_bits":
                ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            else:
                _logarithmic(ax)
            ax.set_title(_KINDS[kind])
            ax.set_xlabel("layer")
            ax.set_ylabel(label)
    _legend(figure, axes[0, 0])
    figure.suptitle(title)
    return figure, title


def _logarithmic(ax: Any) -> None:
    """Make the vertical axis logarithmic, its ticks plain numbers."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _times(ax: Any, rows: Sequence[Row], key: str) -> None:
    for number, (when, label) in enumerate(_WHEN.items()):
        own = [row for row in rows if row["when"] == when]
        if all(row[key] is not None for row in own):
            _points(ax, number, label, own, key)
