"""Algorithms of training with quantizers on backends, foldings and graphs: a study that resumes."""

# torch leaves much of itself untyped.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false, reportPrivateUsage=false

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from qerror._arrays import integer
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, ordered_map, silent
from qerror.pytorch.backends import BACKENDS, Backend, Graph
from qerror.pytorch.graphs import ALGORITHMS, check_combination
from qerror.pytorch.graphs.algorithms import folding_of
from qerror.pytorch.studies.bench_case import (
    RECIPE,
    BenchCase,
    BenchRow,
    bench_case,
    train_original,
)
from qerror.pytorch.tracing import traced
from qerror.pytorch.zoo.networks import trained_here
from qerror.storage.journal import Journal

PARTS = ("backends", "foldings", "graphs")
"""The tables of the study."""

ALGORITHMS_OF_TRAINING = ("lsq", "lsq+", "pact", "dorefa", "dsq", "qil", "apot")
ACADEMIC = "Academic"
GRAPHS: tuple[Graph, ...] = (1, 2, 3)
FOLDINGS = (-1, 0, 1, 2, 3, 4)

_COMPARED = ("lsq", "pact")  # MQBench's own choice for foldings and graphs
_SETTINGS = "settings"  # of a case, in a journal
_QUICK = 3  # epochs with quantizers at most


@dataclass(frozen=True)
class Bench:
    """All rows, and what no backend computes."""

    rows: tuple[BenchRow, ...]
    refused: tuple[tuple[str, str], ...]
    """Backend and algorithm of combinations that do not exist."""


