"""Arrays of NumPy's files, whichever kind."""

from pathlib import Path

from qerror.exceptions import InvalidValue
from qerror.storage.narrow import NARROW
from qerror.storage.npy import open_npy
from qerror.storage.npz import open_npz
from qerror.storage.source import StoredArray

SUFFIXES = (".npy", ".npz")


def open_arrays(path: str | Path, *, dtype: str | None = None) -> list[StoredArray]:
    """List the arrays of a .npy or .npz file without reading their values.

    Parameters
    ----------
    path : str or Path
        The file.
    dtype : str, optional
        What arrays of 8 or 16 bits are that NumPy saves without a name, such as "bfloat16" or
        "float8_e4m3fn"; their values are then read as float32.

    Raises
    ------
    InvalidValue
        If the file is missing, is neither, is damaged, or holds Python objects; if the dtype is
        unknown.
    """
    path = Path(path)
    if dtype is not None and dtype not in NARROW:
        raise InvalidValue(f"unknown dtype {dtype!r}; use one of {', '.join(NARROW)}")
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidValue(f"cannot read {str(path)!r}: it must be a .npy or .npz file")
    if not path.is_file():
        raise InvalidValue(f"cannot read {str(path)!r}: there is no such file")
    return [open_npy(path, dtype)] if path.suffix.lower() == ".npy" else open_npz(path, dtype)
