"""What searches return, as documents: best ranges, rankings, switches."""

import math
from collections.abc import Iterator, Sequence

from qerror.analysis.decibels import decibels_above
from qerror.densities import Density, density_name
from qerror.densities.names import own_parameter
from qerror.formats import BlockFormat, FixedPoint, Format
from qerror.optimize.optimum import LocalMinimum, OptimalScale
from qerror.optimize.ranges import RangeChoice
from qerror.optimize.ranking import BLOCK_SIZE, RANGE_PARAMETERS, FormatRanking
from qerror.optimize.switches import FormatSwitches
from qerror.reporting._document import Document, Row, View
from qerror.reporting._plateaus import plateaus_view
from qerror.tables import decibels, place, short

_MOST_MINIMA = 16  # that a table shows
_APART = (
    2**0.25
)  # scales nearer to each other are ripples of one minimum, as point masses make them
_EDGE = "the end of the searched ranges is best: the optimum lies beyond"
_ZEROS = "all values are 0, which every range holds"
_INFINITE = "E[x^2] is infinite: so is the MSE at every range, and no format is better"


def optimum_document(
    form: Format, density: Density, best: OptimalScale, choices: Sequence[RangeChoice]
) -> Document:
    """Return a format's best range, the other local minima and other ways to choose a range.

    Parameters
    ----------
    form, density
        What `best` was searched for.
    best : OptimalScale
        What the search found.
    choices : sequence of RangeChoice
        What other rules choose, the best scale first; none where E[X^2] is infinite.
    """
    name = density_name(density)
    rows: list[Row] = [_optimum_row(form, name, best)]
    rows += [_choice_row(form, name, choice) for choice in choices[1:]]
    rows += _minima_rows(form, name, best)
    params: dict[str, object] = {
        "format": form.name,
        "density": name,
        "at_edge": best.at_edge,
        "searched": list(best.searched),
    }
    if best.rounding != "nearest-even":
        params["rounding"] = best.rounding
    views = [_optimum_view(form, name, best)]
    views += [_rules_view(choices)] if choices else []
    minima = _apart(best.local_minima)
    several = len(minima) > 1 and best.report.signal_power > 0
    views += [_minima_view(best, minima)] if several else []
    return Document("optimize", params, rows, views)


def ranking_document(result: FormatRanking) -> Document:
    """Return formats from the best to the worst, each at its best range."""
    density = density_name(result.density)
    rows: list[Row] = [
        {
            "density": density,
            "rank": rank,
            "format": entry.format.name,
            "scale": entry.optimum.scale,
            "max_value": entry.optimum.max_value,
            "bias": entry.optimum.bias,
            **entry.optimum.report.to_dict(),
            "below_best_db": entry.below_best_db,
            "at_edge": entry.optimum.at_edge,
            **_leeway(entry.optimum),
        }
        for rank, entry in enumerate(result.ranking, start=1)
    ]
    header = ("rank", "format", "max value", "bias/scale", "MSE", "SQNR dB", "dB below")
    body = [
        (
            str(rank),
            entry.format.name,
            short(entry.optimum.max_value),
            place(entry.optimum.scale, entry.optimum.bias),
            short(entry.optimum.report.mse),
            decibels(entry.optimum.report.sqnr_db),
            decibels(entry.below_best_db),
        )
        for rank, entry in enumerate(result.ranking, start=1)
    ]
    infinite = math.isinf(result.best.optimum.report.mse)
    beyond = [entry.format.name for entry in result.ranking if entry.optimum.at_edge]
    note = _INFINITE if infinite else f"{', '.join(beyond)}: {_EDGE}" if beyond else ""
    notes = [f"note: {note}"] if note else []
    marked = () if infinite else (0,)
    view = View(density, header, body, (1,), notes, marked, spare=(4, 3, 0))
    formats = [entry.format.name for entry in result.ranking]
    views = [view]
    views += plateaus_view(formats, [entry.optimum for entry in result.ranking])
    return Document("ranking", {"density": density, "formats": formats}, rows, views)


def switches_document(
    result: FormatSwitches, formats: Sequence[Format], density: Density
) -> Document:
    """Return the best formats along a parameter, a row for each stretch.

    Parameters
    ----------
    result : FormatSwitches
        What was found.
    formats, density
        What it was asked for.
    """
    name = result.parameter
    errors = [*(switch.mse for switch in result.switches), None]
    stretches = [(*each, mse) for each, mse in zip(result.stretches, errors, strict=True)]
    rows: list[Row] = [
        {
            "density": density_name(density),
            "parameter": name,
            "from": start,
            "to": end,
            "best_format": _named(form, name),
            "mse_at_end": mse,
        }
        for start, end, form, mse in stretches
    ]
    body = [
        (short(start, 11), short(end, 11), _named(form, name), short(mse, 6))
        for start, end, form, mse in stretches
    ]
    own = None if name in {*RANGE_PARAMETERS, BLOCK_SIZE} else own_parameter(name)
    title = f"{density_name(density, without=own)} over {name}: the best format"
    after = "MSE at the next" if name == BLOCK_SIZE else "MSE at the switch"
    header = (f"from {name}", f"to {name}", "best", after)
    params: Row = {
        "density": density_name(density),
        "formats": [_named(form, name) for form in formats],
        "over": {"name": name, "low": result.low, "high": result.high},
    }
    return Document("switches", params, rows, [View(title, header, body, words=(2,), spare=(3,))])


