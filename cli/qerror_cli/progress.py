"""A progress bar on standard error, for work of more than a second on a terminal."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 1.0


class Bar:
    """Counts done against total; draws nothing before `PATIENCE_S` or off a terminal."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._start = time.monotonic()
        self._drawn: Progress | None = None

    def __enter__(self) -> "Bar":
        return self

    def __call__(self, done: int, total: int) -> None:
        """Note that `done` of `total` parts are finished."""
        if self._drawn is None and self._is_due():
            self._drawn = self._draw(total)
        if self._drawn is not None:
            self._drawn.update(self._drawn.task_ids[0], completed=done, total=total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn is not None:
            self._drawn.stop()

    def _is_due(self) -> bool:
        return sys.stderr.isatty() and time.monotonic() - self._start > PATIENCE_S

    def _draw(self, total: int) -> "Progress":
        from rich.console import Console
        from rich.progress import Progress

        drawn = Progress(console=Console(stderr=True), transient=True)
        drawn.add_task(self._title, total=total)
        drawn.start()
        return drawn


class ByteBar(Bar):
    """Counts bytes, with their rate and the time that remains."""

    def _draw(self, total: int) -> "Progress":
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        drawn = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        drawn.add_task(self._title, total=total)
        drawn.start()
        return drawn
