"""Numbers as a person reads them, and small tables of text: for reprs and for reports."""

import math
from collections.abc import Collection, Sequence


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


def is_number(text: str) -> bool:
    """Tell whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def compact(value: float | None, width: int = 9) -> str:
    """Return the shortest decimal that reads back as `value` if it is short, else 4 digits."""
    if value is None:
        return ""
    exact = repr(value).removesuffix(".0")
    return exact if len(exact) <= width and "e" not in exact else short(value)


def decibels(value: float) -> str:
    """Return a ratio in dB to 0.01 dB."""
    return f"{value:z.2f}"


def place(scale: float | None, bias: float | None) -> str:
    """Return where a grid stands: a floating-point format's bias, any other's scale."""
    if scale is None:
        return ""
    return f"s={short(scale)}" if bias is None else f"b={short(bias)}"


def printable(text: str) -> str:
    r"""Return text that a terminal shows and does not obey: ESC becomes ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def html_table(
    title: str,
    header: Sequence[str],
    body: Sequence[Sequence[str]],
    marked: Collection[int] = (),
) -> str:
    """Return a table in HTML, numbers and words as they are given; `marked` rows stand out."""
    from html import escape  # noqa: PLC0415 - its list of entities takes a while to load

    heads = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    rows = "\n".join(_html_row([*map(escape, cells)], i in marked) for i, cells in enumerate(body))
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"


def _html_row(cells: Sequence[str], is_marked: bool) -> str:
    tag = "th" if is_marked else "td"
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"