def bench_study(
    models: Sequence[str] = ("digits-resnet", "digits-mobilenet"),
    algorithms: Sequence[str] = ALGORITHMS_OF_TRAINING,
    backends: Sequence[str | Backend] = (),
    *,
    bits: int = 4,
    seeds: int = 5,
    epochs: int = 20,
    parts: Sequence[str] = PARTS,
    compared: Sequence[str] | None = None,
    quick: bool = False,
    journal: str | Path | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Bench:
    """Train networks with every algorithm on every backend, folding and graph.

    Parameters
    ----------
    models : sequence of str
        Networks that are trained here and that torch.fx can trace.
    algorithms : sequence of str
        Names in `qerror.pytorch.graphs.ALGORITHMS`.
    backends : sequence of str or Backend
        Names in `BACKENDS` or records; all presets by default.
    bits : int
        Of weights and activations.
    seeds, epochs : int
        Of each training; with `quick` three epochs at most.
    parts : sequence of str
        Of "backends", "foldings" and "graphs". The last two stand in the academic setting, with
        one of its rules changed.
    compared : sequence of str, optional
        Algorithms of these two; by default all that hardware can compute, with `quick` LSQ and
        PACT, which MQBench compares.
    quick : bool
        Train less.
    journal : path, optional
        A file to which every finished training is added, in the order of the study. A study that
        was stopped goes on from it and ends with the same rows. It holds the recipe's number and
        a digest of every case's algorithm, network and plan: one of others is refused.
    executor : concurrent.futures.Executor, optional
        Where trainings run: any pool of processes, dask's included; by default here.
    progress : callable, optional
        Called with (done, total) trainings.

    Returns
    -------
    Bench

    Raises
    ------
    InvalidValue
        If a name is unknown, no backend computes any of the algorithms, or the journal is that of
        other work.

    References
    ----------
    Li et al. 2021 (MQBench, arXiv 2111.03759), section 5.
    """
    integer("seeds", seeds, 1, 10_000)
    integer("epochs", epochs, 1, 10**6)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise InvalidValue(f"unknown part {unknown[0]!r}; it is one of {', '.join(PARTS)}")
    integer("bits", bits, 2, 16)
    length = min(epochs, _QUICK) if quick else epochs
    chosen = [each if isinstance(each, Backend) else BACKENDS[each] for each in backends]
    chosen = chosen or list(BACKENDS.values())
    if compared is None:
        compared = [name for name in _COMPARED if name in algorithms] if quick else algorithms
    for name in (*algorithms, *compared):
        _ = ALGORITHMS[name]  # an unknown name is no combination that does not exist
    settings, refused = _settings(algorithms, chosen, bits, parts, compared or algorithms)
    _check_networks(models, quick)
    cases = [
        BenchCase(model, backend, algorithm, folding, bits, seed, length, quick)
        for model in models
        for backend, algorithm, folding in settings
        for seed in range(seeds)
    ]
    _refuse_twins(cases)
    # What may differ from one start to the next is in the cases' own keys.
    work = {
        "study": "bench",
        "recipe": RECIPE,
        "epochs": length,
        "quick": quick,
        "torch": torch.__version__,
    }
    return Bench(tuple(_rows(cases, journal, work, executor, progress or silent)), refused)


def _check_networks(models: Sequence[str], quick: bool) -> None:
    """Refuse networks that cannot be studied, before any is trained."""
    for name in models:
        traced(trained_here(name, quick=quick).fresh(0), "Study networks that it can trace")


def _refuse_twins(cases: Sequence[BenchCase]) -> None:
    """Refuse unequal backends that the study's tables and journal could not tell apart."""
    found: dict[str, Backend] = {}
    for case in cases:
        own = case.backend
        name = f"{own.name} of graph {own.graph} and folding {case.folding}"
        if found.setdefault(name, own) != own:
            raise InvalidValue(
                f"two backends are {name}: give each record a name of its own, "
                "dataclasses.replace(backend, name=...)"
            )


_Setting = tuple[Backend, str, int]


def _settings(
    algorithms: Sequence[str],
    backends: Sequence[Backend],
    bits: int,
    parts: Sequence[str],
    compared: Sequence[str],
) -> tuple[list[_Setting], tuple[tuple[str, str], ...]]:
    """Return backend, algorithm and folding of all cases, each once, and what cannot be."""
    wanted: list[_Setting] = []
    refused: list[tuple[str, str]] = []
    for backend in backends if "backends" in parts else ():
        for algorithm in algorithms:
            folding = int(folding_of(backend, None))
            if _computes(backend, algorithm, bits, folding):
                wanted.append((backend, algorithm, folding))
            else:
                refused.append((backend.name, algorithm))
    for backend, folding in _varied(parts):
        wanted += [
            (backend, algorithm, folding)
            for algorithm in compared
            if ALGORITHMS[algorithm].deployable and _computes(backend, algorithm, bits, folding)
        ]
    if not wanted:
        tried = [*(algorithms if "backends" in parts else ())]
        tried += compared if set(parts) - {"backends"} else ()
        raise InvalidValue(
            f"no backend computes {', '.join(dict.fromkeys(tried))} in {bits} bits: nothing to "
            "study"
        )
    return list(dict.fromkeys(wanted)), tuple(refused)


def _varied(parts: Sequence[str]) -> Iterator[tuple[Backend, int]]:
    """Yield the academic setting with other foldings, then with other graphs."""
    academic = BACKENDS[ACADEMIC]
    if "foldings" in parts:
        for folding in FOLDINGS:
            yield replace(academic, folds=folding >= 0), folding
    if "graphs" in parts:
        for graph in GRAPHS:
            yield replace(academic, graph=graph), -1


def _computes(backend: Backend, algorithm: str, bits: int, folding: int) -> bool:
    try:
        check_combination(backend, algorithm, bits=bits, folding=folding)
    except InvalidValue:
        return False
    return True


def _rows(
    cases: Sequence[BenchCase],
    journal: str | Path | None,
    work: dict[str, Any],
    executor: Executor | None,
    progress: Progress,
) -> list[BenchRow]:
    """Return a row a case, in their order, of this run or of those before."""
    with contextlib.ExitStack() as stack:
        notes = None if journal is None else stack.enter_context(Journal(journal, work))
        found = {} if notes is None else _finished(notes, cases)
        left = [case for case in cases if case.key not in found]
        progress(len(cases) - len(left), len(cases))
        originals = dict.fromkeys((case.model, case.seed, case.quick) for case in left)
        for _ in ordered_map(train_original, originals, executor=executor):
            pass  # into the cache, once
        for case, row in zip(left, ordered_map(bench_case, left, executor=executor), strict=True):
            found[case.key] = row
            if notes is not None:
                notes.note(case.key, {**asdict(row), _SETTINGS: case.settings})
            progress(len(found), len(cases))
    return [found[case.key] for case in cases]


def _finished(notes: Journal, cases: Sequence[BenchCase]) -> dict[str, BenchRow]:
    """Return the rows of a journal by their keys; refuse those that other settings gave."""
    wanted = {case.key: case for case in cases}
    found: dict[str, BenchRow] = {}
    with notes.readable():
        for key, values in notes.finished.items():
            row = dict(values)
            settings = row.pop(_SETTINGS)
            if key in wanted and settings != wanted[key].settings:
                raise InvalidValue(
                    f"the journal's run {key!r} had another algorithm, network or plan of training "
                    "of these names; name another file, or remove it to start anew"
                )
            found[key] = BenchRow(**row)
    return found
