"""Array quantizers: the nearest level of a format, value by value."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from qerror._arrays import FloatArray
from qerror.exceptions import InvalidType, InvalidValue
from qerror.formats.block import BlockFormat
from qerror.formats.format import Format
from qerror.formats.names import as_format, as_scalar_format
from qerror.rounding import Overflow, Rounding, as_overflow, as_rule
from qerror.simulation._arguments import (
    apart,
    as_floats,
    destination,
    require_engine,
    threads_for,
)
from qerror.simulation._chunks import AnyArray, Chunk, chunk_size, for_each_part, split_blocks
from qerror.simulation._held import holder
from qerror.simulation._kernels import DOUBLE, SINGLE, AnyReal, ShortDraws, keep_above_zero
from qerror.simulation._levels import Levels, levels_of
from qerror.simulation._numba import compiled, compiled_if_possible, pays
from qerror.simulation._plan import Plan, plan_for
from qerror.simulation.blocks import quantize_blocks

Emit: TypeAlias = Callable[[AnyReal, Any, AnyArray], None]
"""Takes levels in the kernel's units and the scale, and writes results."""


def quantize(
    x: npt.ArrayLike,
    format: Format | str,  # noqa: A002 - the field's word
    scale: npt.ArrayLike = 1.0,
    *,
    axis: int | None = None,
    rounding: str = "nearest-even",
    overflow: str = "saturate",
    rng: np.random.Generator | None = None,
    out: AnyArray | None = None,
    threads: int | None = None,
    engine: str = "auto",
) -> AnyArray:
    """Replace every value by a level of a format, as a real quantizer does.

    Parameters
    ----------
    x : array_like
        float16, float32 or float64, any shape and memory layout.
    format : Format or str
        The format or its name.
    scale : float or array_like
        Multiplies the levels. An array gives scales per channel or block: along each axis its
        length must divide that of `x` (as in broadcasting, missing axes count as 1), and each
        scale serves an equal run of values. Shape (64, 1, 1, 1) is a scale per output channel;
        for x of shape (128, 256), shape (128, 8) is a scale per block of 32. A `BlockFormat`
        finds its own scales and takes none.
    axis : int, optional
        Along which a `BlockFormat` cuts its blocks; by default the last. Others take none.
    rounding : str
        "nearest-even" (RNE), "nearest-away" (RNA), "toward-zero" (RTZ), "up" (RTP),
        "down" (RTN), "to-odd" (RTO) or "stochastic" (SR). Even and odd are the codes.
        "stochastic:8" draws 8 random bits, as hardware does: the share of a step by which a
        magnitude exceeds the level on the side of zero is cut to 8 bits, and that is the
        probability of the outer level. Up to 23 bits; not for a `BlockFormat`.
    overflow : {"saturate", "convention"}
        What lies beyond the range goes to its nearest end, infinities too, and never becomes
        infinite: levels that the dtype does not hold count as beyond the range.
        Or, where the format has them, to infinity or else NaN, as IEEE 754 rounds them in each
        mode. In an unsigned format negative numbers go to its smallest level either way.
    rng : numpy.random.Generator, optional
        Needed for stochastic rounding, which runs on one thread and draws in memory order.
    out : ndarray, optional
        Where the result goes: of the dtype and shape of `x`; may be `x` itself.
    threads : int, optional
        By default 1: where memory is what rounding waits for, more gain nothing.
    engine : {"auto", "numpy", "numba"}
        "numba" compiles rounding to nearest even at its first use (needs qerror[fast]) and
        returns the same bits in a third of the time; other modes run in NumPy either way.
        Loading it takes a second or two, so "auto" does so from 2^29 values on if numba is
        installed, from 2^27 if something else has imported it, and goes on with it from 2^16.

    Returns
    -------
    ndarray
        Of the dtype and shape of `x`: `out` if given. NaN stays NaN. Zero keeps its sign where
        the format has a negative zero; others have one zero, without a sign.

    Raises
    ------
    InvalidType
        If `x` or `out` is no array of these dtypes, `x` is masked, or `rng` no generator.
    InvalidValue
        If a scale is not positive and finite or does not fit the shape, `out` does not, or
        stochastic rounding is asked for without `rng`.

    Notes
    -----
    Results are exact, with one rounding where `x.dtype` does not hold the level. Powers of two
    as scales keep it so, and a Codebook with one scale too. Other scales are first rounded to
    the dtype of `x` (float32 for float16), and a bias that is no integer is such a scale. Out
    come the points of ``format.grid(scale)`` rounded to the dtype, but the decision falls on
    x / scale in that dtype: it can differ from that of exact arithmetic for values within one
    ulp of a threshold between levels (two, if the bias is no integer).

    Block-scaled formats also take bfloat16, and have their own conventions: see
    `quantize_blocks`.

    Examples
    --------
    >>> quantize(np.array([0.3, 1.1, 500.0]), "e4m3")
    array([3.125e-01, 1.125e+00, 4.480e+02])
    >>> quantize(np.array([0.3, 1.1, 5.0, 0.0]), "mxfp4:g2")
    array([0.25, 1.  , 4.  , 0.  ])
    """
    form = as_format(format)
    if isinstance(form, BlockFormat):
        refuse_scale(form, scale)
        return quantize_blocks(
            x,
            form,
            axis=-1 if axis is None else axis,
            rounding=rounding,
            overflow=overflow,
            rng=rng,
            out=out,
            threads=threads,
            engine=engine,
        )
    refuse_axis(form, axis)
    (mode, bits), beyond = as_rule(rounding), as_overflow(overflow)
    levels = levels_of(as_scalar_format(form))
    x = as_floats(x)
    out = destination(out, x)
    require_engine(engine)
    workers = threads_for(threads, mode, rng)
    if rng is not None and bits is not None:
        rng = ShortDraws(rng, bits)
    plan, scales = prepare(levels, scale, x, (mode, beyond))
    if engine == "numba":
        plan = compiled(plan, x.dtype)
    elif engine == "auto" and pays(plan, x.dtype, x.size):
        plan = compiled_if_possible(plan, x.dtype)
    hold = holder(plan, scales, x.dtype) if beyond == "saturate" else None
    run(plan, x, scales, out, emit=_multiply, rng=rng, threads=workers)
    if hold is not None:
        hold(out)
    return out


