"""Quantizes rows, each a block: scales, elements, and what they make together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qerror._arrays import FloatArray
from qerror.formats.block import BlockFormat
from qerror.formats.four_over_six import FourOverSix
from qerror.rounding import Rounding
from qerror.simulation._block_binades import MovedBinades
from qerror.simulation._block_scaling import (
    Scaling,
    extremes,
    is_affine,
    magnitudes,
    nonzero,
    scalers_for,
)
from qerror.simulation._chunks import AnyArray
from qerror.simulation._kernels import DOUBLE, SINGLE, AnyReal, Layout
from qerror.simulation._levels import Levels, levels_of
from qerror.simulation._plan import Plan, plan_for


class Rows(Protocol):
    """The three passes over the values of a chunk of blocks, compiled or not."""

    def peaks(self, values: AnyReal) -> AnyReal:
        """Return what the scaler wants of each row."""
        ...

    def results(self, values: AnyReal, scaling: Scaling, out: AnyReal) -> None:
        """Write the levels at their scales."""
        ...

    def errors(self, values: AnyReal, scaling: Scaling) -> FloatArray:
        """Return what the choice between candidates compares, one number a row."""
        ...


@dataclass(frozen=True)
class Task:
    """What is to be done with every block."""

    form: BlockFormat
    layout: Layout
    """Of the dtype of scales and results."""
    mode: Rounding
    plan: Plan
    """Of the elements, in the units of their own levels."""
    levels: Levels


def task_for(form: BlockFormat, dtype: np.dtype[Any], mode: Rounding) -> Task:
    """Return the task for values of a dtype."""
    layout = DOUBLE if dtype.itemsize == 8 else SINGLE
    levels = levels_of(form.element)
    plan = plan_for(levels, (1.0, 1.0), layout, np.dtype(layout.kind).char, (mode, "saturate"))
    return Task(form, layout, mode, plan, levels)


class NumpyRows:
    """The passes in NumPy, with scratch memory for chunks of up to `size` values."""

    def __init__(self, task: Task, size: int, rng: np.random.Generator | None) -> None:
        self._task = task
        self._rng = rng
        self._bits = np.empty(size, task.layout.unsigned)
        kind = task.plan.kind
        self._values, self._levels = np.empty(size, kind), np.empty(size, kind)
        self._scratch = task.plan.kernel.scratch(size)
        self._moved: MovedBinades | None = None
        if task.levels.factor == 1:
            self._moved = MovedBinades.of(task.form.scale, task.plan.kernel, task.layout)

    def peaks(self, values: AnyReal) -> AnyReal:
        if is_affine(self._task.form.scale):
            return extremes(values)
        return magnitudes(values, self._task.layout, self._bits)

    def levels(self, values: AnyReal, scaling: Scaling) -> AnyReal:
        """Return the elements' levels, or codes less the zero point, until the next call."""
        kernel = self._task.plan.kernel
        v = self._values[: values.size].reshape(values.shape)
        if is_affine(self._task.form.scale):
            return self._steps(values, scaling, v)
        divisor = nonzero(unit_of(scaling, self._task.levels)).astype(v.dtype, copy=False)
        np.divide(values, divisor[:, None], out=v, casting="same_kind")
        np.clip(v, kernel.low, kernel.high, out=v)
        found = self._levels[: values.size]
        kernel.round(v.reshape(-1), found, self._scratch, self._rng)
        return found.reshape(values.shape)

    def _steps(self, values: AnyReal, scaling: Scaling, v: AnyReal) -> AnyReal:
        most = v.dtype.type(2**self._task.form.element.bits - 1)
        divisor = nonzero(scaling.unit)[:, None]
        if scaling.zero is None:
            np.subtract(values, _column(scaling.low), out=v)
            np.divide(v, divisor, out=v)
            np.rint(v, out=v)
            return np.clip(v, 0, most, out=v)
        np.divide(values, divisor, out=v)
        np.rint(v, out=v)
        zero = _column(scaling.zero)
        np.clip(v, -zero, most - zero, out=v)
        return np.add(v, 0, out=v)  # integers have one zero, without a sign

    def results(self, values: AnyReal, scaling: Scaling, out: AnyReal) -> None:
        if self._moved is not None and self._moved.suits(scaling.unit):
            self._moved.round(values, scaling.unit, out, (self._bits, self._scratch))
            return
        unit = unit_of(scaling, self._task.levels)[:, None]
        np.multiply(self.levels(values, scaling), unit, out=out, casting="same_kind")
        if scaling.low is not None:
            np.add(out, _column(scaling.low), out=out)

    def errors(self, values: AnyReal, scaling: Scaling) -> FloatArray:
        found = np.empty_like(values)
        self.results(values, scaling, found)
        off = found.astype(np.float64) - values
        by_mae = getattr(self._task.form.scale, "error", "mse") == "mae"
        off = np.abs(off) if by_mae else off * off
        total = np.zeros(values.shape[0])
        for column in off.T:  # in this order, so that the compiled loop has the same sums
            total += column
        return total


