"""Sampled errors of block-scaled formats: whole blocks, and whole tensors, are the samples."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np

from qerror._arrays import BoolArray, FloatArray
from qerror.densities.density import Density
from qerror.densities.truncated import Truncated
from qerror.exceptions import InvalidValue
from qerror.execution import Progress
from qerror.formats.block import BlockFormat
from qerror.formats.block_scales import PowerOfTwo
from qerror.formats.four_over_six import FourOverSix
from qerror.formats.scale_rule import largest
from qerror.formats.stored_scales import Amax, StoredScale
from qerror.simulation._block_arguments import axis_of
from qerror.simulation._block_rows import NumpyRows, Task, Worker, task_for
from qerror.simulation._block_scaling import Scaling
from qerror.simulation._chunks import AnyArray
from qerror.simulation._tails import Tails, cut_of, tails_of
from qerror.simulation._tensor_scales import per_block, tensor_scales
from qerror.simulation.figures import (
    BASIC,
    CHUNK,
    FOR_VARIANCE,
    NAMES,
    OF_BLOCKS,
    BlockEstimate,
    BlockFigures,
    ScaleShares,
    Sums,
    TruncatedEstimate,
    error_terms,
)

MOST_SHARED = 10**8
"""How many values of one block, or one tensor, are drawn at a time."""
_ROUNDING = 1e-12  # of the levels' range: less beyond its ends is a rounding of the scale
_ORDERS = {"mean_error": 2, "signal_mean": 2, "clipped_blocks": 0, "zero_blocks": 0}
_MOST_CODES = 1024  # scales whose covariance is kept
_E8M0_BIAS = 127  # OCP MX 1.0, section 5.4.1


def estimate_blocks(
    form: BlockFormat,
    density: Density,
    size: int,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> BlockEstimate:
    """Return the mean errors of samples of a density in blocks; see `estimate_error`."""
    form, count = with_tensor_of(form, size)
    shared = shared_values(form)
    tails = tails_of(density)
    cut = cut_of(density, tails, size)
    total = count * (1 if cut is None else 2) * shared
    done = 0

    def report(drawn: int) -> None:
        nonlocal done
        done += drawn
        if progress is not None:
            progress(done, total)

    truncated = None
    if cut is not None:
        within = _drawn(form, Truncated(density, *cut), count, rng, report)
        truncated = TruncatedEstimate(cut, within.estimate(Tails(math.inf, math.inf), None))
    return _drawn(form, density, count, rng, report).estimate(tails, truncated)


def shared_values(form: BlockFormat) -> int:
    """Return how many values depend on each other: those of a block, or of a tensor."""
    tensor = form.scale.tensor if isinstance(form.scale, StoredScale | FourOverSix) else None
    return (tensor.size if isinstance(tensor, Amax) else None) or form.block_size


def with_tensor_of(form: BlockFormat, size: int) -> tuple[BlockFormat, int]:
    """Return the format as it is for a number of values, and how many samples they make.

    Where the tensor scale comes from all values, these are one tensor.
    """
    n, rule = form.block_size, form.scale
    if isinstance(rule, StoredScale | FourOverSix) and rule.tensor == Amax():
        form, count = replace(form, scale=replace(rule, tensor=Amax(-(-size // n) * n))), 1
    else:
        count = -(-size // shared_values(form))
        if count < 2:
            raise InvalidValue(
                f"size must be at least two samples of {shared_values(form):,} values each, which "
                f"share a scale in {form.name}; got {size:,}"
            )
    if shared_values(form) > MOST_SHARED:
        raise InvalidValue(
            f"{form.name}: {shared_values(form):,} values share a scale, and samples of more than "
            f"{MOST_SHARED:,} are not drawn at a time; use fewer, or quantization_error"
        )
    return form, count


def _drawn(
    form: BlockFormat,
    density: Density,
    count: int,
    rng: np.random.Generator,
    report: Callable[[int], None],
) -> "_BlockSums":
    shared, sums = shared_values(form), _BlockSums()
    task = task_for(form, np.dtype(np.float64), "nearest-even")
    at_a_time = max(1, CHUNK // shared)
    for start in range(0, count, at_a_time):
        samples = min(at_a_time, count - start)
        x = density.sample(samples * shared, rng).reshape(samples, shared)
        with np.errstate(all="ignore"):
            levels, scaling = _quantized(task, x)
            sums.add(task, x, levels - x, scaling)
        report(x.size)
    return sums


def _quantized(task: Task, x: FloatArray) -> tuple[FloatArray, Scaling]:
    """Return the quantized samples and the scales of their blocks."""
    blocks = x.reshape(-1, task.form.block_size)
    rows = NumpyRows(task, x.size, None)
    tensor = per_block(tensor_scales(x, task.form, task), blocks.shape[0])
    scaling = Worker(task, rows, x.size).scaling(blocks, tensor)
    levels = np.empty_like(blocks)
    rows.results(blocks, scaling, levels)
    return levels.reshape(x.shape), scaling


def limits_of_blocks(x: AnyArray, form: BlockFormat, axis: int) -> tuple[FloatArray, FloatArray]:
    """Return, value by value, the limits of its block beyond which it clips.

    Parameters
    ----------
    x : ndarray
        Of a dtype that `quantize_blocks` takes.
    form, axis
        As for `quantize_blocks`.

    Returns
    -------
    low, high : ndarray
        In the shape of `x`; nan where the block is not finite.
    """
    source = np.moveaxis(x, axis_of(x, form, axis), -1)
    blocks = np.ascontiguousarray(source).reshape(-1, form.block_size)
    task = task_for(form, x.dtype, "nearest-even")
    worker = Worker(task, NumpyRows(task, blocks.size, None), blocks.size)
    with np.errstate(all="ignore"):
        tensor = per_block(tensor_scales(source, form, task), blocks.shape[0])
        scaling = worker.scaling(worker.values(blocks), tensor)
        # The scale itself is rounded to the working dtype.
        room = 4 * float(np.finfo(task.layout.kind).eps)
        ends = _range(form, _wide(scaling), room)
    spread = (np.repeat(end, form.block_size) for end in ends)
    low, high = (np.moveaxis(end.reshape(source.shape), -1, axis) for end in spread)
    return low, high


class _BlockSums:
    """Sums over samples, each a row of values."""

    def __init__(self) -> None:
        self._sums = Sums(len(BASIC) + len(OF_BLOCKS))
        self._scales = _ScaleSums()
        self._counts = np.zeros(3, dtype=np.int64)  # values, samples, blocks

    def add(self, task: Task, x: FloatArray, error: FloatArray, scaling: Scaling) -> None:
        """Take in samples of shape (samples, values that depend on each other)."""
        samples, n = x.shape[0], task.form.block_size
        blocks = x.reshape(-1, n)
        low, high = _range(task.form, scaling)
        below, above = blocks < low[:, None], blocks > high[:, None]
        terms = error_terms(x.reshape(-1), error.reshape(-1), below.reshape(-1), above.reshape(-1))
        means = terms.reshape(len(BASIC), samples, -1).mean(axis=2)
        rest = _of_blocks(task.form, blocks, error.reshape(-1, n), scaling)
        rest = rest.reshape(len(OF_BLOCKS), samples, -1).mean(axis=2)
        self._sums.add(np.concatenate([means, rest]), below, above)
        self._scales.add(_codes(task.form, scaling, samples))
        self._counts += [x.size, samples, blocks.shape[0]]

    def estimate(self, tails: Tails, truncated: TruncatedEstimate | None) -> BlockEstimate:
        """Turn the sums into figures."""
        sums, (size, samples, blocks) = self._sums, self._counts.tolist()
        values, errors = sums.figures_and_errors()
        first = len(BASIC)
        rest = dict(zip(OF_BLOCKS, sums.means[first:].tolist(), strict=True))
        spread = np.sqrt(np.diag(sums.covariance)[first:])
        errors |= dict(zip(OF_BLOCKS, spread.tolist(), strict=True))
        return BlockEstimate(
            **values,
            **rest,
            standard_error=BlockFigures(**_unless_infinite(errors, tails)),
            size=size,
            samples=samples,
            blocks=blocks,
            clipped=sums.clipped,
            tails=tails,
            truncated=truncated,
            covariance=sums.covariance[:first, :first],
            settled=self._settled(),
            scales=self._scales.shares(samples),
        )

    def _settled(self) -> dict[str, bool]:
        """Tell which standard errors rest on enough samples; none does on a single one."""
        if self._counts[1] < 2:
            return dict.fromkeys((*NAMES, *OF_BLOCKS), False)
        _, for_variance = self._sums.effective()
        enough = (for_variance[len(BASIC) :] >= FOR_VARIANCE).tolist()
        return self._sums.settled() | dict(zip(OF_BLOCKS, enough, strict=True))


def _unless_infinite(errors: dict[str, float], tails: Tails) -> dict[str, float]:
    """Replace the standard errors whose variance does not exist by infinity.

    Scales follow the largest value, so that every error does.
    """
    return {
        name: error if tails.heaviest > _ORDERS.get(name, 4) else math.inf
        for name, error in errors.items()
    }


def _wide(scaling: Scaling) -> Scaling:
    """Return the scales in float64."""
    low, zero = (None if part is None else part.astype(np.float64) for part in scaling[2:])
    return Scaling(scaling.unit.astype(np.float64), scaling.stored, low, zero)


def _range(
    form: BlockFormat, scaling: Scaling, rounding: float = _ROUNDING
) -> tuple[FloatArray, FloatArray]:
    """Return the limits of each block beyond which its values clip, with room for roundings.

    Where the scale is 0 every value becomes 0: that is rounding, as in the analysis.
    """
    unit, grid = scaling.unit, form.element.grid()
    low, high = grid.min * unit, grid.max * unit
    if scaling.low is not None:
        low, high = low + scaling.low, high + scaling.low
    if scaling.zero is not None:
        low, high = low - scaling.zero * unit, high - scaling.zero * unit
    slack = rounding * (high - low)
    dead = unit == 0
    return np.where(dead, -np.inf, low - slack), np.where(dead, np.inf, high + slack)


def _of_blocks(form: BlockFormat, x: FloatArray, error: FloatArray, scaling: Scaling) -> FloatArray:
    """Return for each block what `OF_BLOCKS` names, shape (4, blocks)."""
    n = form.block_size
    most = np.abs(x).max(axis=1)
    clipped: BoolArray = most > scaling.unit * largest(form.element) * (1 + _ROUNDING)
    share = np.full(most.size, np.nan) if _by_extremes(scaling) else clipped
    zero = ~x.any(axis=1)
    if n == 1:
        nothing = np.zeros(most.size)
        return cast("FloatArray", np.stack([nothing, nothing, share, zero]))
    total, pairs = error.sum(axis=1), n * (n - 1)
    of_errors = (total * total - (error * error).sum(axis=1)) / pairs
    cross = (x.sum(axis=1) * total - (x * error).sum(axis=1)) / pairs
    return cast("FloatArray", np.stack([of_errors, cross, share, zero]))


def _by_extremes(scaling: Scaling) -> bool:
    return scaling.low is not None or scaling.zero is not None


# ---- stored scales


def _codes(form: BlockFormat, scaling: Scaling, samples: int) -> FloatArray:
    """Return the stored scales by sample as a report's keys; none where scales are real."""
    match form.scale:
        case PowerOfTwo():
            return (scaling.stored.astype(np.float64) - _E8M0_BIAS).reshape(samples, -1)
        case StoredScale() | FourOverSix():
            return scaling.stored.astype(np.float64).reshape(samples, -1)
        case _:
            return np.empty((samples, 0))


