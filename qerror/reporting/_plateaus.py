"""How far ranges may move: the plateaus of optima in documents."""

import math
from collections.abc import Sequence

from qerror.optimize.optimum import OptimalScale
from qerror.reporting._document import View
from qerror.tables import short


def plateaus_view(names: Sequence[str], optima: Sequence[OptimalScale]) -> list[View]:
    """Show, a line a format, between which largest values the range may lie.

    Formats of more than 6 exponent bits, whose range hardly matters, are left out.
    """
    header = ("format", "best", "0.1 dB from", "0.1 dB to", "smallest, 0.01 dB")
    shown = [
        (name, best)
        for name, best in zip(names, optima, strict=True)
        if best.has_quick_leeway and not math.isnan(best.scale)
    ]
    body = [(name, *map(short, (best.max_value, *best.leeway))) for name, best in shown]
    title = "Max values that lose less than 0.1 dB, and the smallest for 0.01 dB"
    return [View(title, header, body)] if body else []
