"""Fixed point as documents: the best fractional lengths, and what F8Net states."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qerror.densities import Density
from qerror.optimize.fractional_length import FixedPointChoice, FractionalLength
from qerror.reporting._channels import titled
from qerror.reporting._document import Document, Row, View
from qerror.tables import decibels, short

if TYPE_CHECKING:
    from qerror.storage import StoredArray


def fixed_point_document(
    word_length: int, std: float, choices: Mapping[bool, FixedPointChoice], data: str = ""
) -> Document:
    """Return the best fractional lengths of one word length and standard deviation.

    Parameters
    ----------
    word_length, std
        What the choices were made for.
    choices : mapping
        The choice for signed codes under True, for unsigned codes under False; either may be
        missing.
    data : str
        What the choices were made for instead of a Gaussian and its ReLU.
    """
    rows = [
        _length_row(entry, choice, signed)
        for signed, choice in choices.items()
        for entry in choice.nearby
    ]
    lengths = sorted(
        {entry.format.fractional_length for each in choices.values() for entry in each.nearby}
    )
    title = (
        f"fixed point, {word_length} bits, on {data}"
        if data
        else f"fixed point, {word_length} bits, std {short(std, 6)}: Gaussian (signed), "
        "its ReLU (unsigned)"
    )
    views = [_lengths_view(title, lengths, choices, bool(data)), _choices_view(choices, bool(data))]
    params: Row = {
        "word_length": word_length,
        "std": std,
        "data": data or None,
        "choices": {_sign(signed): _choice_facts(choice) for signed, choice in choices.items()},
    }
    return Document("fixed-point", params, rows, views)


def fixed_point_channels_document(
    array: "StoredArray",
    axis: int,
    word_length: int,
    channels: Sequence[Density],
    choices: Mapping[bool, Sequence[FixedPointChoice | None]],
) -> Document:
    """Return the best fractional length of every channel of an array.

    Parameters
    ----------
    array, axis, word_length
        What the choices were made for.
    channels : sequence of Density
        The channels' values.
    choices : mapping
        The choices, a channel each, for signed codes under True, for unsigned ones under False;
        None for a channel of zeros, which every fractional length holds.
    """
    axis %= len(array.shape)
    rows: list[Row] = []
    body: list[tuple[str, ...]] = []
    for signed, found in choices.items():
        for i, (channel, choice) in enumerate(zip(channels, found, strict=True)):
            std = math.sqrt(channel.variance)
            facts = {} if choice is None else _choice_facts(choice)
            rows.append({"channel": i, "signed": signed, "std": std, **facts})
            body.append((str(i), _sign(signed), short(std, 6), *_channel_cells(choice)))
    length = Counter(row[3] for row in body if row[3])
    header = ("channel", "codes", "std", "FL", "legal FL", "error", "F8Net FL", "loss dB")
    title = (
        f"fixed point, {word_length} bits, on {titled(array)}\n"
        f"a fractional length for each of {len(channels):,} channels along axis {axis}"
    )
    listed = ", ".join(f"{fl} ({count:,})" for fl, count in sorted(length.items(), key=_number))
    notes = [f"fractional lengths, and how many channels have each: {listed}"] if listed else []
    hidden = len(body) - _MOST_CHANNELS
    notes += [f"note: {hidden:,} more lines are in --format csv and json"] if hidden > 0 else []
    shown = body[:_MOST_CHANNELS]
    kept = [k for k in range(len(header)) if k < 3 or any(row[k] for row in shown)]
    view = View(
        title,
        [header[k] for k in kept],
        [[row[k] for k in kept] for row in shown],
        words=(1,),
        notes=notes,
        spare=(2,),
    )
    params: Row = {
        "word_length": word_length,
        "file": str(array.path),
        "array": array.name or None,
        "axis": axis,
    }
    return Document("fixed-point-channels", params, rows, [view])


_MOST_CHANNELS = 64  # lines that a table shows


def _number(item: tuple[str, int]) -> int:
    return int(item[0])


def _channel_cells(choice: FixedPointChoice | None) -> tuple[str, ...]:
    if choice is None:
        return ("",) * 5
    legal, rule = choice.legal, choice.f8net
    own = str(choice.best.format.fractional_length)
    cells = (own, str(legal.format.fractional_length), percent(legal.relative_error))
    if rule is None:
        return (*cells, "", "")
    loss = rule.above_best_db - legal.above_best_db
    return (*cells, str(rule.format.fractional_length), decibels(loss))


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
        "constant": None if math.isnan(choice.constant) else choice.constant,
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


def _lengths_view(
    title: str, lengths: Sequence[int], choices: Mapping[bool, FixedPointChoice], of_data: bool
) -> View:
    header = ["FL"]
    columns: list[list[str]] = []
    for signed, choice in choices.items():
        entries = {entry.format.fractional_length: entry for entry in choice.nearby}
        header += [f"{_sign(signed)} to", "error", "dB", ""]
        shown = [entries.get(length) for length in lengths]
        columns += [
            ["" if entry is None else short(entry.format.max_value, 5) for entry in shown],
            ["" if entry is None else percent(entry.relative_error) for entry in shown],
            ["" if entry is None else decibels(entry.above_best_db) for entry in shown],
            ["" if entry is None else _remark(entry, choice) for entry in shown],
        ]
    body = list(zip(map(str, lengths), *columns, strict=True))
    words = [i for i, text in enumerate(header) if not text]
    spare = [i for i, text in enumerate(header) if text.endswith(" to")]
    over = "the root mean square" if of_data else "std, that of the Gaussian in both cases"
    notes = [
        f"error: sqrt(MSE) / {over}; dB: above the best;",
        "(x): no length that F8Net allows",
    ]
    return View(title, header, body, words, notes, spare=spare)


def _remark(entry: FractionalLength, choice: FixedPointChoice) -> str:
    """Return what there is to say about a fractional length, as short as can be."""
    marks = ["best"] if entry == choice.best else []
    marks += ["F8Net"] if entry == choice.f8net else []
    marks += [] if entry.is_legal else ["(x)"]
    return " ".join(marks)


def _choices_view(choices: Mapping[bool, FixedPointChoice], of_data: bool) -> View:
    header: tuple[str, ...] = (
        "",
        "C",
        "best FL",
        "legal FL",
        "error",
        "F8Net FL",
        "error",
        "loss dB",
    )
    body: list[tuple[str, ...]] = []
    for signed, choice in choices.items():
        legal, rule = choice.legal, choice.f8net
        cells = (
            _sign(signed),
            "" if of_data else short(choice.constant, 10),
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
    if of_data:
        notes = ["best FL: the least MSE on the values; F8Net: floor(log2(40 / std)) at 8 bits"]
        header, body = (header[0], *header[2:]), [(row[0], *row[2:]) for row in body]
    return View("The choice", header, body, notes=notes)


def percent(share: float) -> str:
    """Return a share in per cent to three digits: "1.34%"."""
    return f"{100 * share:#.3g}".rstrip(".") + "%"
