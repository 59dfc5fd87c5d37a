"""Patterns of tensors' names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from qerror.exceptions import InvalidValue


def fits(pattern: str, name: str) -> bool:
    """Tell whether a pattern stands for a name, or for what it is a part of."""
    return fnmatchcase(name, pattern) or name.startswith(f"{pattern}.")


def require_match(pattern: str, names: Sequence[str]) -> None:
    """Refuse a pattern that stands for none of the names.

    Raises
    ------
    InvalidValue
        With the first few names.
    """
    if not any(fits(pattern, name) for name in names):
        shown = ", ".join(names[:3])
        raise InvalidValue(f"the pattern {pattern!r} fits no tensor; they are called {shown}, ...")
