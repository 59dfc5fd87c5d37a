"""The one place that decides how a value looks in a file."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np


def spelled(number: float) -> str:
    """Return the shortest text that reads back as `number`: "0.1", "inf", "-inf", "nan"."""
    return repr(float(number))


def for_json(value: object) -> object:
    """Return `value` made of what JSON has; infinities and nan become text.

    JSON has no infinity: Python's own `json` would write a bare ``Infinity``, which other
    readers refuse.
    """
    if isinstance(value, np.generic | np.ndarray):
        return for_json(cast("object", value.tolist()))
    if isinstance(value, float) and not math.isfinite(value):
        return spelled(value)
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(key): for_json(inner) for key, inner in pairs}
    if isinstance(value, list | tuple):
        return [for_json(inner) for inner in cast("Sequence[object]", value)]
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def for_cell(value: object) -> str:
    """Return `value` as one cell of a CSV file, numbers at full precision, None empty."""
    if value is None:
        return ""
    if isinstance(value, np.generic | np.ndarray):
        return for_cell(cast("object", value.tolist()))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return spelled(value)
    if isinstance(value, list | tuple):
        return " ".join(map(for_cell, cast("Sequence[object]", value)))
    return str(value)
