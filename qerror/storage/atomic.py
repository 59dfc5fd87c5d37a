"""Files appear whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO

from qerror.exceptions import InvalidValue


def check_writable(path: Path) -> None:
    """Refuse a path that `write_atomically` could not write; creates nothing.

    Raises
    ------
    InvalidValue
        If the path is a folder, its folder is missing, or either may not be written.
    """
    target = path.resolve()
    folder = target.parent
    if target.is_dir():
        raise InvalidValue(f"cannot write {str(path)!r}: it is a folder; name a file in it")
    if not folder.is_dir():
        raise InvalidValue(
            f"cannot write {str(path)!r}: there is no folder {str(folder)!r}; make it first"
        )
    blocked = target if target.exists() and not os.access(target, os.W_OK) else None
    if _is_special(target):
        needed = None
    else:
        needed = None if os.access(folder, os.W_OK | os.X_OK) else folder
    if blocked or needed:
        raise InvalidValue(
            f"cannot write {str(path)!r}: no permission to write {str(blocked or needed)!r}"
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content` in one step; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Generator[IO[bytes]]:
    """Open a file for writing that takes the name `path` at the end, or vanishes.

    The content goes to a temporary file in the same folder, which then takes the name: a
    reader sees the old file or the new one, and a failure leaves the old one and nothing else.
    A device or a pipe is written as it is.
    """
    target = path.resolve()  # a link keeps pointing to the file that is replaced
    if _is_special(target):
        with target.open("wb") as file:
            yield file
        return
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        temporary.chmod(_mode_for(target))
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _is_special(target: Path) -> bool:
    """Whether the path is a device or a pipe, which cannot be replaced: /dev/null."""
    return target.exists() and not target.is_file()


def _mode_for(target: Path) -> int:
    """Return the file's permissions, or those that a new file would get."""
    if target.exists():
        return target.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
