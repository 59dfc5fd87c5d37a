"""A large tensor: its parts by an executor, and a journal that a stopped run goes on from."""

import base64
import contextlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, cast, final

import numpy as np

from qerror.checkpoints.job import (
    BlockPart,
    Job,
    Outcome,
    added,
    block_part,
    finish,
    merged_blocks,
    tally_part,
)
from qerror.checkpoints.tally import BinTally, CodeTally, Tally
from qerror.execution import ordered_map
from qerror.simulation.block_sums import BlockSums
from qerror.simulation.counting import Binned, Bins
from qerror.storage.encodings import Coded
from qerror.storage.journal import Journal
from qerror.storage.tensor import Fault

NOTED = 16
"""Parts after which the counts so far are noted: some 2^26 values, and at most a megabyte."""


@final
class Notes:
    """What the journal has of one tensor, and gets."""

    def __init__(self, journal: Journal | None, job: Job) -> None:
        self._journal, self._job = journal, job
        begun = () if journal is None else journal.begun.get(job.tensor.name, ())
        self.tallied = 0
        """Parts that are counted."""
        self.tally: Tally | None = None
        self.sums: dict[int, tuple[BlockSums, ...]] = {}
        """Of parts of the second pass."""
        with contextlib.nullcontext() if journal is None else journal.readable():
            self._take(begun)

    def _take(self, notes: Sequence[Mapping[str, Any]]) -> None:
        """Take the last counts, which hold those before, and all sums."""
        for each in notes:
            if "sums" in each:
                self.sums[each["part"]] = tuple(BlockSums(*row) for row in each["sums"])
        counts = [each for each in notes if "sums" not in each]
        if counts:
            self.tallied = counts[-1]["part"]
            self.tally = _restored(self._job, counts[-1]["tally"])
        if self.tallied > len(self._job.parts()):
            raise ValueError(f"part {self.tallied} of {len(self._job.parts())}")

    def counted(self, parts: int, tally: Tally) -> None:
        """Note the counts of the first parts; not where they hold every value of a tensor."""
        if self._journal is not None and isinstance(tally, CodeTally | BinTally):
            state = {"part": parts, "tally": _plain(tally)}
            self._journal.note_part(self._job.tensor.name, state)

    def summed(self, part: int, sums: tuple[BlockSums, ...]) -> None:
        """Note the sums of a part."""
        if self._journal is not None:
            state = {"part": part, "sums": [list(each) for each in sums]}
            self._journal.note_part(self._job.tensor.name, state)


def in_parts(
    job: Job, executor: Executor | None, tell: Callable[[int], None], journal: Journal | None
) -> Outcome:
    """Analyse a large tensor, its parts by the executor.

    Parameters
    ----------
    tell : callable
        Is told of bytes that are done.
    journal : Journal, optional
        Where an earlier run may have noted parts, and this one does.
    """
    size, parts, block_parts = job.tensor.bytes, job.parts(), job.block_parts
    passes, notes, done = len(parts) + len(block_parts), Notes(journal, job), 0

    def advance(by: int) -> None:
        nonlocal done
        tell((done + by) * size // passes - done * size // passes)
        done += by

    advance(notes.tallied + len(notes.sums))
    tallies = ordered_map(tally_part, parts[notes.tallied :], executor=executor)
    tally = _tallied(tallies, notes, len(parts), advance)
    if isinstance(tally, Fault):
        return tally
    found = None if tally is None else tally.distribution()
    absmax = found.absmax if found is not None else 0.0
    left = [i for i in range(len(block_parts)) if i not in notes.sums]
    tasks = [BlockPart(block_parts[i], absmax) for i in left]
    sums = ordered_map(block_part, tasks, executor=executor)
    for i, each in zip(left, sums, strict=True):
        if isinstance(each, Fault):
            return each
        notes.sums[i] = each
        notes.summed(i, each)
        advance(1)
    merged = merged_blocks([notes.sums[i] for i in range(len(block_parts))])
    return merged if isinstance(merged, Fault) else finish(job, found, merged)


def _tallied(
    tallies: Iterable[Tally | Fault], notes: Notes, parts: int, advance: Callable[[int], None]
) -> Tally | Fault | None:
    """Add the counts of the parts that are left to those that were noted."""
    whole = notes.tally
    for done, each in enumerate(tallies, start=notes.tallied + 1):
        if isinstance(each, Fault):
            return each
        whole = each if whole is None else added(whole, each)
        advance(1)
        if done % NOTED == 0 or done == parts:
            notes.counted(done, whole)
    return whole


def _plain(tally: CodeTally | BinTally) -> dict[str, Any]:
    if isinstance(tally, CodeTally):
        return {"counts": _text(tally.counts)}
    bins, *rest = tally.found
    return {"bins": [_text(each) for each in bins], "rest": rest}


def _restored(job: Job, plain: Mapping[str, Any]) -> Tally:
    encoding = job.tensor.encoding
    if "counts" in plain:
        return CodeTally(cast("Coded", encoding), _array(plain["counts"], np.int64))
    types = (np.int64, np.int64, np.float64, np.float64)
    bins = Bins(*_arrays(plain["bins"], types))
    return BinTally(Binned(bins, *plain["rest"]), encoding.precision)


def _arrays(texts: Iterable[str], types: Iterable[type]) -> Iterator[Any]:
    return (_array(text, kind) for text, kind in zip(texts, types, strict=True))


def _text(array: Any) -> str:
    plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(plain.tobytes(), 1)).decode()


def _array(text: str, kind: type) -> Any:
    stored = np.dtype(kind).newbyteorder("<")
    found: Any = np.frombuffer(zlib.decompress(base64.b64decode(text)), stored)
    return found.astype(kind)
