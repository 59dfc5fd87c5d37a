"""A journal of finished work, a line each, from which a run that was stopped goes on."""

import contextlib
import json
import os
import zlib
from collections.abc import Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast, final

from qerror.exceptions import InvalidValue

_SCHEMA = "qerror.journal/1"


@final
class Journal:
    """Lines of JSON: what the work is, then a key and a result for each finished part.

    A line counts when it is whole: of a run that was killed while it wrote, the last line is cut
    off. Each is written in one piece and handed to the disk.

    Parameters
    ----------
    path : str or Path
        The file; it is made if there is none.
    work : mapping
        What the results depend on, in JSON. A journal of other work is refused.

    Raises
    ------
    InvalidValue
        If the file is no journal, or that of other work.
    """

    def __init__(self, path: str | Path, work: Mapping[str, Any]) -> None:
        self._path = Path(path)
        self._work = json.loads(json.dumps(dict(work)))
        self.finished: dict[str, Any] = {}
        """The results of earlier runs by their keys."""
        self.begun: dict[str, list[Any]] = {}
        """What earlier runs noted of work that they did not finish, by its key, in order."""
        try:
            end = self._read()
            self._file: IO[bytes] = self._path.open("ab")
        except OSError as error:
            raise InvalidValue(f"cannot write {str(path)!r}: {error.strerror}") from None
        self._file.truncate(end)
        if not end:
            self._append({"schema": _SCHEMA, "work": self._work})

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @contextlib.contextmanager
    def readable(self) -> Generator[None]:
        """Refuse the file where what it notes is not what was written.

        Raises
        ------
        InvalidValue
            If a note lacks a part, or its numbers cannot be read.
        """
        try:
            yield
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise InvalidValue(
                f"the journal {str(self._path)!r} is damaged ({type(error).__name__}: {error}); "
                "remove it to start anew"
            ) from None

    def note(self, key: str, result: object) -> None:
        """Add a finished part."""
        self._append({"key": key, "result": result})

    def note_part(self, key: str, state: object) -> None:
        """Add how far a part has come that is not finished."""
        self._append({"begun": key, "state": state})

    def _append(self, line: Mapping[str, object]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self) -> int:
        """Take over what is whole, and return where that ends."""
        if not self._path.exists():
            return 0
        content = self._path.read_bytes()
        end = content.rfind(b"\n") + 1
        lines = content[:end].splitlines()
        if not lines:
            if content and not content.startswith(b'{"schema"'[: len(content)]):
                raise InvalidValue(f"{str(self._path)!r} is no journal; name another file")
            return 0
        try:
            first, *rest = [cast("dict[str, Any]", json.loads(line)) for line in lines]
            if first["schema"] != _SCHEMA:
                raise ValueError
            work = first["work"]
            for each in rest:
                if "begun" in each:
                    self.begun.setdefault(each["begun"], []).append(each["state"])
                else:
                    self.finished[each["key"]] = each["result"]
                    self.begun.pop(each["key"], None)
        except (ValueError, KeyError, TypeError):
            raise InvalidValue(f"{str(self._path)!r} is no journal; name another file") from None
        if work != self._work:
            differs = sorted(
                key for key in {*work, *self._work} if work.get(key) != self._work.get(key)
            )
            raise InvalidValue(
                f"the journal {str(self._path)!r} belongs to other work: {', '.join(differs)} "
                "changed; name another file, or remove it to start anew"
            )
        return end
