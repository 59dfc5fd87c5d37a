"""The study of backends as tables, after MQBench's: means, intervals and spreads."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from statistics import fmean, stdev

from qerror.pytorch.studies.bench import ACADEMIC, Bench
from qerror.pytorch.studies.bench_case import BenchRow
from qerror.pytorch.studies.intervals import shown
from qerror.reporting import Document, View

_NONE = "-"
_NAMES = {
    -1: "-1, not folded",
    0: "0, once",
    1: "1, running statistics",
    2: "2, the batch's",
    3: "3, corrected",
    4: "4, renormalised",
}


def bench_document(bench: Bench) -> Document:
    """Return the study as data, with MQBench's tables of each network."""
    views: list[View] = []
    for model in dict.fromkeys(row.model for row in bench.rows):
        rows = [row for row in bench.rows if row.model == model]
        views += [view for make in _VIEWS for view in make(model, rows)]
    if views and bench.refused:
        lost = ", ".join(f"{algorithm} on {backend}" for backend, algorithm in bench.refused)
        views[-1] = _with_note(views[-1], f"no backend of these computes {lost}")
    return Document("network", {"study": "bench"}, [asdict(row) for row in bench.rows], views)


def _with_note(view: View, note: str) -> View:
    return replace(view, notes=(*view.notes, note))


def plain(row: BenchRow) -> bool:
    """Whether a row is of a backend as it is, not of a changed academic setting."""
    return row.backend != ACADEMIC or (row.graph == 1 and row.folding == -1)


def cell(rows: Sequence[BenchRow]) -> str:
    """Return the mean accuracy over seeds with its interval, and how many diverged."""
    if not rows:
        return _NONE
    lost = sum(row.diverged for row in rows)
    return shown([row.accuracy for row in rows], 1) + (f" ({lost})" if lost else "")


def means(rows: Iterable[BenchRow], key: Callable[[BenchRow], object]) -> list[float]:
    """Return the mean accuracy of every group of rows."""
    groups: dict[object, list[float]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row.accuracy)
    return [fmean(each) for each in groups.values()]


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation of means, nan of a single one."""
    return stdev(values) if len(values) > 1 else math.nan


def _backends(model: str, rows: Sequence[BenchRow]) -> list[View]:
    """Return the table of algorithms and backends, with means and spreads of both."""
    own = [row for row in rows if plain(row)]
    backends = list(dict.fromkeys(row.backend for row in own))
    algorithms = list(dict.fromkeys(row.algorithm for row in own))
    if len(backends) * len(algorithms) < 2:
        return []
    body: list[tuple[str, ...]] = []
    for algorithm in algorithms:
        line = [row for row in own if row.algorithm == algorithm]
        cells = [cell([row for row in line if row.backend == each]) for each in backends]
        found = means(line, lambda row: row.backend)
        body.append((algorithm, *cells, *_both(found)))
    by_backend = [
        means([row for row in own if row.backend == each], lambda row: row.algorithm)
        for each in backends
    ]
    body.append(("mean", *(_both(each)[0] for each in by_backend), "", ""))
    body.append(("spread", *(_both(each)[1] for each in by_backend), "", ""))
    fp32 = shown([row.fp32_accuracy for row in _seeds(own)], 1)
    title = f"{model}, {own[0].bits} bits: accuracy after training, FP32 {fp32}"
    header = ("algorithm", *backends, "mean", "spread")
    return [View(title, header, body, (0,), _notes(own))]


def _both(values: Sequence[float]) -> tuple[str, str]:
    """Return mean and standard deviation of means."""
    return f"{fmean(values):.1f}", f"{spread(values):.1f}" if len(values) > 1 else _NONE


def _seeds(rows: Sequence[BenchRow]) -> list[BenchRow]:
    return list({row.seed: row for row in rows}.values())


def _notes(rows: Sequence[BenchRow]) -> tuple[str, ...]:
    notes = ["+- is half of a 95% interval of the mean over seeds; spread: standard deviation"]
    if any(row.diverged for row in rows):
        notes.append("in brackets: how many trainings diverged; judged is what they left")
    return tuple(notes)


def _varied(
    title: str, first: str, rows: Sequence[BenchRow], names: dict[int, str], key: str
) -> list[View]:
    """Return a table of one rule of the academic setting and algorithms."""
    values = [each for each in names if any(getattr(row, key) == each for row in rows)]
    both = {row.algorithm for row in rows if getattr(row, key) != next(iter(values), None)}
    algorithms = [each for each in dict.fromkeys(row.algorithm for row in rows) if each in both]
    if len(values) < 2:
        return []
    body = [
        (
            names[value],
            *(
                cell([r for r in rows if r.algorithm == each and getattr(r, key) == value])
                for each in algorithms
            ),
        )
        for value in values
    ]
    used = [row for row in rows if row.algorithm in both]
    return [View(title, (first, *algorithms), body, (0,), _notes(used))]


def _foldings(model: str, rows: Sequence[BenchRow]) -> list[View]:
    own = [row for row in rows if row.backend == ACADEMIC and row.graph == 1]
    title = f"{model}: foldings, else the academic setting"
    return _varied(title, "folding", own, _NAMES, "folding")


def _graphs(model: str, rows: Sequence[BenchRow]) -> list[View]:
    own = [row for row in rows if row.backend == ACADEMIC and row.folding == -1]
    title = f"{model}: graphs, else the academic setting"
    return _varied(title, "graph", own, {each: str(each) for each in (1, 2, 3)}, "graph")


def _calibrated(model: str, rows: Sequence[BenchRow]) -> list[View]:
    """Return accuracies before training, with and without new statistics, and after."""
    own = [row for row in rows if plain(row)]
    body: list[tuple[str, ...]] = []
    for backend, algorithm in dict.fromkeys((row.backend, row.algorithm) for row in own):
        line = [row for row in own if (row.backend, row.algorithm) == (backend, algorithm)]
        body.append(
            (
                backend,
                algorithm,
                shown([row.ptq_accuracy for row in line], 1),
                shown([row.calibrated_accuracy for row in line], 1),
                cell(line),
            )
        )
    header = ("backend", "algorithm", "before", "statistics anew", "after")
    notes = (
        "before: quantizers calibrated. Statistics anew: those of normalisations, on the same "
        "data; after: the training, which begins without",
    )
    return [View(f"{model}: before training", header, body, (0, 1), notes)]


_VIEWS = (_backends, _foldings, _graphs, _calibrated)
