"""How an error is distributed, as a document."""

from qerror.analysis.distribution import ErrorDistribution
from qerror.densities.names import density_name
from qerror.formats.format import ScalarFormat
from qerror.reporting._document import Document, View
from qerror.reporting._results import range_line
from qerror.tables import short

PROBABILITIES = (0.5, 0.9, 0.99, 0.999, 0.9999)
_SHARES = (1e-3, 1e-2, 1e-1)


def distribution_document(
    form: ScalarFormat,
    scale: float,
    found: ErrorDistribution,
    atol: float | None = None,
    rtol: float | None = None,
) -> Document:
    """Return the spread of an error: a row for each figure.

    Parameters
    ----------
    form, scale
        What `found` is of.
    found : ErrorDistribution
        The distribution.
    atol, rtol : float, optional
        A tolerance whose exceedance is asked for: |e| > atol + rtol |x|.
    """
    name = density_name(found.density)
    lines: list[tuple[str, str, float]] = [
        ("mean_absolute", "mean |e|", found.mean_absolute),
        ("largest_inside", "largest |e| within the range", found.largest_inside),
        ("zeroed", "P(Q(x) = 0, x not 0)", found.zeroed),
    ]
    quantiles = found.absolute_quantile(PROBABILITIES).tolist()
    lines += [
        (f"absolute_quantile_{p:g}", f"|e| stays below, with P = {p:g}", value)
        for p, value in zip(PROBABILITIES, quantiles, strict=True)
    ]
    shares = found.relative_exceedance(_SHARES).tolist()
    lines += [
        (f"relative_exceedance_{share:g}", f"P(|e| > {share:g} |x|)", value)
        for share, value in zip(_SHARES, shares, strict=True)
    ]
    if atol is not None or rtol is not None:
        a, r = atol or 0.0, rtol or 0.0
        label = f"P(|e| > {a:g} + {r:g} |x|)" if r else f"P(|e| > {a:g})"
        lines.append(("exceedance", label, float(found.exceedance(a, r))))
    params: dict[str, object] = {
        "density": name,
        "format": form.name,
        "scale": scale,
        "max_value": form.max_value * scale,
        "rounding": found.rounding,
        "atol": atol,
        "rtol": rtol,
    }
    rows = [{"figure": key, "value": value} for key, _, value in lines]
    title = f"{form.name} on {name}\n{range_line(form, scale)}"
    if found.rounding != "nearest-even":
        title += f"; rounding {found.rounding}"
    body = [(label, short(value, 10)) for _, label, value in lines]
    return Document("distribution", params, rows, [View(title, ("e = Q(x) - x", "value"), body)])