def prepare(
    levels: Levels,
    scale: npt.ArrayLike,
    x: AnyArray,
    rules: tuple[Rounding, Overflow],
    stored: str | None = None,
) -> tuple[Plan, AnyArray | None]:
    """Return the plan for `x` and, where scales differ, their array.

    `stored` is the code of the dtype to which levels are rounded: by default that of `x`.
    """
    scales = _in_dtype_of(x, as_scales(scale, x.shape))
    total = scales * levels.factor
    if not (np.isfinite(total).all() and (total > 0).all()):
        raise InvalidValue("the levels at this scale leave the range of float64")
    stored = stored or x.dtype.char
    narrowest = DOUBLE if x.dtype.itemsize == 8 else SINGLE
    one = total.size == 1
    extremes = float(total.min(initial=np.inf)), float(total.max(initial=0.0))
    with np.errstate(all="ignore"):
        plan = plan_for(levels, extremes[0] if one else extremes, narrowest, stored, rules)
    if one:
        return plan, None
    narrow = total.astype(plan.kind)
    exact = stored != "e" and (narrow == total).all()
    return plan, narrow if exact else total


def _in_dtype_of(x: AnyArray, scales: FloatArray) -> FloatArray:
    """Round scales to float32 if `x` is no wider, as all frameworks do; not out of its range."""
    if x.dtype.itemsize == 8:
        return scales
    with np.errstate(over="ignore", under="ignore"):
        single = scales.astype(np.float32).astype(np.float64)
    low, high = 2.0**SINGLE.lowest, 2.0**SINGLE.highest
    return single if ((single >= low) & (single <= high)).all() else scales


def run(
    plan: Plan,
    x: AnyArray,
    scales: AnyArray | None,
    out: AnyArray,
    *,
    emit: Emit,
    rng: np.random.Generator | None,
    threads: int,
) -> None:
    """Quantize `x` and let `emit` write the levels into `out`."""
    x = apart(x, out)
    if scales is not None:
        counts = scales.shape
        x, out = split_blocks(x, counts), split_blocks(out, counts)
        within = tuple(n for count in counts for n in (count, 1))
        scales = np.broadcast_to(scales.reshape(within), x.shape)
    elif x.ndim == 0:
        x, out = x.reshape(1), out.reshape(1)

    def work(chunks: Iterator[Chunk]) -> None:
        worker = _Worker(plan, min(chunk_size(plan.kind), x.size), emit, rng)
        with np.errstate(all="ignore"):
            for values, scale, results in chunks:
                worker(values, scale, results)

    for_each_part(work, (x, scales, out), chunk_size(plan.kind), threads)


