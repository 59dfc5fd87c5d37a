"""Fixed point as documents: the best fractional lengths, and what F8Net states."""

from collections.abc import Mapping

from qerror.optimize.fractional_length import FixedPointChoice, FractionalLength
from qerror.reporting._document import Document, Row, View
from qerror.tables import decibels, short


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
    words = [i for i, text in enumerate(header) if not text]
    spare = [i for i, text in enumerate(header) if text.endswith(" to")]
    notes = [
        "error: sqrt(MSE) / std, that of the Gaussian in both cases; dB: above the best;",
        "(x): no length that F8Net allows",
    ]
    return View(title, header, body, words, notes, spare=spare)


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
