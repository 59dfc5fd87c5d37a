"""Certified figures, and figures of many digits, as documents."""

import math

from qerror.densities.density import Density
from qerror.densities.names import density_name
from qerror.formats.format import ScalarFormat
from qerror.reporting._document import Document, View
from qerror.reporting._results import ERROR_LINES, range_line
from qerror.rigorous.enclosure import EnclosureReport, Interval
from qerror.rigorous.high_precision import HighPrecisionReport


def certified_document(
    form: ScalarFormat,
    density: Density,
    scale: float,
    report: EnclosureReport | HighPrecisionReport,
    rounding: str = "nearest-even",
) -> Document:
    """Return proved intervals, or many digits, as a document of a row a figure.

    Parameters
    ----------
    form, density, scale, rounding
        What `report` was computed from.
    report : EnclosureReport or HighPrecisionReport
        The figures.
    """
    name = density_name(density)
    proved = isinstance(report, EnclosureReport)
    params: dict[str, object] = {
        "density": name,
        "format": form.name,
        "scale": scale,
        "max_value": form.max_value * scale,
        "bias": form.bias_at(scale),
        "method": "enclosure" if proved else "high-precision",
        "rounding": rounding,
    }
    title = f"{form.name} on {name}\n{range_line(form, scale)}"
    if rounding != "nearest-even":
        title += f"; rounding {rounding}"
    if isinstance(report, EnclosureReport):
        intervals = report.to_dict()
        rows: list[dict[str, object]] = [
            {"figure": key, "low": each.low, "high": each.high, "value": each.middle}
            for key, each in intervals.items()
        ]
        shown = {key: _shown(each) for key, each in intervals.items()}
        note = "each value is proved to lie within its radius, by ball arithmetic (Arb)"
    else:
        figures = report.to_dict()
        rows = [{"figure": key, "value": value} for key, value in figures.items()]
        shown = {key: "does not exist" if each is None else each for key, each in figures.items()}
        note = f"to {report.digits} digits, by mpmath"
    body = [(label, shown[key]) for key, label in ERROR_LINES.items() if key in shown]
    return Document(
        "certified", params, rows, [View(title, ("figure", "value"), body, notes=[note])]
    )


def _shown(interval: Interval) -> str:
    """Return an interval as its middle and its radius."""
    if not math.isfinite(interval.low):
        return f"{interval.low:g}"
    return f"{interval.middle:.17g} +- {interval.radius:.1e}"
