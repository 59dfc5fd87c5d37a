"""The best codebooks as documents."""

from qerror.analysis import BlockErrorReport, ErrorReport
from qerror.densities import Density, density_name
from qerror.formats import Format, ScalarFormat
from qerror.reporting._document import Document, Row, View
from qerror.tables import decibels, short

_DIGITS = 9


def codebook_document(
    levels: ScalarFormat,
    form: Format,
    report: ErrorReport[float] | BlockErrorReport,
    density: Density,
) -> Document:
    """Return the levels of a codebook and the error that they reach.

    Parameters
    ----------
    levels : ScalarFormat
        The codebook; of blocks in units of the largest magnitude.
    form : Format
        What has the error: the codebook, or blocks of it.
    report : ErrorReport or BlockErrorReport
        Its error on the density.
    density : Density
        What the levels are the best for.
    """
    name = density_name(density)
    points = levels.grid().points.tolist()
    size = report.block_size if isinstance(report, BlockErrorReport) else None
    rows: list[Row] = [{"rank": rank, "level": level} for rank, level in enumerate(points)]
    body = [(str(rank), short(level, _DIGITS)) for rank, level in enumerate(points)]
    where = "" if size is None else f" in blocks of {size}, in units of their maxima"
    notes = [
        f"mean squared error {short(report.mse, 6)}, SQNR {decibels(report.sqnr_db)} dB, "
        f"{form.bits_per_value:g} bits a value",
        "note: --format json has all digits, and the format's name, which other commands take",
    ]
    params: Row = {
        "density": name,
        "levels": len(points),
        "block_size": size,
        "format": form.name,
        "bits_per_value": form.bits_per_value,
        **report.to_dict(),
    }
    title = f"Best {len(points)} levels for {name}{where}"
    return Document("codebook", params, rows, [View(title, ("", "level"), body, (), notes)])
