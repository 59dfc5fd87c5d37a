"""Block formats ranked on an array as it lies: measured, not averaged over shuffled values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast, final

import numpy as np
import numpy.typing as npt

from qerror._arrays import unmasked
from qerror.analysis.decibels import decibels_above
from qerror.exceptions import InvalidType, InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.block import BlockFormat
from qerror.optimize.blocks import RANKED, as_blocks, block_size_for, refuse_cost
from qerror.optimize.channels import axis_of
from qerror.optimize.stored import named
from qerror.simulation.measure import Measured, measure_error
from qerror.storage.source import StoredArray


@final
@dataclass(frozen=True)
class MeasuredBlocks:
    """A block format on the blocks of an array, and how it stands among others."""

    form: BlockFormat
    measured: Measured
    below_best_db: float
    smallest: int
    """The block size that the budget pays for; that of `form` divides the axis too."""

    def __repr__(self) -> str:
        return (
            f"MeasuredBlocks({self.form.name}, {self.form.bits_per_value:g} bits, "
            f"{self.measured.figures.sqnr_db:.4f} dB, {self.below_best_db:.4f} below the best)"
        )


def rank_measured_blocks(
    x: npt.ArrayLike | StoredArray,
    bits_per_value: float,
    forms: Sequence[BlockFormat | str] = RANKED,
    *,
    axis: int = -1,
    progress: Progress | None = None,
) -> tuple[MeasuredBlocks, ...]:
    """Rank block formats at equal cost by what they do to an array, block by block as it lies.

    `rank_blocks` takes the values of a block as independent; here neighbours stay neighbours.

    Parameters
    ----------
    x : array_like or StoredArray
        Real numbers, all finite, in at least one axis.
    bits_per_value : float
        The budget, scales included.
    forms : sequence of BlockFormat or str
        Elements and rules. Each is taken in the smallest blocks that the budget pays for and that
        divide the axis.
    axis : int
        Along which the blocks lie.
    progress : callable, optional
        Called with (done, total) formats.

    Returns
    -------
    tuple of MeasuredBlocks
        The best first; a format whose elements alone cost more, or that needs larger blocks than
        the axis has values, is left out.

    Raises
    ------
    InvalidType
        If `x` is no array of real numbers.
    InvalidValue
        If no format fits the budget, there is no such axis or no value, or one is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(1).normal(size=(8, 64))
    >>> found = rank_measured_blocks(x, 4.5, ["mxfp4:even", "nvfp4", "int4:g64"])
    >>> [each.form.name for each in found]
    ['NVFP4', 'INT4:g32', 'MXFP4:g16:even']
    """
    data, name = _numbers(x)
    axis = axis_of(data.shape, axis, name)
    if not data.size:
        raise InvalidValue(f"{name} has no values")
    wrong = data.size - int(np.isfinite(data).sum())
    if wrong:
        raise InvalidValue(
            f"{wrong:,} of {data.size:,} values are nan or infinite; drop or replace them first"
        )
    chosen = [
        (replace(as_blocks(form), block_size=_dividing(data.shape[axis], size)), size)
        for form in forms
        if (size := block_size_for(form, bits_per_value)) is not None and size <= data.shape[axis]
    ]
    if not chosen:
        refuse_cost(forms, bits_per_value, f"in blocks of at most {data.shape[axis]:,}")
    tell, found = progress or silent, list[tuple[BlockFormat, Measured, int]]()
    for form, size in chosen:
        found.append((form, measure_error(data, form, axis=axis), size))
        tell(len(found), len(chosen))
    found.sort(key=lambda each: each[1].figures.mse)
    least = found[0][1].figures.mse
    return tuple(
        MeasuredBlocks(form, measured, _above(measured.figures.mse, least), size)
        for form, measured, size in found
    )


def _numbers(x: npt.ArrayLike | StoredArray) -> tuple[npt.NDArray[Any], str]:
    """Return the data as floats, and what to call them."""
    if isinstance(x, StoredArray):
        data, name = x.values(), named(x)
    else:
        unmasked("x", x)
        data, name = np.asarray(cast("Any", x)), "x"
    if data.dtype.kind in "iu":
        return data.astype(np.float64), name
    if data.dtype.kind != "f":
        raise InvalidType(f"{name} must hold real numbers, got dtype {data.dtype}")
    return data, name


def _dividing(length: int, least: int) -> int:
    """Return the smallest divisor of a length that is not below `least`."""
    return next(size for size in range(least, length + 1) if length % size == 0)


def _above(mse: float, least: float) -> float:
    return 0.0 if mse == least else decibels_above(mse, least)
