"""Cross-checks as documents: how far samples lie from the exact figures.

What samples is imported by the functions that need it: no other document does.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qerror.densities import density_name
from qerror.reporting._document import Document, Row, View
from qerror.tables import short

if TYPE_CHECKING:
    from qerror.crosscheck import Judgement, Pair

_TITLES = {
    "rounding": "round",
    "clipping_low": "clip<",
    "clipping_high": "clip>",
    "mse": "MSE",
    "sqnr_db": "SQNR",
    "mean_error": "E[e]",
    "cross_moment": "E[xe]",
    "signal_power": "E[x^2]",
    "signal_mean": "E[x]",
}


def verify_document(
    pairs: "Sequence[Pair]", size: int, seed: int, rounding: str = "nearest-even"
) -> Document:
    """Return cross-checks as a document, a row for each figure of each pair.

    Parameters
    ----------
    pairs : sequence of Pair
        What `qerror.crosscheck.verify` returned.
    size, seed : int
        Samples a pair, and where they came from.
    rounding : str
        How values went to levels.
    """
    from qerror.crosscheck import total_p  # noqa: PLC0415

    chi_square, degrees, p = total_p(pair.check for pair in pairs)
    params: dict[str, object] = {
        "formats": list(dict.fromkeys(pair.format.name for pair in pairs)),
        "densities": list(_by_density(pairs)),
        "size": size,
        "seed": seed,
        "chi_square": chi_square,
        "degrees": degrees,
        "p_value": p,
        "passed": not unmet(pairs),
    }
    if rounding != "nearest-even":
        params["rounding"] = rounding
    rows = [row for pair in pairs for row in _rows(pair)]
    total = f"all: chi-square {chi_square:.1f} with {degrees} degrees of freedom, p {p:.3g}"
    if rounding != "nearest-even":
        total = f"rounding {rounding}; {total}"
    return Document("verify", params, rows, _views(pairs, total))


def unmet(pairs: "Sequence[Pair]") -> list[str]:
    """Return a line for every check that was not met, and one if nothing could be checked."""
    from qerror.crosscheck import LEAST_TOTAL_P, total_p  # noqa: PLC0415

    lines = [
        f"not met: {pair.format.name} on {density_name(pair.density)}: "
        f"largest |z| {pair.check.worst:.1f}, chi-square p {pair.check.p_value:.1e}"
        for pair in pairs
        if not pair.check.passed
    ]
    chi_square, degrees, p = total_p(pair.check for pair in pairs)
    if p < LEAST_TOTAL_P:
        lines.append(f"not met: chi-square {chi_square:.0f} over all, {degrees} degrees, p {p:.1e}")
    if _judged_nothing([each for pair in pairs for each in pair.check.judgements.values()]):
        lines.append("not met: no figure could be judged; take more samples: --size")
    return lines


def _judged_nothing(judgements: "Sequence[Judgement]") -> bool:
    """Tell whether all that was compared is nothing with nothing: no sample was clipped."""
    says_something = (
        not each.reason and (each.exact != 0 or each.sampled != 0) for each in judgements
    )
    return any(each.reason for each in judgements) and not any(says_something)


def _by_density(pairs: "Sequence[Pair]") -> "dict[str, list[Pair]]":
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(density_name(pair.density), []).append(pair)
    return found


def _views(pairs: "Sequence[Pair]", total: str) -> list[View]:
    """Show one pair in detail, or a table a density; the sum of all stands below the last."""
    if len(pairs) == 1:
        return [_detail(pairs[0], total)]
    groups = list(_by_density(pairs).items())
    last = len(groups) - 1
    return [
        _table(name, group, [total] if i == last else []) for i, (name, group) in enumerate(groups)
    ]


def _rows(pair: "Pair") -> list[Row]:
    where = {
        "density": density_name(pair.density),
        "format": pair.format.name,
        "scale": pair.scale,
        "max_value": pair.max_value,
    }
    return [
        {
            **where,
            "figure": name,
            "exact": each.exact,
            "sampled": each.sampled,
            "standard_error": each.standard_error,
            "z": each.z,
            "truncated": each.truncated,
            "not_judged": each.reason or None,
        }
        for name, each in pair.check.judgements.items()
    ]


def _detail(pair: "Pair", total: str) -> View:
    body = [
        (
            f"{name} (cut)" if each.truncated else name,
            short(each.exact, 7),
            short(each.sampled, 7),
            short(each.standard_error, 2),
            _z(each.z, 2),
        )
        for name, each in pair.check.judgements.items()
    ]
    title = (
        f"{pair.format.name} on {density_name(pair.density)}\n"
        f"{_range(pair)}{pair.check.sampled.size:,} samples"
    )
    header = ("figure", "exact", "sampled", "std error", "z")
    return View(title, header, body, notes=[*_notes([pair]), total], spare=(3,))


def _range(pair: "Pair") -> str:
    return "" if pair.max_value is None else f"max value {short(pair.max_value)}, "


def _table(name: str, pairs: "Sequence[Pair]", more: Sequence[str]) -> View:
    """One line a format: z of every figure."""
    body = [
        (
            pair.format.name,
            *(_z(pair.check.z[key], 1) for key in _TITLES),
            f"{pair.check.p_value:.2g}",
        )
        for pair in pairs
    ]
    title = f"{name}: (sampled - exact) / standard error"
    return View(title, ("format", *_TITLES.values(), "p"), body, notes=[*_notes(pairs), *more])


def _z(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:z.{digits}f}"


def _notes(pairs: "Sequence[Pair]") -> list[str]:
    """Return the remark on heavy tails once, and why figures are left out."""
    notes: list[str] = []
    cut = next((pair.check.sampled for pair in pairs if pair.check.sampled.truncated), None)
    if cut is not None and cut.truncated is not None:
        low, high = map(short, cut.truncated.cut)
        notes.append(
            f"note: E[x^4] does not exist (tail exponent {cut.tails.heaviest:g}); figures that "
            f"need it are compared on the density cut to [{low}, {high}]"
        )
    reasons = dict.fromkeys(
        each.reason for pair in pairs for each in pair.check.judgements.values() if each.reason
    )
    return notes + [f"blank: {reason}" for reason in reasons]
