"""One tensor to analyse: its parts, and what is done with each; all of it can be sent elsewhere."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, cast

from qerror.checkpoints.measure import report_of
from qerror.checkpoints.report import TensorReport
from qerror.checkpoints.tally import DIRECT, Distribution, Tally, tally_of
from qerror.exceptions import QErrorException
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.simulation.block_sums import BlockSums, at_largest, block_sums, shared_length
from qerror.simulation.counting import Engine
from qerror.storage.tensor import Fault, StoredTensor

PART = 1 << 22
"""Values of a part, about: parts are the same whatever executes them."""

LARGE = 1 << 25
"""Values from which the parts of a tensor go to an executor one by one."""

Outcome: TypeAlias = TensorReport | Fault


@dataclass(frozen=True)
class Job:
    """A tensor and what is asked about it."""

    tensor: StoredTensor
    formats: tuple[Format, ...]
    families: tuple[str, ...]
    exact: bool = False
    """Whether values of 32 and 64 bits are all kept, however many they are."""
    engine: Engine = "numpy"

    @property
    def keeps_values(self) -> bool:
        """Whether every value is known in the end."""
        return self.exact or self.tensor.size <= DIRECT

    @property
    def blocks(self) -> tuple[tuple[int, BlockFormat], ...]:
        """The formats that share scales and can hold this tensor, with their places."""
        found = [
            (i, form)
            for i, form in enumerate(self.formats)
            if isinstance(form, BlockFormat) and not self.why_not(form)
        ]
        return tuple(found)

    def why_not(self, form: Format) -> str:
        """Return why the tensor cannot be cut into blocks of a format; empty if it can."""
        if not isinstance(form, BlockFormat) or not self.tensor.size:
            return ""
        length = self.tensor.shape[-1] if self.tensor.shape else 1
        shared = shared_length(form)
        if length % shared:
            return f"its last axis has {length:,} values, which blocks of {shared:,} do not divide"
        return ""

    def parts(self, step: int = 1) -> list["Part"]:
        """Return the parts, each a multiple of `step` but for the last."""
        unit = math.lcm(step, self.tensor.encoding.values_per_unit)
        length = max(PART // unit, 1) * unit
        size = self.tensor.size
        return [Part(self, start, min(start + length, size)) for start in range(0, size, length)]

    @property
    def block_parts(self) -> list["Part"]:
        """Return the parts of the second pass, which cut no block."""
        steps = [shared_length(form) for _, form in self.blocks]
        return self.parts(math.lcm(*steps)) if steps else []


class Part(NamedTuple):
    """Some of a tensor's values."""

    job: Job
    start: int
    stop: int


class BlockPart(NamedTuple):
    """Some of a tensor's values, for the second pass."""

    part: Part
    absmax: float


def tally_part(part: Part) -> Tally | Fault:
    """Count the values of a part."""
    job = part.job
    try:
        return tally_of(job.tensor, part.start, part.stop, job.keeps_values, job.engine)
    except QErrorException as error:
        return _fault(job, error)


def block_part(given: BlockPart) -> tuple[BlockSums, ...] | Fault:
    """Quantize the values of a part to every format that shares scales."""
    job = given.part.job
    try:
        x = job.tensor.values(given.part.start, given.part.stop)
        return tuple(
            block_sums(x, at_largest(form, given.absmax), job.engine) for _, form in job.blocks
        )
    except QErrorException as error:
        return _fault(job, error)


def merged_tally(tallies: Iterable[Tally | Fault]) -> Distribution | Fault | None:
    """Return the distribution of the values of all parts, or what went wrong first.

    Each is added as it comes: a thousand of them together would fill the memory.
    """
    whole: Tally | None = None
    for each in tallies:
        if isinstance(each, Fault):
            return each
        whole = each if whole is None else added(whole, each)
    return None if whole is None else whole.distribution()


def added(a: Tally, b: Tally) -> Tally:
    """Return the tally of two parts of one tensor."""
    # Parts of one tensor are tallied in one way.
    return a.merged(b)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def merged_blocks(
    sums: Sequence[tuple[BlockSums, ...] | Fault],
) -> tuple[BlockSums, ...] | Fault:
    """Return the sums of all parts, a format each, or what went wrong first."""
    for each in sums:
        if isinstance(each, Fault):
            return each
    rows = zip(*cast("Sequence[tuple[BlockSums, ...]]", sums), strict=True)
    return tuple(
        BlockSums(
            math.fsum(each.noise for each in row),
            math.fsum(each.power for each in row),
            sum(each.size for each in row),
            sum(each.spoiled for each in row),
        )
        for row in rows
    )


def finish(job: Job, found: Distribution | None, sums: tuple[BlockSums, ...]) -> Outcome:
    """Return the report of a tensor from what its passes found."""
    blocks = {i: each for (i, _), each in zip(job.blocks, sums, strict=False)}
    try:
        return report_of(job.tensor, job.formats, job.families, found, blocks, job.why_not)
    except (QErrorException, ArithmeticError) as error:
        return _fault(job, error)


def whole(job: Job) -> Outcome:
    """Analyse a tensor from beginning to end."""
    found = merged_tally(tally_part(part) for part in job.parts())
    if isinstance(found, Fault):
        return found
    absmax = found.absmax if found is not None else 0.0
    sums = merged_blocks([block_part(BlockPart(part, absmax)) for part in job.block_parts])
    return sums if isinstance(sums, Fault) else finish(job, found, sums)


def _fault(job: Job, error: Exception) -> Fault:
    tensor = job.tensor
    reason = str(error).removeprefix(f"cannot read {str(tensor.path)!r}: ")
    return Fault(tensor.path, tensor.name, reason or type(error).__name__)
