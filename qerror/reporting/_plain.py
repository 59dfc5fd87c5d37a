"""The one place that decides how a value looks in a file."""

import math
from collections.abc import Mapping

import numpy as np


def spelled(number: float) -> str:
    """Return the shortest text that reads back as `number`: "0.1", "inf", "-inf", "nan"."""
    return repr(float(number))


def for_json(value: object) -> object:
    """Return `value` made of what JSON has; infinities and nan become text.

    JSON has no infinity: Python's own `json` would write a bare ``Infinity``, which other
    readers refuse.
    """
    match value:
        case bool() | None | str():
            return value
        case np.generic() | np.ndarray():
            return for_json(value.tolist())
        case float():
            return value if math.isfinite(value) else spelled(value)
        case int():
            return value
        case Mapping():
            return {str(key): for_json(inner) for key, inner in value.items()}
        case list() | tuple():
            return [for_json(inner) for inner in value]
        case _:
            return str(value)


def for_cell(value: object) -> str:
    """Return `value` as one cell of a CSV file, numbers at full precision, None empty."""
    match value:
        case None:
            return ""
        case bool() | np.bool_():
            return "true" if value else "false"
        case np.generic() | np.ndarray():
            return for_cell(value.tolist())
        case float():
            return spelled(value)
        case list() | tuple():
            return " ".join(for_cell(inner) for inner in value)
        case _:
            return str(value)
