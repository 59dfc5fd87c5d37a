"""Long work: how it reports progress, and an ordered map over any executor."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TypeAlias, TypeVar

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total) as the work goes on."""

T = TypeVar("T")
R = TypeVar("R")

_AHEAD = 64  # tasks handed out before the first result is taken: bounds what waits in memory


def silent(done: int, total: int) -> None:
    """Report progress to nobody."""
    del done, total


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    executor: Executor | None = None,
    total: int = 0,
    progress: Progress | None = None,
) -> Iterator[R]:
    """Yield ``function(item)`` for every item, in the items' order.

    Parameters
    ----------
    function : callable
        What is done to each; for a process pool it must be importable by name.
    items : iterable
        Taken as they are needed, so that they may be many.
    executor : concurrent.futures.Executor, optional
        Where it runs: any pool of threads or processes, dask's included. None runs it here.
    total : int
        How many items there are, for `progress`.
    progress : callable, optional
        Called with (done, total) after each result.

    Yields
    ------
    object
        The results. What `function` raises is raised here, at its place in the order; what has
        not begun by then is cancelled.
    """
    report = progress or silent
    results = map(function, items) if executor is None else _through(executor, function, items)
    for done, result in enumerate(results, start=1):
        report(done, total)
        yield result


def _through(executor: Executor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Keep `_AHEAD` items in work and yield the results in order."""
    source = iter(items)
    waiting: list[Future[R]] = [executor.submit(function, item) for item in islice(source, _AHEAD)]
    try:
        while waiting:
            yield waiting.pop(0).result()
            waiting += [executor.submit(function, item) for item in islice(source, 1)]
    finally:
        for future in waiting:
            future.cancel()
