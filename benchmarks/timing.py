"""Timing that a busy machine disturbs equally for all."""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import TypeAlias

Task: TypeAlias = Callable[[], object]

_LEAST_S = 2e-3  # one measurement takes at least this long, so that the clock is exact enough


def interleaved(tasks: Mapping[str, Task], rounds: int) -> dict[str, float]:
    """Return the median time of one call of each task, in seconds.

    Every round times each task once, one after the other, so that what else the machine does
    falls on all of them alike. Time is that of the process on its processors: waiting for one
    that others use does not count.
    """
    calls = {name: _calls(task) for name, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            times[name].append(_time(task, calls[name]) / calls[name])
    return {name: median(values) for name, values in times.items()}


def _calls(task: Task) -> int:
    """Return how many calls fill a measurement; the first ones warm up caches."""
    calls = 1
    task()
    while calls < 10_000 and _time(task, calls) < _LEAST_S:
        calls *= 2
    return calls


def _time(task: Task, calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        task()
    return time.process_time() - start
