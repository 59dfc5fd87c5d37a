"""The kernels of rounding to nearest even, compiled: one pass over the values, the same bits."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from qerror.exceptions import MissingLibrary
from qerror.simulation._kernels import LAYOUTS, AnyReal, Binade, Layout, Uniform
from qerror.simulation._plan import Plan
from qerror.simulation._table import COUNTED, Table

Loop: TypeAlias = Callable[..., Any]


class Loops(NamedTuple):
    """A loop without scale, with one scale, and with a scale for every value."""

    plain: Loop
    scaled: Loop
    each: Loop


# In values of an array. Loading numba takes 0.7 s and its machine code another 0.4 to 1.7; a value
# takes 1 to 3 ns less afterwards. Ready code saves time wherever calls are not the main cost.
PAYS_UNLOADED = 1 << 29
PAYS_LOADED = 1 << 27
PAYS_COMPILED = 1 << 16


def pays(plan: Plan, dtype: np.dtype[Any], size: int) -> bool:
    """Tell whether compiled rounding saves more time than it takes to make ready."""
    if size < PAYS_COMPILED or _kind_of_loop(plan, dtype) is None:
        return False
    if _was_used(plan, dtype):
        return True
    if "numba" in sys.modules:
        return size >= PAYS_LOADED
    return size >= PAYS_UNLOADED and find_spec("numba") is not None


def compiled_if_possible(plan: Plan, dtype: np.dtype[Any]) -> Plan:
    """Return the plan with a compiled loop, or as it is if numba does not work here."""
    try:
        return compiled(plan, dtype)
    except (ImportError, OSError, RuntimeError):  # a broken or unwritable installation
        return plan


def _kind_of_loop(plan: Plan, dtype: np.dtype[Any]) -> str | None:
    """Return the name of the compiled loop for a plan, or None where there is none."""
    if plan.beyond is not None or dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        return None
    match plan.kernel:
        case Uniform():
            return "uniform"
        case Binade():
            return "binade"
        case Table() as table if table.mode != "stochastic" and not table.negative_zero:
            return "table"
        case _:
            return None


_USED: set[tuple[str, str, str]] = set()
"""Loops with the working dtype and that of the values, for which machine code is loaded."""


def _key(plan: Plan, dtype: np.dtype[Any], kind: str) -> tuple[str, str, str]:
    return kind, np.dtype(plan.kind).char, dtype.char


def _was_used(plan: Plan, dtype: np.dtype[Any]) -> bool:
    kind = _kind_of_loop(plan, dtype)
    return kind is not None and _key(plan, dtype, kind) in _USED


def compiled(plan: Plan, dtype: np.dtype[Any]) -> Plan:
    """Return the plan with a compiled loop, or as it is where there is none for it.

    Raises
    ------
    MissingLibrary
        If numba is not installed.
    """
    kernel = plan.kernel
    loops = _loops(LAYOUTS[plan.kind])
    kind = _kind_of_loop(plan, dtype)
    if kind is None:
        return plan
    chosen = loops[kind]
    constants: tuple[Any, ...]
    match kernel:
        case Uniform():
            constants = kernel.low, kernel.high, kernel.magic
        case Binade():
            sign = kernel.unsigned(0) if kernel.sign is None else kernel.sign
            limits = kernel.low, kernel.high, kernel.first, kernel.exponent
            constants = *limits, kernel.raise_by, sign
        case Table():
            constants = kernel.bounds, kernel.values
        case _:
            return plan

    def fused(x: AnyReal, scale: Any, out: AnyReal) -> None:
        if scale is None:
            chosen.plain(x, out, *constants)
        elif np.ndim(scale) == 0:
            chosen.scaled(x, out, scale, *constants)
        else:
            chosen.each(x, out, scale, *constants)

    _USED.add(_key(plan, dtype, kind))
    return replace(plan, fused=fused)


@lru_cache(maxsize=2)
def _loops(layout: Layout) -> dict[str, Loops]:
    """Compile the loops for one working dtype; the machine code is kept on disk."""
    try:
        import numba
    except ImportError:
        raise MissingLibrary(
            "engine='numba' needs numba; install it with: pip install numba (or qerror[fast])"
        ) from None
    # No fastmath: every operation must round as NumPy's does.
    compiler = numba.njit(nogil=True, cache=True, error_model="numpy")
    build = cast("Callable[[Loop], Loop]", compiler)
    real: Any = layout.kind
    bits: Any = layout.unsigned

    @build
    def clipped(x: Any, low: Any, high: Any) -> Any:
        return low if x < low else (high if x > high else x)  # noqa: FURB136 - keeps NaN

    @build
    def uniform(x: Any, low: Any, high: Any, magic: Any) -> Any:
        v = clipped(x, low, high)
        return (v + magic) - magic

    @build
    def binade(  # noqa: PLR0917 - numba takes no keywords in a loop
        x: Any, low: Any, high: Any, first: Any, exponent: Any, raise_by: Any, sign: Any
    ) -> Any:
        v = clipped(x, low, high)
        b = real(v).view(bits)
        magic = bits(max(b & exponent, first) + raise_by).view(real)
        q = (v + magic) - magic
        return bits(real(q).view(bits) | (b & sign)).view(real)

    @build
    def rank_of(x: Any, bounds: Any) -> Any:
        # No branches: which way to go is a coin toss, badly predicted. Few levels are counted,
        # many halved.
        rank, left = 0, bounds.size
        if left <= COUNTED:
            for i in range(left):
                rank += bounds[i] <= x
            return rank
        while left > 0:
            half = (left + 1) >> 1
            rank += half * (bounds[rank + half - 1] <= x)
            left -= half
        return rank

    @build
    def table(x: Any, out: Any, bounds: Any, values: Any) -> None:
        for i in range(x.size):
            v = real(x[i])
            out[i] = values[rank_of(v, bounds)] if v == v else v  # noqa: PLR0124 - not NaN

    @build
    def table_each(x: Any, out: Any, scale: Any, bounds: Any, values: Any) -> None:
        for i in range(x.size):
            v = real(x[i]) / real(scale[i])
            level = values[rank_of(v, bounds)] if v == v else v  # noqa: PLR0124
            out[i] = level * scale[i]

    def loops(rounded: Any) -> Loops:
        @build
        def plain(x: Any, out: Any, *constants: Any) -> None:
            for i in range(x.size):
                out[i] = rounded(real(x[i]), *constants)

        @build
        def scaled(x: Any, out: Any, scale: Any, *constants: Any) -> None:
            divisor = real(scale)
            for i in range(x.size):
                out[i] = rounded(real(x[i]) / divisor, *constants) * scale

        @build
        def each(x: Any, out: Any, scale: Any, *constants: Any) -> None:
            for i in range(x.size):
                out[i] = rounded(real(x[i]) / real(scale[i]), *constants) * scale[i]

        return Loops(plain, scaled, each)

    # One scale is part of the table. Arrays handed on among *constants would be counted.
    tables = Loops(table, table_each, table_each)
    return {"uniform": loops(uniform), "binade": loops(binade), "table": tables}
