"""Numbers and tables as text."""

import math
from collections.abc import Collection, Sequence

from qerror.reporting._document import View

_GAP = "  "


def short(value: float | None, digits: int = 4) -> str:
    """Return a number to a few significant digits: "0.1854", "57344", "1.23e-5", "inf".

    Integers up to 999999 keep all their digits; None is empty.
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 10**digits and size < 1e6:
        return f"{value:.0f}"
    if 1e-3 <= size < 1e6:
        return f"{value:.{digits}g}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def compact(value: float | None, width: int = 9) -> str:
    """Return the shortest decimal that reads back as `value` if it is short, else 4 digits."""
    if value is None:
        return ""
    exact = repr(value).removesuffix(".0")
    return exact if len(exact) <= width and "e" not in exact else short(value)


def decibels(value: float) -> str:
    """Return a ratio in dB to 0.01 dB."""
    return f"{value:z.2f}"


def aligned(view: View) -> str:
    """Return the table as aligned text without any control character."""
    rows = [view.header, *view.body]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths, view.words) for row in rows]
    if any(view.header):
        lines.insert(1, _GAP.join("-" * width for width in widths))
    else:
        del lines[0]
    return "\n".join([*_heading(view), *lines, *_footing(view)]) + "\n"


def markdown(view: View) -> str:
    """Return the table in Markdown, the title as a heading."""
    rules = ["---" if i in view.words else "---:" for i in range(len(view.header))]
    table = [_markdown_line(row) for row in (view.header, rules, *view.body)]
    heading = [f"## {view.title}", ""] if view.title else []
    footing = [line for note in view.notes for line in ("", note)]
    return "\n".join([*heading, *table, *footing]) + "\n"


def _line(cells: Sequence[str], widths: Sequence[int], words: Collection[int]) -> str:
    padded = [
        cell.ljust(width) if i in words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(padded).rstrip()


def _heading(view: View) -> list[str]:
    return [view.title, ""] if view.title else []


def _footing(view: View) -> list[str]:
    return ["", *view.notes] if view.notes else []


def _markdown_line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