def unit_of(scaling: Scaling, levels: Levels) -> AnyReal:
    """Return the units with the element format's own factor."""
    if levels.factor == 1:
        return scaling.unit
    unit: AnyReal = scaling.unit * scaling.unit.dtype.type(levels.factor)
    return unit


def _column(array: AnyReal | None) -> AnyReal:
    assert array is not None
    return array[:, None]


Passes = Callable[[int], Rows]


class Worker:
    """Finds the scales of chunks of blocks and what the values become."""

    def __init__(self, task: Task, rows: Rows, size: int) -> None:
        self._task = task
        self._rows = rows
        self._scalers = scalers_for(task.form, task.layout)
        self._values = np.empty(size, task.layout.kind)
        self._results = np.empty(size, task.layout.kind)

    def values(self, x: AnyArray) -> AnyReal:
        """Return the chunk in the working dtype, contiguous."""
        if x.dtype == self._values.dtype and x.flags.c_contiguous:
            return x
        values = self._values[: x.size].reshape(x.shape)
        np.copyto(values, x, casting="unsafe")
        return values

    def scaling(self, values: AnyReal, tensor: Any) -> Scaling:
        """Return the scales of the blocks; of several candidates the better ones."""
        peaks = self._rows.peaks(values)
        first, *others = (scaler(peaks, tensor) for scaler in self._scalers)
        for other in others:
            better = self._rows.errors(values, other) < self._rows.errors(values, first)
            unit, stored = (
                np.where(better, b, a) for a, b in zip(first[:2], other[:2], strict=True)
            )
            first = Scaling(unit, stored)
        return first

    def takes_together(self, x: AnyArray, out: AnyArray) -> bool:
        """Tell whether the scales of several chunks are found together: one way, in place."""
        kind = self._values.dtype
        alike = x.dtype == out.dtype == kind and x.flags.c_contiguous and out.flags.c_contiguous
        return alike and len(self._scalers) == 1

    def together(self, x: AnyArray, tensor: Any, out: AnyArray, rows: int) -> None:
        """Quantize chunks of so many blocks into `out`, their scales in one go."""
        parts = [slice(at, at + rows) for at in range(0, x.shape[0], rows)]
        peaks = np.concatenate([self._rows.peaks(x[part]) for part in parts], axis=-1)
        (scaler,) = self._scalers
        scaling = scaler(peaks, tensor)
        for part in parts:
            self._rows.results(x[part], scaling.rows(part), out[part])

    def __call__(self, x: AnyArray, tensor: Any, out: AnyArray) -> None:
        """Quantize a chunk of shape (blocks, n) into `out`."""
        values = self.values(x)
        scaling = self.scaling(values, tensor)
        if out.dtype == values.dtype and out.flags.c_contiguous:
            self._rows.results(values, scaling, out)
            return
        results = self._results[: x.size].reshape(x.shape)
        self._rows.results(values, scaling, results)
        np.copyto(out, results.astype(out.dtype), casting="unsafe")


def tries_several(form: BlockFormat) -> bool:
    """Tell whether blocks are quantized several times."""
    return isinstance(form.scale, FourOverSix)