def _named(form: Format, parameter: str) -> str:
    if parameter == BLOCK_SIZE and isinstance(form, BlockFormat):
        return form.name_at_any_size
    return form.name


# ---- one format


def _optimum_row(form: Format, density: str, best: OptimalScale) -> Row:
    return {
        "density": density,
        "format": form.name,
        "rule": "best scale",
        "scale": best.scale,
        "max_value": best.max_value,
        "bias": best.bias,
        "zero_point": None,
        **_length_of(form, best),
        **best.report.to_dict(),
        "loss_db": math.nan if math.isnan(best.scale) else 0.0,
        **best.leeway.to_dict(),
    }


def _leeway(best: OptimalScale) -> Row:
    """Return how far the range may move, where it takes no longer to find than the optimum."""
    return best.leeway.to_dict() if best.has_quick_leeway else {}


def _length_of(form: Format, best: OptimalScale) -> Row:
    """Return the fractional length that the best scale of fixed point stands for."""
    if not isinstance(form, FixedPoint) or math.isnan(best.scale):
        return {}
    return {"fractional_length": form.fractional_length - round(math.log2(best.scale))}


def _choice_row(form: Format, density: str, choice: RangeChoice) -> Row:
    return {
        "density": density,
        "format": form.name,
        "rule": choice.rule,
        "scale": choice.scale,
        "max_value": choice.max_value,
        "bias": choice.bias,
        "zero_point": choice.zero_point,
        **choice.report.to_dict(),
        "loss_db": choice.loss_db,
    }


def _minima_rows(form: Format, density: str, best: OptimalScale) -> Iterator[Row]:
    for minimum in best.local_minima:
        yield {
            "density": density,
            "format": form.name,
            "rule": "local minimum",
            "scale": minimum.scale,
            "max_value": minimum.max_value,
            "mse": minimum.mse,
            "loss_db": decibels_above(minimum.mse, best.report.mse),
        }


def _optimum_view(form: Format, density: str, best: OptimalScale) -> View:
    report = best.report
    length = _length_of(form, best)
    lines = [(f"best {key.replace('_', ' ')}", str(value)) for key, value in length.items()]
    lines += [("max value" if length else "best max value", short(best.max_value, 10))]
    lines += [] if length else [("scale", short(best.scale, 10))]
    lines += [] if best.bias is None else [("bias", short(best.bias, 10))]
    lines += [
        ("rounding error", short(report.rounding, 10)),
        ("clipping error", short(report.clipping, 10)),
        ("MSE", short(report.mse, 10)),
        ("SQNR in dB", short(report.sqnr_db, 10)),
    ]
    infinite = math.isnan(best.scale)
    if not infinite:
        low, high = best.plateau
        lines.insert(1 + len(length), ("within 0.1 dB", f"{short(low)} to {short(high)}"))
        lines.insert(2 + len(length), ("smallest for 0.01 dB", short(best.leeway.smallest)))
    notes = [f"note: {_INFINITE}"] if infinite else [f"note: {_EDGE}"] if best.at_edge else []
    notes += [f"note: {_ZEROS}"] if report.signal_power == 0 else []
    mode = "" if best.rounding == "nearest-even" else f", rounding {best.rounding}"
    return View(f"{form.name} on {density}{mode}", ("", ""), lines, notes=notes)


def _rules_view(choices: Sequence[RangeChoice]) -> View:
    header = ("range by", "max value", "bias/scale", "zero", "MSE", "loss dB")
    body = [
        (
            choice.rule,
            short(choice.max_value),
            place(choice.scale, choice.bias),
            "" if choice.zero_point is None else str(choice.zero_point),
            short(choice.report.mse),
            decibels(choice.loss_db),
        )
        for choice in choices
    ]
    shown = [i for i, title in enumerate(header) if title != "zero" or any(row[i] for row in body)]
    return View(
        "Ways to choose the range",
        [header[i] for i in shown],
        [[row[i] for i in shown] for row in body],
        marked=(0,),
        spare=[i for i, index in enumerate(shown) if header[index] in {"MSE", "bias/scale"}][::-1],
    )


def _apart(minima: Sequence[LocalMinimum]) -> list[LocalMinimum]:
    """Return the minima that no lower one is near; of equals the first."""
    return [
        each
        for i, each in enumerate(minima)
        if not any(
            (other.mse, j) < (each.mse, i)
            and max(other.scale, each.scale) < _APART * min(other.scale, each.scale)
            for j, other in enumerate(minima)
        )
    ]


def _minima_view(best: OptimalScale, minima: Sequence[LocalMinimum]) -> View:
    header = ("max value", "scale", "MSE", "dB above the best")
    shown = minima[:_MOST_MINIMA]
    body = [
        (
            short(minimum.max_value, 8),
            short(minimum.scale, 8),
            short(minimum.mse, 10),
            short(decibels_above(minimum.mse, best.report.mse), 3),
        )
        for minimum in shown
    ]
    left_out = len(best.local_minima) - len(body)
    notes = [f"{left_out} more are in the JSON output"] if left_out else []
    marked = [i for i, minimum in enumerate(shown) if minimum.scale == best.scale]
    return View("Local minima", header, body, (), notes, marked, spare=(1,))
