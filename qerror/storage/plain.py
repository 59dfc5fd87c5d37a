"""JSON in which every key of a table stands once."""

import json
from typing import Any

from qerror.exceptions import InvalidValue


def read_json(text: str) -> Any:
    """Read JSON, and refuse a table with a key twice, of which one value would vanish.

    Parameters
    ----------
    text : str
        A document.

    Raises
    ------
    InvalidValue
        If it is no JSON, or a key is repeated; the message says which.
    """
    try:
        return json.loads(text, object_pairs_hook=_table)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InvalidValue(f"it is no JSON ({error})") from None


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InvalidValue(f"it has {key!r} twice in one table; leave one of them")
        found[key] = value
    return found
