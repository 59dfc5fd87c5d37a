"""Errors measured on data, piece by piece, whatever their size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray, positive
from qerror.exceptions import InvalidValue
from qerror.execution import Progress, silent
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format, ScalarFormat
from qerror.formats.names import as_format, as_scalar_format
from qerror.simulation.estimate import figures_of_data
from qerror.simulation.estimate_blocks import limits_of_blocks
from qerror.simulation.figures import Figures
from qerror.simulation.quantize import as_scales, quantize, refuse_axis, refuse_scale
from qerror.storage.source import StoredArray

AnyArray: TypeAlias = npt.NDArray[Any]
Limits: TypeAlias = tuple[float | FloatArray, float | FloatArray]
Piece: TypeAlias = tuple[AnyArray, AnyArray, Limits]
"""Values, what they become, and the limits beyond which they clip."""


@dataclass(frozen=True)
class Measured:
    """The errors of a quantizer on data, e = Q(x) - x, means over the finite values.

    Without any finite value they are nan.
    """

    figures: Figures
    size: int
    """Number of values that the means are over: finite ones."""
    nan: int
    """How many values are NaN."""
    infinite: int
    """How many are infinite."""
    clipped: tuple[int, int]
    """How many finite values lie below and above the range of the grid, or of their block."""
    spoiled: int = 0
    """How many finite values share a block with others that are not, and become NaN with it."""


def measure_error(
    array: StoredArray | npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    axis: int | None = None,
    rounding: str = "nearest-even",
    rng: np.random.Generator | None = None,
    progress: Progress | None = None,
    keep: Callable[[AnyArray], None] | None = None,
) -> Measured:
    """Quantize data and return the mean errors over its finite values.

    Parameters
    ----------
    array : StoredArray or array_like
        The data. A stored array is read in pieces; as a whole where values share scales in
        blocks.
    format, scale, axis, rounding, rng
        As for `quantize`: one scale or an array of them, or none for a block format.
    progress : callable, optional
        Called with (done, total) values.
    keep : callable, optional
        Receives the quantized values piece by piece, flat, in the order of the array.

    Raises
    ------
    InvalidValue, InvalidType
        As for `quantize`.

    Examples
    --------
    >>> found = measure_error(np.array([0.25, 1.0, 5.5]), "int4")
    >>> found.figures.mse
    0.10416666666666667
    """
    form = as_format(format)
    tell = progress or silent
    if np.ndim(cast("Any", scale)) == 0:
        positive("scale", cast("Any", scale))
    how = {"rounding": rounding, "rng": rng}
    pieces: Iterator[Piece]
    if isinstance(form, BlockFormat):
        refuse_scale(form, scale)
        pieces = _in_blocks(array, form, -1 if axis is None else axis, how)
    else:
        refuse_axis(form, axis)
        pieces = _piece_by_piece(array, as_scalar_format(form), scale, how)
    total = array.size if isinstance(array, StoredArray) else int(np.size(cast("Any", array)))
    counts = _Counts()

    def errors() -> Iterator[tuple[FloatArray, FloatArray, Limits]]:
        done = 0
        for x, levels, limits in pieces:
            if keep is not None:
                keep(levels)
            yield counts.finite(x, levels, limits)
            done += x.size
            tell(done, total)

    figures, size, clipped = figures_of_data(errors())
    return Measured(figures, size, counts.nan, counts.infinite, clipped, counts.spoiled)


class _Counts:
    """Counts what has no part in the means."""

    def __init__(self) -> None:
        self.nan = self.infinite = self.spoiled = 0

    def finite(
        self, x: AnyArray, levels: AnyArray, limits: Limits
    ) -> tuple[FloatArray, FloatArray, Limits]:
        """Return the values that have an error, their errors, and their limits."""
        finite, kept = np.isfinite(x), np.isfinite(levels)
        kept &= finite
        missing = int(np.isnan(x).sum())
        self.nan += missing
        self.infinite += x.size - int(finite.sum()) - missing
        self.spoiled += int(finite.sum()) - int(kept.sum())
        wide = x[kept].astype(np.float64)
        low, high = (end[kept] if isinstance(end, np.ndarray) else end for end in limits)
        return wide, levels[kept].astype(np.float64) - wide, (low, high)


def _piece_by_piece(
    array: StoredArray | npt.ArrayLike, form: ScalarFormat, scale: npt.ArrayLike, how: Any
) -> Iterator[Piece]:
    grid = form.grid()
    if isinstance(array, StoredArray):
        shape, pieces = array.shape, array.pieces()
        units = _units(as_scales(scale, shape), shape, array.fortran_order)
    else:
        data: AnyArray = np.asarray(array)
        shape, pieces = data.shape, iter([data.reshape(-1)])
        units = _units(as_scales(scale, shape), shape, False)
    start = 0
    for piece in pieces:
        unit = units(start, start + piece.size)
        levels = quantize(piece, form, unit, **how)
        yield piece, levels, (grid.min * unit, grid.max * unit)
        start += piece.size


def _units(
    scales: FloatArray, shape: tuple[int, ...], fortran: bool
) -> Callable[[int, int], float | FloatArray]:
    """Return what gives the scale, or those of the values from one place to another."""
    if scales.size == 1:
        one = float(scales.flat[0])
        return lambda _start, _stop: one
    for axis, (length, count) in enumerate(zip(shape, scales.shape, strict=True)):
        if 1 < count < length:
            scales = np.repeat(scales, length // count, axis)
    whole = np.broadcast_to(scales, shape)
    flat = (whole.T if fortran else whole).flat

    def between(start: int, stop: int) -> FloatArray:
        return np.asarray(flat[start:stop], dtype=np.float64)

    return between


def _in_blocks(
    array: StoredArray | npt.ArrayLike, form: BlockFormat, axis: int, how: Any
) -> Iterator[Piece]:
    x: AnyArray
    if isinstance(array, StoredArray):
        x, fortran = array.values(), array.fortran_order
    else:
        x, fortran = np.asarray(array), False
    levels = quantize(x, form, axis=axis, **how)
    if np.isinf(levels[np.isfinite(x)]).any():
        raise InvalidValue(
            f"levels of {form.name} times their scales go beyond {x.dtype}, whose largest number "
            f"is {float(np.finfo(x.dtype).max):g}; widen the array first: x.astype(np.float32)"
        )
    low, high = limits_of_blocks(x, form, axis)
    yield _flat(x, fortran), _flat(levels, fortran), (_flat(low, fortran), _flat(high, fortran))


def _flat(x: AnyArray, fortran: bool) -> AnyArray:
    return (x.T if fortran else x).reshape(-1)
