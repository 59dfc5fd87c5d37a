"""Sentences that every installation has: the docstrings of NumPy's functions."""

import functools
import inspect

import numpy as np


@functools.cache
def docstrings() -> tuple[tuple[str, str], ...]:
    """Return the summary and the next paragraphs of every function in NumPy's main namespace."""
    found: dict[str, tuple[str, str]] = {}
    for name in sorted(dir(np)):
        member = getattr(np, name, None)
        text = inspect.getdoc(member) if callable(member) and name[0] != "_" else None
        parts = [" ".join(part.split()) for part in (text or "").split("\n\n")]
        parts = [part for part in parts if len(part.split()) > 3 and "---" not in part]
        if len(parts) > 1:
            found.setdefault(parts[0], (parts[0], " ".join(parts[1:4])))
    return tuple(found.values())
