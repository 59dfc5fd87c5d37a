"""Long work: how it reports progress, and an ordered map over any executor."""

import importlib
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from qerror.exceptions import InvalidValue, MissingLibrary

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total) as the work goes on."""

T = TypeVar("T")
R = TypeVar("R")

_PATIENCE = 10  # seconds for a scheduler to answer
_RETRIES = 3  # of a task whose worker died
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


@contextmanager
def processes(count: int) -> Generator[Executor]:
    """Return a pool of processes; what has not begun when it is left early is given up.

    They are started anew and not forked: a fork copies locks of threads that it does not copy.
    """
    # 20 ms that few calls need
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415
    from multiprocessing import get_context  # noqa: PLC0415

    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def executor_for(address: str) -> Generator[Executor]:
    """Return the executor of a cluster by its address: ``dask:tcp://host:8786``.

    Raises
    ------
    InvalidValue
        If the address is of another kind, or nothing answers there.
    MissingLibrary
        If dask is not installed.
    """
    kind, colon, place = address.partition(":")
    if kind != "dask" or not colon or not place:
        raise InvalidValue(f"unknown executor {address!r}; write dask:tcp://host:8786")
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError as error:
        raise MissingLibrary(
            "a cluster needs dask, which is not installed: pip install 'qerror[distributed]'"
        ) from error
    try:
        client = distributed.Client(place, timeout=_PATIENCE)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidValue(f"no dask scheduler answers at {place!r}: {reason}") from None
    try:
        # Tasks are not pure: a file of one name may have changed between two runs.
        yield client.get_executor(pure=False, retries=_RETRIES)
    finally:
        client.close()
