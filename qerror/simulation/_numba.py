"""The kernels of rounding to nearest even, compiled: one pass over the values, the same bits."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from qerror.exceptions import MissingLibrary
from qerror.simulation._kernels import LAYOUTS, AnyReal, Binade, Kernel, Layout, Uniform
from qerror.simulation._plan import Plan
from qerror.simulation._table import COUNTED, Table

Loop: TypeAlias = Callable[..., Any]


class Loops(NamedTuple):
    """Loops over values without scale, with one scale, with a scale each; and over blocks."""

    plain: Loop
    scaled: Loop
    each: Loop
    rows: Loop
    """Blocks with a scale each."""
    errors: Loop
    """The sums of squared or absolute errors of blocks."""


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
    found = constants_of(plan.kernel)
    return found[0] if found else None


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
    kind = _kind_of_loop(plan, dtype)
    found = constants_of(plan.kernel)
    if kind is None or found is None:
        return plan
    name, constants = found
    chosen = loops_for(LAYOUTS[plan.kind])[name]

    def fused(x: AnyReal, scale: Any, out: AnyReal) -> None:
        if scale is None:
            chosen.plain(x, out, *constants)
        elif np.ndim(scale) == 0:
            chosen.scaled(x, out, scale, *constants)
        else:
            chosen.each(x, out, scale, *constants)

    _USED.add(_key(plan, dtype, kind))
    return replace(plan, fused=fused)


def constants_of(kernel: Kernel) -> tuple[str, tuple[Any, ...]] | None:
    """Return which loops serve a kernel, and the constants that they are given."""
    match kernel:
        case Uniform():
            return "uniform", (kernel.low, kernel.high, kernel.magic)
        case Binade():
            sign = kernel.unsigned(0) if kernel.sign is None else kernel.sign
            limits = kernel.low, kernel.high, kernel.first, kernel.exponent
            return "binade", (*limits, kernel.raise_by, sign)
        case Table() if kernel.mode != "stochastic" and not kernel.negative_zero:
            return "table", (kernel.bounds, kernel.values)
        case _:
            return None


def compiler() -> Any:
    """Return the decorator that compiles a loop; the machine code is kept on disk.

    Raises
    ------
    MissingLibrary
        If numba is not installed.
    """
    try:
        import numba
    except ImportError:
        raise MissingLibrary(
            "engine='numba' needs numba; install it with: pip install numba (or qerror[fast])"
        ) from None
    # No fastmath: every operation must round as NumPy's does.
    return numba.njit(nogil=True, cache=True, error_model="numpy")


@lru_cache(maxsize=2)
def loops_for(layout: Layout) -> dict[str, Loops]:
    """Compile the loops for one working dtype."""
    build = cast("Callable[[Loop], Loop]", compiler())
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

        @build
        def rows(x: Any, unit: Any, out: Any, *constants: Any) -> None:
            for i in range(x.shape[0]):
                row, to, u = x[i], out[i], unit[i]
                d = real(1) if u == 0 else real(u)
                for j in range(row.size):
                    to[j] = rounded(real(row[j]) / d, *constants) * u

        @build
        def errors(x: Any, unit: Any, by_mae: Any, out: Any, *constants: Any) -> None:
            for i in range(x.shape[0]):
                row, u, total = x[i], unit[i], 0.0
                d = real(1) if u == 0 else real(u)
                for j in range(row.size):
                    level = real(rounded(real(row[j]) / d, *constants) * u)
                    e = np.float64(level) - np.float64(row[j])
                    total += abs(e) if by_mae else e * e
                out[i] = total

        return Loops(plain, scaled, each, rows, errors)

    return {"uniform": loops(uniform), "binade": loops(binade), "table": _table_loops(build, real)}


def _table_loops(build: Callable[[Loop], Loop], real: Any) -> Loops:
    """Compile the loops over listed levels."""

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

    @build
    def table_rows(x: Any, unit: Any, out: Any, bounds: Any, values: Any) -> None:
        for i in range(x.shape[0]):
            u = unit[i]
            d = real(1) if u == 0 else real(u)
            for j in range(x.shape[1]):
                v = real(x[i, j]) / d
                level = values[rank_of(v, bounds)] if v == v else v  # noqa: PLR0124
                out[i, j] = level * u

    def no_errors(*arguments: Any) -> None:
        raise NotImplementedError(f"lists of levels have no two scales to choose from: {arguments}")

    # One scale is part of the table. Arrays handed on among *constants would be counted.
    return Loops(table, table_each, table_each, table_rows, no_errors)
