"""The passes over blocks, compiled: the same bits as in NumPy, for rounding to nearest even."""

import sys
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from qerror._arrays import FloatArray
from qerror.simulation._block_rows import Task, unit_of
from qerror.simulation._block_scaling import Scaling, is_affine
from qerror.simulation._kernels import LAYOUTS, AnyReal, Layout
from qerror.simulation._numba import (
    PAYS_COMPILED,
    PAYS_LOADED,
    PAYS_UNLOADED,
    Loops,
    compiler,
    constants_of,
    loops_for,
)

Loop: TypeAlias = Callable[..., Any]


class Passes(NamedTuple):
    """Loops over rows that do not depend on the element format."""

    peaks: Loop
    extremes: Loop
    real: Loop
    integer: Loop


class CompiledRows:
    """The passes over the values of blocks, without scratch memory."""

    def __init__(self, task: Task, loops: Loops, constants: tuple[Any, ...]) -> None:
        self._task = task
        self._passes = _passes(task.layout)
        self._loops = loops
        self._constants = constants

    def peaks(self, values: AnyReal) -> AnyReal:
        kind = self._task.layout.kind
        ends: AnyReal = np.empty((2, values.shape[0]), kind)
        if is_affine(self._task.form.scale):
            self._passes.extremes(values, ends[0], ends[1])
            return ends
        found: AnyReal = ends[0]
        self._passes.peaks(values, found)
        return found

    def results(self, values: AnyReal, scaling: Scaling, out: AnyReal) -> None:
        if scaling.low is not None:
            self._passes.real(values, scaling.unit, scaling.low, self._most, out)
        elif scaling.zero is not None:
            self._passes.integer(values, scaling.unit, scaling.zero, self._most, out)
        else:
            self._loops.rows(values, unit_of(scaling, self._task.levels), out, *self._constants)

    def errors(self, values: AnyReal, scaling: Scaling) -> FloatArray:
        found = np.empty(values.shape[0])
        by_mae = getattr(self._task.form.scale, "error", "mse") == "mae"
        unit = unit_of(scaling, self._task.levels)
        self._loops.errors(values, unit, by_mae, found, *self._constants)
        return found

    @property
    def _most(self) -> Any:
        return self._task.layout.kind(2**self._task.form.element.bits - 1)


def compiled_rows(task: Task) -> CompiledRows | None:
    """Return the compiled passes of a task, or None where there are none for it.

    Raises
    ------
    MissingLibrary
        If numba is not installed.
    """
    found = constants_of(task.plan.kernel)
    if task.mode != "nearest-even" or found is None:
        return None
    name, constants = found
    _USED.add((name, task.layout.kind.__name__))
    return CompiledRows(task, loops_for(LAYOUTS[task.plan.kind])[name], constants)


_USED: set[tuple[str, str]] = set()
"""Loops and working dtypes for which machine code is loaded."""


def pays(task: Task, size: int) -> bool:
    """Tell whether compiled passes save more time than it takes to make them ready."""
    found = constants_of(task.plan.kernel)
    if size < PAYS_COMPILED or task.mode != "nearest-even" or found is None:
        return False
    if (found[0], task.layout.kind.__name__) in _USED:
        return True
    if "numba" in sys.modules:
        return size >= PAYS_LOADED
    return size >= PAYS_UNLOADED and find_spec("numba") is not None


def compiled_rows_if_possible(task: Task) -> CompiledRows | None:
    """Return the compiled passes, or None if numba does not work here."""
    try:
        return compiled_rows(task)
    except (ImportError, OSError, RuntimeError):  # a broken or unwritable installation
        return None


@lru_cache(maxsize=2)
def _passes(layout: Layout) -> Passes:
    build = cast("Callable[[Loop], Loop]", compiler())
    real: Any = layout.kind
    bits: Any = layout.unsigned
    mask: Any = layout.unsigned(layout.sign - 1)
    zero, one = layout.kind(0), layout.kind(1)

    @build
    def peaks(x: Any, out: Any) -> None:
        for i in range(x.shape[0]):
            row, most = x[i], bits(0)
            for j in range(row.size):
                size = bits(real(row[j]).view(bits) & mask)
                most = size if size > most else most  # noqa: FURB136 - a third slower by max
            out[i] = bits(most).view(real)

    @build
    def extremes(x: Any, low: Any, high: Any) -> None:
        for i in range(x.shape[0]):
            a = b = x[i, 0]
            for j in range(1, x.shape[1]):
                v = x[i, j]
                # A NaN wins, whichever side it is on.
                a = v if v < a or v != v else a  # noqa: PLR0124
                b = v if v > b or v != v else b  # noqa: PLR0124
            low[i] = a
            high[i] = b

    @build
    def real_offset(x: Any, unit: Any, low: Any, most: Any, out: Any) -> None:
        for i in range(x.shape[0]):
            row, to, u, a = x[i], out[i], unit[i], low[i]
            d = one if u == zero else u
            for j in range(row.size):
                q = np.rint((row[j] - a) / d)
                q = zero if q < zero else (most if q > most else q)  # noqa: FURB136 - keeps NaN
                to[j] = q * u + a

    @build
    def integer_zero(x: Any, unit: Any, zeros: Any, most: Any, out: Any) -> None:
        for i in range(x.shape[0]):
            row, to, u = x[i], out[i], unit[i]
            d = one if u == zero else u
            low, high = -zeros[i], most - zeros[i]
            for j in range(row.size):
                q = np.rint(row[j] / d)
                q = low if q < low else (high if q > high else q)  # noqa: FURB136 - keeps NaN
                to[j] = (q + zero) * u  # integers have one zero, without a sign

    return Passes(peaks, extremes, real_offset, integer_zero)
