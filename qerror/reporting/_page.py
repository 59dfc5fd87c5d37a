"""The analysis of a checkpoint as one page of HTML that needs nothing else."""

import html
import math
from typing import TYPE_CHECKING

from qerror.reporting._svg import Chart, Series
from qerror.tables import decibels, printable, short

if TYPE_CHECKING:
    from qerror.checkpoints import CheckpointReport, TensorReport

_WORST = 6  # tensors whose histograms are shown

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th, td { padding: .2em .6em; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top }
th.word, td.word { text-align: left }
thead th { cursor: pointer; position: sticky; top: 0; background: #fff; white-space: nowrap }
thead th[aria-sort]::after { content: " \\2193" }
thead th[aria-sort=ascending]::after { content: " \\2191" }
td.word:last-child { min-width: 15em }
td.best { font-weight: bold } td.off { color: #b03000 }
figure { display: inline-block; margin: 1em 1em 1em 0 } figcaption { font-weight: bold }
svg text { font: 11px system-ui, sans-serif; fill: #333 } .legend span { margin-right: 1em }
@media (prefers-color-scheme: dark) { body { background: #fff; color: #111 } }
"""

_SCRIPT = """
for (const head of document.querySelectorAll("table.sortable thead th")) {
  head.tabIndex = 0;
  const sort = () => {
    const table = head.closest("table"), body = table.tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const up = head.getAttribute("aria-sort") === "descending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => {
      const text = row.children[column].dataset.value ?? row.children[column].textContent;
      const number = text === "inf" ? Infinity : parseFloat(text);
      return Number.isNaN(number) ? text : number;
    };
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([a], [b]) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0)
      : typeof a === "number" ? 1 : -1);
    if (!up) rows.reverse();
    body.append(...rows.map(([, row]) => row));
  };
  head.addEventListener("click", sort);
  head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
}
"""


def analysis_page(report: "CheckpointReport") -> bytes:
    """Return a page with sortable tables and figures; no file and no network belongs to it.

    Parameters
    ----------
    report : CheckpointReport
        What was found.
    """
    title = _text(f"{report.path.name}: number formats, tensor by tensor")
    damaged = "".join(f"<li>{_text(str(each))}</li>" for each in report.faults)
    body = [
        f"<h1>{title}</h1>",
        f"<p>{report.size:,} values in {len(report):,} tensors.</p>",
        f"<h2>Damaged</h2><ul>{damaged}</ul>" if damaged else "",
        "<h2>All tensors together</h2>",
        _totals(report),
        "<h2>Figures</h2>",
        _by_depth(report),
        _predictions(report),
        *_histograms(report),
        "<h2>Tensors</h2><p>SQNR in dB at the best range of the values; in brackets what the "
        "fitted density predicts there, red where it is off by more than 0.5 dB. Click a title "
        "to sort.</p>",
        _tensors(report),
        f"<script>{_SCRIPT}</script>",
    ]
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    start = f'<!doctype html>\n<html lang="en"><head>{head}</head>'
    return f"{start}<body>{''.join(body)}</body></html>\n".encode()


def _text(text: str) -> str:
    return html.escape(printable(text).encode("utf-8", "backslashreplace").decode())


def _cell(text: str, value: float | None = None, kind: str = "", title: str = "") -> str:
    shown = f' class="{kind}"' if kind else ""
    sorted_by = "" if value is None or math.isnan(value) else f' data-value="{value!r}"'
    said = f' title="{_text(title)}"' if title else ""
    return f"<td{shown}{sorted_by}{said}>{_text(text)}</td>"


def _table(header: list[tuple[str, str]], rows: list[str]) -> str:
    heads = "".join(f'<th class="{kind}">{_text(name)}</th>' for name, kind in header)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<table class="sortable"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _totals(report: "CheckpointReport") -> str:
    header = [("format", "word"), *((n, "") for n in ("bits", "tensors", "absmax dB", "best dB"))]
    rows = [
        _cell(each.format, kind="word")
        + _cell(short(each.bits_per_value), each.bits_per_value)
        + _cell(f"{each.tensors:,}", each.tensors)
        + _cell(_decibels(each.absmax_sqnr_db), each.absmax_sqnr_db)
        + _cell(_decibels(each.best_sqnr_db), each.best_sqnr_db)
        for each in report.totals
    ]
    return _table(header, rows)


def _tensors(report: "CheckpointReport") -> str:
    words = [("tensor", "word"), ("type", "word"), ("shape", "word"), ("density", "word")]
    numbers = [("values", ""), ("kurtosis", ""), ("max/RMS", "")]
    header = [*words, *numbers, *((name, "") for name in report.formats), ("note", "word")]
    return _table(header, [_row(each) for each in report.tensors])


def _row(each: "TensorReport") -> str:
    cells = [
        _cell(each.tensor, kind="word"),
        _cell(each.dtype, kind="word"),
        _cell("x".join(map(str, each.shape)) or "1", kind="word"),
        _cell(each.density.partition("(")[0], kind="word", title=each.density),
        _cell(f"{each.size:,}", each.size),
        _cell(_number(each.kurtosis), each.kurtosis),
        _cell(_number(each.largest_over_rms), each.largest_over_rms),
    ]
    best = each.best
    for form in each.formats:
        kinds = ["best"] if best is not None and form.format == best.format else []
        kinds += ["off"] if form.holds is False else []
        text = _decibels(form.best_sqnr_db)
        if not math.isnan(form.predicted_sqnr_db):
            text += f" ({_decibels(form.predicted_sqnr_db)})"
        cells.append(_cell(text, form.best_sqnr_db, " ".join(kinds), form.note))
    return "".join([*cells, _cell(each.note, kind="word")])


def _by_depth(report: "CheckpointReport") -> str:
    names = [each.tensor for each in report.tensors]
    places = [float(i) for i in range(len(names))]
    series = [
        Series(name, places, [each.formats[i].best_sqnr_db for each in report.tensors], names)
        for i, name in enumerate(report.formats)
    ]
    return Chart("SQNR by depth", "tensor, in the order of the file", "dB", series, True).svg()


def _predictions(report: "CheckpointReport") -> str:
    series = [
        Series(
            name,
            [each.formats[i].predicted_sqnr_db for each in report.tensors],
            [each.formats[i].best_sqnr_db for each in report.tensors],
            [each.tensor for each in report.tensors],
        )
        for i, name in enumerate(report.formats)
    ]
    title = "Predicted against measured SQNR"
    return Chart(title, "predicted dB", "measured dB", series, diagonal=True, width=420).svg()


def _histograms(report: "CheckpointReport") -> list[str]:
    """Return the values of the tensors whose predictions fail most, with the fitted density."""
    off = {
        each.tensor: max(
            (
                abs(form.predicted_sqnr_db - form.best_sqnr_db)
                for form in each.formats
                if form.holds is False
            ),
            default=0.0,
        )
        for each in report.tensors
        if each.histogram
    }
    worst = sorted(off, key=lambda name: -off[name])[:_WORST]
    return [_histogram(report[name]) for name in worst if off[name] > 0]


def _histogram(each: "TensorReport") -> str:
    centres = [bin_.centre for bin_ in each.histogram]
    logs = [
        [math.log10(share) if share > 0 else math.nan for share in shares]
        for shares in (
            [bin_.share for bin_ in each.histogram],
            [bin_.fitted for bin_ in each.histogram],
        )
    ]
    series = [Series("values", centres, logs[0]), Series("fitted density", centres, logs[1])]
    label = "log10 of the share in a cell"
    return Chart(
        f"{each.tensor}: values and fit", "x / RMS", label, series, True, width=420, height=260
    ).svg()


def _number(value: float) -> str:
    return "" if math.isnan(value) else short(value, 3)


def _decibels(value: float) -> str:
    return "" if math.isnan(value) else decibels(value)
