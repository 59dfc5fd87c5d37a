"""Whether each tensor of a quantized checkpoint is as good as its format allows."""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from qerror.analysis.bands import sqnr_band
from qerror.analysis.report import decibels
from qerror.checkpoints.analyze import USUAL
from qerror.checkpoints.block_bands import block_band
from qerror.checkpoints.comparison import AS_GOOD_DB, ComparisonReport, TensorComparison
from qerror.checkpoints.job import (
    BlockPart,
    Job,
    block_part,
    merged_blocks,
    merged_tally,
    tally_part,
)
from qerror.checkpoints.measure import fitted_to, report_of
from qerror.checkpoints.pieces import chosen_faults, selected
from qerror.checkpoints.report import FormatFigures
from qerror.checkpoints.tally import Distribution
from qerror.checkpoints.tiles import tile_sums
from qerror.exceptions import InvalidValue, QErrorException
from qerror.execution import Progress, ordered_map, silent
from qerror.fitting.fit import DEFAULT
from qerror.fitting.lattice import Distinct, Lattice, lattice_of
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.lists import as_formats
from qerror.formats.names import as_format, as_scalar_format
from qerror.simulation.block_sums import BlockSums, difference_sums
from qerror.simulation.counting import engine_for
from qerror.storage.checkpoint import open_checkpoint
from qerror.storage.scaled import Scheme, joined
from qerror.storage.tensor import Fault, StoredTensor

_OF_GGUF = {
    "Q4_0": "int4:full:g32:scale=fp16",
    "Q4_1": "int4:g32:affine",
    "Q5_1": "int5:g32:affine",
    "Q8_0": "int8:g32:scale=fp16",
}
_MOST_BITS = 8
_NOTHING = "they have no tensor of floating-point numbers, or of codes with scales, of one name"


class _Pair(NamedTuple):
    job: Job
    """The original."""
    other: Job
    scheme: Scheme | None
    """How the other is quantized, where its scales are tensors of their own."""


def compare_checkpoints(
    path: str | Path,
    against: str | Path,
    formats: Format | str | Iterable[Format | str] = USUAL,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    families: Sequence[str] = DEFAULT,
    strict: bool = False,
    only: Sequence[str] = (),
) -> ComparisonReport:
    """Measure a quantized checkpoint against its original, tensor by tensor.

    Parameters
    ----------
    path : str or Path
        The original.
    against : str or Path
        The quantized one, with tensors of the same names and shapes: values as they are used (a
        dequantized file, 8-bit floats without scales, GGUF), or codes whose scales are tensors
        beside them, ``weight_scale``, ``weight_scale_inv`` and their like, per tensor, channel,
        group or tile, as `qerror.storage.scaled` lists them.
    formats : formats or their names
        By which tensors are judged whose own format neither their type nor the grid that their
        values lie on tells.
    executor, families, strict, only
        As for `analyze_checkpoint`.
    progress : callable, optional
        Called with (done, total) tensors.

    Raises
    ------
    InvalidValue
        If nothing can be compared, or `strict` and something is damaged.
    """
    path, against = Path(path), Path(against)
    (mine, _), (theirs, schemes) = (joined(open_checkpoint(each)) for each in (path, against))
    mine = selected(mine, only).checked(strict=strict)
    theirs = replace(theirs, faults=chosen_faults(theirs, only)).checked(strict=strict)
    others = {each.name: each for each in theirs.tensors}
    both = [(each, others[each.name]) for each in mine.tensors if each.name in others]
    known = {*others, *(each.tensor for each in theirs.faults)}
    missing = tuple(each.name for each in mine.tensors if each.name not in known)
    faults = [*mine.faults, *theirs.faults]
    faults += [_other_shape(a, b) for a, b in both if a.shape != b.shape]
    both = [(a, b) for a, b in both if a.shape == b.shape]
    if not both:
        reason = str(faults[0]) if faults else _NOTHING
        raise InvalidValue(f"cannot compare {str(path)!r} with {str(against)!r}: {reason}")
    if strict and faults:
        raise InvalidValue(f"cannot read {faults[0]}")
    chosen = as_formats(formats)
    engine = engine_for(sum(a.size for a, _ in both))
    pairs = [
        _Pair(
            Job(a, chosen, tuple(families), False, engine),
            Job(b, (), (), False, engine),
            schemes.get(b.name),
        )
        for a, b in both
    ]
    tell = progress or silent
    found: list[TensorComparison] = []
    for done, each in enumerate(ordered_map(_compared, pairs, executor=executor), start=1):
        if isinstance(each, Fault):
            faults.append(each)
        else:
            found.append(each)
        tell(done, len(pairs))
    if strict and faults:
        raise InvalidValue(f"cannot read {faults[0]}")
    return ComparisonReport(path, against, tuple(found), missing, tuple(faults))


def _other_shape(a: StoredTensor, b: StoredTensor) -> Fault:
    return Fault(b.path, b.name, f"its shape is {list(b.shape)}, the original's {list(a.shape)}")


def _compared(pair: _Pair) -> TensorComparison | Fault:
    """Compare one tensor."""
    mine, theirs = (
        merged_tally(tally_part(part) for part in each.parts()) for each in (pair.job, pair.other)
    )
    for each in (mine, theirs):
        if isinstance(each, Fault):
            return each
    assert not isinstance(mine, Fault)
    assert not isinstance(theirs, Fault)
    try:
        return _judged(pair, mine, theirs, _differences(pair))
    except QErrorException as error:
        tensor = pair.other.tensor
        return Fault(tensor.path, tensor.name, str(error))


