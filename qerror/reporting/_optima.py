"""What searches return, as documents: best ranges, rankings, switches, fractional lengths."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence

from qerror.analysis.decibels import decibels_above
from qerror.densities import Density, density_name
from qerror.formats import Format
from qerror.optimize.fractional_length import FixedPointChoice, FractionalLength
from qerror.optimize.ranges import RangeChoice
from qerror.optimize.ranking import FormatRanking, FormatSwitches
from qerror.optimize.scale import OptimalScale
from qerror.reporting._document import Document, Row, View
from qerror.reporting._results import without
from qerror.reporting._text import decibels, short

_WIDTH = 80
_MOST_MINIMA = 16  # that a table shows
_EDGE = "the end of the searched ranges is best: the optimum lies beyond"
_INFINITE = "E[x^2] is infinite: so is the MSE at every range, and no format is better"


def optimum_document(
    number_format: Format, density: Density, best: OptimalScale, choices: Sequence[RangeChoice]
) -> Document:
    """Return a format's best range, the other local minima and other ways to choose a range.

    Parameters
    ----------
    number_format, density
        What `best` was searched for.
    best : OptimalScale
        What the search found.
    choices : sequence of RangeChoice
        What other rules choose, the best scale first; none where E[X^2] is infinite.
    """
    name = density_name(density)
    rows: list[Row] = [_optimum_row(number_format, name, best)]
    rows += [_choice_row(number_format, name, choice) for choice in choices[1:]]
    rows += _minima_rows(number_format, name, best)
    params: Row = {
        "format": number_format.name,
        "density": name,
        "at_edge": best.at_edge,
        "searched": list(best.searched),
    }
    views = [_optimum_view(number_format, name, best)]
    views += [_rules_view(choices)] if choices else []
    views += [_minima_view(best)] if len(best.local_minima) > 1 else []
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
        }
        for rank, entry in enumerate(result.ranking, start=1)
    ]
    header = ("rank", "format", "max value", "bias/scale", "MSE", "SQNR dB", "dB below")
    body = [
        (
            str(rank),
            entry.format.name,
            short(entry.optimum.max_value),
            _place(entry.optimum.scale, entry.optimum.bias),
            short(entry.optimum.report.mse),
            decibels(entry.optimum.report.sqnr_db),
            decibels(entry.below_best_db),
        )
        for rank, entry in enumerate(result.ranking, start=1)
    ]
    infinite = math.isinf(result.best.optimum.report.mse)
    beyond = [entry.format.name for entry in result.ranking if entry.optimum.at_edge]
    note = _INFINITE if infinite else f"{', '.join(beyond)}: {_EDGE}" if beyond else ""
    notes = textwrap.wrap(f"note: {note}", _WIDTH) if note else []
    marked = () if infinite else (0,)
    view = View(density, header, body, words=(1,), notes=notes, marked=marked)
    formats = [entry.format.name for entry in result.ranking]
    return Document("ranking", {"density": density, "formats": formats}, rows, [view])


def switches_document(result: FormatSwitches, formats: Sequence[str], density: str) -> Document:
    """Return the best formats along a parameter, a row for each stretch.

    Parameters
    ----------
    result : FormatSwitches
        What was found.
    formats, density
        What it was asked for, by name.
    """
    edges = [result.low, *(switch.value for switch in result.switches), result.high]
    power = [switch.mse for switch in result.switches]
    rows: list[Row] = [
        {
            "density": density,
            "parameter": result.parameter,
            "from": edges[i],
            "to": edges[i + 1],
            "best_format": form.name,
            "mse_at_end": power[i] if i < len(power) else None,
        }
        for i, form in enumerate(result.winners)
    ]
    body = [
        (
            short(edges[i], 11),
            short(edges[i + 1], 11),
            form.name,
            short(power[i], 6) if i < len(power) else "",
        )
        for i, form in enumerate(result.winners)
    ]
    title = f"{without(density, result.parameter)} over {result.parameter}: the best format"
    header = (f"from {result.parameter}", f"to {result.parameter}", "best", "MSE at the switch")
    params: Row = {
        "density": density,
        "formats": list(formats),
        "over": {"name": result.parameter, "low": result.low, "high": result.high},
    }
    return Document("switches", params, rows, [View(title, header, body, words=(2,))])


def fixed_point_document(
    word_length: int, std: float, choices: Mapping[bool, FixedPointChoice]
) -> Document:
    """Return the best fractional lengths of one word length and standard deviation.

    Parameters
    ----------
    word_length, std
        What the choices were made for.
    choices : mapping
        The choice for signed codes under True, for unsigned codes under False; either may be
        missing.
    """
    rows = [
        _length_row(entry, choice, signed)
        for signed, choice in choices.items()
        for entry in choice.nearby
    ]
    views = [_lengths_view(word_length, std, choices), _choices_view(choices)]
    params: Row = {
        "word_length": word_length,
        "std": std,
        "choices": {_sign(signed): _choice_facts(choice) for signed, choice in choices.items()},
    }
    return Document("fixed-point", params, rows, views)


# ---- one format


def _optimum_row(number_format: Format, density: str, best: OptimalScale) -> Row:
    return {
        "density": density,
        "format": number_format.name,
        "rule": "best scale",
        "scale": best.scale,
        "max_value": best.max_value,
        "bias": best.bias,
        "zero_point": None,
        **best.report.to_dict(),
        "loss_db": math.nan if math.isnan(best.scale) else 0.0,
    }


def _choice_row(number_format: Format, density: str, choice: RangeChoice) -> Row:
    return {
        "density": density,
        "format": number_format.name,
        "rule": choice.rule,
        "scale": choice.scale,
        "max_value": choice.max_value,
        "bias": choice.bias,
        "zero_point": choice.zero_point,
        **choice.report.to_dict(),
        "loss_db": choice.loss_db,
    }


def _minima_rows(number_format: Format, density: str, best: OptimalScale) -> Iterator[Row]:
    for minimum in best.local_minima:
        yield {
            "density": density,
            "format": number_format.name,
            "rule": "local minimum",
            "scale": minimum.scale,
            "max_value": minimum.max_value,
            "mse": minimum.mse,
            "loss_db": decibels_above(minimum.mse, best.report.mse),
        }


def _optimum_view(number_format: Format, density: str, best: OptimalScale) -> View:
    report = best.report
    lines = [("best max value", short(best.max_value, 10)), ("scale", short(best.scale, 10))]
    lines += [] if best.bias is None else [("bias", short(best.bias, 10))]
    lines += [
        ("rounding error", short(report.rounding, 10)),
        ("clipping error", short(report.clipping, 10)),
        ("MSE", short(report.mse, 10)),
        ("SQNR in dB", short(report.sqnr_db, 10)),
    ]
    infinite = math.isnan(best.scale)
    notes = [f"note: {_INFINITE}"] if infinite else [f"note: {_EDGE}"] if best.at_edge else []
    return View(f"{number_format.name} on {density}", ("", ""), lines, notes=notes)


def _rules_view(choices: Sequence[RangeChoice]) -> View:
    header = ("range by", "max value", "bias/scale", "zero", "MSE", "loss dB")
    body = [
        (
            choice.rule,
            short(choice.max_value),
            _place(choice.scale, choice.bias),
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
    )


def _minima_view(best: OptimalScale) -> View:
    header = ("max value", "scale", "MSE", "dB above the best")
    body = [
        (
            short(minimum.max_value, 8),
            short(minimum.scale, 8),
            short(minimum.mse, 10),
            short(decibels_above(minimum.mse, best.report.mse), 3),
        )
        for minimum in best.local_minima[:_MOST_MINIMA]
    ]
    left_out = len(best.local_minima) - len(body)
    notes = [f"{left_out} more are in the JSON output"] if left_out else []
    marked = [i for i, minimum in enumerate(best.local_minima) if minimum.scale == best.scale]
    return View("Local minima", header, body, words=(), notes=notes, marked=marked)


def _place(scale: float, bias: float | None) -> str:
    """Return a floating-point format's bias, any other's scale."""
    return f"s={short(scale)}" if bias is None else f"b={short(bias)}"


# ---- fixed point


def _sign(signed: bool) -> str:
    return "signed" if signed else "unsigned"


def _length_row(entry: FractionalLength, choice: FixedPointChoice, signed: bool) -> Row:
    chosen = choice.f8net
    return {
        "format": entry.format.name,
        "signed": signed,
        "fractional_length": entry.format.fractional_length,
        "max_value": entry.format.max_value,
        "mse": entry.mse,
        "relative_error": entry.relative_error,
        "above_best_db": entry.above_best_db,
        "is_legal": entry.is_legal,
        "is_best": entry == choice.best,
        "is_f8net": None if chosen is None else entry == chosen,
    }


def _choice_facts(choice: FixedPointChoice) -> dict[str, object]:
    facts: dict[str, object] = {
        "constant": choice.constant,
        "fractional_length": choice.best.format.fractional_length,
        "relative_error": choice.best.relative_error,
        "legal_fractional_length": choice.legal.format.fractional_length,
        "legal_relative_error": choice.legal.relative_error,
    }
    if choice.f8net is not None:
        facts["f8net_fractional_length"] = choice.f8net.format.fractional_length
        facts["f8net_relative_error"] = choice.f8net.relative_error
        facts["f8net_loss_db"] = choice.f8net.above_best_db - choice.legal.above_best_db
    return facts


def _lengths_view(word_length: int, std: float, choices: Mapping[bool, FixedPointChoice]) -> View:
    header = ["FL"]
    columns: list[list[str]] = []
    lengths: list[str] = []
    for signed, choice in choices.items():
        lengths = [str(entry.format.fractional_length) for entry in choice.nearby]
        header += [f"{_sign(signed)} to", "error", "dB", ""]
        columns += [
            [short(entry.format.max_value, 5) for entry in choice.nearby],
            [percent(entry.relative_error) for entry in choice.nearby],
            [decibels(entry.above_best_db) for entry in choice.nearby],
            [_remark(entry, choice) for entry in choice.nearby],
        ]
    title = (
        f"fixed point, {word_length} bits, std {short(std, 6)}: Gaussian (signed), "
        "its ReLU (unsigned)"
    )
    body = list(zip(lengths, *columns, strict=True))
    words = [i for i, title in enumerate(header) if not title]
    notes = [
        "error: sqrt(MSE) / std, that of the Gaussian in both cases; dB: above the best;",
        "(x): no length that F8Net allows",
    ]
    return View(title, header, body, words=words, notes=notes)


def _remark(entry: FractionalLength, choice: FixedPointChoice) -> str:
    """Return what there is to say about a fractional length, as short as can be."""
    marks = ["best"] if entry == choice.best else []
    marks += ["F8Net"] if entry == choice.f8net else []
    marks += [] if entry.is_legal else ["(x)"]
    return " ".join(marks)


def _choices_view(choices: Mapping[bool, FixedPointChoice]) -> View:
    header = ("", "C", "best FL", "legal FL", "error", "F8Net FL", "error", "loss dB")
    body: list[tuple[str, ...]] = []
    for signed, choice in choices.items():
        legal, rule = choice.legal, choice.f8net
        cells = (
            _sign(signed),
            short(choice.constant, 10),
            str(choice.best.format.fractional_length),
            str(legal.format.fractional_length),
            percent(legal.relative_error),
        )
        if rule is None:
            body.append((*cells, "", "", ""))
        else:
            loss = rule.above_best_db - legal.above_best_db
            body.append(
                (
                    *cells,
                    str(rule.format.fractional_length),
                    percent(rule.relative_error),
                    decibels(loss),
                )
            )
    notes = ["best FL = floor(log2(C / std)), C exact; F8Net's C at 8 bits: 40 and 70"]
    return View("The choice", header, body, notes=notes)


def percent(share: float) -> str:
    """Return a share in per cent to three digits: "1.34%"."""
    return f"{100 * share:#.3g}".rstrip(".") + "%"
