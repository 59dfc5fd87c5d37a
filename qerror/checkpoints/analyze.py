"""The analysis of a checkpoint: every tensor, in one pass or two, here or by an executor."""

import contextlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from qerror.checkpoints.in_parts import in_parts
from qerror.checkpoints.job import (
    LARGE,
    PART,
    Job,
    Outcome,
    whole,
)
from qerror.checkpoints.pieces import cut, selected
from qerror.checkpoints.report import CheckpointReport, TensorReport
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, ordered_map, silent
from qerror.fitting.family import FITTERS
from qerror.fitting.fit import DEFAULT
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.lists import as_formats
from qerror.simulation.counting import engine_for
from qerror.storage.checkpoint import open_checkpoint
from qerror.storage.journal import Journal
from qerror.storage.tensor import Contents, Fault

USUAL = ("int8", "e4m3", "int4:g32", "mxfp4", "nvfp4:of=tensor")
"""The formats that are compared where none are given."""


def analyze_checkpoint(
    path: str | Path,
    formats: Format | str | Iterable[Format | str] = USUAL,
    *,
    executor: Executor | None = None,
    journal: str | Path | None = None,
    progress: Progress | None = None,
    families: Sequence[str] = DEFAULT,
    exact: bool = False,
    strict: bool = False,
    only: Sequence[str] = (),
    by: str | None = None,
) -> CheckpointReport:
    """Measure what formats do to every tensor of a checkpoint, and predict it.

    The file is read once for its distribution, and once more where formats share scales in
    blocks; memory does not grow with the tensors.

    Parameters
    ----------
    path : str or Path
        As for `qerror.storage.open_checkpoint`: .safetensors or the index of several, .gguf,
        .onnx, files of PyTorch, .npy, .npz, or a folder.
    formats : formats or their names
        What is compared.
    executor : concurrent.futures.Executor, optional
        Where tensors, and the parts of large ones, are analysed: any pool, dask's included. The
        result does not depend on it.
    journal : str or Path, optional
        A file that notes every finished tensor, and parts of large ones: a run that was stopped
        goes on from it.
    progress : callable, optional
        Called with (done, total) bytes.
    families : sequence of str
        Of the densities that are fitted; none if empty.
    exact : bool
        Whether every value of 32 and 64 bits is kept, at about a hundred bytes of memory each.
        Otherwise tensors of more than 131,072 such values are summarised in bins 2^-11 wide and
        less, relative to the value, and `FormatFigures.bound_db` says how much that can matter.
        Types of 16 bits and fewer are always exact.
    strict : bool
        Whether anything damaged ends the analysis.
    only : sequence of str
        Patterns of names, such as ``*.weight`` or ``encoder.layer.0``: tensors that fit none are
        left out.
    by : str, optional
        "channel" for a row a channel, along the first axis of tensors of two axes or more, or
        "group:128" for a row a group of so many neighbours along the last axis. They are called
        ``name[3]`` and ``name[3,128:256]``.

    Returns
    -------
    CheckpointReport

    Raises
    ------
    InvalidValue
        If nothing can be read, or `strict` and something cannot; if the journal is that of other
        work; if a pattern fits no tensor.
    MissingLibrary
        If the library that reads this kind of file is not installed.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/w.npy", np.array([0.25, -1.0, 0.5, 0.75], np.float16))
    ...     report = analyze_checkpoint(folder, "int4,e2m1")
    >>> report["w"].best.format, round(report["w"].best.best_max_value, 3)
    ('INT4', 1.75)
    """
    path = Path(path)
    chosen = as_formats(formats)
    names = tuple(name for name in families if FITTERS[name] is not None)
    contents = open_checkpoint(path)
    _require_tensors(path, contents)
    contents = cut(selected(contents, only), by).checked(strict=strict)
    _require_tensors(path, contents)
    total = sum(each.size for each in contents.tensors)
    engine = engine_for(total * (1 + sum(isinstance(each, BlockFormat) for each in chosen)))
    jobs = [Job(each, chosen, names, exact, engine) for each in contents.tensors]
    work = _work(path, jobs, [*only], by)
    outcomes = _outcomes(jobs, executor, journal, work, progress or silent)
    faults = (*contents.faults, *(each for each in outcomes if isinstance(each, Fault)))
    if strict and faults:
        raise InvalidValue(f"cannot read {faults[0]}")
    tensors = tuple(each for each in outcomes if isinstance(each, TensorReport))
    return CheckpointReport(
        path, tuple(each.name for each in chosen), tensors, contents.skipped, faults, by
    )


def _require_tensors(path: Path, contents: Contents) -> None:
    if contents.tensors:
        return
    if contents.faults:
        raise InvalidValue(f"cannot read {contents.faults[0]}")
    kinds = ", ".join(dict.fromkeys(each.dtype for each in contents.skipped)) or "no tensor"
    raise InvalidValue(f"{str(path)!r} holds {kinds}: there is no floating-point tensor in it")


def _work(path: Path, jobs: Sequence[Job], only: list[str], by: str | None) -> dict[str, Any]:
    """Return what the results depend on."""
    files = sorted({job.tensor.path for job in jobs})
    states = [(each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files]
    return {
        "checkpoint": path.name,
        "files": states,
        "tensors": len(jobs),
        "part": PART,
        "formats": [each.name for each in jobs[0].formats],
        "families": list(jobs[0].families),
        "exact": jobs[0].exact,
        "only": only,
        "by": by,
    }


def _outcomes(
    jobs: Sequence[Job],
    executor: Executor | None,
    journal: str | Path | None,
    work: dict[str, Any],
    progress: Progress,
) -> list[Outcome]:
    """Return an outcome a job, in their order: of earlier runs, of small tensors, of large."""
    found: dict[str, Outcome] = {}
    with contextlib.ExitStack() as stack:
        notes = None if journal is None else stack.enter_context(Journal(journal, work))
        if notes is not None:
            with notes.readable():
                done = notes.finished.items()
                found = {name: TensorReport.from_dict(given) for name, given in done}
        left = [job for job in jobs if job.tensor.name not in found]
        tell = _Bytes(jobs, left, progress)

        def finished(job: Job, outcome: Outcome) -> None:
            found[job.tensor.name] = outcome
            if notes is not None and isinstance(outcome, TensorReport):
                notes.note(job.tensor.name, outcome.to_dict())

        small = [job for job in left if job.tensor.size < LARGE]
        for job, outcome in zip(small, ordered_map(whole, small, executor=executor), strict=True):
            finished(job, outcome)
            tell(job.tensor.bytes)
        for job in left:
            if job.tensor.size >= LARGE:
                finished(job, in_parts(job, executor, tell, notes))
    return [found[job.tensor.name] for job in jobs]


class _Bytes:
    """Reports how many bytes are done of all."""

    def __init__(self, jobs: Sequence[Job], left: Sequence[Job], progress: Progress) -> None:
        self._total = sum(job.tensor.bytes for job in jobs)
        self._done = self._total - sum(job.tensor.bytes for job in left)
        self._progress = progress
        self(0)

    def __call__(self, more: int) -> None:
        self._done += more
        self._progress(self._done, self._total)
