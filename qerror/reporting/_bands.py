"""Where measurements should lie, as a document."""

from qerror.analysis.bands import Bands
from qerror.densities.density import Density
from qerror.densities.names import density_name
from qerror.formats.format import ScalarFormat
from qerror.reporting._document import Document, View
from qerror.reporting._results import range_line
from qerror.tables import short


def bands_document(
    form: ScalarFormat,
    density: Density,
    scale: float,
    found: Bands,
    measured: tuple[str, float] | None = None,
) -> Document:
    """Return the band of every figure, and whether what was measured lies in its own.

    Parameters
    ----------
    form, density, scale
        What `found` is of.
    found : Bands
        The bands.
    measured : (str, float), optional
        The name of a figure and the value that was measured.
    """
    name = density_name(density)
    params: dict[str, object] = {
        "density": name,
        "format": form.name,
        "scale": scale,
        "max_value": form.max_value * scale,
        "size": found.size,
        "confidence": found.confidence,
    }
    notes: list[str] = []
    if measured is not None:
        figure, value = measured
        band = found[figure]
        passed = band.holds(value)
        params |= {"figure": figure, "measured": value, "passed": passed}
        verdict = "lies inside" if passed else "lies outside"
        notes.append(
            f"measured {figure} {short(value, 7)} {verdict}: {short(band.low, 7)} to "
            f"{short(band.high, 7)}"
        )
    rows = [{"figure": key, **band._asdict()} for key, band in found.bands.items()]
    body = [
        (key, *(short(end, 7) for end in (band.low, band.centre, band.high)), band.method)
        for key, band in found.bands.items()
    ]
    header = ("figure", "from", "median", "to", "method")
    title = (
        f"{form.name} on {name}\n{range_line(form, scale)}\n"
        f"{100 * found.confidence:g}% of measurements on {found.size:,} values"
    )
    return Document("expect", params, rows, [View(title, header, body, (0, 4), notes)])
