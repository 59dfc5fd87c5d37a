"""The process that runs the command line: its streams, its signals, and how it ends."""

import contextlib
import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from qerror_cli.main import INTERRUPTED, main, said


def run() -> NoReturn:
    """Run ``qerror`` with the arguments of this process."""
    _open_streams()
    _end_on_signals()
    try:
        sys.exit(_code())
    finally:
        _give_up_what_is_left()


def _code() -> int:
    """Run the command and return the exit code, also of a refusal that cannot be shown."""
    try:
        code: object = main(prog_name="qerror", standalone_mode=False)
    except click.ClickException as refusal:
        with contextlib.suppress(OSError):
            refusal.show()
        return refusal.exit_code
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        # What click writes by itself, as --help does, is caught by no command.
        if error.errno != errno.EPIPE:  # the reader of a pipe has seen enough
            with contextlib.suppress(OSError):
                click.echo(f"Error: {said(error)}", err=True)
        return 1
    return code if isinstance(code, int) else 0


def _open_streams() -> None:
    """Give the standard streams that the parent has closed a place.

    Otherwise the first file that is opened would take their numbers and get messages. Standard
    output is opened for reading: writing to it fails, as it should.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == 2 else os.O_RDONLY)  # takes `number`
    if sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _end_on_signals() -> None:
    """Unwind when the process is told to end, so that no temporary file stays behind."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _give_up_what_is_left() -> None:
    """Drop output that cannot be written: the interpreter would try once more, and complain."""
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
