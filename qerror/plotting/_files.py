"""Figures as bytes without dates or versions in them."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

import io
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from qerror.exceptions import InvalidValue
from qerror.plotting._style import drawing

# A key set to None is left out of the file.
_METADATA: Mapping[str, Mapping[str, None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": None},
}


def check_figure(path: Path) -> str:
    """Return the suffix of a figure's file.

    Raises
    ------
    InvalidValue
        If no figure can be written with this suffix.
    """
    suffix = path.suffix.lower()
    if suffix not in _METADATA:
        shown = f"the suffix {suffix!r}" if suffix else "no suffix"
        raise InvalidValue(
            f"cannot draw {str(path)!r}: it has {shown}; use one of {' '.join(_METADATA)}"
        )
    return suffix


def render(figure: Figure, path: Path, title: str) -> bytes:
    """Return the figure as the file at `path` would hold it; `title` goes to its metadata."""
    suffix = check_figure(path)
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(
            buffer,
            format=suffix.removeprefix("."),
            metadata={**_METADATA[suffix], "Title": title},
        )
    return buffer.getvalue()
