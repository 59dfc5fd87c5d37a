"""The best ranges of channels as documents."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from qerror.formats import FixedPoint
from qerror.optimize.channel_ranking import ChannelRanking
from qerror.optimize.channels import ChannelScales
from qerror.optimize.optimum import OptimalScale
from qerror.reporting._document import Document, Row, View
from qerror.tables import decibels, place, short

if TYPE_CHECKING:
    from qerror.storage import StoredArray

_MOST_CHANNELS = 64  # that a table shows


def channels_document(
    array: "StoredArray", best: ChannelScales, whole: OptimalScale | None
) -> Document:
    """Return the best range of every channel, and what one range for all loses.

    Parameters
    ----------
    array
        What the ranges are for.
    best : ChannelScales
        A range for each channel.
    whole : OptimalScale, optional
        The best range of all values together; None where it was not looked for.
    """
    source = str(array.path)
    rows: list[Row] = [
        {
            "file": source,
            "array": array.name or None,
            "format": best.format.name,
            "axis": best.axis,
            "channel": i,
            "scale": each.scale,
            "max_value": each.max_value,
            "bias": each.bias,
            **each.report.to_dict(),
            "at_edge": each.at_edge,
        }
        for i, each in enumerate(best)
    ]
    params: Row = {
        "file": source,
        "array": array.name or None,
        "format": best.format.name,
        "axis": best.axis,
        "shape": list(best.shape),
        "by_channel": best.report.to_dict(),
        "one_range": None
        if whole is None
        else {"max_value": whole.max_value, **whole.report.to_dict()},
    }
    return Document("channels", params, rows, [_view(array, best, whole)])


def channel_ranking_document(array: "StoredArray", result: ChannelRanking) -> Document:
    """Return formats ranked with a range for every channel of an array.

    Parameters
    ----------
    array
        What the ranges are for.
    result : ChannelRanking
        The formats, the best one first.
    """
    rows: list[Row] = [
        {
            "file": str(array.path),
            "array": array.name or None,
            "axis": result.axis,
            "rank": rank,
            "format": entry.format.name,
            "scale": [each.scale for each in entry.optima],
            "max_value": [each.max_value for each in entry.optima],
            **entry.optima.report.to_dict(),
            "below_best_db": entry.below_best_db,
        }
        for rank, entry in enumerate(result.ranking, start=1)
    ]
    header = ("rank", "format", "max values from", "to", "MSE", "SQNR dB", "dB below")
    body = [
        (
            str(rank),
            entry.format.name,
            *(short(float(end(entry.optima.max_value))) for end in (np.min, np.max)),
            short(entry.optima.report.mse),
            decibels(entry.optima.report.sqnr_db),
            decibels(entry.below_best_db),
        )
        for rank, entry in enumerate(result.ranking, start=1)
    ]
    title = (
        f"{titled(array)}\n"
        f"a range for each of {result.shape[result.axis]:,} channels along axis {result.axis}"
    )
    formats = [entry.format for entry in result.ranking]
    fixed = [form.name for form in formats if isinstance(form, FixedPoint)]
    notes = [
        f"note: {name}: each channel has a fractional length of its own, this one less the "
        "base-2 logarithm of its scale"
        for name in fixed
    ]
    view = View(title, header, body, (1,), notes, marked=(0,), spare=(4, 3, 2, 0))
    params: Row = {
        "file": str(array.path),
        "array": array.name or None,
        "axis": result.axis,
        "shape": list(result.shape),
        "formats": [form.name for form in formats],
    }
    return Document("channel-ranking", params, rows, [view])


def titled(array: "StoredArray") -> str:
    """Return what a table calls an array of a file: its place, type and shape."""
    shape = " x ".join(map(str, array.shape)) or "one value"
    name = f" {array.name!r}" if array.name else ""
    return f"{array.path}{name} ({array.narrow or array.dtype.name}, {shape})"


def _view(array: "StoredArray", best: ChannelScales, whole: OptimalScale | None) -> View:
    title = (
        f"{best.format.name} on {titled(array)}\n"
        f"a range for each of {len(best):,} channels along axis {best.axis}"
    )
    shown = best.optima[:_MOST_CHANNELS]
    body = [
        (
            str(i),
            short(each.max_value, 6),
            place(each.scale, each.bias),
            short(each.report.mse),
            decibels(each.report.sqnr_db),
        )
        for i, each in enumerate(shown)
    ]
    header = ("channel", "max value", "bias/scale", "MSE", "SQNR dB")
    notes = _notes(best, whole, len(best) - len(shown))
    return View(title, header, body, words=(), notes=notes, spare=(2, 3))


def _notes(best: ChannelScales, whole: OptimalScale | None, hidden: int) -> Sequence[str]:
    report = best.report
    notes = [f"note: {hidden:,} more channels are in --format csv and json"] if hidden else []
    notes.append(
        f"all channels together: MSE {short(report.mse)}, SQNR {decibels(report.sqnr_db)} dB"
    )
    if whole is None:
        return notes
    one, gain = whole.report, report.sqnr_db - whole.report.sqnr_db
    less = f", {decibels(gain)} dB less" if math.isfinite(gain) else ""
    notes.append(
        f"one range for all: max value {short(whole.max_value, 6)}, MSE {short(one.mse)}, "
        f"SQNR {decibels(one.sqnr_db)} dB{less}"
    )
    return notes