def _differences(pair: _Pair) -> BlockSums:
    parts = [
        difference_sums(
            pair.job.tensor.values(part.start, part.stop),
            pair.other.tensor.values(part.start, part.stop),
        )
        for part in pair.other.parts(pair.job.tensor.encoding.values_per_unit)
    ]
    noise, power = math.fsum(each.noise for each in parts), math.fsum(each.power for each in parts)
    size, apart = sum(each.size for each in parts), sum(each.spoiled for each in parts)
    return BlockSums(noise, power, size, apart)


def _lattice(found: Distribution) -> Lattice | None:
    if not found.is_exact or not found.size:
        return None
    return lattice_of(Distinct(found.values, found.counts, found.precision))


def _detected(dtype: str, lattice: Lattice | None, largest: float) -> Format | None:
    """Return the format that a type or a grid stands for."""
    if dtype in _OF_GGUF:
        return as_format(_OF_GGUF[dtype])
    if lattice is None:
        return None
    if lattice.format:
        return as_format(lattice.format)
    if lattice.kind == "uniform" and lattice.origin == 0 and lattice.is_coarse:
        points = 2 * round(largest / lattice.step) + 1
        bits = math.ceil(math.log2(points))
        # Floats of few bits lie on a uniform grid too, and leave most of it out.
        if lattice.count > points / 2 and 2 <= bits <= _MOST_BITS:
            return as_format(f"int{bits}")
    return None


def _judged(
    pair: _Pair, mine: Distribution | None, theirs: Distribution | None, sums: BlockSums
) -> TensorComparison:
    job, other, scheme = pair
    measured = decibels(sums.power, sums.noise)
    lattice = None if theirs is None or scheme is not None else _lattice(theirs)
    if scheme is not None:
        detected: Format | None = as_format(scheme.format)
        nearest: FormatFigures | None = _of_scheme(job, mine, scheme)
    else:
        largest = 0.0 if theirs is None else theirs.absmax
        detected = _detected(other.tensor.dtype, lattice, largest)
        own = () if detected is None or detected in job.formats else (detected,)
        figures = _figures(replace(job, formats=(*job.formats, *own)), mine)
        known = [each for each in figures if not math.isnan(each.best_sqnr_db)]
        nearest = _nearest(known, measured, "" if detected is None else detected.name)
    notes = [f"{sums.spoiled:,} values are not finite in one of the two"] if sums.spoiled else []
    if lattice is not None and lattice.is_coarse:
        notes.append(lattice.description)
    if scheme is not None and scheme.tile is not None and scheme.tile.rows > 1:
        notes.append(f"tiles of {scheme.tile.rows}x{scheme.tile.columns} share a scale")
    nan = math.nan
    band = (nan, nan) if nearest is None else _band(nearest, mine, job.families)
    return TensorComparison(
        job.tensor.name,
        job.tensor.shape,
        job.tensor.dtype,
        other.tensor.dtype,
        "" if nearest is None else nearest.format,
        detected is not None and nearest is not None and nearest.format == detected.name,
        measured,
        nan if nearest is None else nearest.best_sqnr_db,
        *band,
        "; ".join(notes),
    )


def _of_scheme(job: Job, found: Distribution | None, scheme: Scheme) -> FormatFigures | None:
    """Return what the format of a scaled tensor allows: in its own tiles."""
    form = as_format(scheme.format)
    alone = replace(job, formats=(form,))
    is_cut = scheme.tile is not None and (scheme.tile.rows > 1 or alone.why_not(form))
    if not isinstance(form, BlockFormat) or not is_cut:
        (figures,) = _figures(alone, found)
    else:
        assert scheme.tile is not None
        sums = tile_sums(job.tensor, form, scheme.tile, job.engine)
        (figures,) = report_of(job.tensor, (form,), (), found, {0: sums}, lambda _: "").formats
    return None if math.isnan(figures.best_sqnr_db) else figures


def _nearest(
    figures: Sequence[FormatFigures], measured: float, detected: str
) -> FormatFigures | None:
    """Return the format to judge by.

    One whose figure is met comes first: values in blocks may look like those of a wider format.
    """
    by_distance = sorted(figures, key=lambda each: abs(each.best_sqnr_db - measured))
    if not by_distance or abs(by_distance[0].best_sqnr_db - measured) <= AS_GOOD_DB:
        return next(iter(by_distance), None)
    known = [each for each in by_distance if each.format == detected]
    return (known or by_distance)[0]


def _figures(job: Job, found: Distribution | None) -> tuple[FormatFigures, ...]:
    absmax = found.absmax if found is not None else 0.0
    sums = merged_blocks([block_part(BlockPart(part, absmax)) for part in job.block_parts])
    if isinstance(sums, Fault):
        raise InvalidValue(str(sums))
    blocks = {i: each for (i, _), each in zip(job.blocks, sums, strict=False)}
    return report_of(job.tensor, job.formats, (), found, blocks, job.why_not).formats


def _band(
    figures: FormatFigures, found: Distribution | None, families: tuple[str, ...]
) -> tuple[float, float]:
    """Return where the SQNR of so many values of the fitted density lies."""
    form = as_format(figures.format)
    fitted = None if found is None else fitted_to(found, families)
    if fitted is None or found is None or found.size < 2:
        return math.nan, math.nan
    if isinstance(form, BlockFormat):
        return block_band(form, fitted.predictive, found.size, found.absmax)
    try:
        return sqnr_band(
            as_scalar_format(form),
            fitted.predictive,
            size=found.size,
            max_value=figures.best_max_value,
        )
    except QErrorException:  # more levels than a band visits
        return math.nan, math.nan
