"""Small charts as SVG, drawn from numbers alone: for pages that must stand by themselves."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qerror.tables import printable, short

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, which the colour-blind tell apart."""

_MARKS = ("circle", "square", "diamond", "triangle")
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 12, 40
_TICKS = 5


class Series(NamedTuple):
    """Points with a name, and perhaps a word on each."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    titles: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """Series on one pair of axes.

    Parameters
    ----------
    title, x_label, y_label : str
    series : sequence of Series
        Points that are not finite are left out.
    joined : bool
        Whether the points of a series are joined by lines.
    diagonal : bool
        Whether the line y = x is drawn.
    width, height : int
        In pixels.
    """

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    joined: bool = False
    diagonal: bool = False
    width: int = 640
    height: int = 320

    def svg(self) -> str:
        """Return the chart."""
        points = [
            (i, j, x, y)
            for i, each in enumerate(self.series)
            for j, (x, y) in enumerate(zip(each.x, each.y, strict=True))
            if math.isfinite(x) and math.isfinite(y)
        ]
        if not points:
            return f"<p>{_safe(self.title)}: no point to draw.</p>"
        xs, ys = [x for *_, x, _ in points], [y for *_, y in points]
        if self.diagonal:
            xs = ys = [*xs, *ys]
        across = _Axis.of(xs, _LEFT, self.width - _RIGHT)
        up = _Axis.of(ys, self.height - _BOTTOM, _TOP)
        parts = [self._frame(across, up)]
        if self.diagonal:
            ends = across.low, across.high
            parts.append(_line([(across(t), up(t)) for t in ends], "#999999", "4 3"))
        for i, each in enumerate(self.series):
            own = [(j, across(x), up(y)) for k, j, x, y in points if k == i]
            colour = COLOURS[i % len(COLOURS)]
            if self.joined:
                parts.append(_line([(x, y) for _, x, y in own], colour))
            titles = each.titles or [each.name] * len(each.x)
            parts += [_mark(x, y, i, colour, titles[j]) for j, x, y in own]
        size = f'width="{self.width}" height="{self.height}"'
        view = f'viewBox="0 0 {self.width} {self.height}"'
        label = _safe(self.title)
        return (
            f'<figure><figcaption>{label}</figcaption><svg {size} {view} role="img" '
            f'aria-label="{label}">{"".join(parts)}</svg>{self._legend()}</figure>'
        )

    def _frame(self, across: "_Axis", up: "_Axis") -> str:
        """Return the grid, its numbers and the labels."""
        bottom, right = self.height - _BOTTOM, self.width - _RIGHT
        parts: list[str] = []
        for t in across.ticks():
            parts.append(_line([(across(t), _TOP), (across(t), bottom)], "#dddddd"))
            parts.append(_text(across(t), bottom + 14, short(t, 3), "middle"))
        for t in up.ticks():
            parts.append(_line([(_LEFT, up(t)), (right, up(t))], "#dddddd"))
            parts.append(_text(_LEFT - 6, up(t) + 4, short(t, 3), "end"))
        middle, centre = (_LEFT + right) / 2, (_TOP + bottom) / 2
        parts.append(_text(middle, self.height - 6, self.x_label, "middle"))
        turned = f' transform="rotate(-90 12 {centre:.1f})"'
        parts.append(_text(12, centre, self.y_label, "middle", turned))
        return "".join(parts)

    def _legend(self) -> str:
        if len(self.series) < 2:
            return ""
        entries = [
            f'<span><svg width="12" height="12">{_mark(6, 6, i, COLOURS[i % len(COLOURS)], "")}'
            f"</svg> {_safe(each.name)}</span>"
            for i, each in enumerate(self.series)
        ]
        return f'<div class="legend">{" ".join(entries)}</div>'


@dataclass(frozen=True)
class _Axis:
    """Places of numbers between two pixels."""

    low: float
    high: float
    start: float
    stop: float

    @classmethod
    def of(cls, values: Sequence[float], start: float, stop: float) -> "_Axis":
        low, high = min(values), max(values)
        room = 0.04 * (high - low) or max(abs(high), 1.0) * 0.1
        return cls(low - room, high + room, start, stop)

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return round numbers along the axis."""
        rough = (self.high - self.low) / _TICKS
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [n * step for n in range(first, last + 1)]


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}"{dashed}/>'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{_safe(text)}</text>'


def _mark(x: float, y: float, series: int, colour: str, title: str) -> str:
    shape, r = _MARKS[series % len(_MARKS)], 3.2
    said = f"<title>{_safe(title)}</title>" if title else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" fill="{colour}">{said}</circle>'
    corners = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "diamond": ((0, -r - 1), (r + 1, 0), (0, r + 1), (-r - 1, 0)),
        "triangle": ((0, -r - 1), (r, r), (-r, r)),
    }[shape]
    path = " ".join(f"{x + a:.1f},{y + b:.1f}" for a, b in corners)
    return f'<polygon points="{path}" fill="{colour}">{said}</polygon>'


def _safe(text: str) -> str:
    """Return text as HTML and XML show it, whatever is in it."""
    return html.escape(printable(text).encode("utf-8", "backslashreplace").decode())
