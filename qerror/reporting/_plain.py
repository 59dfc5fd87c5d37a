"""The one place that decides how a value looks in a file."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from qerror.tables import is_number

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def spelled(number: float) -> str:
    """Return the shortest text that reads back as `number`: "0.1", "inf", "-inf", "nan"."""
    return repr(float(number))


def encodable(value: object) -> object:
    r"""Return text that UTF-8 can hold: a byte of a file name that is no UTF-8 as ``\udcff``."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


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
        return {str(encodable(key)): for_json(inner) for key, inner in pairs}
    if isinstance(value, list | tuple):
        return [for_json(inner) for inner in cast("Sequence[object]", value)]
    return encodable(value if isinstance(value, bool | int | float | str | None) else str(value))


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
    return str(encodable(str(value)))


def for_spreadsheet(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula.

    A text that begins with ``=``, ``+``, ``-``, ``@`` or a control character gets an apostrophe
    in front, which spreadsheets hide; numbers stay as they are.
    """
    text = for_cell(value)
    is_text = isinstance(value, str) and not is_number(value)
    return f"'{text}" if is_text and text.startswith(_FORMULA) else text
