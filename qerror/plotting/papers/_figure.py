"""Figures of the papers: the data of their studies, drawn."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qerror._arrays import FloatArray
from qerror.exceptions import InvalidValue
from qerror.plotting._files import render
from qerror.plotting._style import COLORS, drawing, line_style
from qerror.registry import Registry
from qerror.reporting import Document, Row, encode
from qerror.studies.eight_bits import EIGHT_BITS
from qerror.studies.study import STUDIES, Study, column, distinct

KINDS = ("svg", "png", "pdf")
"""The kinds of file that a figure can be drawn in."""

_PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
_HATCHES = ("", "////", "\\\\\\\\", "xxxx", "----", "||||", "++++")  # dots would be heavy in SVG


@dataclass(frozen=True)
class PaperFigure:
    """A figure by its two halves: what it shows, and how it is drawn."""

    study: Study
    draw: Callable[[Document], Figure]


FIGURES: Registry[PaperFigure] = Registry("figure", "qerror figure --list")


def register(name: str, draw: Callable[[Document], Figure]) -> None:
    """Add the drawing of a study."""
    FIGURES.register(name, PaperFigure(STUDIES[name], draw))


def file_names(name: str, kinds: Sequence[str] = ("svg", "png")) -> list[str]:
    """Return the names of the files that `paper_files` returns, without computing anything."""
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidValue(f"cannot draw a figure as {kind!r}; use one of {', '.join(KINDS)}")
    member = FIGURES[name]
    stem = next(known for known in FIGURES if FIGURES[known] is member)
    return [f"{stem}.{kind}" for kind in (*dict.fromkeys(kinds), "csv")]


def paper_files(name: str, kinds: Sequence[str] = ("svg", "png")) -> dict[str, bytes]:
    """Return a figure's files by name: one a kind, and the data as CSV.

    Parameters
    ----------
    name : str
        A name in `FIGURES`.
    kinds : sequence of str
        Which of `KINDS` to draw.

    Raises
    ------
    UnknownName
        If there is no such figure; the message suggests the nearest.
    InvalidValue
        If a kind is unknown.
    """
    *drawn, table = file_names(name, kinds)
    member = FIGURES[name]
    document = member.study.data()
    with drawing(in_print=True):
        figure = member.draw(document)
    files = {file: render(figure, Path(file), member.study.title) for file in drawn}
    return files | {table: encode(document, "csv")}


COLUMN = 8.5 / 2.54
"""The width of a paper's column in inches."""


def canvas(height: float, width: float = COLUMN) -> Figure:
    """Return an empty figure, its size in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def panel(ax: Axes, letter: str, title: str) -> None:
    """Name a panel by its letter and what it shows."""
    ax.set_title(f"({letter}) {title}")


def tail_axis(ax: Axes, low: float, high: float) -> None:
    """Show degrees of freedom evenly in log(nu - 2), which has space where tails are heavy."""
    functions: Any = (_above_two, _back)
    ax.set_xscale("function", functions=functions)
    ticks = [tick for tick in _DEGREES if low <= tick <= high]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xlim(low, high)
    ax.set_xlabel("degrees of freedom nu of Student's t, even in log(nu - 2)")


_DEGREES = (2.2, 2.4, 2.7, 3, 4, 5, 7, 10, 20, 50, 100, 200)


def _above_two(nu: FloatArray) -> FloatArray:
    # Limits that matplotlib tries before they are set may lie below 2.
    return np.log10(np.maximum(np.asarray(nu) - 2, 1e-9))


def _back(u: FloatArray) -> FloatArray:
    return 2 + 10 ** np.asarray(u)


def format_index(name: str) -> int:
    """Return the place of a format in the cycle of styles: the same in every figure."""
    order = (*EIGHT_BITS, "1M6E", "INT8:full")
    return order.index(name) if name in order else len(order)


def curve(
    ax: Axes, rows: Sequence[Row], x: str, y: str, *, index: int, label: str, marks: int = 10
) -> None:
    """Draw one curve with a few markers, shifted against those of its neighbours."""
    every = max(1, len(rows) // marks)
    start = (index * max(1, every // 7)) % every
    style = thin(index)
    ax.plot(column(rows, x), column(rows, y), label=label, markevery=(start, every), **style)


def thin(index: int) -> dict[str, Any]:
    """Return how the curve number `index` looks in a column of a paper."""
    style = line_style(index)
    return {**style, "linewidth": 0.5 * style["linewidth"], "markersize": 0.5 * style["markersize"]}


def fill(index: int) -> dict[str, Any]:
    """Return how the bars number `index` look: told apart by hatch where colour is absent."""
    faces = (*COLORS[:4], "#9a9a9a", *COLORS[5:])
    return {
        "facecolor": faces[index % len(faces)],
        "edgecolor": "white" if index % len(faces) == 0 else "black",
        "hatch": _HATCHES[index % len(_HATCHES)],
        "linewidth": 0.3,
    }


def grouped_bars(
    ax: Axes,
    rows: Sequence[Row],
    *,
    group: str,
    member: str,
    value: str,
    digits: int = 1,
    inside: bool = False,
) -> None:
    """Draw bars side by side, one a member, for every group; each says its value."""
    # Digits have nothing below their line: turned, they stand left of the middle of their box.
    label: dict[str, Any] = {"xytext": (0.7, 2), "va": "bottom"}
    if inside:
        label = {"xytext": (0.7, -8), "va": "top", "bbox": _PLATE}
    groups, members = distinct(rows, group), distinct(rows, member)
    width = 0.84 / len(members)
    for i, name in enumerate(members):
        own = [row for row in rows if row[member] == name]
        heights = column(own, value)
        places = [groups.index(row[group]) + (i + 0.5) * width - 0.42 for row in own]
        ax.bar(places, heights, width, label=str(name), **fill(format_index(str(name))))
        for place, height in zip(places, heights, strict=True):
            ax.annotate(
                f"{height:z.{digits}f}",
                (place, height),
                textcoords="offset points",
                ha="center",
                rotation=90,
                fontsize=5.5,
                **label,
            )
    ax.set_xticks(range(len(groups)), [str(name) for name in groups])
    ax.grid(visible=False, axis="x")
    ax.margins(y=0.16)