class _Worker:
    """Quantizes chunks one after the other with its own scratch memory."""

    def __init__(self, plan: Plan, size: int, emit: Emit, rng: np.random.Generator | None) -> None:
        self._plan = plan
        self._emit = emit
        self._rng = rng
        self._values = np.empty(size, plan.kind)
        self._levels = np.empty(size, plan.kind)
        self._scratch = plan.kernel.scratch(size)

    def __call__(self, x: AnyArray, scale: AnyArray | None, out: AnyArray) -> None:
        plan, kernel = self._plan, self._plan.kernel
        unit = plan.scale if scale is None else scale
        if plan.fused is not None:
            plan.fused(x, unit, out)
            return
        divisor = plan.divisor if scale is None else scale.astype(plan.kind, copy=False)
        values = self._values[: x.size]
        direct = out.dtype == plan.kind and self._emit is _multiply
        levels = out if direct else self._levels[: x.size]
        source = self._divided(x, divisor, values)
        masks = None if plan.beyond is None else plan.beyond.masks(source, self._rng)
        np.clip(source, kernel.low, kernel.high, out=values)
        kernel.round(values, levels, self._scratch, self._rng)
        if plan.beyond is not None and masks is not None:
            levels[masks[0]] = plan.beyond.value
            levels[masks[1]] = -plan.beyond.value
        self._emit(levels, unit, out)

    def _divided(self, x: AnyArray, divisor: Any, values: AnyReal) -> AnyReal:
        """Return x over the scale in the working dtype, without a copy where none is needed."""
        wide = x
        if x.dtype != values.dtype:
            np.copyto(values, x, casting="same_kind")
            wide = values
        if divisor is None:
            return wide
        np.divide(wide, divisor, out=values)
        if self._plan.kernel.directed:
            keep_above_zero(values, x)
        return values


def _multiply(levels: AnyReal, unit: Any, out: AnyArray) -> None:
    """Write the levels at their scale: a product in float64, then the dtype of `out`."""
    if unit is not None:
        np.multiply(levels, unit, out=out, casting="same_kind")
    elif levels is not out:
        np.copyto(out, levels, casting="same_kind")


def as_scales(scale: npt.ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return the scales at double precision, with as many axes as `shape` has, at least.

    Raises
    ------
    InvalidType
        If they are no real numbers.
    InvalidValue
        If one is not positive and finite, or their shape does not divide `shape`.
    """
    try:
        given = np.asarray(scale)
    except ValueError as error:
        raise InvalidType(f"scale must be a number or an array of numbers: {error}") from None
    if given.dtype.kind not in "fiu":
        raise InvalidType(f"scale must be a number or an array of numbers, got {scale!r}")
    scales = given.astype(np.float64)
    bad = ~(np.isfinite(scales) & (scales > 0))
    if bad.any():
        raise InvalidValue(f"scale must be finite and positive, got {scales[bad].flat[0]:g}")
    if scales.size == 1:
        return scales.reshape(-1)
    padded = (1,) * (len(shape) - scales.ndim) + scales.shape
    fits = len(padded) == len(shape) and all(
        k == 1 or (k > 0 and n % k == 0) or n == k for n, k in zip(shape, padded, strict=True)
    )
    if not fits:
        raise InvalidValue(
            f"scale has shape {scales.shape}, x has {shape}: along each axis the scales must be "
            "as many as the values, or divide them into equal blocks, or be one"
        )
    return scales.reshape(padded)


def refuse_scale(form: BlockFormat, scale: object) -> None:
    """Refuse a scale for formats that find their own; 1 is as good as none."""
    if not (isinstance(scale, int | float) and scale == 1):
        raise InvalidValue(
            f"{form.name} takes its scales from the values, so it takes no scale; a tensor scale "
            "is part of the format, as in nvfp4:tensor=0.01"
        )


def refuse_axis(form: Format, axis: int | None) -> None:
    """Refuse an axis for formats without blocks."""
    if axis is not None:
        raise InvalidValue(
            f"axis is for formats that share scales, such as mxfp4; {form.name} has a scale for "
            "each value: give scales whose shape says along which axis they differ"
        )
