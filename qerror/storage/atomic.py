"""Files appear whole or not at all."""

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Generator
from pathlib import Path
from typing import IO

from qerror.exceptions import InvalidValue

_DESCRIPTOR = re.compile(r"/dev/(?:fd/(?P<number>\d+)|(?P<name>stdin|stdout|stderr))")
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}
_ATTEMPTS = 100  # at a name for a temporary file that nobody has taken


def check_writable(path: Path) -> None:
    """Refuse a path that `write_atomically` could not write; creates nothing.

    Raises
    ------
    InvalidValue
        If the path is a folder, its folder is missing, either may not be written, or the path
        itself cannot be: its name is too long, or its links lead round in a circle.
    """
    try:
        _check(path)
    except OSError as error:
        raise InvalidValue(f"cannot write {str(path)!r}: {error.strerror}") from None
    except RuntimeError:  # of a circle of links, from Python 3.11 and 3.12
        raise InvalidValue(f"cannot write {str(path)!r}: its links lead in a circle") from None
    except ValueError as error:  # a null byte
        if isinstance(error, InvalidValue):
            raise
        raise InvalidValue(f"cannot write {str(path)!r}: {error}") from None


def _check(path: Path) -> None:
    number = _descriptor(path)
    if number is not None:
        os.fstat(number)
        return
    mode = _mode_of(path)
    if mode is not None and stat.S_ISDIR(mode):
        raise InvalidValue(f"cannot write {str(path)!r}: it is a folder; name a file in it")
    target = path.resolve()
    folder = target.parent
    if not folder.is_dir():
        raise InvalidValue(
            f"cannot write {str(path)!r}: there is no folder {str(folder)!r}; make it first"
        )
    blocked = target if mode is not None and not os.access(path, os.W_OK) else None
    if not blocked and not is_stream(path) and not os.access(folder, os.W_OK | os.X_OK):
        blocked = folder
    if blocked:
        raise InvalidValue(f"cannot write {str(path)!r}: no permission to write {str(blocked)!r}")


def write_atomically(path: Path, content: bytes) -> None:
    """Replace the file at `path` by `content` in one step; see `replacing`."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Generator[IO[bytes]]:
    """Open a file for writing that takes the name `path` at the end, or vanishes.

    The content goes to a temporary file in the same folder, which then takes the name: a
    reader sees the old file or the new one, and a failure leaves the old one and nothing else.
    A device, a pipe and an open descriptor (``/dev/stdout``) are written as they are.
    """
    if is_stream(path):
        with _open_stream(path) as file:
            yield file
        return
    target = path.resolve()  # a link keeps pointing to the file that is replaced
    handle, temporary = _new_file(target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def is_stream(path: Path) -> bool:
    """Tell whether a path is a device, a pipe or a descriptor, which cannot be replaced."""
    if _descriptor(path) is not None:
        return True
    mode = _mode_of(path)
    return mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _mode_of(path: Path) -> int | None:
    """Return what a path leads to, None if nothing is there."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _descriptor(path: Path) -> int | None:
    """Return the number of ``/dev/stdout``, ``/dev/fd/3`` or ``/proc/self/fd/3``."""
    text = os.path.normpath(path).replace("/proc/self/fd/", "/dev/fd/")
    found = _DESCRIPTOR.fullmatch(text)
    if found is None:
        return None
    return int(found["number"]) if found["number"] else _STANDARD[found["name"]]


def _open_stream(path: Path) -> IO[bytes]:
    number = _descriptor(path)
    # Another descriptor of the same open file: what has been written stays where it is.
    return path.open("wb") if number is None else os.fdopen(os.dup(number), "wb")


def _new_file(folder: Path) -> tuple[int, Path]:
    """Make a file that nobody else has, with the permissions that any new file gets.

    Its name is short: that of the target may be as long as names can be.
    """
    for _ in range(_ATTEMPTS):
        path = folder / f".qerror-{secrets.token_hex(6)}.tmp"
        with contextlib.suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
            return os.open(path, flags, 0o666), path
    raise FileExistsError(f"no name for a temporary file is free in {str(folder)!r}")
