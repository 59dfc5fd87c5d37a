"""The best ranges of channels as documents."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qerror.optimize.channels import ChannelScales
from qerror.optimize.optimum import OptimalScale
from qerror.reporting._document import Document, Row, View
from qerror.tables import decibels, place, short

if TYPE_CHECKING:
    from qerror.storage import StoredArray

_MOST_CHANNELS = 64  # that a table shows


def channels_document(
    source: Path, array: "StoredArray", best: ChannelScales, whole: OptimalScale
) -> Document:
    """Return the best range of every channel, and what one range for all loses.

    Parameters
    ----------
    source, array
        What the ranges are for.
    best : ChannelScales
        A range for each channel.
    whole : OptimalScale
        The best range of all values together.
    """
    rows: list[Row] = [
        {
            "file": str(source),
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
        "file": str(source),
        "array": array.name or None,
        "format": best.format.name,
        "axis": best.axis,
        "shape": list(best.shape),
        "by_channel": best.report.to_dict(),
        "one_range": {"max_value": whole.max_value, **whole.report.to_dict()},
    }
    return Document("channels", params, rows, [_view(source, array, best, whole)])


def _view(source: Path, array: "StoredArray", best: ChannelScales, whole: OptimalScale) -> View:
    shape = " x ".join(map(str, array.shape))
    name = f" {array.name!r}" if array.name else ""
    title = (
        f"{best.format.name} on {source}{name} ({array.narrow or array.dtype.name}, {shape})\n"
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


def _notes(best: ChannelScales, whole: OptimalScale, hidden: int) -> Sequence[str]:
    report, one = best.report, whole.report
    gain = report.sqnr_db - one.sqnr_db
    notes = [f"note: {hidden:,} more channels are in --format csv and json"] if hidden else []
    notes.append(
        f"all channels together: MSE {short(report.mse)}, SQNR {decibels(report.sqnr_db)} dB"
    )
    less = f", {decibels(gain)} dB less" if math.isfinite(gain) else ""
    notes.append(
        f"one range for all: max value {short(whole.max_value, 6)}, MSE {short(one.mse)}, "
        f"SQNR {decibels(one.sqnr_db)} dB{less}"
    )
    return notes