class _ScaleSums:
    """Counts of codes in each sample: totals, and products for their covariance."""

    def __init__(self) -> None:
        self._codes = np.empty(0)
        self._total = np.empty(0)
        self._products = np.empty((0, 0))
        self._blocks = 0

    def add(self, codes: FloatArray) -> None:
        """Take in the codes of samples, one a row."""
        if not codes.size:
            return
        self._blocks = codes.shape[1]
        self._make_room(codes)
        at = np.searchsorted(self._codes, codes)
        self._total += np.bincount(at.ravel(), minlength=self._codes.size)
        if self._codes.size <= _MOST_CODES:
            counts = np.zeros((codes.shape[0], self._codes.size))
            np.add.at(counts, (np.arange(len(codes))[:, None], at), 1.0)
            self._products += counts.T @ counts

    def _make_room(self, codes: FloatArray) -> None:
        known = np.union1d(self._codes, codes)
        if known.size == self._codes.size:
            return
        at = np.searchsorted(known, self._codes)
        total = np.zeros(known.size)
        total[at] = self._total
        products = np.empty((0, 0))
        if known.size <= _MOST_CODES:
            products = np.zeros((known.size, known.size))
            products[np.ix_(at, at)] = self._products
        self._codes, self._total, self._products = known, total, products

    def shares(self, samples: int) -> ScaleShares:
        """Return the share of each code among the blocks."""
        if not self._blocks:
            return ScaleShares((), (), np.empty((0, 0)))
        mean = self._total / samples
        if self._codes.size > _MOST_CODES:
            shares = mean / self._blocks
            return ScaleShares(
                tuple(self._codes.tolist()), tuple(shares.tolist()), np.empty((0, 0))
            )
        centred = self._products - samples * np.outer(mean, mean)
        covariance = np.full_like(centred, np.nan)
        if samples > 1:
            covariance = centred / (samples - 1) / samples / self._blocks**2
        shares = mean / self._blocks
        return ScaleShares(tuple(self._codes.tolist()), tuple(shares.tolist()), covariance)
